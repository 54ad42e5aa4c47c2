//! What the status says of a campaign. Pure: what was observed and decided goes in, the whole status comes out.

mod conditions;
mod words;

use crate::lifecycle::{Decision, Seen};
use crate::observed::{Observed, Pace};
use crate::resource::Campaign;
use crate::trouble::Trouble;
use campaign::status::{Failure, Phase, RecipientCounts, WorkerCounts};
use campaign::{MailCampaignStatus, Mistake, ValidCampaign};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Everything that a status is made of.
pub struct Facts<'a> {
    /// The resource, with what was said of it last.
    pub campaign: &'a Campaign,
    /// The same, if it obeys every rule.
    pub valid: Option<&'a ValidCampaign>,
    /// Which rules it breaks.
    pub mistakes: &'a [Mistake],
    /// What was observed.
    pub observed: &'a Observed,
    /// The same, as it decided.
    pub seen: &'a Seen,
    /// What was decided.
    pub decision: &'a Decision,
    /// A step that failed, in words.
    pub failed: Option<&'a str>,
    /// Why pods are not there or don't run.
    pub trouble: Option<&'a Trouble>,
    /// After how long bad input is looked at again; none: when it changes.
    pub retry_of_input: Option<SignedDuration>,
    /// Why mails were not delivered.
    pub failures: &'a [Failure],
    /// How fast it goes.
    pub pace: Pace,
    /// Until when a deletion waits for Kafka.
    pub deletion_until: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// The status.
pub fn of(facts: &Facts<'_>) -> MailCampaignStatus {
    let before = facts.campaign.status.as_deref().cloned().unwrap_or_default();
    let survey = facts.observed.kafka.survey();
    let phase = facts.decision.phase;
    let recipients = survey.map(|survey| RecipientCounts::of(&survey.counts, survey.in_flight)).or(before.recipients);
    let is_sending = facts.is_sending();
    let started = survey.is_some_and(|survey| survey.in_flight > 0 || survey.counts.with_outcome() > 0);
    let first_seen = |time: Option<Time>, happened: bool| time.or_else(|| happened.then(|| seconds(facts.now)));
    let is_complete = phase == Phase::Completed;
    MailCampaignStatus {
        phase: Some(phase),
        observed_generation: facts.campaign.metadata.generation,
        conditions: facts.conditions(),
        progress_percent: recipients.as_ref().and_then(percent),
        recipients,
        mails_per_second: facts.pace.per_second.filter(|_| is_sending).map(|rate| (rate * 10.0).round() / 10.0),
        estimated_completion_time: facts.pace.done_at.filter(|_| is_sending).map(seconds),
        start_time: first_seen(before.start_time, started),
        completion_time: if is_complete { first_seen(before.completion_time, true) } else { None },
        top_failures: if survey.is_some() { facts.failures.to_vec() } else { before.top_failures },
        workers: Some(facts.workers()),
    }
}

/// What is done, of what is published; rounded down, so that 100 means all.
fn percent(recipients: &RecipientCounts) -> Option<u8> {
    let done = recipients.published.checked_sub(recipients.pending + recipients.deferred)?;
    (done * 100).checked_div(recipients.published).and_then(|percent| u8::try_from(percent).ok())
}

/// As the API has it: whole seconds.
fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

impl Facts<'_> {
    fn is_sending(&self) -> bool {
        matches!(self.decision.phase, Phase::Sending | Phase::Loading)
    }

    fn workers(&self) -> WorkerCounts {
        let deployment = self.observed.children.workers.as_ref();
        let ready = deployment.and_then(|found| found.status.as_ref()?.ready_replicas).unwrap_or(0);
        let desired =
            if deployment.is_some() { self.seen.workers.wanted.unwrap_or(self.seen.workers.asked) } else { 0 };
        WorkerCounts { desired, ready: u32::try_from(ready).unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests;
