//! Which Events a campaign deserves, so that `kubectl describe mc` tells its story; deciding that is pure.
//!
//! An Event is a turn: of the phase, or of a condition. Counts that grow are none. What one cause has brought about is told once.

use crate::leader::NotLeading;
use campaign::MailCampaignStatus;
use campaign::status::{ConditionType, Phase, without_addresses};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::{debug, warn};

/// Longest message that the API takes (events.k8s.io/v1 `note`), in bytes.
const LONGEST: usize = 1024;
/// The reason of a pause that a person asked for: nothing is wrong.
const SUSPENDED: &str = "Suspended";

/// One Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Warning: a person should look at it.
    pub type_: EventType,
    /// What happened, for programs.
    pub reason: &'static str,
    /// What was being done, for programs.
    pub action: &'static str,
    /// What happened, for people.
    pub message: String,
}

/// The Events that the change of a status deserves, in the order of a campaign's life.
pub fn transitions(before: Option<&MailCampaignStatus>, after: &MailCampaignStatus) -> Vec<Note> {
    let nothing = MailCampaignStatus::default();
    let before = before.unwrap_or(&nothing);
    let mut told = Told::default();
    for (which, action) in [
        (ConditionType::Validated, "Validate"),
        (ConditionType::TopicsReady, "MakeTopics"),
        (ConditionType::Published, "Publish"),
        (ConditionType::WorkersAvailable, "StartWorkers"),
    ] {
        if let Some(condition) = after.condition(which).filter(|_| after.is_true(which) && !before.is_true(which)) {
            told.normal(which.name(), action, &condition.message);
        }
    }
    if let Some(phase) = after.phase.filter(|phase| before.phase != Some(*phase)) {
        turn(before.phase, phase, after, &mut told);
    }
    degraded(before, after, &mut told);
    stuck(before, after, &mut told);
    lost(before, after, &mut told);
    told.notes
}

/// Writes them down. One that can't be written is lost: the status says the same.
pub async fn publish(
    recorder: &Recorder,
    about: &ObjectReference,
    before: Option<&MailCampaignStatus>,
    after: &MailCampaignStatus,
) {
    for note in transitions(before, after) {
        let event = Event {
            type_: note.type_,
            reason: note.reason.to_owned(),
            note: Some(note.message),
            action: note.action.to_owned(),
            secondary: None,
        };
        match recorder.publish(&event, about).await {
            Ok(()) => {}
            Err(error) if NotLeading::is_cause_of(&error) => debug!("the next leader tells what happens from now on"),
            Err(error) => warn!(reason = event.reason, %error, "an Event can't be written"),
        }
    }
}

#[derive(Default)]
struct Told {
    notes: Vec<Note>,
    /// Reasons of conditions that were told as warnings.
    causes: Vec<String>,
}

impl Told {
    fn normal(&mut self, reason: &'static str, action: &'static str, message: &str) {
        self.notes.push(Note { type_: EventType::Normal, reason, action, message: fitting(message) });
    }

    /// A warning, unless its cause was told already.
    fn warning(&mut self, reason: &'static str, action: &'static str, why: &Condition) {
        if self.causes.contains(&why.reason) {
            return;
        }
        self.causes.push(why.reason.clone());
        let message =
            if why.reason == reason { why.message.clone() } else { format!("{}: {}", why.reason, why.message) };
        self.notes.push(Note { type_: EventType::Warning, reason, action, message: fitting(&message) });
    }
}

/// The phase changed; its decisive condition says why.
fn turn(before: Option<Phase>, phase: Phase, after: &MailCampaignStatus, told: &mut Told) {
    let decisive = if phase == Phase::Completed { ConditionType::Complete } else { ConditionType::Progressing };
    let why = after.condition(decisive);
    let message = why.map_or("", |why| why.message.as_str());
    let goes_on = ![Phase::Paused, Phase::Failed, Phase::Deleting].contains(&phase);
    if before == Some(Phase::Paused) && goes_on {
        told.normal("Resumed", "Resume", message);
        // That it sends again is what resuming means.
        if phase == Phase::Sending || phase == Phase::Loading {
            return;
        }
    }
    let action = match phase {
        Phase::Pending | Phase::Scheduled => "Wait",
        Phase::Validating => "Validate",
        Phase::Loading => "Publish",
        Phase::Sending => "Send",
        Phase::Paused => "Pause",
        Phase::Completed => "Complete",
        Phase::Failed => "Stop",
        Phase::Deleting => "Delete",
    };
    match (phase, why) {
        (Phase::Failed, Some(why)) => told.warning(phase.name(), action, why),
        (Phase::Paused, Some(why)) if why.reason != SUSPENDED => told.warning(phase.name(), action, why),
        // What it waits for is told as what keeps it from beginning.
        (Phase::Pending, Some(why)) if why.status == "False" => {}
        _ => told.normal(phase.name(), action, message),
    }
}

