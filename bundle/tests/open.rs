//! A campaign file and everything it names: what is found, what is told when it isn't, and what a change changes.

use bundle::Bundle;
use campaign::{ContentKey, Mistake, spec::KeyRef};
use std::{fs, path::Path};
use tempfile::TempDir;

/// A campaign whose list, HTML body and letter are files beside it.
const CAMPAIGN: &str = r"
apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {name: offers, namespace: hr}
spec:
  recipients:
    source: {configMap: {name: offers, key: offers.csv}}
  message:
    from: people@example.com
    subject: Your offer
    html: {configMap: {name: offers, key: offer.html}}
    attachments:
      - {filename: letter.docx, docx: {configMap: {name: offers, key: letter.docx}}}
  delivery:
    backends:
      - {name: relay, smtp: {host: relay.example.com, tls: None}}
";

/// A folder with the campaign and its files.
fn folder(campaign: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("campaign.yaml", campaign),
        ("offers.csv", "Email\nann@example.com\n"),
        ("offer.html", "<p>Dear {{ Name }}"),
        ("letter.docx", "PK"),
    ] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

async fn open(folder: &Path) -> Result<Bundle, Vec<String>> {
    let opened = Bundle::open(&folder.join("campaign.yaml")).await;
    opened.map_err(|mistakes| mistakes.iter().map(Mistake::to_string).collect())
}

