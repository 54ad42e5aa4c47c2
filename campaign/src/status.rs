//! `status`: what the operator says about a campaign. Counts only, never a recipient.

#![expect(unreachable_pub, reason = "kube's derive copies each struct, with its `pub`, into a function")]

use crate::Counts;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of the campaign so far, as the operator saw it last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailCampaignStatus {
    /// Where the campaign is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The metadata.generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Validated, TopicsReady, Published, WorkersAvailable, Progressing, Complete, Degraded: each with a reason and a message for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// How many recipients are in which state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<RecipientCounts>,
    /// Percent of the published mails that are done, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub progress_percent: Option<u8>,
    /// Mails a second that were done lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mails_per_second: Option<f64>,
    /// When the campaign is done if it goes on like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub estimated_completion_time: Option<Time>,
    /// When the first mail left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub start_time: Option<Time>,
    /// When the campaign ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub completion_time: Option<Time>,
    /// The most frequent reasons why mails were not delivered, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub top_failures: Vec<Failure>,
    /// The pods that send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkerCounts>,
}

impl MailCampaignStatus {
    /// The condition of a type, if it was set.
    pub fn condition(&self, which: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == which.name())
    }

    /// Whether the condition of a type is True. One that was never set isn't.
    pub fn is_true(&self, which: ConditionType) -> bool {
        self.condition(which).is_some_and(|condition| condition.status == "True")
    }
}

/// Where a campaign is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nothing has been done yet, or what the campaign names isn't there yet.
    Pending,
    /// It waits for `startAt`.
    Scheduled,
    /// List and message are looked at.
    Validating,
    /// The list is being published.
    Loading,
    /// Mails leave, or wait for the window or for their next attempt.
    Sending,
    /// Suspended, or paused by the guard.
    Paused,
    /// Every mail has its end.
    Completed,
    /// It can't go on: a person must change something.
    Failed,
    /// It is being deleted.
    Deleting,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Scheduled,
        Self::Validating,
        Self::Loading,
        Self::Sending,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Deleting,
    ];

    /// Its name, as it stands in the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Scheduled => "Scheduled",
            Self::Validating => "Validating",
            Self::Loading => "Loading",
            Self::Sending => "Sending",
            Self::Paused => "Paused",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The conditions that a status may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// List and message were looked at, every letter was made once, and their hashes are pinned.
    Validated,
    /// The topics are there, as declared.
    TopicsReady,
    /// The whole list is in the journal. From here on the rules of the resource let neither list nor message change.
    Published,
    /// As many workers as wanted are ready.
    WorkersAvailable,
    /// Something is being done; if not, why.
    Progressing,
    /// Every mail has its end.
    Complete,
    /// Something is wrong that a person should look at.
    Degraded,
}

impl ConditionType {
    /// All of them, in the order of a campaign's life.
    pub const ALL: [Self; 7] = [
        Self::Validated,
        Self::TopicsReady,
        Self::Published,
        Self::WorkersAvailable,
        Self::Progressing,
        Self::Complete,
        Self::Degraded,
    ];

    /// Its name: the condition's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validated => "Validated",
            Self::TopicsReady => "TopicsReady",
            Self::Published => "Published",
            Self::WorkersAvailable => "WorkersAvailable",
            Self::Progressing => "Progressing",
            Self::Complete => "Complete",
            Self::Degraded => "Degraded",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many recipients are in which state: the account ([`Counts`]) and two sums that people ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecipientCounts {
    /// Rows of the list that are not blank.
    pub total: u64,
    /// Rows that can't be mailed.
    pub invalid: u64,
    /// Rows whose address stood in an earlier row.
    pub duplicate: u64,
    /// Rows whose address or domain is never to be mailed.
    pub suppressed: u64,
    /// Rows that became a message.
    pub published: u64,
    /// Published, with no outcome yet.
    pub pending: u64,
    /// Of the pending ones, those that a worker has claimed.
    pub in_flight: u64,
    /// A server took responsibility for the mail.
    pub delivered: u64,
    /// Will be tried again.
    pub deferred: u64,
    /// The address is bad.
    pub rejected: u64,
    /// The sender is misconfigured or blocked.
    pub refused: u64,
    /// Attempts or age are exhausted.
    pub dead: u64,
    /// Nobody knows whether it was delivered.
    pub unknown: u64,
    /// Rejected, refused and dead together.
    pub failed: u64,
}

impl RecipientCounts {
    /// The account, and how many of its pending mails are claimed.
    pub fn of(counts: &Counts, in_flight: u64) -> Self {
        Self {
            total: counts.total,
            invalid: counts.invalid,
            duplicate: counts.duplicate,
            suppressed: counts.suppressed,
            published: counts.published,
            pending: counts.pending,
            in_flight: in_flight.min(counts.pending),
            delivered: counts.delivered,
            deferred: counts.deferred,
            rejected: counts.rejected,
            refused: counts.refused,
            dead: counts.dead,
            unknown: counts.unknown,
            failed: counts.rejected + counts.refused + counts.dead,
        }
    }

