//! The conditions, by the conventions of the Kubernetes API: each with a reason for programs and a message for people.

use super::{Facts, seconds, words};
use crate::lifecycle::{Producer, WaitsFor};
use crate::observed::Kafka;
use campaign::Schedule;
use campaign::status::{ConditionType, Phase};
use journal::Obstacle;
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
    pub(super) fn conditions(&self) -> Vec<Condition> {
        ConditionType::ALL.map(|which| self.condition(which)).into()
    }

    fn condition(&self, which: ConditionType) -> Condition {
        let verdict = self.verdict(which);
        let status = match verdict.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = self.before(which).filter(|before| before.status == status);
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

    /// What was said last.
    fn before(&self, which: ConditionType) -> Option<&Condition> {
        self.campaign.status.as_ref()?.condition(which)
    }

    /// The same, if it was that it holds.
    fn held(&self, which: ConditionType) -> Option<&Condition> {
        self.before(which).filter(|before| before.status == "True")
    }

    /// Where nothing new is known: if it held, it still does.
    fn as_before(&self, which: ConditionType) -> Option<Verdict> {
        // The reasons are this program's own; one that an earlier version gave is told by its message.
        let reason = match which {
            ConditionType::Validated => "ContentPinned",
            ConditionType::TopicsReady => "TopicsExist",
            _ => "ListPublished",
        };
        Some(yes(reason, &self.held(which)?.message))
    }

    fn verdict(&self, which: ConditionType) -> Verdict {
        match which {
            ConditionType::Validated => self.validated(),
            ConditionType::TopicsReady => self.topics_ready(),
            ConditionType::Published => self.published(),
            ConditionType::WorkersAvailable => self.workers_available(),
            ConditionType::Progressing => self.progressing(),
            ConditionType::Complete => self.complete(),
            ConditionType::Degraded => self.degraded(),
        }
    }

    fn validated(&self) -> Verdict {
        if let Some(survey) = self.observed.kafka.survey().filter(|survey| survey.pin.is_some()) {
            return yes("ContentPinned", words::preflight(survey.preflight.as_ref()));
        }
        // What was pinned stays pinned, whatever the resource says by now.
        if let Some(known) = self.as_before(ConditionType::Validated) {
            return known;
        }
        if !self.mistakes.is_empty() {
            return no("InvalidSpec", words::mistakes(self.mistakes));
        }
        if !self.observed.references.missing.is_empty() {
            return no("ReferenceNotFound", words::missing(&self.observed.references.missing));
        }
        match (self.seen.producer, self.trouble) {
            (Producer::Failed { .. }, _) => self.producer_failed(),
            (_, Some(trouble)) => unknown(trouble.reason, &trouble.message),
            _ => unknown("Validating", "the list and the message have not been looked at yet"),
        }
    }

    fn producer_failed(&self) -> Verdict {
        let (reason, message) = match self.trouble {
            Some(trouble) => (trouble.reason, trouble.message.as_str()),
            None => ("ProducerFailed", "the producer has failed; see its pods' logs"),
        };
        match self.retry_of_input.filter(|_| reason == "BadInput") {
            Some(after) => no(reason, format!("{message}; it is tried again every {} minutes", after.as_mins())),
            None => no(reason, message),
        }
    }

    fn topics_ready(&self) -> Verdict {
        match &self.observed.kafka {
            Kafka::There(_) if self.decision.waits_for == WaitsFor::Topics => no("TopicsGone", self.why_gone()),
            Kafka::There(survey) => {
                yes("TopicsExist", format!("outbox, outcomes and control, with {} partitions", survey.partitions))
            }
            Kafka::Silent { why, .. } => no("KafkaUnavailable", why),
            Kafka::Gone { why } => no("TopicsGone", why),
            Kafka::Absent { .. } => match self.failed {
                Some(why) => no("TopicsNotMade", why),
                None => unknown("TopicsNotMadeYet", "the topics have not been made yet"),
            },
            Kafka::NotAsked => self
                .as_before(ConditionType::TopicsReady)
                .unwrap_or_else(|| unknown("NotAskedYet", "Kafka has not been asked yet")),
        }
    }

    fn published(&self) -> Verdict {
        match self.observed.kafka.survey() {
            Some(survey) if survey.published => yes("ListPublished", words::published(&survey.tally)),
            Some(survey) => no("Publishing", format!("{} rows of the list are published", survey.tally.total())),
            None => self
                .as_before(ConditionType::Published)
                .unwrap_or_else(|| no("NotPublished", "nothing of the list is published yet")),
        }
    }

    fn workers_available(&self) -> Verdict {
        let workers = self.workers();
        let of = format!("{} of {} workers are ready", workers.ready, workers.desired);
        match (workers.desired, self.trouble) {
            (0, _) => no("NoneWanted", "no worker is needed now"),
            (desired, _) if workers.ready >= desired => yes("AllReady", of),
            (_, Some(trouble)) => no(trouble.reason, format!("{of}: {}", trouble.message)),
            _ => no("Starting", of),
        }
    }

    fn progressing(&self) -> Verdict {
        if let Some(why) = self.failed {
            return match self.decision.phase {
                Phase::Deleting => no("StepFailed", format!("{why}; {}", words::deleting(self.deletion_until))),
                _ => no("StepFailed", why),
            };
        }
        match self.decision.waits_for {
            WaitsFor::ValidSpec => no("InvalidSpec", words::mistakes(self.mistakes)),
            WaitsFor::References => no("ReferenceNotFound", words::missing(&self.observed.references.missing)),
            WaitsFor::Leftovers => no("LeftoversOfAnother", words::leftovers(&self.observed.leftovers)),
            WaitsFor::Kafka => no("KafkaUnavailable", self.why_silent()),
            WaitsFor::SendAgain => no("AlreadySent", words::already_sent(&self.observed.kafka, self.campaign)),
            WaitsFor::Topics => no("TopicsGone", self.why_gone()),
            WaitsFor::Content => self.producer_failed(),
            WaitsFor::Producer => match self.decision.phase {
                Phase::Validating => yes("Validating", "the list is looked at, and every letter is made once"),
                _ => yes("Loading", "the list is being published"),
            },
            WaitsFor::Pods => yes("StoppingWorkers", "workers finish what they have begun"),
            WaitsFor::Resume => no("Paused", words::paused(&self.observed.kafka, self.campaign)),
            WaitsFor::Unsuspension => no("Suspended", "spec.suspend is true; nothing is sent until it is false"),
            WaitsFor::Start | WaitsFor::Workers => self.sending(),
            WaitsFor::Nothing if self.decision.phase == Phase::Deleting => {
                yes("Deleting", words::deleting(self.deletion_until))
            }
            WaitsFor::Nothing => no("Completed", "every mail has its end"),
        }
    }

    fn sending(&self) -> Verdict {
        let waiting = self.valid.and_then(|valid| Schedule::of(valid).waiting(self.now));
        if let Some(waiting) = waiting {
            return no("Waiting", waiting.to_string());
        }
        if let Some(obstacle) = self.obstacle() {
            return no("NoBackend", words::no_backend(obstacle));
        }
        let survey = self.observed.kafka.survey();
        let due = survey.and_then(|survey| survey.next_due).filter(|due| *due > self.now);
        match (survey, due) {
            (Some(survey), Some(due)) if survey.waiting >= survey.counts.unfinished() && survey.waiting > 0 => no(
                "WaitingToRetry",
                format!("{} mails wait for their next attempt, the first {}", survey.waiting, words::time(due)),
            ),
            _ => yes("Sending", "mails are being sent"),
        }
    }

    fn complete(&self) -> Verdict {
        match (self.decision.phase, self.observed.kafka.survey(), self.held(ConditionType::Complete)) {
            (Phase::Completed, Some(survey), _) => yes("AllDone", words::account(&survey.counts)),
            (Phase::Completed | Phase::Deleting, None, Some(known)) => yes("AllDone", &known.message),
            (Phase::Completed, None, None) => yes("AllDone", "every mail has its end"),
            (_, Some(survey), _) => no("NotDone", words::account(&survey.counts)),
            (_, None, _) => no("NotDone", "not every mail has its end yet"),
        }
    }

    /// The worst thing that a person should look at.
    fn degraded(&self) -> Verdict {
        let references = &self.observed.references;
        if self.decision.waits_for == WaitsFor::Topics {
            return yes("TopicsGone", self.why_gone());
        }
        if !self.mistakes.is_empty() {
            return yes("InvalidSpec", words::mistakes(self.mistakes));
        }
        if !references.changed.is_empty() {
            return yes("ContentChanged", words::changed(&references.changed));
        }
        if let Some(trouble) = self.trouble {
            return yes(trouble.reason, &trouble.message);
        }
        if let Kafka::Silent { why, .. } = &self.observed.kafka {
            return yes("KafkaUnavailable", why);
        }
        if let Some(obstacle) = self.obstacle() {
            return yes("NoBackend", words::no_backend(obstacle));
        }
        if !references.missing.is_empty() {
            return yes("ReferenceNotFound", words::missing(&references.missing));
        }
        if let Some(why) = self.failed {
            return yes("StepFailed", why);
        }
        match self.observed.kafka.survey() {
            Some(survey) if survey.counts.unknown > 0 => {
                yes("UnknownRecipients", words::undecided(survey.counts.unknown, self.campaign))
            }
            None if self.decision.phase == Phase::Completed => {
                let recipients = self.campaign.status.as_ref().and_then(|status| status.recipients);
                match recipients.map_or(0, |recipients| recipients.unknown) {
                    0 => no("AsExpected", ""),
                    unknown => yes("UnknownRecipients", words::undecided(unknown, self.campaign)),
                }
            }
            _ => no("AsExpected", ""),
        }
    }

    /// What keeps the workers from sending, as one of them says.
    fn obstacle(&self) -> Option<&Obstacle> {
        let survey = self.observed.kafka.survey().filter(|_| self.is_sending())?;
        survey.obstacle.as_ref().filter(|obstacle| obstacle.holds(self.now))
    }

    fn why_silent(&self) -> String {
        match &self.observed.kafka {
            Kafka::Silent { why, .. } => why.clone(),
            _ => "Kafka has not been asked yet".to_owned(),
        }
    }

    fn why_gone(&self) -> String {
        match &self.observed.kafka {
            Kafka::Gone { why } => why.clone(),
            Kafka::There(_) => "the topics of this campaign were made anew and are empty, though it was begun; nothing more is sent. Restore what was \
                  in them, or make a new campaign (another metadata.name)"
                .to_owned(),
            _ => "the topics of this campaign are gone, though it was begun; nothing more is sent. Restore them, or make a new campaign \
                  (another metadata.name)"
                .to_owned(),
        }
    }
}
