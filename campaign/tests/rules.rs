//! Every rule of the resource: one mistake in a file is found at its place, with a message that says what to do.

use campaign::{Mistake, rules};
use serde_json::{Value, json};

/// A campaign that obeys every rule.
fn valid() -> Value {
    json!({
        "apiVersion": "mailcampaign.io/v1alpha1",
        "kind": "MailCampaign",
        "metadata": {"name": "offers", "namespace": "hr"},
        "spec": {
            "recipients": {"source": {"configMap": {"name": "offers", "key": "offers.xlsx"}}},
            "message": {
                "from": "People Team <people@example.com>",
                "subject": "Your offer, {{ Name }}",
                "text": {"inline": "Dear {{ Name }}"},
                "headers": {"X-Batch": "{{ Batch }}"},
                "listUnsubscribe": {"url": "https://example.com/u/{{ Id }}", "oneClick": true},
                "attachments": [
                    {"filename": "Offer.docx", "docx": {"configMap": {"name": "offers", "key": "offer.docx"}}},
                    {"filename": "contract.pdf", "each": {"directory": "contracts", "path": "{{ File }}"}},
                ],
            },
            "delivery": {
                "backends": [
                    {"name": "relay", "smtp": {"host": "relay.example.com", "tls": "None"}},
                    {"name": "api", "http": {"url": "https://api.example.com/send", "headers": {"X-Key": {"value": "a"}}}},
                ],
                "rate": {"perSecond": 500, "perDomain": {"default": 100, "domains": {"example.com": 50}}},
                "retry": {"maxAttempts": 8, "initialBackoff": "30s", "maxBackoff": "1h", "maxAge": "24h"},
            },
        },
    })
}

/// The valid campaign with `value` at a JSON pointer; null removes what is there.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = valid();
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    match document.pointer_mut(parent).expect(pointer) {
        Value::Object(fields) if value.is_null() => drop(fields.remove(last)),
        Value::Object(fields) => drop(fields.insert(last.replace("~1", "/"), value)),
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => items[last.parse::<usize>().expect("an index")] = value,
        _ => panic!("{pointer} has no fields"),
    }
    document
}

fn texts(mistakes: &[Mistake]) -> Vec<String> {
    mistakes.iter().map(ToString::to_string).collect()
}

/// Each document has exactly one mistake: this one, and its message holds this text.
fn each_has_one_mistake<const N: usize>(cases: [(&str, Value, &str, &str); N]) {
    for (pointer, value, place, message) in cases {
        let document = with(pointer, value);
        let mistakes = rules::check(&document);
        let [mistake] = mistakes.as_slice() else {
            panic!("{pointer}: expected one mistake at {place}, found {:#?}", texts(&mistakes));
        };
        assert_eq!(mistake.place, place, "{mistake}");
        assert!(mistake.message.contains(message), "{pointer}: \"{}\" lacks \"{message}\"", mistake.message);
        assert_eq!(rules::parse(&document), Err(mistakes));
    }
}

#[test]
fn a_right_campaign_has_no_mistake_and_is_read_with_its_defaults() {
    let campaign = rules::parse(&valid()).expect("no mistake");
    assert_eq!(campaign.namespaced_name(), "hr/offers");
    assert_eq!(campaign.from.name.as_deref(), Some("People Team"));
    assert_eq!(campaign.list_format, campaign::spec::ListFormat::Xlsx);
    assert!(campaign.spec.recipients.dedupe);
    assert_eq!(campaign.spec.delivery.max_in_flight, 1000);
    assert_eq!(campaign.spec.delivery.backends[1].weight, 1);
    assert_eq!(campaign.on_unknown(), campaign::spec::OnUnknown::Hold);
}

#[test]
fn the_namespace_is_default_when_none_is_named() {
    let campaign = rules::parse(&with("/metadata/namespace", Value::Null)).expect("no mistake");
    assert_eq!(campaign.namespaced_name(), "default/offers");
}

