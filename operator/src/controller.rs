//! The reconcile: one campaign, one step nearer to what its resource declares. Says of each of its steps whether it does I/O.

use crate::apply::{self, apply};
use crate::build::{self, Component, Input};
use crate::context::Context;
use crate::events;
use crate::lifecycle::{self, Decision, WaitsFor};
use crate::metrics::Reconciled;
use crate::observe::{Found, observe};
use crate::observed::Children;
use crate::resource::Campaign;
use crate::seen::Look;
use crate::status;
use crate::trouble::{self, Trouble};
use campaign::status::Phase;
use campaign::{MailCampaign, MailCampaignStatus, Mistake, Schedule, ValidCampaign, rules};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, info, instrument};

/// The field manager of the status.
const STATUS: &str = "mailcampaign-status";
/// Between two looks while the list is published: soon, so that the workers start as soon as it is pinned.
const SOON: Duration = Duration::from_secs(1);
/// Until the caches have what just was written.
const STALE: Duration = Duration::from_millis(200);
/// Between two looks while mails are sent.
const OFTEN: Duration = Duration::from_secs(5);
/// Between two looks while pods are waited for, of which a watch tells.
const NOW_AND_THEN: Duration = Duration::from_secs(20);
/// Between two looks while nothing is expected but by a watch.
const SELDOM: Duration = Duration::from_mins(1);

/// What makes a reconcile begin anew.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status can't be written.
    #[error("the status can't be written: {0}")]
    Status(#[source] Box<kube::Error>),
}

/// How a look at a campaign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// What became of it.
    pub result: Reconciled,
    /// When to look again; none: when something happens to it.
    pub again: Option<Duration>,
}

/// Brings one campaign a step nearer to what it declares.
///
/// # Errors
/// The API server doesn't take the status. What else fails is told there.
#[instrument(skip_all, fields(campaign = %campaign.key()))]
pub async fn reconcile(campaign: Arc<Campaign>, ctx: &Context) -> Result<Looked, Error> {
    if !ctx.leader.is_leading() {
        return Ok(Looked { result: Reconciled::Done, again: None });
    }
    let campaign = campaign.opened(); // pure
    let (valid, mistakes) = judged(&campaign); // pure
    let valid = valid.as_ref();
    let found = observe(ctx, &campaign, valid).await; // I/O: caches, Kafka
    let now = Timestamp::now();
    let pinned = found.observed.kafka.survey().is_some_and(|survey| survey.pin.is_some());
    let kafka = valid.map(|valid| ctx.connections.for_pods(&valid.spec.kafka)).unwrap_or_default();
    let versions = &found.observed.references.versions;
    let input =
        valid.map(|valid| Input { campaign: &campaign, valid, pods: &ctx.pods, kafka: &kafka, versions, pinned });
    let producer = input.as_ref().map(build::producer); // pure
    let look = Look {
        campaign: &campaign,
        valid,
        observed: &found.observed,
        producer: producer.as_ref(),
        pace: found.pace,
        deletion_deadline: ctx.deletion_deadline,
        now,
    };
    let seen = look.seen(); // pure
    let decision = lifecycle::next(&seen); // pure: what
    debug!(?seen, ?decision, "decided");
    let children = &found.observed.children;
    let steps = decision.steps_for_now(is_new(ctx, &campaign, children) && !ctx.queue.is_empty()); // pure
    let declared = input.as_ref().zip(producer.as_ref());
    let applied = apply(ctx, declared, &campaign, children, &found.journals, steps).await; // I/O
    let result = match &applied {
        Ok(()) => Reconciled::Done,
        Err(error) if error.is_stale_view() => Reconciled::Stale,
        Err(_) => Reconciled::StepFailed,
    };
    if applied.is_ok() && steps.len() < decision.steps.len() {
        return Ok(Looked { result, again: Some(STALE) });
    }
    let failed = applied.as_ref().err().filter(|error| !error.is_stale_view()).map(ToString::to_string);
    let trouble = trouble_of(&found, now); // pure
    let said = status::of(&status::Facts {
        campaign: &campaign,
        valid,
        mistakes: &mistakes,
        observed: &found.observed,
        seen: &seen,
        decision: &decision,
        failed: failed.as_deref(),
        trouble: trouble.as_ref(),
        retry_of_input: look.retry_of_input(),
        failures: &found.failures,
        pace: found.pace,
        deletion_until: deletion_until(&campaign, ctx.deletion_deadline),
        now,
    }); // pure
    let again = again(&look, &decision, &applied);
    if again > OFTEN {
        // Its clients are kept for a campaign that is looked at often, and for no other.
        ctx.memory(campaign.uid(), |memory| memory.journal = None);
    }
    let gone = decision.steps.contains(&lifecycle::Step::Release) && campaign.metadata.deletion_timestamp.is_some();
    if gone && applied.is_ok() {
        return Ok(Looked { result, again: None });
    }
    let late = tell(ctx, &campaign, said).await?; // I/O: only if it changed
    Ok(Looked { result, again: Some(late.map_or(again, |late| late.min(again))) })
}