    /// The account alone.
    pub fn counts(&self) -> Counts {
        Counts {
            total: self.total,
            invalid: self.invalid,
            duplicate: self.duplicate,
            suppressed: self.suppressed,
            published: self.published,
            pending: self.pending,
            delivered: self.delivered,
            rejected: self.rejected,
            refused: self.refused,
            deferred: self.deferred,
            dead: self.dead,
            unknown: self.unknown,
        }
    }
}

/// One reason why mails were not delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The reply's enhanced code (RFC 3463), else its basic code; 0: no server spoke.
    #[schemars(length(max = 32))]
    pub code: String,
    /// Mails that ended so.
    pub count: u64,
    /// One of the replies, without addresses.
    #[schemars(length(max = 200))]
    pub example: String,
}

/// Characters of a failure's example at most.
const EXAMPLE: usize = 200;

impl Failure {
    /// So many mails with one code; whatever looks like an address is taken out of the reply, and a long one is cut.
    pub fn new(code: impl Into<String>, count: u64, reply: &str) -> Self {
        let code = code.into().chars().take(32).collect();
        Self { code, count, example: without_addresses(reply).chars().take(EXAMPLE).collect() }
    }
}

/// A text of strangers without the mail addresses in it: `550 <ann@example.com>: no such user` as `550 <…>: no such user`.
pub fn without_addresses(text: &str) -> String {
    let is_border = |letter: char| letter.is_whitespace() || "<>()[]{}\",;:=".contains(letter);
    let words = text.split_inclusive(is_border).map(|piece| {
        let word = piece.trim_end_matches(is_border);
        if word.contains('@') { format!("…{}", &piece[word.len()..]) } else { piece.to_owned() }
    });
    words.collect()
}

/// The pods that send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerCounts {
    /// Wanted now.
    pub desired: u32,
    /// Ready.
    pub ready: u32,
}

/// metav1.Condition; the bounds are those of the Kubernetes API.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status changed last."},
                "message": {"type": "string", "maxLength": 32_768, "description": "For people."},
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0, "description": "The metadata.generation that it is about.",
                },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": "For programs.",
                },
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown."},
                "type": {
                    "type": "string", "maxLength": 316, "pattern": "^[A-Za-z][-A-Za-z0-9_./]*$", "description": "Which condition.",
                },
            },
        },
    })
}

fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_written_as_the_kubernetes_api_writes_it_and_read_back_the_same() {
        let time = |text: &str| Time(text.parse().expect("a time"));
        let status = MailCampaignStatus {
            phase: Some(Phase::Sending),
            observed_generation: Some(2),
            conditions: vec![Condition {
                last_transition_time: time("2027-03-01T08:00:00Z"),
                message: "200 rows".to_owned(),
                observed_generation: Some(2),
                reason: "ListPublished".to_owned(),
                status: "True".to_owned(),
                type_: ConditionType::Published.to_string(),
            }],
            start_time: Some(time("2027-03-01T08:00:01.25Z")),
            workers: Some(WorkerCounts { desired: 4, ready: 3 }),
            ..MailCampaignStatus::default()
        };
        let json = serde_json::to_value(&status).expect("JSON");
        assert_eq!(json["conditions"][0]["lastTransitionTime"], "2027-03-01T08:00:00Z");
        assert_eq!(json["conditions"][0]["type"], "Published");
        assert_eq!(json["startTime"], "2027-03-01T08:00:01Z");
        assert_eq!(json["workers"], json!({"desired": 4, "ready": 3}));
        assert_eq!(json.get("topFailures"), None);
        let read: MailCampaignStatus = serde_json::from_value(json.clone()).expect("a status");
        assert_eq!(serde_json::to_value(&read).expect("JSON"), json);
        assert!(read.is_true(ConditionType::Published) && !read.is_true(ConditionType::Complete));
    }

    #[test]
    fn a_status_of_nothing_is_read() {
        assert_eq!(serde_json::from_value::<MailCampaignStatus>(json!({})).ok(), Some(MailCampaignStatus::default()));
    }

    #[test]
    fn every_phase_is_written_with_its_name() {
        for phase in [Phase::Pending, Phase::Scheduled, Phase::Validating, Phase::Loading, Phase::Sending]
            .into_iter()
            .chain([Phase::Paused, Phase::Completed, Phase::Failed, Phase::Deleting])
        {
            assert_eq!(serde_json::to_value(phase).expect("JSON"), phase.name());
        }
    }

    #[test]
    fn failed_are_those_that_ended_badly_and_in_flight_is_part_of_pending() {
        let counts =
            Counts { pending: 3, rejected: 5, refused: 7, dead: 11, unknown: 13, deferred: 17, ..Counts::default() };
        let recipients = RecipientCounts::of(&counts, 9);
        assert_eq!((recipients.failed, recipients.pending, recipients.in_flight), (23, 3, 3));
    }

    #[test]
    fn an_example_of_a_failure_holds_no_address() {
        for (reply, wanted) in [
            ("550 5.1.1 <ann@example.com>: no such user", "550 5.1.1 <…>: no such user"),
            ("user ann.o'lee@example.com unknown", "user … unknown"),
            ("to=ann@example.com, from=b@example.org", "to=…, from=…"),
            ("mailbox full", "mailbox full"),
            ("@", "…"),
        ] {
            assert_eq!(Failure::new("5.1.1", 2, reply).example, wanted);
        }
        assert_eq!(Failure::new("550", 2, &"é".repeat(300)).example.chars().count(), 200);
    }
}
