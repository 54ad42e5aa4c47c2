//! The conditions, by the conventions of the Kubernetes API: each with a reason for programs and a message for people.

use super::{Facts, seconds, words};
use crate::lifecycle::{Producer, WaitsFor};
use crate::observed::Kafka;
use campaign::status::{ConditionType, Phase};
use campaign::{MailCampaignStatus, Schedule};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Characters of a message at most.
const MESSAGE: usize = 4000;

/// Whether a condition holds, and why.
pub(super) struct Verdict {
    holds: Option<bool>,
    reason: &'static str,
    message: String,
}

fn yes(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict { holds: Some(true), reason, message: message.into() }
}

fn no(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict { holds: Some(false), reason, message: message.into() }
}

fn unknown(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict { holds: None, reason, message: message.into() }
}

impl Facts<'_> {
    /// All conditions. One whose status is as before keeps its time.
    pub(super) fn conditions(&self, before: &MailCampaignStatus) -> Vec<Condition> {
        let said = self.said();
        let all = ConditionType::ALL.map(|which| (which, said.verdict(which, before)));
        all.into_iter().map(|(which, verdict)| self.condition(which, verdict, before)).collect()
    }

    fn condition(&self, which: ConditionType, verdict: Verdict, before: &MailCampaignStatus) -> Condition {
        let status = match verdict.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = before.condition(which).filter(|before| before.status == status);
        Condition {
            type_: which.name().to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: verdict.message.chars().take(MESSAGE).collect(),
            observed_generation: self.campaign.metadata.generation,
            last_transition_time: before
                .map_or_else(|| seconds(self.now), |before| before.last_transition_time.clone()),
        }
    }
}

/// Says what is so.
pub(super) struct Said<'a> {
    pub(super) facts: &'a Facts<'a>,
}