#[test]
fn what_a_cluster_prints_can_be_used_as_a_file() {
    let mut document = valid();
    document["metadata"]["uid"] = json!("5a3e1c52-9a44-4d4b-8f0e-7c1d2e3f4a5b");
    document["metadata"]["labels"] = json!({"team": "people"});
    document["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    document["status"] = json!({"phase": "Sending", "recipients": {"total": 200}, "addedLater": true});
    assert_eq!(texts(&rules::check(&document)), Vec::<String>::new());
}

#[test]
fn a_null_is_the_same_as_nothing() {
    let mut document = valid();
    document["spec"]["recipients"]["sheet"] = Value::Null;
    document["spec"]["recipients"]["dedupe"] = Value::Null;
    document["spec"]["message"]["html"] = Value::Null;
    let campaign = rules::parse(&document).unwrap_or_else(|mistakes| panic!("{:#?}", texts(&mistakes)));
    assert_eq!(campaign.spec, rules::parse(&valid()).expect("no mistake").spec);
}

#[test]
fn domains_of_rates_are_read_in_their_ascii_form() {
    let document = with("/spec/delivery/rate/perDomain/domains", json!({"EXÄMPLE.org": 5, "Example.com": 7}));
    let campaign = rules::parse(&document).expect("no mistake");
    let domains = campaign.spec.delivery.rate.and_then(|rate| rate.per_domain).expect("rates").domains;
    assert_eq!(domains.into_keys().collect::<Vec<_>>(), ["example.com", "xn--exmple-cua.org"]);
}

#[test]
fn mistakes_outside_the_spec() {
    let long = "a".repeat(41);
    each_has_one_mistake([
        ("/apiVersion", json!("mailcampaign.io/v1"), "apiVersion", "mailcampaign.io/v1alpha1"),
        ("/apiVersion", Value::Null, "apiVersion", "is missing"),
        ("/kind", json!("Mailcampaign"), "kind", "MailCampaign"),
        ("/metadata/name", Value::Null, "metadata.name", "is missing"),
        ("/metadata/name", json!("Offers"), "metadata.name", "lower case"),
        ("/metadata/name", json!("offers.2027"), "metadata.name", "no dots"),
        ("/metadata/name", json!(long), "metadata.name", "at most 40"),
        ("/metadata/namespace", json!("h r"), "metadata.namespace", "lower case"),
        ("/metadata/nmespace", json!("hr"), "metadata.nmespace", "did you mean \"namespace\"?"),
        ("/metadata/labels", json!({"year": 2027}), "metadata.labels.year", "quotes"),
        ("/sepc", json!({}), "sepc", "did you mean \"spec\"?"),
        ("/spec", Value::Null, "spec", "is missing"),
    ]);
}

#[test]
fn unknown_missing_and_mistyped_fields() {
    each_has_one_mistake([
        ("/spec/recipents", json!({}), "spec.recipents", "did you mean \"recipients\"?"),
        ("/spec/message/zzz", json!(1), "spec.message.zzz", "there are attachments, from"),
        ("/spec/recipients/emailcolumn", json!("a"), "spec.recipients.emailcolumn", "did you mean \"emailColumn\"?"),
        ("/spec/message/subject", Value::Null, "spec.message.subject", "is missing (Subject)"),
        ("/spec/delivery/backends", Value::Null, "spec.delivery.backends", "is missing"),
        ("/spec/message/subject", json!(2027), "spec.message.subject", "put it in quotes"),
        ("/spec/message/subject", json!(["a"]), "spec.message.subject", "must be text, not a list"),
        ("/spec/recipients/dedupe", json!("yes"), "spec.recipients.dedupe", "must be true or false, not text"),
        ("/spec/delivery/maxInFlight", json!("10"), "spec.delivery.maxInFlight", "remove the quotes"),
        ("/spec/delivery/maxInFlight", json!(1.5), "spec.delivery.maxInFlight", "a whole number, not the number 1.5"),
        ("/spec/delivery/backends", json!({"a": 1}), "spec.delivery.backends", "begin each entry with a dash"),
        ("/spec/recipients/source", json!([1]), "spec.recipients.source", "remove the dash"),
        ("/spec/message/text", json!("Dear"), "spec.message.text", "must be a group of fields, not text"),
    ]);
}

#[test]
fn words_that_are_not_allowed_name_those_that_are_the_nearest_first() {
    each_has_one_mistake([
        (
            "/spec/delivery/backends/0/smtp/tls",
            json!("startls"),
            "spec.delivery.backends[0].smtp.tls",
            "write StartTls or",
        ),
        ("/spec/delivery/onUnknown", json!("hold"), "spec.delivery.onUnknown", "write Hold or Resend"),
        ("/spec/recipients/format", json!("xls"), "spec.recipients.format", "write Xlsx or Csv or Ndjson"),
        ("/spec/recipients/onInvalidRow", json!("Stop"), "spec.recipients.onInvalidRow", "write Skip or Fail"),
    ]);
}

#[test]
fn bounds_of_numbers_texts_lists_and_maps() {
    let smtp = "/spec/delivery/backends/0/smtp";
    let at = "spec.delivery.backends[0].smtp";
    let many: Value = (0..31).map(|index| (format!("X-{index}"), json!("a"))).collect::<serde_json::Map<_, _>>().into();
    each_has_one_mistake([
        (&format!("{smtp}/port"), json!(0), &format!("{at}.port"), "is 0, but must be at least 1"),
        (&format!("{smtp}/port"), json!(65_536), &format!("{at}.port"), "at most 65535"),
        (&format!("{smtp}/connections"), json!(-1), &format!("{at}.connections"), "at least 1"),
        (&format!("{smtp}/messagesPerConnection"), json!(0), &format!("{at}.messagesPerConnection"), "at least 1"),
        ("/spec/delivery/maxInFlight", json!(0), "spec.delivery.maxInFlight", "at least 1"),
        ("/spec/delivery/retry/maxAttempts", json!(0), "spec.delivery.retry.maxAttempts", "at least 1"),
        ("/spec/delivery/backends/0/weight", json!(0), "spec.delivery.backends[0].weight", "at least 1"),
        ("/spec/delivery/rate/perSecond", json!(1e7), "spec.delivery.rate.perSecond", "at most 1000000"),
        ("/spec/message/subject", json!(""), "spec.message.subject", "is empty"),
        (
            "/spec/message/subject",
            json!("é".repeat(2001)),
            "spec.message.subject",
            "has 2001 characters, but at most 2000",
        ),
        ("/spec/recipients/sheet", json!("a".repeat(32)), "spec.recipients.sheet", "at most 31"),
        ("/spec/message/headers", many, "spec.message.headers", "has 31 entries, but at most 30"),
        ("/spec/delivery/backends", json!([]), "spec.delivery.backends", "needs at least 1"),
    ]);
}

#[test]
fn exactly_one_or_at_least_one_of_several_fields() {
    let key = json!({"name": "offers", "key": "a.csv"});
    let template = json!({"inline": "Hi"});
    each_has_one_mistake([
        (
            "/spec/recipients/source",
            json!({}),
            "spec.recipients.source",
            "exactly one of configMap, secret, persistentVolumeClaim and http",
        ),
        ("/spec/recipients/source/secret", key.clone(), "spec.recipients.source", "exactly one"),
        ("/spec/recipients/suppress", json!({}), "spec.recipients.suppress", "exactly one of configMap and secret"),
        ("/spec/message/text", Value::Null, "spec.message", "at least one of text, html and mjml"),
        ("/spec/message/text", json!({}), "spec.message.text", "exactly one of inline, configMap and secret"),
        ("/spec/message/text/secret", key, "spec.message.text", "exactly one"),
        (
            "/spec/message/attachments/0/docx",
            Value::Null,
            "spec.message.attachments[0]",
            "exactly one of docx, file and each",
        ),
        (
            "/spec/delivery/backends/0/smtp",
            Value::Null,
            "spec.delivery.backends[0]",
            "exactly one of smtp, http and maildir",
        ),
        ("/spec/delivery/backends/0/maildir", json!({"path": "a"}), "spec.delivery.backends[0]", "exactly one"),
        (
            "/spec/delivery/backends/1/http/headers/X-Key",
            json!({}),
            "spec.delivery.backends[1].http.headers.X-Key",
            "exactly one of value and secret",
        ),
        ("/spec/delivery/rate", json!({}), "spec.delivery.rate", "at least one of perSecond and perDomain"),
        ("/spec/message/listUnsubscribe", json!({}), "spec.message.listUnsubscribe", "at least one of url and mailto"),
    ]);
    let mut both = with("/spec/message/html", template.clone());
    both["spec"]["message"]["mjml"] = template;
    assert_eq!(texts(&rules::check(&both)), ["spec.message: html and mjml exclude each other: keep one of them"]);
}

#[test]
fn addresses_names_and_keys() {
    let source = "/spec/recipients/source";
    let at = "spec.recipients.source";
    let web = |url: &str, sha256: &str| json!({"http": {"url": url, "sha256": sha256}});
    let sha = "0".repeat(64);
    each_has_one_mistake([
        ("/spec/message/from", json!("People Team"), "spec.message.from", "has no @"),
        ("/spec/message/from", json!("Lee, Ann <a@example.com>"), "spec.message.from", "double quotes"),
        ("/spec/message/from", json!("a@b@example.com"), "spec.message.from", "more than one @"),
        ("/spec/message/from", json!("a@example.com\nBcc: b@example.com"), "spec.message.from", "in one line"),
        ("/spec/message/replyTo", json!("people"), "spec.message.replyTo", "has no @"),
        (&format!("{source}/configMap/name"), json!("Offers"), &format!("{at}.configMap.name"), "lower case"),
        (&format!("{source}/configMap/key"), json!("../a.xlsx"), &format!("{at}.configMap.key"), "no folder"),
        (&format!("{source}/configMap/key"), json!("..xlsx"), &format!("{at}.configMap.key"), "no folder"),
        (source, web("ftp://example.com/a.csv", &sha), &format!("{at}.http.url"), "https://"),
        (source, web("https://example.com:port/a.csv", &sha), &format!("{at}.http.url"), "invalid port"),
        (source, web("https://ann:pw@example.com/a.csv", &sha), &format!("{at}.http.url"), "secret"),
        (source, web("https://example.com/a.csv", "abc"), &format!("{at}.http.sha256"), "64 hexadecimal digits"),
        ("/spec/delivery/backends/0/smtp/host", json!("smtp://relay"), "spec.delivery.backends[0].smtp.host", "alone"),
        ("/spec/delivery/backends/0/name", json!("Relay 1"), "spec.delivery.backends[0].name", "lower case"),
        (
            "/spec/delivery/backends/0/name",
            json!("api"),
            "spec.delivery.backends[1].name",
            "already the name of entry [0]",
        ),
        (
            "/spec/delivery/backends/1/http/url",
            json!("api.example.com"),
            "spec.delivery.backends[1].http.url",
            "https://",
        ),
        (
            "/spec/delivery/backends/1/http/idempotencyHeader",
            json!("Idempotency Key"),
            "spec.delivery.backends[1].http.idempotencyHeader",
            "header's name",
        ),
        (
            "/spec/message/attachments/1/each/directory",
            json!("a/../../b"),
            "spec.message.attachments[1].each.directory",
            "without ..",
        ),
        (
            "/spec/message/attachments/1/each/directory",
            json!("/etc"),
            "spec.message.attachments[1].each.directory",
            "relative",
        ),
        ("/spec/message/attachments/0/filename", json!("a\r\nb"), "spec.message.attachments[0].filename", "one line"),
    ]);
}

#[test]
fn formats_encodings_and_sheets_fit_each_other() {
    let csv = json!({"configMap": {"name": "offers", "key": "offers.csv"}});
    let at = |field: &str, value: Value| {
        let mut document = with("/spec/recipients/source", csv.clone());
        document["spec"]["recipients"][field] = value;
        texts(&rules::check(&document))
    };
    assert_eq!(at("encoding", json!("windows-1252")), Vec::<String>::new());
    assert!(
        at("encoding", json!("utf-9"))[0].starts_with("spec.recipients.encoding: \"utf-9\" is not a known encoding")
    );
    assert!(at("sheet", json!("a"))[0].starts_with("spec.recipients.sheet: only a workbook"));
    each_has_one_mistake([
        ("/spec/recipients/encoding", json!("utf-8"), "spec.recipients.encoding", "only a list of format Csv"),
        (
            "/spec/recipients/source",
            json!({"configMap": {"name": "offers", "key": "offers.data"}}),
            "spec.recipients.format",
            "\"offers.data\" doesn't tell",
        ),
    ]);
}

#[test]
fn headers_and_unsubscribing() {
    each_has_one_mistake([
        ("/spec/message/headers/BCC", json!("a@example.com"), "spec.message.headers", "remove them here"),
        ("/spec/message/headers/from", json!("a@example.com"), "spec.message.headers", "remove them here"),
        ("/spec/message/headers/Content-Type", json!("text/plain"), "spec.message.headers", "remove them here"),
        ("/spec/message/headers/X Batch", json!("a"), "spec.message.headers", "without the colon"),
        ("/spec/message/headers/X-Batch:", json!("a"), "spec.message.headers", "without the colon"),
        ("/spec/message/headers/X-Batch", json!("a\nb"), "spec.message.headers.X-Batch", "in one line"),
        (
            "/spec/message/listUnsubscribe/url",
            json!("http://example.com/u"),
            "spec.message.listUnsubscribe",
            "oneClick (RFC 8058) needs a url that begins with https://",
        ),
        (
            "/spec/message/listUnsubscribe",
            json!({"mailto": "a@example.com", "oneClick": true}),
            "spec.message.listUnsubscribe",
            "oneClick",
        ),
        (
            "/spec/message/listUnsubscribe",
            json!({"mailto": "mailto:a@example.com"}),
            "spec.message.listUnsubscribe.mailto",
            "without mailto:",
        ),
        (
            "/spec/message/listUnsubscribe",
            json!({"mailto": "nobody"}),
            "spec.message.listUnsubscribe.mailto",
            "has no @",
        ),
    ]);
}

#[test]
fn rates_and_times() {
    let retry = "/spec/delivery/retry";
    each_has_one_mistake([
        ("/spec/delivery/rate/perSecond", json!(0), "spec.delivery.rate.perSecond", "more than 0"),
        ("/spec/delivery/rate/perDomain/default", json!(-1.5), "spec.delivery.rate.perDomain.default", "more than 0"),
        (
            "/spec/delivery/rate/perDomain/domains/example.org",
            json!(0),
            "spec.delivery.rate.perDomain.domains.example.org",
            "more than 0",
        ),
        (
            "/spec/delivery/rate/perDomain/domains/@example.org",
            json!(1),
            "spec.delivery.rate.perDomain.domains.@example.org",
            "is not a domain",
        ),
        (
            "/spec/delivery/rate/perDomain/domains/Example.Com",
            json!(1),
            "spec.delivery.rate.perDomain.domains.Example.Com",
            "the same domain as \"example.com\"",
        ),
        (&format!("{retry}/initialBackoff"), json!("2h"), "spec.delivery.retry", "not be longer than maxBackoff"),
        (&format!("{retry}/initialBackoff"), json!("30"), "spec.delivery.retry.initialBackoff", "30s, 5m or 1h30m"),
        (&format!("{retry}/maxAge"), json!("0s"), "spec.delivery.retry.maxAge", "longer than nothing"),
        (&format!("{retry}/maxAge"), json!("1 day"), "spec.delivery.retry.maxAge", "30s, 5m or 1h30m"),
        (&format!("{retry}/maxAge"), json!(30), "spec.delivery.retry.maxAge", "must be text"),
    ]);
}

#[test]
fn volumes_are_one_of_the_ways_to_name_a_list_and_a_folder() {
    let claim = json!({"persistentVolumeClaim": {"claimName": "lists", "path": "2027/offers.csv"}});
    let campaign = rules::parse(&with("/spec/recipients/source", claim)).expect("no mistake");
    assert_eq!(campaign.list_format, campaign::spec::ListFormat::Csv);
    assert_eq!(campaign.spec.recipients.source.name(), "2027/offers.csv");
    let each = "/spec/message/attachments/1/each";
    let folder = json!({"persistentVolumeClaim": {"claimName": "lists", "path": "contracts"}, "path": "{{ File }}"});
    let campaign = rules::parse(&with(each, folder)).expect("no mistake");
    let named = campaign.spec.message.attachments[1].each.as_ref().and_then(campaign::spec::EachFile::folder);
    assert_eq!(named, Some(("lists/contracts".into(), "persistentVolumeClaim.path")));

    let claim = |name: &str, path: &str| json!({"persistentVolumeClaim": {"claimName": name, "path": path}});
    let source = "/spec/recipients/source";
    let at = "spec.recipients.source.persistentVolumeClaim";
    each_has_one_mistake([
        (source, claim("lists", "/offers.csv"), &format!("{at}.path"), "relative"),
        (source, claim("lists", "a/../../offers.csv"), &format!("{at}.path"), "without .."),
        (source, claim("lists", &format!("{}.csv", "a".repeat(1021))), &format!("{at}.path"), "at most 1024"),
        (source, claim("../lists", "offers.csv"), &format!("{at}.claimName"), "lower case"),
        (source, claim("lists", "offers"), "spec.recipients.format", "\"offers\" doesn't tell"),
        (
            each,
            json!({"path": "a"}),
            "spec.message.attachments[1].each",
            "exactly one of directory and persistentVolumeClaim",
        ),
        (
            &format!("{each}/persistentVolumeClaim"),
            json!({"claimName": "lists", "path": "."}),
            "spec.message.attachments[1].each",
            "exactly one",
        ),
    ]);
}

#[test]
fn windows_have_a_time_zone_days_and_a_length() {
    let window = |field: &str, value: Value| {
        let mut window = json!({"timeZone": "Europe/Berlin", "days": ["Mon", "Fri"], "from": "08:00", "to": "17:30"});
        window[field] = value;
        window
    };
    let pointer = "/spec/delivery/window";
    let at = "spec.delivery.window";
    each_has_one_mistake([
        (pointer, window("timeZone", json!("Europe/Berln")), &format!("{at}.timeZone"), "not a known time zone"),
        (pointer, window("timeZone", json!("+01:00")), &format!("{at}.timeZone"), "like Europe/Berlin"),
        (pointer, window("timeZone", Value::Null), &format!("{at}.timeZone"), "is missing"),
        (pointer, window("days", json!([])), &format!("{at}.days"), "is empty"),
        (pointer, window("days", json!(["Mon", "Mon"])), &format!("{at}.days[1]"), "\"Mon\" stands there already"),
        (pointer, window("days", json!(["Monday"])), &format!("{at}.days[0]"), "write Mon or"),
        (pointer, window("from", json!("8:00")), &format!("{at}.from"), "like 08:00"),
        (pointer, window("from", json!("24:00")), &format!("{at}.from"), "write 00:00"),
        (pointer, window("from", json!(1320)), &format!("{at}.from"), "must be text"),
        (pointer, window("to", json!("24:30")), &format!("{at}.to"), "like 08:00"),
        (pointer, window("to", json!("08:00")), &format!("{at}.to"), "is the same as from"),
    ]);
    let whole = json!({"timeZone": "UTC", "from": "00:00", "to": "24:00"});
    let campaign = rules::parse(&with(pointer, whole)).expect("no mistake");
    assert_eq!(campaign.spec.delivery.window.map(|window| window.days.len()), Some(7));
    assert!(campaign.window.is_some_and(|window| window.is_open(jiff::Timestamp::UNIX_EPOCH)));
}

#[test]
fn when_it_starts_and_when_it_is_paused_or_removed() {
    each_has_one_mistake([
        ("/spec/suspend", json!("yes"), "spec.suspend", "true or false"),
        ("/spec/startAt", json!("tomorrow"), "spec.startAt", "2027-03-01T08:00:00Z"),
        ("/spec/startAt", json!("2027-03-01T08:00:00"), "spec.startAt", "with its offset"),
        ("/spec/startAt", json!("2027-03-01T08:00:00+24:00"), "spec.startAt", "with its offset"),
        ("/spec/startAt", json!("2027-02-30T08:00:00Z"), "spec.startAt", "with its offset"),
        ("/spec/guard", json!({}), "spec.guard", "at least one of maxRejectedPercent and maxRefusedPercent"),
        ("/spec/guard", json!({"maxRejectedPercent": 101}), "spec.guard.maxRejectedPercent", "at most 100"),
        ("/spec/guard", json!({"maxRejectedPercent": 2.5}), "spec.guard.maxRejectedPercent", "a whole number"),
        ("/spec/guard", json!({"maxRefusedPercent": 1, "minSent": 0}), "spec.guard.minSent", "at least 1"),
        ("/spec/deletionPolicy", json!("Keep"), "spec.deletionPolicy", "write Delete or Retain"),
        ("/spec/ttlSecondsAfterFinished", json!(-1), "spec.ttlSecondsAfterFinished", "at least 0"),
    ]);
    let campaign = rules::parse(&with("/spec/startAt", json!("2027-03-01T09:00:00+01:00"))).expect("no mistake");
    assert_eq!(campaign.spec.start_at, "2027-03-01T08:00:00Z".parse().ok());
    let campaign = rules::parse(&with("/spec/guard", json!({"maxRefusedPercent": 1}))).expect("no mistake");
    assert_eq!(campaign.spec.guard.map(|guard| guard.min_sent), Some(100));
}

#[test]
fn what_a_cluster_needs_has_defaults() {
    let spec = rules::parse(&valid()).expect("no mistake").spec;
    assert_eq!((spec.kafka.partitions, spec.kafka.topic_prefix.as_str()), (4, "mailcampaign"));
    assert_eq!((spec.producer.shards, spec.workers.min_replicas, spec.workers.most(4)), (1, 1, 4));
    assert_eq!(spec.workers.resources.requests["memory"].0, "128Mi");
    assert_eq!(spec.deletion_policy, campaign::spec::DeletionPolicy::Retain);
    assert!(!spec.suspend);
    let given = rules::parse(&with("/spec/workers", json!({"maxReplicas": 2}))).expect("no mistake").spec;
    assert_eq!((given.workers.most(4), given.workers.resources), (2, spec.workers.resources));
}

#[test]
fn kafka_producer_and_workers_fit_each_other() {
    each_has_one_mistake([
        ("/spec/kafka", json!({"partitions": 1001}), "spec.kafka.partitions", "at most 1000"),
        ("/spec/kafka", json!({"replicationFactor": 0}), "spec.kafka.replicationFactor", "at least 1"),
        ("/spec/kafka", json!({"topicPrefix": "a b"}), "spec.kafka.topicPrefix", "letters, digits"),
        ("/spec/kafka", json!({"connection": {}}), "spec.kafka.connection.secret", "is missing"),
        ("/spec/producer", json!({"shards": 0}), "spec.producer.shards", "at least 1"),
        ("/spec/workers", json!({"minReplicas": 0, "maxReplicas": 0}), "spec.workers.maxReplicas", "at least 1"),
        (
            "/spec/workers",
            json!({"minReplicas": 3, "maxReplicas": 2}),
            "spec.workers.minReplicas",
            "more than maxReplicas",
        ),
        ("/spec/workers", json!({"maxReplicas": 5}), "spec.workers.maxReplicas", "more workers than partitions"),
        ("/spec/workers", json!({"minReplicas": 5}), "spec.workers.minReplicas", "more workers than partitions"),
    ]);
    for kafka in [json!({"partitions": 1}), json!({"partitions": 1000, "replicationFactor": 3})] {
        assert_eq!(texts(&rules::check(&with("/spec/kafka", kafka))), Vec::<String>::new());
    }
}

#[test]
fn pods_may_be_placed_and_labelled_but_not_rebuilt() {
    let pods = |spec: Value| json!({"podTemplate": {"spec": spec}});
    let amounts = |which: &str, amount: Value| json!({"resources": {which: {"memory": amount}}});
    let at = "spec.workers.podTemplate.spec";
    each_has_one_mistake([
        ("/spec/workers", pods(json!({"containers": []})), &format!("{at}.containers"), "there is no such field"),
        (
            "/spec/workers",
            pods(json!({"tolerations": [{"operator": "Is"}]})),
            &format!("{at}.tolerations[0].operator"),
            "write Exists or Equal",
        ),
        ("/spec/workers", pods(json!({"priorityClassName": "A B"})), &format!("{at}.priorityClassName"), "lower case"),
        (
            "/spec/workers",
            pods(json!({"securityContext": {"runAsUser": 0}})),
            &format!("{at}.securityContext.runAsUser"),
            "at least 1",
        ),
        (
            "/spec/workers",
            pods(json!({"nodeSelector": {"disk": 1}})),
            &format!("{at}.nodeSelector.disk"),
            "put it in quotes",
        ),
        (
            "/spec/workers",
            amounts("limits", json!("1 GB")),
            "spec.workers.resources.limits.memory",
            "like 500m, 2 or 256Mi",
        ),
        ("/spec/producer", amounts("requests", json!(-1)), "spec.producer.resources.requests.memory", "like 500m"),
        ("/spec/producer", amounts("requests", json!("")), "spec.producer.resources.requests.memory", "like 500m"),
        (
            "/spec/producer",
            amounts("requests", json!(0.5)),
            "spec.producer.resources.requests.memory",
            "text or a whole number",
        ),
    ]);
    for amount in [json!("500m"), json!(2), json!("1.5"), json!("256Mi"), json!("1e3"), json!(".5Gi"), json!("2.")] {
        rules::parse(&with("/spec/workers", amounts("limits", amount.clone())))
            .unwrap_or_else(|e| panic!("{amount}: {e:?}"));
    }
    let affinity =
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}});
    let spread = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]);
    let rest = json!({
        "affinity": affinity, "topologySpreadConstraints": spread, "imagePullSecrets": [{"name": "registry"}],
        "tolerations": [{"key": "mail", "operator": "Exists", "effect": "NoSchedule"}],
    });
    let mut document = with("/spec/workers", pods(rest.clone()));
    document["spec"]["workers"]["podTemplate"]["metadata"] =
        json!({"annotations": {"sidecar.istio.io/inject": "false"}});
    let template = rules::parse(&document).expect("no mistake").spec.workers.pod_template.expect("a template");
    assert_eq!(serde_json::to_value(template.spec).expect("JSON"), rest);
}

