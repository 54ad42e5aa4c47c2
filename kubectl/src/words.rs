//! What a campaign's status tells, as text and as JSON. Pure: the clock is an argument. The words and fields are those of `mailcampaign status`; what
//! only the resource knows comes after them.

use crate::cluster::Campaign;
use campaign::status::{ConditionType, Failure, Phase, RecipientCounts, WorkerCounts};
use campaign::{Counts, MailCampaignStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::Serialize;

/// The annotation by which a person ends a pause; its value is the pause's time.
pub const RESUME: &str = "mailcampaign.io/resume";

/// What a status tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    #[serde(flatten)]
    counts: Counts,
    /// Mails that are still to be settled.
    backlog: u64,
    /// Mails settled for good a second.
    per_second: f64,
    /// Until the backlog is gone at this rate; none while nothing moves.
    seconds_left: Option<u64>,
    paused: Option<Paused>,
    /// What is waited for before anything more is sent, by the campaign's file.
    waiting: Option<String>,
    /// Whether the whole list is in the journal; `published` counts its mails.
    list_published: bool,
    finished: bool,
    /// Where the campaign is in its life.
    phase: Option<Phase>,
    /// Whether the status is about the resource as it is now.
    up_to_date: bool,
    /// Of the pending mails, those that a worker has claimed.
    in_flight: u64,
    progress_percent: Option<u8>,
    start_time: Option<Time>,
    estimated_completion_time: Option<Time>,
    completion_time: Option<Time>,
    workers: WorkerCounts,
    /// Why nothing goes on, if nothing does.
    waits_for: Option<Why>,
    /// What a person should look at.
    degraded: Option<Why>,
    top_failures: Vec<Failure>,
}

/// A pause that a person must end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// Why.
    pub reason: String,
    /// Since when, as the annotation that ends it wants it.
    pub at: String,
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// For programs.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl Why {
    fn of(condition: &Condition) -> Self {
        Self { reason: condition.reason.clone(), message: condition.message.clone() }
    }
}

/// The pause that a campaign is in, if it is one that a person must end by the annotation; none if it is only suspended.
pub fn paused(status: &MailCampaignStatus) -> Option<Paused> {
    let progressing =
        status.condition(ConditionType::Progressing).filter(|progressing| progressing.reason == "Paused")?;
    let message = &progressing.message;
    let (_, at) = message.split_once(&format!("{RESUME}="))?;
    let at = at.split_whitespace().next()?.to_owned();
    let reason = message.split_once(". When it is mended").map_or(message.as_str(), |(reason, _)| reason).to_owned();
    Some(Paused { reason, at })
}

/// Whether a status is about its resource as it is now.
pub fn is_up_to_date(campaign: &Campaign) -> bool {
    let observed = campaign.status.as_ref().and_then(|status| status.observed_generation);
    observed.is_some() && observed == campaign.metadata.generation
}

fn counts(recipients: &RecipientCounts) -> Counts {
    Counts {
        total: recipients.total,
        invalid: recipients.invalid,
        duplicate: recipients.duplicate,
        suppressed: recipients.suppressed,
        published: recipients.published,
        pending: recipients.pending,
        delivered: recipients.delivered,
        rejected: recipients.rejected,
        refused: recipients.refused,
        deferred: recipients.deferred,
        dead: recipients.dead,
        unknown: recipients.unknown,
    }
}

impl Seen {
    /// What the resource tells at a time.
    pub fn of(campaign: &Campaign, now: Timestamp) -> Self {
        let nothing = MailCampaignStatus::default();
        let status = campaign.status.as_ref().unwrap_or(&nothing);
        let recipients = status.recipients.unwrap_or_default();
        let counts = counts(&recipients);
        let backlog = counts.unfinished();
        let finished = status.phase == Some(Phase::Completed);
        let done_at = status.estimated_completion_time.as_ref().map(|time| time.0);
        let left = done_at.map(|at| u64::try_from(at.duration_since(now).as_secs()).unwrap_or(0));
        let list_published = status.is_true(ConditionType::Published);
        let progressing = status.condition(ConditionType::Progressing).filter(|_| !finished);
        let stopped = progressing.filter(|progressing| progressing.status == "False");
        let is_declared = |why: &&Condition| ["Suspended", "Waiting"].contains(&why.reason.as_str());
        let degraded = status.condition(ConditionType::Degraded).filter(|degraded| degraded.status == "True");
        Self {
            counts,
            backlog,
            per_second: status.mails_per_second.unwrap_or(0.0),
            seconds_left: if backlog == 0 && list_published { Some(0) } else { left },
            paused: paused(status).filter(|_| !finished),
            waiting: stopped.filter(is_declared).map(|why| why.message.clone()),
            list_published,
            finished,
            phase: status.phase,
            up_to_date: is_up_to_date(campaign),
            in_flight: recipients.in_flight,
            progress_percent: status.progress_percent,
            start_time: status.start_time.clone(),
            estimated_completion_time: status.estimated_completion_time.clone(),
            completion_time: status.completion_time.clone(),
            workers: status.workers.unwrap_or_default(),
            waits_for: stopped.map(Why::of),
            degraded: degraded.map(Why::of),
            top_failures: status.top_failures.clone(),
        }
    }