fn degraded(before: &MailCampaignStatus, after: &MailCampaignStatus, told: &mut Told) {
    const WHICH: ConditionType = ConditionType::Degraded;
    let is = after.condition(WHICH).filter(|_| after.is_true(WHICH));
    let was = before.condition(WHICH).filter(|_| before.is_true(WHICH));
    match (was, is) {
        (was, Some(is)) if was.is_none_or(|was| was.reason != is.reason) => told.warning("Degraded", "Observe", is),
        (Some(was), None) => told.normal("Recovered", "Observe", &format!("it was {}", was.reason)),
        _ => {}
    }
}

/// It can't begin, and nothing else says why. Later in its life a campaign that waits says so by its phase.
fn stuck(before: &MailCampaignStatus, after: &MailCampaignStatus, told: &mut Told) {
    let is_beginning = |status: &MailCampaignStatus| {
        matches!(status.phase, Some(Phase::Pending | Phase::Validating | Phase::Loading | Phase::Failed))
    };
    let why = |status: &MailCampaignStatus| {
        let progressing = status.condition(ConditionType::Progressing).cloned();
        progressing.filter(|progressing| progressing.status == "False" && is_beginning(status))
    };
    let Some(is) = why(after) else { return };
    let said_before = why(before).is_some_and(|was| was.reason == is.reason);
    let is_degraded_by_it =
        after.condition(ConditionType::Degraded).is_some_and(|degraded| degraded.reason == is.reason);
    if !said_before && !is_degraded_by_it {
        told.warning("Waiting", "Wait", &is);
    }
}

/// What was reached is no longer so. Workers come and go; what keeps them from coming is told as what degrades the campaign.
fn lost(before: &MailCampaignStatus, after: &MailCampaignStatus, told: &mut Told) {
    let degraded = after.condition(ConditionType::Degraded).filter(|_| after.is_true(ConditionType::Degraded));
    for (which, reason) in [
        (ConditionType::Validated, "NotValidated"),
        (ConditionType::TopicsReady, "TopicsNotReady"),
        (ConditionType::Published, "NotPublished"),
    ] {
        let is_lost = |condition: &&Condition| before.is_true(which) && condition.status == "False";
        if let Some(why) = after.condition(which).filter(is_lost)
            && degraded.is_none_or(|degraded| degraded.reason != why.reason)
            && after.phase != Some(Phase::Deleting)
        {
            told.warning(reason, "Observe", why);
        }
    }
}