/// What is wrong with a change, for a campaign with this condition in its status.
fn change(condition: &str, pointer: &str, before: Value, after: Value) -> Vec<String> {
    let mut before = with(pointer, before);
    before["status"] =
        json!({"conditions": [{"type": "Degraded", "status": "True"}, {"type": condition, "status": "True"}]});
    let mut after = with(pointer, after);
    after["status"] = before["status"].clone();
    texts(&rules::check_change(&before, &after))
}

#[test]
fn list_and_message_stay_once_they_are_published_and_the_rest_may_change() {
    let subject = "/spec/message/subject";
    for (pointer, before, after, place) in [
        (subject, json!("a"), json!("b"), "spec.message: the message can't be changed once"),
        ("/spec/recipients/dedupe", json!(true), json!(false), "spec.recipients: the list can't be changed once"),
        ("/spec/recipients/source/configMap/name", json!("a"), json!("b"), "spec.recipients: the list can't"),
    ] {
        assert_eq!(change("Validated", pointer, before.clone(), after.clone()), Vec::<String>::new(), "{pointer}");
        let [mistake] = change("Published", pointer, before, after).try_into().expect(pointer);
        assert!(mistake.starts_with(place), "{mistake}");
    }
    assert_eq!(change("Published", "/spec/delivery/rate/perSecond", json!(5), json!(6)), Vec::<String>::new());
    assert_eq!(change("Published", "/spec/suspend", json!(false), json!(true)), Vec::<String>::new());
    assert_eq!(change("Published", "/spec/recipients/dedupe", Value::Null, json!(true)), Vec::<String>::new());
    let (before, after) = (with(subject, json!("a")), with(subject, json!("b")));
    assert_eq!(texts(&rules::check_change(&before, &after)), Vec::<String>::new(), "without a status");
    let mut unpublished = before;
    unpublished["status"] = json!({"conditions": [{"type": "Published", "status": "False"}]});
    assert_eq!(texts(&rules::check_change(&unpublished, &after)), Vec::<String>::new(), "not published yet");
}

