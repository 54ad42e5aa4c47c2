//! `pause` and `resume`: a wish is written into the resource, and the operator's answer is waited for in its status.

use crate::args::{Pause, Resume};
use crate::cluster::{Campaign, Cluster};
use crate::failure::Failure;
use crate::output::say;
use crate::words::{self, RESUME, is_up_to_date};
use campaign::status::{ConditionType, Phase};
use campaign::{HumanDuration, MailCampaignStatus};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at the status.
const BETWEEN: Duration = Duration::from_millis(250);

/// What to do about a resource while waiting for it to be as wished.
#[derive(Debug, PartialEq)]
enum Next {
    /// It is as wished, and this is to be said.
    Done(&'static str),
    /// It will never be.
    Never(&'static str),
    /// This is to be written first.
    Write(Value),
    /// The operator has not answered yet.
    Wait,
}

/// Suspends a campaign, and waits until the operator says that nothing is sent.
///
/// # Errors
/// It can't be changed, or the operator doesn't answer in time.
pub async fn pause(cluster: &Cluster, args: &Pause) -> Result<ExitCode, Failure> {
    wish(cluster, &args.which.name, args.timeout.0, pausing).await
}

/// Lets a campaign go on, and waits until the operator says that it does.
///
/// # Errors
/// It can't be changed, or the operator doesn't answer in time.
pub async fn resume(cluster: &Cluster, args: &Resume) -> Result<ExitCode, Failure> {
    wish(cluster, &args.which.name, args.timeout.0, resuming).await
}

async fn wish(
    cluster: &Cluster,
    name: &str,
    timeout: Duration,
    next: fn(&Campaign, bool) -> Next,
) -> Result<ExitCode, Failure> {
    let deadline = Instant::now() + timeout;
    let mut campaign = cluster.campaign(name).await?;
    let mut agreed = false;
    loop {
        match next(&campaign, agreed) {
            Next::Done(said) => {
                say(&format!("{}: {said}\n", cluster.path(name)));
                return Ok(ExitCode::SUCCESS);
            }
            Next::Never(why) => return Err(Failure::bad_input(format!("{}: {why}", cluster.path(name)))),
            Next::Write(change) => {
                agreed |= change.get("metadata").is_some();
                campaign = cluster.patch(name, &change).await?;
            }
            Next::Wait if Instant::now() >= deadline => return Err(unanswered(cluster, &campaign, timeout)),
            Next::Wait => {
                tokio::time::sleep(BETWEEN).await;
                campaign = cluster.campaign(name).await?;
            }
        }
    }
}

fn unanswered(cluster: &Cluster, campaign: &Campaign, timeout: Duration) -> Failure {
    let name = campaign.metadata.name.as_deref().unwrap_or_default();
    let progressing = campaign.status.as_ref().and_then(|status| status.condition(ConditionType::Progressing));
    let last = progressing.map(|why| format!(" It says: {}: {}.", why.reason, why.message)).unwrap_or_default();
    Failure::try_again(format!(
        "it is written into the resource, but the operator has not said within {} that it is done.{last} Is it running? Look again with \
         `kubectl mailcampaign status {}`",
        HumanDuration(timeout),
        cluster.found_by(name)
    ))
}

fn suspend(campaign: &Campaign) -> bool {
    campaign.spec["suspend"] == true
}

fn reason(status: &MailCampaignStatus) -> &str {
    status.condition(ConditionType::Progressing).map_or("", |progressing| progressing.reason.as_str())
}

fn pausing(campaign: &Campaign, _: bool) -> Next {
    let status = campaign.status.as_ref();
    let phase = status.and_then(|status| status.phase);
    match phase {
        Some(Phase::Deleting) => return Next::Never("it is being deleted, which stops it as well"),
        Some(Phase::Completed) if is_up_to_date(campaign) => return Next::Done("finished; there is nothing to pause"),
        _ => {}
    }
    if !suspend(campaign) {
        return Next::Write(json!({"spec": {"suspend": true}}));
    }
    let (Some(status), Some(phase)) = (status.filter(|_| is_up_to_date(campaign)), phase) else { return Next::Wait };
    let workers = status.workers.unwrap_or_default();
    let nobody_works = workers.desired == 0 && workers.ready == 0;
    match (phase, reason(status)) {
        (Phase::Sending | Phase::Scheduled, _) => Next::Wait,
        // Whether it reached the journal, which is what workers follow, nobody knows.
        (_, "StepFailed" | "KafkaUnavailable") if phase != Phase::Paused || !nobody_works => Next::Wait,
        (Phase::Paused, _) => Next::Done("paused; nothing is sent until `kubectl mailcampaign resume`"),
        // A resource that breaks a rule, say: the workers that it had may be there still.
        _ if !nobody_works => Next::Wait,
        _ => Next::Done("paused; nothing will be sent until `kubectl mailcampaign resume`"),
    }
}

/// `agreed`: a pause was ended already. One that comes after it is another, and its reason must be looked at first.
fn resuming(campaign: &Campaign, agreed: bool) -> Next {
    let status = campaign.status.as_ref();
    let phase = status.and_then(|status| status.phase);
    match phase {
        Some(Phase::Deleting) => return Next::Never("it is being deleted"),
        Some(Phase::Completed) if is_up_to_date(campaign) && !suspend(campaign) => {
            return Next::Done("finished; there is nothing to go on with");
        }
        _ => {}
    }
    let ended = campaign.metadata.annotations.as_ref().and_then(|annotations| annotations.get(RESUME));
    let paused = status.and_then(words::paused).filter(|paused| ended != Some(&paused.at));
    if agreed && paused.is_some() {
        return Next::Never(
            "it went on and was paused again at once; the reason stands in `kubectl mailcampaign status`",
        );
    }
    let mut change = json!({});
    if suspend(campaign) {
        change["spec"] = json!({"suspend": false});
    }
    if let Some(paused) = paused {
        change["metadata"] = json!({"annotations": {RESUME: paused.at}});
    }
    if change != json!({}) {
        return Next::Write(change);
    }
    let (Some(status), Some(phase)) = (status.filter(|_| is_up_to_date(campaign)), phase) else { return Next::Wait };
    match (phase, reason(status)) {
        (_, "StepFailed" | "KafkaUnavailable") | (Phase::Paused, _) => Next::Wait,
        (Phase::Sending, "Waiting" | "WaitingToRetry") | (Phase::Scheduled, _) => {
            Next::Done("goes on when its time has come; see `kubectl mailcampaign status`")
        }
        (Phase::Failed, _) => Next::Never("no longer paused, but it can't go on; see `kubectl mailcampaign status`"),
        _ => Next::Done("goes on"),
    }
}

#[cfg(test)]
mod tests;