async fn opened(folder: &Path) -> Bundle {
    open(folder).await.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

async fn mistakes(folder: &Path) -> Vec<String> {
    open(folder).await.expect_err("mistakes")
}

/// The only mistake when the campaign has `from` replaced by `to`.
async fn the_mistake(from: &str, to: &str) -> String {
    assert!(CAMPAIGN.contains(from), "{from}");
    let folder = folder(&CAMPAIGN.replace(from, to));
    let mistakes = mistakes(folder.path()).await;
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    mistakes[0].replace(&folder.path().display().to_string(), "DIR")
}

fn config_map(name: &str, key: &str) -> ContentKey {
    ContentKey::ConfigMap(KeyRef { name: name.to_owned(), key: key.to_owned() })
}

fn secret(name: &str, key: &str) -> ContentKey {
    ContentKey::Secret(KeyRef { name: name.to_owned(), key: key.to_owned() })
}

fn text(bundle: &Bundle, key: &ContentKey) -> String {
    String::from_utf8_lossy(bundle.contents.get(key).expect("it is there")).into_owned()
}

#[tokio::test]
async fn references_are_found_as_files_beside_the_campaign() {
    let folder = folder(CAMPAIGN);
    let bundle = opened(folder.path()).await;
    assert_eq!(bundle.campaign.namespaced_name(), "hr/offers");
    assert_eq!(text(&bundle, &config_map("offers", "offer.html")), "<p>Dear {{ Name }}");
    assert_eq!(bundle.list.path, folder.path().join("offers.csv"));
    assert_eq!(bundle.list.display_name, "offers.csv");
    assert_eq!(bundle.contents.directory, folder.path());
}

#[tokio::test]
async fn documents_of_the_same_file_come_before_files_beside_it() {
    let documents = "
---
apiVersion: v1
kind: ConfigMap
metadata: {name: offers}
data: {offer.html: <p>Hello}
binaryData: {letter.docx: UEsD, offers.csv: RW1haWwKYm9iQGV4YW1wbGUuY29tCg==}
";
    let folder = folder(&format!("{CAMPAIGN}{documents}"));
    let bundle = opened(folder.path()).await;
    assert_eq!(text(&bundle, &config_map("offers", "offer.html")), "<p>Hello");
    assert_eq!(text(&bundle, &config_map("offers", "letter.docx")), "PK\u{3}");
    let list = bundle.list.path.clone();
    assert_eq!(fs::read_to_string(&list).expect("the list"), "Email\nbob@example.com\n");
    assert_eq!(bundle.list.display_name, "offers.csv");
    drop(bundle);
    assert!(!list.exists(), "the temporary file goes with the bundle");
}

#[tokio::test]
async fn an_object_of_another_namespace_or_kind_is_not_taken() {
    for object in
        ["kind: ConfigMap\nmetadata: {name: offers, namespace: sales}", "kind: Secret\nmetadata: {name: offers}"]
    {
        let folder =
            folder(&format!("{CAMPAIGN}---\n{object}\nstringData: {{offer.html: nope}}\ndata: {{offer.html: bm8=}}\n"));
        let bundle = opened(folder.path()).await;
        assert_eq!(text(&bundle, &config_map("offers", "offer.html")), "<p>Dear {{ Name }}");
    }
}

#[tokio::test]
async fn credentials_are_keys_of_a_secret_or_files_in_a_folder_of_its_name() {
    let auth = "tls: None, auth: {secret: {name: relay}}";
    let campaign = CAMPAIGN.replace("tls: None", auth);
    let document =
        "---\nkind: Secret\nmetadata: {name: relay}\nstringData: {username: ann}\ndata: {password: czNjcmV0Cg==}\n";
    let beside = folder(&campaign);
    fs::create_dir(beside.path().join("relay")).expect("a folder");
    fs::write(beside.path().join("relay/username"), "ann\r\n").expect("a file");
    fs::write(beside.path().join("relay/password"), "s3cret\n").expect("a file");
    let within = folder(&format!("{campaign}{document}"));
    for folder in [&beside, &within] {
        let bundle = opened(folder.path()).await;
        assert_eq!(text(&bundle, &secret("relay", "username")), "ann");
        assert_eq!(text(&bundle, &secret("relay", "password")), "s3cret");
        assert!(!format!("{bundle:?}").contains("s3cret"), "no secret in what is printed");
    }
}

#[tokio::test]
async fn a_missing_credential_names_the_secret_and_the_file() {
    let folder = folder(&CAMPAIGN.replace("tls: None", "tls: None, auth: {secret: {name: relay}}"));
    let mistakes = mistakes(folder.path()).await;
    assert_eq!(mistakes.len(), 2);
    assert!(
        mistakes[0].starts_with("spec.delivery.backends[0].smtp.auth.secret: relay/username is not there"),
        "{mistakes:?}"
    );
    assert!(mistakes[1].contains("relay/password"), "{mistakes:?}");
}

#[tokio::test]
async fn a_missing_file_names_where_was_looked_and_the_nearest_one() {
    assert_eq!(
        the_mistake("key: offer.html", "key: ofer.html").await,
        "spec.message.html.configMap: offers/ofer.html is not there: DIR/campaign.yaml holds no ConfigMap \"offers\" with a key \"ofer.html\", and \
         there is no file DIR/ofer.html; did you mean \"offer.html\"?"
    );
    assert!(
        the_mistake("key: offers.csv", "key: zzz.csv")
            .await
            .starts_with("spec.recipients.source.configMap: offers/zzz.csv is not there")
    );
    assert!(
        the_mistake("docx: {configMap: {name: offers, key: letter.docx}}", "each: {directory: leters, path: a}")
            .await
            .starts_with("spec.message.attachments[0].each.directory: there is no folder DIR/leters")
    );
}

#[tokio::test]
async fn what_is_in_a_volume_is_in_a_folder_of_the_claims_name() {
    let source = "configMap: {name: offers, key: offers.csv}";
    let claimed = "persistentVolumeClaim: {claimName: lists, path: 2027/offers.csv}";
    let letter = "docx: {configMap: {name: offers, key: letter.docx}}";
    let each = "each: {persistentVolumeClaim: {claimName: files, path: contracts}, path: a}";
    let folder = folder(&CAMPAIGN.replace(source, claimed).replace(letter, each));
    let told = mistakes(folder.path()).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("spec.recipients.source.persistentVolumeClaim: there is no file")
            && told[0].contains("lists/2027/offers.csv"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("spec.message.attachments[0].each.persistentVolumeClaim.path: there is no folder")
            && told[1].ends_with("files/contracts"),
        "{told:?}"
    );
    fs::create_dir_all(folder.path().join("lists/2027")).expect("a folder");
    fs::create_dir_all(folder.path().join("files/contracts")).expect("a folder");
    fs::write(folder.path().join("lists/2027/offers.csv"), "Email\nann@example.com\n").expect("a file");
    let bundle = opened(folder.path()).await;
    assert_eq!(bundle.list.path, folder.path().join("lists/2027/offers.csv"));
    assert_eq!(bundle.list.display_name, "offers.csv");
    fs::remove_file(&bundle.list.path).expect("removed");
    std::os::unix::fs::symlink("/etc/hostname", &bundle.list.path).expect("a link");
    assert!(mistakes(folder.path()).await[0].contains("is a link that leads out of its folder"));
}

#[tokio::test]
async fn nothing_leads_out_of_the_folder() {
    for key in ["../offer.html", "..", ".", "a/b.html", "/etc/passwd"] {
        let mistake = the_mistake("key: offer.html", &format!("key: {key}")).await;
        assert!(mistake.starts_with("spec.message.html.configMap.key: write a key of the object"), "{mistake}");
    }
    for path in ["../offers.csv", "/etc/offers.csv"] {
        let claim = format!("persistentVolumeClaim: {{claimName: lists, path: {path}}}");
        let mistake = the_mistake("configMap: {name: offers, key: offers.csv}", &claim).await;
        assert!(mistake.starts_with("spec.recipients.source.persistentVolumeClaim.path: write a path"), "{mistake}");
    }
    let outside = tempfile::NamedTempFile::new().expect("a file");
    let folder = folder(CAMPAIGN);
    let link = folder.path().join("offer.html");
    fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink(outside.path(), &link).expect("a link");
    let mistakes = mistakes(folder.path()).await;
    assert!(mistakes[0].contains("is a link that leads out of its folder"), "{mistakes:?}");
}

#[tokio::test]
async fn a_link_within_the_folder_is_followed_as_in_a_mounted_config_map() {
    let folder = folder(CAMPAIGN);
    fs::create_dir(folder.path().join("..data")).expect("a folder");
    fs::rename(folder.path().join("offer.html"), folder.path().join("..data/offer.html")).expect("moved");
    std::os::unix::fs::symlink("..data/offer.html", folder.path().join("offer.html")).expect("a link");
    let bundle = opened(folder.path()).await;
    assert_eq!(text(&bundle, &config_map("offers", "offer.html")), "<p>Dear {{ Name }}");
}

#[tokio::test]
async fn in_a_pod_each_object_is_a_folder_and_keys_of_the_same_name_are_told_apart() {
    let campaign = CAMPAIGN.replace("name: offers, key: letter.docx", "name: letters, key: offer.html");
    let folder = folder(&campaign);
    for (object, text) in [("offers", "<p>Hello"), ("letters", "PK of the letter")] {
        let mounted = folder.path().join("configMaps").join(object);
        fs::create_dir_all(mounted.join("..data")).expect("a folder");
        fs::write(mounted.join("..data/offer.html"), text).expect("a file");
        std::os::unix::fs::symlink("..data/offer.html", mounted.join("offer.html")).expect("a link");
    }
    let bundle = opened(folder.path()).await;
    assert_eq!(text(&bundle, &config_map("offers", "offer.html")), "<p>Hello", "not the file beside the campaign");
    assert_eq!(text(&bundle, &config_map("letters", "offer.html")), "PK of the letter");
}

#[tokio::test]
async fn what_a_cluster_prints_has_the_uid_of_the_cluster_whatever_it_mails() {
    let uid = "5a3e1c52-9a44-4d4b-8f0e-7c1d2e3f4a5b";
    let printed = CAMPAIGN.replace("metadata: {", &format!("metadata: {{uid: {uid}, "));
    assert_ne!(printed, CAMPAIGN);
    let bundle = opened(folder(&printed).path()).await;
    assert_eq!(bundle.uid(None).to_string(), uid);
    assert_ne!(bundle.uid(Some("again")).to_string(), uid, "a label makes another campaign");
    let other = opened(folder(&printed.replace("Your offer", "Our offer")).path()).await;
    assert_eq!(other.uid(None), bundle.uid(None), "that the content is another one is for the journal to see");
    let wrong = the_mistake("metadata: {", "metadata: {uid: 7, ").await;
    assert!(wrong.starts_with("metadata.uid: must be a UUID"), "{wrong}");
}

#[tokio::test]
async fn a_folder_in_place_of_a_file_is_told() {
    let folder = folder(CAMPAIGN);
    fs::remove_file(folder.path().join("offers.csv")).expect("removed");
    fs::create_dir(folder.path().join("offers.csv")).expect("a folder");
    let mistakes = mistakes(folder.path()).await;
    assert!(mistakes[0].ends_with("offers.csv is not a file"), "{mistakes:?}");
}

#[tokio::test]
async fn a_syntax_error_has_its_line_and_column_and_no_text_of_the_file() {
    let mistake = the_mistake("    subject: Your offer\n", "    subject: [s3cret\n").await;
    assert!(mistake.starts_with("DIR/campaign.yaml: line 1") && mistake.contains(" column "), "{mistake}");
    assert!(!mistake.contains("s3cret"), "{mistake}");
    let twice = the_mistake("    subject: Your offer\n", "    subject: a\n    subject: b\n").await;
    assert!(
        twice.starts_with("DIR/campaign.yaml: line 11 column 5: not YAML: ") && twice.contains("subject"),
        "{twice}"
    );
}

#[tokio::test]
async fn the_file_holds_exactly_one_campaign() {
    for (file, message) in [
        (String::new(), "holds no MailCampaign (is empty)"),
        ("kind: ConfigMap\nmetadata: {name: a}".to_owned(), "holds no MailCampaign (only ConfigMap)"),
        (format!("{CAMPAIGN}---{CAMPAIGN}"), "holds 2 MailCampaigns; put each into a file of its own"),
        ("just text".to_owned(), "holds no MailCampaign"),
    ] {
        let folder = folder(&file);
        let mistakes = mistakes(folder.path()).await;
        assert!(mistakes.len() == 1 && mistakes[0].contains(message), "{mistakes:?}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    assert!(mistakes(folder.path()).await[0].contains("can't be read"));
}

#[tokio::test]
async fn a_kind_that_is_nearly_right_is_a_mistake_of_the_kind() {
    let mistake = the_mistake("kind: MailCampaign", "kind: mailcampaign").await;
    assert_eq!(mistake, "kind: is \"mailcampaign\"; write MailCampaign");
}

#[tokio::test]
async fn mistakes_in_objects_are_told() {
    let folder = folder(&format!(
        "{CAMPAIGN}---\nkind: Secret\nmetadata: {{name: s}}\ndata: {{a: '*'}}\n---\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{year: 2027}}\n\
         ---\nkind: ConfigMap\nmetadata: {{name: c}}\n"
    ));
    assert_eq!(
        mistakes(folder.path()).await,
        [
            "Secret s: data.a: is not base64 text",
            "ConfigMap c: data.year: is not text: put it in quotes",
            "ConfigMap c: stands twice in this file; keep one of them",
        ]
    );
}

#[tokio::test]
async fn twelve_different_mistakes_are_found_in_one_go() {
    let folder = folder(
        r#"
apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {name: offers.2027}
spec:
  recipients:
    source: {configMap: {name: offers, key: ofers.csv}}
    emailcolumn: Email
    onInvalidRow: Stop
  message:
    from: People Team
    subject: 2027
    html: {configMap: {name: offers, key: offer.htm}}
    headers: {Bcc: eve@example.org}
    attachments:
      - {filename: contract.pdf, each: {directory: contracts, path: "{{ File }}"}}
  delivery:
    backends:
      - {name: relay, smtp: {port: 25}}
    rate: {perSecond: 0}
    retry: {initialBackoff: 2h}
"#,
    );
    let mistakes = mistakes(folder.path()).await;
    let mut places: Vec<_> = mistakes.iter().map(|mistake| mistake.split(": ").next().unwrap_or_default()).collect();
    places.sort_unstable();
    let wanted = [
        "metadata.name",
        "spec.delivery.backends[0].smtp.host",
        "spec.delivery.rate.perSecond",
        "spec.delivery.retry",
        "spec.message.attachments[0].each.directory",
        "spec.message.from",
        "spec.message.headers",
        "spec.message.html.configMap",
        "spec.message.subject",
        "spec.recipients.emailcolumn",
        "spec.recipients.onInvalidRow",
        "spec.recipients.source.configMap",
    ];
    assert_eq!(places, wanted, "{mistakes:#?}");
}

#[tokio::test]
async fn the_uid_changes_with_list_message_and_label_and_with_nothing_else() {
    let original = opened(folder(CAMPAIGN).path()).await;
    let same = opened(folder(CAMPAIGN).path()).await;
    assert_eq!(original.hashes, same.hashes, "wherever the folder is");
    assert_eq!(original.uid(None), same.uid(None));
    assert_ne!(original.uid(None), original.uid(Some("again")));

    let delivery = CAMPAIGN.replace("  delivery:", "  delivery:\n    rate: {perSecond: 5}\n    onUnknown: Resend");
    assert_eq!(
        original.hashes,
        opened(folder(&delivery).path()).await.hashes,
        "delivery may change while a campaign runs"
    );
    let said = CAMPAIGN.replace("  message:", "    dedupe: true\n  message:");
    assert_eq!(original.hashes, opened(folder(&said).path()).await.hashes, "a default that is said is the same");

    for (from, to, path) in [
        ("subject: Your offer", "subject: Our offer", "spec.message.subject"),
        ("  message:", "    dedupe: false\n  message:", "spec.recipients.dedupe"),
        ("from: people@", "from: team@", "spec.message.from"),
        ("filename: letter.docx", "filename: offer.docx", "spec.message.attachments[0].filename"),
    ] {
        let changed = opened(folder(&CAMPAIGN.replace(from, to)).path()).await;
        assert_eq!(differences(&original, &changed), [path]);
        assert_ne!(original.uid(None), changed.uid(None), "{path}");
    }
    for (file, path) in [
        ("offers.csv", "spec.recipients.source"),
        ("offer.html", "spec.message.html"),
        ("letter.docx", "spec.message.attachments[0].docx"),
    ] {
        let folder = folder(CAMPAIGN);
        fs::write(folder.path().join(file), "Email\nother@example.com\n").expect("a file");
        let changed = opened(folder.path()).await;
        assert_eq!(differences(&original, &changed), [path]);
        assert_ne!(original.uid(None), changed.uid(None), "{file}");
    }
}

/// Field paths whose hashes differ.
fn differences(one: &Bundle, other: &Bundle) -> Vec<String> {
    let (one, other) = (&one.hashes.contents, &other.hashes.contents);
    let mut paths: Vec<_> =
        one.keys().chain(other.keys()).filter(|path| one.get(*path) != other.get(*path)).cloned().collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

#[tokio::test]
async fn the_example_opens_and_its_hashes_name_every_content() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/offers/campaign.yaml");
    let bundle = Bundle::open(Path::new(file)).await.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!(bundle.campaign.namespaced_name(), "hr/offers");
    assert_eq!(bundle.list.display_name, "offers.xlsx");
    for path in [
        "spec.recipients.source",
        "spec.recipients.suppress",
        "spec.message.text",
        "spec.message.html",
        "spec.message.subject",
        "spec.message.attachments[0].docx",
    ] {
        assert_eq!(bundle.hashes.contents.get(path).map(String::len), Some(64), "{path}");
    }
    let list = fs::read(&bundle.list.path).expect("the list");
    assert_eq!(bundle.hashes.list, bundle.hashes.contents["spec.recipients.source"]);
    assert!(list.starts_with(b"PK"));
}