#[test]
fn partitions_only_grow_and_topics_stay_as_they_were_made() {
    let kafka = "/spec/kafka";
    let [mistake] = change("Other", kafka, json!({"partitions": 8}), json!({"partitions": 7})).try_into().expect("one");
    assert!(mistake.starts_with("spec.kafka.partitions: partitions can only grow"), "{mistake}");
    let [mistake] = change("Other", kafka, json!({"partitions": 8}), Value::Null).try_into().expect("one");
    assert!(mistake.starts_with("spec.kafka.partitions: partitions can only grow"), "back to the default: {mistake}");
    assert_eq!(change("Published", kafka, Value::Null, json!({"partitions": 5})), Vec::<String>::new());
    let [mistake] = change("Other", kafka, Value::Null, json!({"partitions": 3})).try_into().expect("one");
    assert!(mistake.starts_with("spec.kafka.partitions: partitions can only grow"), "from the default: {mistake}");

    for (condition, pointer, before, after, place) in [
        ("TopicsReady", kafka, json!({"topicPrefix": "a"}), json!({}), "spec.kafka.topicPrefix: the topics are there"),
        ("TopicsReady", kafka, json!({"replicationFactor": 3}), json!({}), "spec.kafka.replicationFactor: the topics"),
        (
            "Validated",
            "/spec/producer",
            json!({"shards": 2}),
            json!({"shards": 3}),
            "spec.producer.shards: the list is cut",
        ),
    ] {
        assert_eq!(change("Other", pointer, before.clone(), after.clone()), Vec::<String>::new(), "{place}");
        let [mistake] = change(condition, pointer, before, after).try_into().expect(place);
        assert!(mistake.starts_with(place), "{mistake}");
    }
}