/// Whether nothing was made for it yet, neither as the caches have it nor as this replica remembers it.
fn is_new(ctx: &Context, campaign: &Campaign, children: &Children) -> bool {
    let file = Component::Campaign.of(campaign.name());
    children.file.is_none() && !ctx.memory(campaign.uid(), |memory| memory.has_applied::<ConfigMap>(&file))
}

fn judged(campaign: &Campaign) -> (Option<ValidCampaign>, Vec<Mistake>) {
    match rules::parse(&campaign.document()) {
        Ok(valid) => (Some(valid), Vec::new()),
        Err(mistakes) => (None, mistakes),
    }
}

fn trouble_of(found: &Found, now: Timestamp) -> Option<Trouble> {
    let children = &found.observed.children;
    trouble::of(&children.pods, children.producer.as_deref(), children.workers.as_deref(), &children.events, now)
}

fn deletion_until(campaign: &Campaign, deadline: SignedDuration) -> Option<Timestamp> {
    campaign.metadata.deletion_timestamp.as_ref()?.0.checked_add(deadline).ok()
}

/// When to look again, if nothing happens before.
fn again(look: &Look<'_>, decision: &Decision, applied: &Result<(), apply::Error>) -> Duration {
    match applied {
        // The caches will be up to date in a moment.
        Err(error) if error.is_stale_view() => return STALE,
        Err(_) => return OFTEN,
        Ok(()) => {}
    }
    let until = |at: Option<Timestamp>| {
        let at = at.map(|at| Duration::try_from(at.duration_since(look.now)).unwrap_or_default());
        at.map_or(SELDOM, |at| at.clamp(Duration::from_millis(100), SELDOM))
    };
    let schedule = look.valid.map(Schedule::of).unwrap_or_default();
    let change = schedule.waiting(look.now).map_or_else(|| schedule.open_until(look.now), |waiting| waiting.until);
    match decision.waits_for {
        // What comes to its pods, a watch tells.
        WaitsFor::Producer if look.observed.children.pods.is_empty() => NOW_AND_THEN,
        WaitsFor::Pods | WaitsFor::Producer | WaitsFor::Leftovers => SOON,
        WaitsFor::Workers | WaitsFor::Kafka => until(change).min(OFTEN),
        // Its producers or workers go on meanwhile.
        _ if look.is_under_way() => until(change).min(OFTEN),
        WaitsFor::Nothing => until(look.expires_at()),
        _ => until(change),
    }
}

/// Writes the status if it says something new, and says it by Events too; not more often than it should be. Returns when to come back with what
/// could not be written yet.
async fn tell(ctx: &Context, campaign: &Campaign, said: MailCampaignStatus) -> Result<Option<Duration>, Error> {
    let before = campaign.status.as_deref();
    if before == Some(&said) {
        return Ok(None);
    }
    let written = ctx.memory(campaign.uid(), |memory| memory.status_written);
    if let Some(early) = written.and_then(|at| ctx.status_interval.checked_sub(at.elapsed())) {
        return Ok(Some(early));
    }
    let api = Api::<Campaign>::namespaced(ctx.client.clone(), campaign.namespace());
    let status = json!({
        "apiVersion": MailCampaign::api_version(&()),
        "kind": MailCampaign::kind(&()),
        // Of a status the server compares no uid: only the version keeps what is known of an old campaign off a new one of its name.
        "metadata": {"name": campaign.name(), "resourceVersion": campaign.metadata.resource_version},
        "status": said,
    });
    let applying = PatchParams::apply(STATUS).force();
    match api.patch_status(campaign.name(), &applying, &Patch::Apply(&status)).await {
        Ok(_) => {}
        // It is gone; or it was changed since it was seen, or is another by now.
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(None),
        Err(kube::Error::Api(status)) if status.is_conflict() => return Ok(Some(STALE)),
        Err(error) => return Err(Error::Status(Box::new(error))),
    }
    ctx.memory(campaign.uid(), |memory| memory.status_written = Some(Instant::now()));
    if before.and_then(|before| before.phase) != said.phase {
        info!(phase = said.phase.map(Phase::name), "the campaign's phase");
    }
    // With its version, so that what is said next is told anew instead of being counted under what was said before.
    let about =
        ObjectReference { resource_version: campaign.metadata.resource_version.clone(), ..campaign.object_ref(&()) };
    events::publish(&ctx.recorder, &about, before, &said).await;
    Ok(None)
}
