use super::*;
use serde_json::{Value, json};

fn seen(status: Value) -> Seen {
    let campaign = json!({
        "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign",
        "metadata": {"name": "offers", "namespace": "hr", "generation": 2}, "spec": {}, "status": status,
    });
    let campaign: Campaign = serde_json::from_value(campaign).expect("a campaign");
    Seen::of(&campaign, "2027-03-01T08:00:00Z".parse().expect("a time"))
}

fn condition(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2027-03-01T07:00:00Z"})
}

fn sending(more: Value) -> Value {
    let mut status = json!({
        "phase": "Sending", "observedGeneration": 2, "mailsPerSecond": 36.5, "progressPercent": 60,
        "recipients": {
            "total": 205, "invalid": 2, "duplicate": 3, "published": 200, "pending": 76, "inFlight": 20, "delivered": 118,
            "deferred": 4, "rejected": 2, "failed": 2,
        },
        "estimatedCompletionTime": "2027-03-01T08:03:05Z", "workers": {"desired": 2, "ready": 1},
        "conditions": [
            condition("Published", "True", "ListPublished", "the whole list"),
            condition("Progressing", "True", "Sending", "mails are being sent"),
        ],
        "topFailures": [{"code": "5.1.1", "count": 2, "example": "550 5.1.1 <…>: no such user"}],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        status[name] = value.clone();
    }
    status
}

#[test]
fn it_reads_as_the_local_status_and_tells_what_the_resource_knows_besides() {
    let seen = seen(sending(json!({})));
    assert_eq!(
        seen.text("hr/offers"),
        "hr/offers: under way (Sending)
205 rows: 200 mails, 2 invalid, 3 duplicate
118 delivered, 2 rejected, 4 deferred, 76 pending
80 to go, 36 mails/s, 3 min left
1 of 2 workers are ready
not delivered, most often:
      2  5.1.1  550 5.1.1 <…>: no such user
"
    );
    assert_eq!(
        seen.line(),
        "120/200  118 delivered, 2 rejected, 4 deferred, 76 pending  36 mails/s, 3 min left  under way (Sending)"
    );
}

#[test]
fn json_has_the_fields_of_the_local_status_first_and_then_its_own() {
    let json = serde_json::to_string(&seen(sending(json!({})))).expect("JSON");
    let local = concat!(
        r#"{"total":205,"invalid":2,"duplicate":3,"suppressed":0,"published":200,"pending":76,"delivered":118,"rejected":2,"#,
        r#""refused":0,"deferred":4,"dead":0,"unknown":0,"backlog":80,"perSecond":36.5,"secondsLeft":185,"paused":null,"#,
        r#""waiting":null,"listPublished":true,"finished":false,"phase":"Sending","upToDate":true,"inFlight":20,"#
    );
    assert!(json.starts_with(local), "{json}");
}

#[test]
fn a_pause_is_told_with_its_reason_and_the_time_that_ends_it() {
    // As operator/src/status/words.rs has it.
    let message = "more than 5 % were rejected. When it is mended: kubectl annotate mc offers mailcampaign.io/resume=2027-03-01T07:59:30.5Z";
    let conditions = json!([
        condition("Published", "True", "ListPublished", ""),
        condition("Progressing", "False", "Paused", message),
    ]);
    let seen = seen(sending(json!({"phase": "Paused", "conditions": conditions})));
    let paused = Paused { reason: "more than 5 % were rejected".to_owned(), at: "2027-03-01T07:59:30.5Z".to_owned() };
    assert_eq!(seen.standing.paused, Some(paused));
    let text = seen.text("hr/offers");
    assert!(text.starts_with("hr/offers: paused (Paused)\n"), "{text}");
    assert!(text.contains("\npaused since 2027-03-01T07:59:30.5Z: more than 5 % were rejected\n"), "{text}");
    assert!(!text.contains("waits"), "once is enough: {text}");
}

#[test]
fn a_suspended_campaign_says_what_it_waits_for_and_is_not_paused_by_a_guard() {
    let conditions = json!([
        condition("Published", "True", "ListPublished", ""),
        condition("Progressing", "False", "Suspended", "spec.suspend is true; nothing is sent until it is false"),
    ]);
    let seen = seen(sending(json!({"phase": "Paused", "conditions": conditions})));
    assert_eq!(seen.standing.paused, None);
    assert!(seen.text("a/b").starts_with("a/b: spec.suspend is true; nothing is sent until it is false (Paused)\n"));
}

#[test]
fn what_it_waits_for_and_what_is_wrong_are_told_once() {
    let missing = "not found in this namespace: ConfigMap offers";
    let conditions = json!([
        condition("Progressing", "False", "ReferenceNotFound", missing),
        condition("Degraded", "True", "ReferenceNotFound", missing),
    ]);
    let text = seen(json!({"phase": "Pending", "observedGeneration": 2, "conditions": conditions})).text("a/b");
    assert_eq!(
        text,
        format!(
            "a/b: the list is not wholly published (Pending)\n0 rows: 0 mails\n0 delivered\nwaits, ReferenceNotFound: {missing}\n"
        )
    );
    let conditions = json!([
        condition("Progressing", "True", "Sending", "mails are being sent"),
        condition("Degraded", "True", "PodsFail", "a worker's pod doesn't start"),
    ]);
    let text = seen(sending(json!({"conditions": conditions}))).text("a/b");
    assert!(text.contains("\nlook at PodsFail: a worker's pod doesn't start\n") && !text.contains("waits"), "{text}");
}

#[test]
fn a_finished_campaign_waits_for_nothing() {
    let status = sending(json!({
        "phase": "Completed", "estimatedCompletionTime": null, "topFailures": [],
        "recipients": {"total": 200, "published": 200, "delivered": 200},
        "workers": {"desired": 0, "ready": 0}, "completionTime": "2027-03-01T07:58:00Z",
        "conditions": [
            condition("Published", "True", "ListPublished", ""),
            condition("Progressing", "False", "Completed", "every mail has its end"),
        ],
    }));
    let seen = seen(status);
    assert_eq!(seen.text("a/b"), "a/b: finished (Completed)\n200 rows: 200 mails\n200 delivered\n");
    assert_eq!((seen.standing.seconds_left, seen.waits_for.is_none(), seen.standing.finished), (Some(0), true, true));
    assert_eq!(seen.line(), "200/200  200 delivered  finished (Completed)");
}

#[test]
fn what_the_operator_has_not_seen_yet_is_said() {
    assert_eq!(seen(json!(null)).text("a/b"), "a/b: the operator has not looked at it yet\n");
    let text = seen(sending(json!({"observedGeneration": 1}))).text("a/b");
    assert!(text.contains("\nchanged since: the operator has not looked at the latest change yet\n"), "{text}");
}