impl Said<'_> {
    fn verdict(&self, which: ConditionType, before: &MailCampaignStatus) -> Verdict {
        match which {
            ConditionType::Validated => self.validated(before),
            ConditionType::TopicsReady => self.topics_ready(before),
            ConditionType::Published => self.published(before),
            ConditionType::WorkersAvailable => self.workers_available(),
            ConditionType::Progressing => self.progressing(),
            ConditionType::Complete => self.complete(),
            ConditionType::Degraded => self.degraded(),
        }
    }

    fn validated(&self, before: &MailCampaignStatus) -> Verdict {
        if let Some(survey) = self.facts.observed.kafka.survey().filter(|survey| survey.pin.is_some()) {
            return yes("ContentPinned", words::preflight(survey.preflight.as_ref()));
        }
        if !self.facts.mistakes.is_empty() {
            return no("InvalidSpec", words::mistakes(self.facts.mistakes));
        }
        if let Some(known) = as_before(ConditionType::Validated, before) {
            return known;
        }
        if !self.facts.observed.references.missing.is_empty() {
            return no("ReferenceNotFound", words::missing(&self.facts.observed.references.missing));
        }
        match (self.facts.seen.producer, self.facts.trouble) {
            (Producer::Failed { .. }, Some(trouble)) => no(trouble.reason, &trouble.message),
            (Producer::Failed { .. }, None) => no("ProducerFailed", "the producer has failed; see its pods' logs"),
            (_, Some(trouble)) => unknown(trouble.reason, &trouble.message),
            _ => unknown("Validating", "the list and the message have not been looked at yet"),
        }
    }

    fn topics_ready(&self, before: &MailCampaignStatus) -> Verdict {
        match &self.facts.observed.kafka {
            Kafka::There(survey) => {
                yes("TopicsExist", format!("outbox, outcomes and control, with {} partitions", survey.partitions))
            }
            Kafka::Silent { why, .. } => no("KafkaUnavailable", why),
            Kafka::Gone { why } => no("TopicsGone", why),
            Kafka::Absent { .. } => match self.facts.failed {
                Some(why) => no("TopicsNotMade", why),
                None => unknown("TopicsNotMadeYet", "the topics have not been made yet"),
            },
            Kafka::NotAsked => as_before(ConditionType::TopicsReady, before)
                .unwrap_or_else(|| unknown("NotAskedYet", "Kafka has not been asked yet")),
        }
    }

    fn published(&self, before: &MailCampaignStatus) -> Verdict {
        match self.facts.observed.kafka.survey() {
            Some(survey) if survey.published => yes("ListPublished", words::published(&survey.tally)),
            Some(survey) => no("Publishing", format!("{} rows of the list are published", survey.tally.total())),
            None => as_before(ConditionType::Published, before)
                .unwrap_or_else(|| no("NotPublished", "nothing of the list is published yet")),
        }
    }

    fn workers_available(&self) -> Verdict {
        let workers = self.facts.workers();
        let of = format!("{} of {} workers are ready", workers.ready, workers.desired);
        match (workers.desired, self.facts.trouble) {
            (0, _) => no("NoneWanted", "no worker is needed now"),
            (desired, _) if workers.ready >= desired => yes("AllReady", of),
            (_, Some(trouble)) => no(trouble.reason, format!("{of}: {}", trouble.message)),
            _ => no("Starting", of),
        }
    }

    fn progressing(&self) -> Verdict {
        let facts = self.facts;
        if let Some(why) = facts.failed {
            return match facts.decision.phase {
                Phase::Deleting => no("StepFailed", format!("{why}; {}", words::deleting(facts.deletion_until))),
                _ => no("StepFailed", why),
            };
        }
        match facts.decision.waits_for {
            WaitsFor::ValidSpec => no("InvalidSpec", words::mistakes(facts.mistakes)),
            WaitsFor::References => no("ReferenceNotFound", words::missing(&facts.observed.references.missing)),
            WaitsFor::Leftovers => no("LeftoversOfAnother", words::leftovers(&facts.observed.leftovers)),
            WaitsFor::Kafka => no("KafkaUnavailable", self.why_silent()),
            WaitsFor::SendAgain => no("AlreadySent", words::already_sent(&facts.observed.kafka, facts.campaign.name())),
            WaitsFor::Topics => no("TopicsGone", self.why_gone()),
            WaitsFor::Content => match facts.trouble {
                Some(trouble) => no(trouble.reason, &trouble.message),
                None => no("ProducerFailed", "the producer has failed; see its pods' logs"),
            },
            WaitsFor::Producer => match facts.decision.phase {
                Phase::Validating => yes("Validating", "the list is looked at, and every letter is made once"),
                _ => yes("Loading", "the list is being published"),
            },
            WaitsFor::Pods => yes("StoppingWorkers", "workers finish what they have begun"),
            WaitsFor::Resume => no("Paused", words::paused(&facts.observed.kafka, facts.campaign)),
            WaitsFor::Unsuspension => no("Suspended", "spec.suspend is true; nothing is sent until it is false"),
            WaitsFor::Start | WaitsFor::Workers => self.sending(),
            WaitsFor::Nothing if facts.decision.phase == Phase::Deleting => {
                yes("Deleting", words::deleting(facts.deletion_until))
            }
            WaitsFor::Nothing => no("Completed", "every mail has its end"),
        }
    }

    fn sending(&self) -> Verdict {
        let waiting = self.facts.valid.and_then(|valid| Schedule::of(valid).waiting(self.facts.now));
        if let Some(waiting) = waiting {
            return no("Waiting", waiting.to_string());
        }
        let survey = self.facts.observed.kafka.survey();
        let due = survey.and_then(|survey| survey.next_due).filter(|due| *due > self.facts.now);
        match (survey, due) {
            (Some(survey), Some(due)) if survey.waiting >= survey.counts.unfinished() && survey.waiting > 0 => no(
                "WaitingToRetry",
                format!("{} mails wait for their next attempt, the first {}", survey.waiting, at(due)),
            ),
            _ => yes("Sending", "mails are being sent"),
        }
    }

    fn complete(&self) -> Verdict {
        let facts = self.facts;
        let before = facts.campaign.status.as_ref().and_then(|status| status.condition(ConditionType::Complete));
        let before = before.filter(|known| known.status == "True");
        match (facts.decision.phase, facts.observed.kafka.survey(), before) {
            (Phase::Completed, Some(survey), _) => yes("AllDone", words::account(&survey.counts)),
            (Phase::Completed | Phase::Deleting, None, Some(known)) => yes("AllDone", &known.message),
            (Phase::Completed, None, None) => yes("AllDone", "every mail has its end"),
            (_, Some(survey), _) => no("NotDone", words::account(&survey.counts)),
            (_, None, _) => no("NotDone", "not every mail has its end yet"),
        }
    }

    /// The worst thing that a person should look at.
    fn degraded(&self) -> Verdict {
        let facts = self.facts;
        let references = &facts.observed.references;
        if let Kafka::Gone { why } = &facts.observed.kafka {
            return yes("TopicsGone", why);
        }
        if !references.changed.is_empty() {
            return yes("ContentChanged", words::changed(&references.changed));
        }
        if let Some(trouble) = facts.trouble {
            return yes(trouble.reason, &trouble.message);
        }
        if let Kafka::Silent { why, .. } = &facts.observed.kafka {
            return yes("KafkaUnavailable", why);
        }
        if !references.missing.is_empty() {
            return yes("ReferenceNotFound", words::missing(&references.missing));
        }
        if let Some(why) = facts.failed {
            return yes("StepFailed", why);
        }
        match facts.observed.kafka.survey() {
            Some(survey) if survey.counts.unknown > 0 => {
                yes("UnknownRecipients", words::undecided(survey.counts.unknown, facts.campaign))
            }
            None if facts.decision.phase == Phase::Completed => {
                let before =
                    facts.campaign.status.as_ref().and_then(|status| status.condition(ConditionType::Degraded));
                match before {
                    Some(known) if known.status == "True" && known.reason == "UnknownRecipients" => {
                        yes("UnknownRecipients", &known.message)
                    }
                    _ => no("AsExpected", ""),
                }
            }
            _ => no("AsExpected", ""),
        }
    }

    fn why_silent(&self) -> String {
        match &self.facts.observed.kafka {
            Kafka::Silent { why, .. } => why.clone(),
            _ => "Kafka has not been asked yet".to_owned(),
        }
    }

    fn why_gone(&self) -> String {
        match &self.facts.observed.kafka {
            Kafka::Gone { why } => why.clone(),
            _ => "the topics of this campaign are gone, though it was begun; nothing more is sent. Restore them, or make a new campaign \
                  (another metadata.name)"
                .to_owned(),
        }
    }
}

/// What was said before, where nothing new is known: if it held, it still does.
fn as_before(which: ConditionType, before: &MailCampaignStatus) -> Option<Verdict> {
    let known = before.condition(which).filter(|known| known.status == "True")?;
    // The reasons are this program's own; one that an earlier version gave is told by its message.
    let reason = match which {
        ConditionType::Validated => "ContentPinned",
        ConditionType::TopicsReady => "TopicsExist",
        _ => "ListPublished",
    };
    Some(yes(reason, &known.message))
}

fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