    /// Where the campaign is in its life; none: the operator hasn't said anything yet.
    pub fn phase(&self) -> Option<Phase> {
        self.phase
    }

    fn state(&self) -> &str {
        match (self.phase, self.finished, &self.paused, &self.waiting, self.list_published) {
            (None, ..) => "the operator has not looked at it yet",
            (_, true, ..) => "finished",
            (_, _, Some(_), ..) => "paused",
            (_, _, _, Some(waiting), _) => waiting,
            (Some(Phase::Failed), ..) => "it can't go on",
            (Some(Phase::Deleting), ..) => "it is being deleted",
            (.., false) => "the list is not wholly published",
            _ => "under way",
        }
    }

    /// Several lines.
    pub fn text(&self, path: &str) -> String {
        let counts = &self.counts;
        let phase = self.phase.map(|phase| format!(" ({phase})")).unwrap_or_default();
        let mut lines = vec![format!("{path}: {}{phase}", self.state())];
        if self.phase.is_some() {
            let skipped =
                [("invalid", counts.invalid), ("duplicate", counts.duplicate), ("suppressed", counts.suppressed)];
            lines.push(format!("{} rows: {} mails{}", counts.total, counts.published, listed(&skipped)));
            lines.push(format!("{} delivered{}", counts.delivered, listed(&not_delivered(counts))));
        }
        if self.backlog > 0 {
            lines.push(format!("{} to go, {}", self.backlog, self.pace()));
        }
        if self.workers.desired > 0 {
            lines.push(format!("{} of {} workers are ready", self.workers.ready, self.workers.desired));
        }
        if let Some(paused) = &self.paused {
            lines.push(format!("paused since {}: {}", paused.at, paused.reason));
        }
        lines.extend(self.reasons());
        if !self.up_to_date && self.phase.is_some() {
            lines.push("changed since: the operator has not looked at the latest change yet".to_owned());
        }
        if !self.top_failures.is_empty() {
            lines.push("not delivered, most often:".to_owned());
            lines.extend(self.top_failures.iter().map(failure));
        }
        lines.join("\n") + "\n"
    }

    /// What stops it and what is wrong, where that isn't told already.
    fn reasons(&self) -> Vec<String> {
        let is_told = |why: &&Why| self.paused.is_some() || self.waiting.as_ref() == Some(&why.message);
        let waits = self.waits_for.as_ref().filter(|why| !is_told(why));
        let degraded = self.degraded.as_ref().filter(|why| waits.is_none_or(|waits| waits.message != why.message));
        let told = |what: &str, why: &Why| format!("{what} {}: {}", why.reason, why.message);
        waits.map(|why| told("waits,", why)).into_iter().chain(degraded.map(|why| told("look at", why))).collect()
    }

    /// One line.
    pub fn line(&self) -> String {
        let (counts, done) = (&self.counts, self.counts.published.saturating_sub(self.backlog));
        let pace = if self.finished { String::new() } else { format!("  {}", self.pace()) };
        let phase = self.phase.map(|phase| format!(" ({phase})")).unwrap_or_default();
        format!(
            "{done}/{}  {} delivered{}{pace}  {}{phase}",
            counts.published,
            counts.delivered,
            listed(&not_delivered(counts)),
            self.state()
        )
    }

    fn pace(&self) -> String {
        let rate = format!("{:.0} mails/s", self.per_second);
        self.seconds_left
            .filter(|seconds| *seconds > 0)
            .map_or(rate.clone(), |seconds| format!("{rate}, {} left", left(seconds)))
    }
}

/// `     12  5.1.1  550 5.1.1 <…>: no such user`
fn failure(failure: &Failure) -> String {
    format!("{:>7}  {}  {}", failure.count, failure.code, failure.example).trim_end().to_owned()
}

/// What became of the mails that were not delivered, by name.
fn not_delivered(counts: &Counts) -> [(&'static str, u64); 6] {
    [
        ("rejected", counts.rejected),
        ("refused", counts.refused),
        ("deferred", counts.deferred),
        ("dead", counts.dead),
        ("unknown", counts.unknown),
        ("pending", counts.pending),
    ]
}

/// `, 3 invalid, 1 duplicate`: those that are not zero.
fn listed(counts: &[(&str, u64)]) -> String {
    let happened = counts.iter().filter(|(_, count)| *count > 0);
    happened.fold(String::new(), |text, (name, count)| format!("{text}, {count} {name}"))
}

/// `40 s`, `3 min`, `2 h 5 min`
fn left(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests;
