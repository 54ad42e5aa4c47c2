use super::*;
use campaign::status::WorkerCounts;

const AT: &str = "2027-03-01T07:59:30Z";

fn campaign(suspend: bool, phase: &str, reason: &str, observed: i64) -> Campaign {
    let message = format!("because. When it is mended: kubectl annotate mc offers mailcampaign.io/resume={AT}");
    serde_json::from_value(json!({
        "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign",
        "metadata": {"name": "offers", "generation": 2}, "spec": {"suspend": suspend},
        "status": {"phase": phase, "observedGeneration": observed, "conditions": [
            {"type": "Progressing", "status": "False", "reason": reason, "message": message, "lastTransitionTime": AT},
        ]},
    }))
    .expect("a campaign")
}

#[test]
fn a_pause_is_done_when_the_operator_has_seen_it_and_written_it_down() {
    let paused = || Next::Done("paused; nothing is sent until `kubectl mailcampaign resume`");
    let later = || Next::Done("paused; nothing will be sent until `kubectl mailcampaign resume`");
    for (suspend, phase, reason, workers, observed, next) in [
        (false, "Sending", "Sending", 1, 2, Next::Write(json!({"spec": {"suspend": true}}))),
        (true, "Sending", "Sending", 1, 1, Next::Wait),
        (true, "Sending", "Sending", 1, 2, Next::Wait),
        (true, "Paused", "Suspended", 1, 1, Next::Wait),
        (true, "Paused", "KafkaUnavailable", 1, 2, Next::Wait),
        (true, "Paused", "StepFailed", 1, 2, Next::Wait),
        (true, "Paused", "StepFailed", 0, 2, paused()),
        (true, "Paused", "Suspended", 1, 2, paused()),
        (true, "Validating", "Validating", 0, 2, later()),
        (true, "Validating", "StepFailed", 0, 2, Next::Wait),
        (true, "Failed", "InvalidSpec", 1, 2, Next::Wait),
        (true, "Failed", "InvalidSpec", 0, 2, later()),
        (false, "Completed", "Completed", 0, 2, Next::Done("finished; there is nothing to pause")),
        (false, "Deleting", "Deleting", 0, 2, Next::Never("it is being deleted, which stops it as well")),
    ] {
        let mut campaign = campaign(suspend, phase, reason, observed);
        campaign.status.as_mut().expect("a status").workers = Some(WorkerCounts { desired: workers, ready: 0 });
        assert_eq!(pausing(&campaign, false), next, "{suspend} {phase} {reason} {workers} {observed}");
    }
}

#[test]
fn resuming_ends_a_suspension_and_the_pause_that_the_status_names() {
    let annotation = json!({"annotations": {"mailcampaign.io/resume": AT}});
    let both = json!({"spec": {"suspend": false}, "metadata": annotation});
    for (suspend, phase, reason, observed, next) in [
        (true, "Paused", "Suspended", 2, Next::Write(json!({"spec": {"suspend": false}}))),
        (false, "Paused", "Paused", 2, Next::Write(json!({"metadata": annotation}))),
        (true, "Paused", "Paused", 2, Next::Write(both)),
        (false, "Paused", "Suspended", 1, Next::Wait),
        (false, "Sending", "KafkaUnavailable", 2, Next::Wait),
        (false, "Sending", "Sending", 2, Next::Done("goes on")),
        (
            false,
            "Sending",
            "Waiting",
            2,
            Next::Done("goes on when its time has come; see `kubectl mailcampaign status`"),
        ),
    ] {
        assert_eq!(
            resuming(&campaign(suspend, phase, reason, observed), false),
            next,
            "{suspend} {phase} {reason} {observed}"
        );
    }
}

#[test]
fn a_pause_that_was_ended_is_waited_for_and_a_new_one_is_not_ended_unread() {
    let mut ended = campaign(false, "Paused", "Paused", 2);
    ended.metadata.annotations = Some([(RESUME.to_owned(), AT.to_owned())].into());
    assert_eq!(resuming(&ended, true), Next::Wait);
    let again = campaign(false, "Paused", "Paused", 2);
    assert!(matches!(resuming(&again, true), Next::Never(_)));
}