/// Short enough, and without the address that a stranger's text may hold.
fn fitting(message: &str) -> String {
    let message = without_addresses(message);
    if message.len() <= LONGEST {
        return message;
    }
    let end = (0..=LONGEST - '…'.len_utf8()).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn condition(which: ConditionType, status: &str, reason: &str, message: &str) -> Condition {
        Condition {
            type_: which.name().to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time("2027-03-01T08:00:00Z".parse().expect("a time")),
        }
    }

    fn status(phase: Phase, conditions: &[(ConditionType, &str, &str, &str)]) -> MailCampaignStatus {
        let conditions =
            conditions.iter().map(|(which, status, reason, message)| condition(*which, status, reason, message));
        MailCampaignStatus { phase: Some(phase), conditions: conditions.collect(), ..MailCampaignStatus::default() }
    }

    /// What `kubectl describe` shows of the changes from one status to the next.
    fn story(statuses: &[MailCampaignStatus]) -> Vec<String> {
        let mut before = None;
        let mut told = Vec::new();
        for status in statuses {
            told.extend(transitions(before, status));
            before = Some(status);
        }
        told.iter().map(|note| format!("{:?} {}: {}", note.type_, note.reason, note.message)).collect()
    }

    use ConditionType::{Complete, Degraded, Progressing, Published, TopicsReady, Validated, WorkersAvailable};

    #[test]
    fn the_events_of_a_campaign_tell_its_story() {
        let validated =
            (Validated, "True", "ContentPinned", "every letter was made once: 200 mails of 201 rows, 1 invalid");
        let topics = (TopicsReady, "True", "TopicsExist", "outbox, outcomes and control, with 12 partitions");
        let published = (Published, "True", "ListPublished", "the whole list: 200 mails of 201 rows, 1 invalid");
        let workers = (WorkersAvailable, "True", "AllReady", "1 of 1 workers are ready");
        let healthy = (Degraded, "False", "AsExpected", "");
        let story = story(&[
            status(Phase::Validating, &[(Progressing, "True", "Validating", "the list is looked at"), topics, healthy]),
            status(
                Phase::Loading,
                &[(Progressing, "True", "Loading", "the list is being published"), validated, topics, healthy],
            ),
            status(
                Phase::Sending,
                &[(Progressing, "True", "Sending", "mails are being sent"), validated, topics, published, healthy],
            ),
            status(
                Phase::Sending,
                &[
                    (Progressing, "True", "Sending", "mails are being sent"),
                    validated,
                    topics,
                    published,
                    workers,
                    healthy,
                ],
            ),
            status(
                Phase::Paused,
                &[(Progressing, "False", "Suspended", "spec.suspend is true"), validated, topics, published, healthy],
            ),
            status(
                Phase::Sending,
                &[(Progressing, "True", "Sending", "mails are being sent"), validated, topics, published, healthy],
            ),
            status(
                Phase::Completed,
                &[
                    (Progressing, "False", "Completed", "every mail has its end"),
                    (Complete, "True", "AllDone", "199 delivered, 1 rejected"),
                    validated,
                    topics,
                    published,
                    healthy,
                ],
            ),
        ]);
        assert_eq!(
            story,
            [
                "Normal TopicsReady: outbox, outcomes and control, with 12 partitions",
                "Normal Validating: the list is looked at",
                "Normal Validated: every letter was made once: 200 mails of 201 rows, 1 invalid",
                "Normal Loading: the list is being published",
                "Normal Published: the whole list: 200 mails of 201 rows, 1 invalid",
                "Normal Sending: mails are being sent",
                "Normal WorkersAvailable: 1 of 1 workers are ready",
                "Normal Paused: spec.suspend is true",
                "Normal Resumed: mails are being sent",
                "Normal Completed: 199 delivered, 1 rejected",
            ]
        );
    }

    #[test]
    fn counts_that_grow_and_messages_that_change_are_no_events() {
        let mut before = status(
            Phase::Sending,
            &[
                (Progressing, "True", "Sending", "mails are being sent"),
                (Degraded, "True", "UnknownRecipients", "of 1 mails nobody knows"),
            ],
        );
        assert_eq!(transitions(Some(&before), &before), []);
        let mut after = before.clone();
        after.progress_percent = Some(7);
        after.mails_per_second = Some(12.5);
        after.conditions[1].message = "of 2 mails nobody knows".to_owned();
        assert_eq!(transitions(Some(&before), &after), []);
        before.conditions.clear();
        assert_eq!(transitions(Some(&before), &after).len(), 1);
    }

    #[test]
    fn one_cause_is_one_warning_however_many_conditions_it_turns() {
        let sending =
            status(Phase::Sending, &[(TopicsReady, "True", "TopicsExist", ""), (Degraded, "False", "AsExpected", "")]);
        let silent = status(
            Phase::Sending,
            &[
                (TopicsReady, "False", "KafkaUnavailable", "no broker answers"),
                (Progressing, "False", "KafkaUnavailable", "no broker answers"),
                (Degraded, "True", "KafkaUnavailable", "no broker answers"),
            ],
        );
        assert_eq!(
            story(&[sending.clone(), silent.clone(), silent, sending])[1..],
            [
                "Normal Sending: ",
                "Warning Degraded: KafkaUnavailable: no broker answers",
                "Normal TopicsReady: ",
                "Normal Recovered: it was KafkaUnavailable"
            ]
        );
    }

    #[test]
    fn another_cause_is_another_warning() {
        let with = |reason| status(Phase::Loading, &[(Degraded, "True", reason, "why")]);
        let told = story(&[with("ImagePullFailed"), with("OutOfMemory"), with("OutOfMemory")]);
        assert_eq!(told[1..], ["Warning Degraded: ImagePullFailed: why", "Warning Degraded: OutOfMemory: why"]);
    }

    #[test]
    fn what_keeps_a_campaign_from_beginning_is_told_once() {
        let sent = status(
            Phase::Pending,
            &[(Progressing, "False", "AlreadySent", "a campaign of this name has sent mails before")],
        );
        let missing = status(
            Phase::Pending,
            &[
                (Progressing, "False", "ReferenceNotFound", "Secret smtp"),
                (Degraded, "True", "ReferenceNotFound", "Secret smtp"),
            ],
        );
        assert_eq!(
            story(&[sent.clone(), sent, missing]),
            [
                "Warning Waiting: AlreadySent: a campaign of this name has sent mails before",
                "Warning Degraded: ReferenceNotFound: Secret smtp"
            ]
        );
        let failed = status(
            Phase::Failed,
            &[
                (Progressing, "False", "BadInput", "no column \"name\""),
                (Degraded, "True", "BadInput", "no column \"name\""),
            ],
        );
        assert_eq!(story(&[failed]), ["Warning Failed: BadInput: no column \"name\""]);
    }

    #[test]
    fn a_pause_that_nobody_asked_for_is_a_warning() {
        let paused = status(Phase::Paused, &[(Progressing, "False", "Paused", "12 of 100 mails were rejected")]);
        assert_eq!(story(&[paused]), ["Warning Paused: 12 of 100 mails were rejected"]);
    }

    #[test]
    fn a_message_holds_no_address_and_fits() {
        let with = |message: &str| status(Phase::Failed, &[(Progressing, "False", "BadInput", message)]);
        assert_eq!(story(&[with("row of <ann@example.com>")]), ["Warning Failed: BadInput: row of <…>"]);
        let long = transitions(None, &with(&"é".repeat(2_000)));
        assert!(long[0].message.len() <= LONGEST && long[0].message.ends_with('…'), "{}", long[0].message.len());
    }
}