#[test]
fn twelve_mistakes_are_found_in_one_go() {
    let mut document = valid();
    document["metadata"]["name"] = json!("offers.2027");
    document["spec"]["recipents"] = json!({});
    document["spec"]["recipients"]["source"]["secret"] = json!({"name": "offers", "key": "a.csv"});
    document["spec"]["recipients"]["onInvalidRow"] = json!("Stop");
    document["spec"]["message"]["from"] = json!("People");
    document["spec"]["message"]["subject"] = json!("");
    document["spec"]["message"]["headers"]["Bcc"] = json!("a@example.com");
    document["spec"]["message"]["attachments"][0] = json!({"filename": "a.docx"});
    document["spec"]["delivery"]["backends"][0]["smtp"] = json!({"port": 0});
    document["spec"]["delivery"]["rate"]["perSecond"] = json!(0);
    document["spec"]["delivery"]["retry"]["maxAttempts"] = json!("8");
    let mistakes = rules::check(&document);
    let mut places: Vec<_> = mistakes.iter().map(|mistake| mistake.place.as_str()).collect();
    places.sort_unstable();
    let wanted = [
        "metadata.name",
        "spec.delivery.backends[0].smtp.host",
        "spec.delivery.backends[0].smtp.port",
        "spec.delivery.rate.perSecond",
        "spec.delivery.retry.maxAttempts",
        "spec.message.attachments[0]",
        "spec.message.from",
        "spec.message.headers",
        "spec.message.subject",
        "spec.recipents",
        "spec.recipients.onInvalidRow",
        "spec.recipients.source",
    ];
    assert_eq!(places, wanted, "{:#?}", texts(&mistakes));
}

#[test]
fn what_is_no_campaign_at_all_is_told_without_a_panic() {
    for document in [
        Value::Null,
        json!([]),
        json!("text"),
        json!(7),
        json!({}),
        json!({"spec": []}),
        json!({"spec": {"delivery": 1}}),
    ] {
        assert!(!rules::check(&document).is_empty(), "{document}");
    }
}
