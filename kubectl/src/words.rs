//! What a campaign's status tells, as text and as JSON. Pure: the clock is an argument. The words and fields are those of `mailcampaign status`
//! ([`campaign::told`]); what only the resource knows comes after them.

use crate::cluster::Campaign;
use campaign::MailCampaignStatus;
use campaign::status::{ConditionType, Failure, Phase, WorkerCounts};
use campaign::told::{self, Standing};
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
    standing: Standing<Paused>,
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

impl Seen {
    /// What the resource tells at a time.
    pub fn of(campaign: &Campaign, now: Timestamp) -> Self {
        let nothing = MailCampaignStatus::default();
        let status = campaign.status.as_ref().unwrap_or(&nothing);
        let recipients = status.recipients.unwrap_or_default();
        let counts = recipients.counts();
        let backlog = counts.unfinished();
        let finished = status.phase == Some(Phase::Completed);
        let done_at = status.estimated_completion_time.as_ref().map(|time| time.0);
        let left = done_at.map(|at| u64::try_from(at.duration_since(now).as_secs()).unwrap_or(0));
        let list_published = status.is_true(ConditionType::Published);
        let progressing = status.condition(ConditionType::Progressing).filter(|_| !finished);
        let stopped = progressing.filter(|progressing| progressing.status == "False");
        let is_declared = |why: &&Condition| ["Suspended", "Waiting"].contains(&why.reason.as_str());
        let degraded = status.condition(ConditionType::Degraded).filter(|degraded| degraded.status == "True");
        let standing = Standing {
            counts,
            backlog,
            per_second: status.mails_per_second.unwrap_or(0.0),
            seconds_left: if backlog == 0 && list_published { Some(0) } else { left },
            paused: paused(status).filter(|_| !finished),
            waiting: stopped.filter(is_declared).map(|why| why.message.clone()),
            list_published,
            finished,
        };
        Self {
            standing,
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

    /// In a few words, and the phase.
    fn state(&self) -> String {
        let standing = &self.standing;
        let Some(phase) = self.phase else { return "the operator has not looked at it yet".to_owned() };
        let state = match (standing.halted(), phase) {
            (Some(halted), _) => halted,
            (None, Phase::Failed) => "it can't go on",
            (None, Phase::Deleting) => "it is being deleted",
            (None, _) => standing.state(),
        };
        format!("{state} ({phase})")
    }

    /// Several lines.
    pub fn text(&self, path: &str) -> String {
        let standing = &self.standing;
        let mut lines = vec![format!("{path}: {}", self.state())];
        if self.phase.is_some() {
            lines.extend(told::account(&standing.counts));
        }
        lines.extend(standing.to_go());
        if self.workers.desired > 0 {
            lines.push(format!("{} of {} workers are ready", self.workers.ready, self.workers.desired));
        }
        lines.extend(standing.paused.as_ref().map(|paused| told::paused(&paused.at, &paused.reason)));
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
        let is_told =
            |why: &&Why| self.standing.paused.is_some() || self.standing.waiting.as_ref() == Some(&why.message);
        let waits = self.waits_for.as_ref().filter(|why| !is_told(why));
        let degraded = self.degraded.as_ref().filter(|why| waits.is_none_or(|waits| waits.message != why.message));
        let told = |what: &str, why: &Why| format!("{what} {}: {}", why.reason, why.message);
        waits.map(|why| told("waits,", why)).into_iter().chain(degraded.map(|why| told("look at", why))).collect()
    }

    /// One line.
    pub fn line(&self) -> String {
        self.standing.line(&self.state())
    }
}

/// `     12  5.1.1  550 5.1.1 <…>: no such user`
fn failure(failure: &Failure) -> String {
    format!("{:>7}  {}  {}", failure.count, failure.code, failure.example).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
