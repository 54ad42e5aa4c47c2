//! Finds out how a campaign stands. I/O: the caches, Kafka, and now and then the API server. Decides nothing.

use crate::context::Context;
use crate::kafka::Journals;
use crate::observed::{Children, Kafka, Observed, Pace, References, pod_phase};
use crate::resource::{Campaign, Kind, Named};
use crate::scaling::{Work, sendable_backlog};
use crate::seen::{Look, has_ended};
use campaign::status::Failure;
use campaign::{ContentKey, Counts, Schedule, ValidCampaign, references};
use jiff::{SignedDuration, Timestamp};
use journal::kafka::Survey;
use journal::{Error, Pin, Tally};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A look at Kafka is good for this long: many things may happen in a cluster in a moment.
const FRESH: Duration = Duration::from_millis(500);
/// What has not begun after so long is stuck.
const STUCK: SignedDuration = SignedDuration::from_secs(3);

/// What was found out, and the way to the campaign's Kafka.
pub struct Found {
    /// What was observed.
    pub observed: Observed,
    /// The way to its Kafka; or why there is none.
    pub journals: Result<Journals, String>,
    /// Why mails were not delivered.
    pub failures: Vec<Failure>,
    /// How fast it goes.
    pub pace: Pace,
}

/// Finds out how a campaign stands.
pub async fn observe(ctx: &Context, campaign: &Campaign, valid: Option<&ValidCampaign>) -> Found {
    let (mut children, leftovers) = ctx.caches.children(campaign);
    let mut references = references_of(ctx, campaign);
    let connection = campaign.kafka.connection.as_ref();
    let connection =
        connection.and_then(|connection| references.versions.get(&format!("Secret/{}", connection.secret.name)));
    // Also of a campaign that breaks a rule: it may have topics to delete.
    let journals = ctx.connections.of(campaign, connection.map(String::as_str)).await;
    let is_deleted = campaign.metadata.deletion_timestamp.is_some();
    let kafka = match &journals {
        _ if is_deleted => Kafka::NotAsked,
        Err(why) => Kafka::Silent { why: why.clone(), last: remembered(ctx, campaign) },
        Ok(journals) => look(ctx, campaign, journals).await,
    };
    if let Kafka::There(survey) = &kafka
        && let Some(pin) = &survey.pin
        && !has_ended(survey)
    {
        references.changed = changed(ctx, campaign, &references, pin).await;
    }
    children.events = warnings(ctx, campaign, &children);
    let failures = failures(ctx, campaign, &kafka, journals.as_ref().ok()).await;
    let observed = Observed { children, leftovers, references, kafka };
    let pace = pace(ctx, campaign, valid, &observed);
    Found { observed, journals, failures, pace }
}

fn remembered(ctx: &Context, campaign: &Campaign) -> Option<Box<Survey>> {
    ctx.memory(campaign.uid(), |memory| memory.survey.as_ref().map(|(_, survey)| Box::new(survey.clone())))
}

/// Which of the objects that the pods mount are there.
fn references_of(ctx: &Context, campaign: &Campaign) -> References {
    let mut found = References::default();
    let of_kafka = ctx.connections.secret_of_pods().filter(|_| campaign.kafka.connection.is_none());
    for named in campaign.refers_to.iter().chain(&of_kafka) {
        match ctx.caches.version(campaign.namespace(), named) {
            Some(version) => drop(found.versions.insert(key(named), version)),
            None => found.missing.push(named.clone()),
        }
    }
    found
}

fn key(named: &Named) -> String {
    format!("{}/{}", named.kind.name(), named.name)
}

/// What stands in topics with so many partitions into which nobody has written anything yet.
fn untouched(partitions: u32) -> Survey {
    Survey {
        pin: None,
        preflight: None,
        tally: Tally::default(),
        published: false,
        paused: None,
        suspended: None,
        obstacle: None,
        counts: Counts::default(),
        in_flight: 0,
        left_behind: 0,
        waiting: 0,
        next_due: None,
        partitions,
    }
}

/// Looks at the journal, unless the campaign is at rest and nothing was written there.
async fn look(ctx: &Context, campaign: &Campaign, journals: &Journals) -> Kafka {
    let fresh = ctx.memory(campaign.uid(), |memory| {
        memory.survey.as_ref().filter(|(when, _)| when.elapsed() < FRESH).map(|(_, survey)| survey.clone())
    });
    if let Some(survey) = fresh {
        return Kafka::There(Box::new(survey));
    }
    let asked = match rest(campaign, journals).await {
        Ok(Rest::Surely) => return Kafka::NotAsked,
        Ok(Rest::IfItEndsAt(end)) => {
            if ctx.memory(campaign.uid(), |memory| memory.control_end) == Some(end) {
                return Kafka::NotAsked;
            }
            let asked = ask(ctx, campaign, journals).await;
            // Remembered only with what was seen there: what else was written must not be taken for looked at.
            let is_over = matches!(&asked, Ok(Kafka::There(survey)) if has_ended(survey));
            ctx.memory(campaign.uid(), |memory| memory.control_end = is_over.then_some(end));
            asked
        }
        Ok(Rest::Not) => ask(ctx, campaign, journals).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(kafka) => kafka,
        Err(error @ Error::TopicGone { .. }) => {
            ctx.memory(campaign.uid(), |memory| (memory.journal, memory.survey) = (None, None));
            Kafka::Gone { why: error.to_string() }
        }
        Err(error) => {
            ctx.memory(campaign.uid(), |memory| memory.journal = None);
            Kafka::Silent { why: error.to_string(), last: remembered(ctx, campaign) }
        }
    }
}

/// Whether a campaign's end was seen, and is the end.
enum Rest {
    Not,
    /// All mails were delivered.
    Surely,
    /// A person may decide about those that were not: nobody has if `control` ended there before.
    IfItEndsAt(i64),
}

async fn rest(campaign: &Campaign, journals: &Journals) -> Result<Rest, Error> {
    if !campaign.is_said_to_have_ended() {
        return Ok(Rest::Not);
    }
    let delivered_all = campaign
        .status
        .as_ref()
        .and_then(|status| status.recipients)
        .is_some_and(|counts| counts.unknown == 0 && counts.failed == 0);
    if delivered_all { Ok(Rest::Surely) } else { journals.control_end().await.map(Rest::IfItEndsAt) }
}

async fn ask(ctx: &Context, campaign: &Campaign, journals: &Journals) -> Result<Kafka, Error> {
    let uid = campaign.uid();
    let journal = if let Some(journal) = ctx.memory(uid, |memory| memory.journal.clone()) {
        journal
    } else {
        let found = journals.find().await?;
        if !found.is_whole() {
            return absent(journals, found.is_nothing()).await;
        }
        // Many campaigns may wait for their first pod: that needs no client for each.
        if journals.control_end().await? == 0 {
            return Ok(Kafka::There(Box::new(untouched(found.outbox.unwrap_or(0)))));
        }
        journals.open().await?
    };
    let survey = journal.survey().await?;
    ctx.memory(uid, |memory| {
        memory.survey = Some((Instant::now(), survey.clone()));
        // What ended is not looked at again soon.
        memory.journal = (!has_ended(&survey)).then_some(journal);
    });
    Ok(Kafka::There(Box::new(survey)))
}

/// Not all topics are there: whether they may be made is found out when they are.
async fn absent(journals: &Journals, none: bool) -> Result<Kafka, Error> {
    let sent = if none { journals.sent_before().await? } else { Vec::new() };
    Ok(Kafka::Absent { sent })
}

/// Fields whose content in a ConfigMap isn't what is pinned. A Secret's content isn't read: the programs compare it when they start.
async fn changed(ctx: &Context, campaign: &Campaign, references: &References, pin: &Pin) -> Vec<String> {
    let document = campaign.document();
    let contents = references::of(&document);
    let mut changed = Vec::new();
    for named in campaign.refers_to.iter().filter(|named| named.kind == Kind::ConfigMap) {
        let Some(version) = references.versions.get(&key(named)) else { continue };
        let at = (key(named), version.clone());
        if let Some(known) = ctx.memory(campaign.uid(), |memory| memory.compared.get(&at).cloned()) {
            changed.extend(known);
            continue;
        }
        let api = Api::<ConfigMap>::namespaced(ctx.client.clone(), campaign.namespace());
        let Ok(config_map) = api.get(&named.name).await else { continue };
        let of_this = contents.iter().filter_map(|reference| match &reference.content {
            ContentKey::ConfigMap(key) if key.name == named.name => {
                Some((reference.field.strip_suffix(".configMap")?, key.key.as_str()))
            }
            _ => None,
        });
        let differ: Vec<String> = of_this
            .filter(|(field, key)| pin.contents.get(*field).is_some_and(|pinned| *pinned != hash_of(&config_map, key)))
            .map(|(field, _)| field.to_owned())
            .collect();
        changed.extend(differ.clone());
        ctx.memory(campaign.uid(), |memory| {
            memory.compared.retain(|(name, _), _| *name != at.0);
            memory.compared.insert(at, differ);
        });
    }
    changed
}

/// SHA-256 of a key of a ConfigMap, as contents are pinned.
fn hash_of(config_map: &ConfigMap, key: &str) -> String {
    let text = config_map.data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    let binary = config_map.binary_data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    bundle::sha256(text.or(binary).unwrap_or_default())
}

/// What the cluster says about a Job without pods and about pods that don't start: why, only Events tell.
fn warnings(ctx: &Context, campaign: &Campaign, children: &Children) -> Vec<Event> {
    let now = Timestamp::now();
    let is_old = |metadata: &ObjectMeta| {
        metadata.creation_timestamp.as_ref().is_some_and(|since| now.duration_since(since.0) >= STUCK)
    };
    let is_pending = |pod: &Arc<Pod>| pod_phase(pod) == Some("Pending") && is_old(&pod.metadata);
    let has_no_pods = children.pods.is_empty()
        && children.producer.as_ref().is_some_and(|job| {
            is_old(&job.metadata) && job.status.as_ref().is_none_or(|status| status.conditions.is_none())
        });
    if !has_no_pods && !children.pods.iter().any(is_pending) {
        return Vec::new();
    }
    ctx.caches.warnings(campaign)
}

/// Why mails were not delivered; read anew only if there are more or fewer of them.
async fn failures(ctx: &Context, campaign: &Campaign, kafka: &Kafka, journals: Option<&Journals>) -> Vec<Failure> {
    let (known, failures, journal) =
        ctx.memory(campaign.uid(), |memory| (memory.failures.0, memory.failures.1.clone(), memory.journal.clone()));
    let Kafka::There(survey) = kafka else { return failures };
    let failed = survey.counts.rejected + survey.counts.refused + survey.counts.dead;
    if failed == known {
        return failures;
    }
    let journal = match (journal, journals) {
        (Some(journal), _) => Ok(journal),
        (None, Some(journals)) => journals.open().await,
        (None, None) => return failures,
    };
    let Ok(journal) = journal else { return failures };
    let Ok(read) = journal.failures().await else { return failures };
    let read: Vec<Failure> = read.into_iter().map(|(code, count, reply)| Failure::new(code, count, &reply)).collect();
    ctx.memory(campaign.uid(), |memory| memory.failures = (failed, read.clone()));
    read
}

/// How fast it goes, by this look and those before.
fn pace(ctx: &Context, campaign: &Campaign, valid: Option<&ValidCampaign>, observed: &Observed) -> Pace {
    let (Some(valid), Kafka::There(survey)) = (valid, &observed.kafka) else { return Pace::default() };
    let now = Timestamp::now();
    let pace = |per_worker| Pace { per_worker, ..Pace::default() };
    let per_worker = ctx.memory(campaign.uid(), |memory| memory.capacity.per_second());
    let look = Look {
        campaign,
        valid: Some(valid),
        observed,
        producer: None,
        pace: pace(per_worker),
        deletion_deadline: ctx.deletion_deadline,
        now,
    };
    let Some(demand) = look.demand() else { return pace(per_worker) };
    let done = survey.counts.published.saturating_sub(survey.counts.unfinished());
    let ready = observed.children.workers.as_ref().and_then(|found| found.status.as_ref()?.ready_replicas).unwrap_or(0);
    let closes = Schedule::of(valid).open_until(now);
    ctx.memory(campaign.uid(), |memory| {
        let (at, before) = (journal::boottime(), memory.rates.clone());
        memory.rates.count(at, done, demand.is_open && !has_ended(survey));
        if let Some((then, done_then)) = before.latest()
            && let (Some(during), Some(done)) = (at.checked_sub(then), done.checked_sub(done_then))
        {
            let ready = u32::try_from(ready).unwrap_or(0);
            let (backlog, rate_per_second) = (sendable_backlog(&demand), demand.rate_per_second);
            memory.capacity.learn(&Work { done, during, ready, backlog, rate_per_second });
        }
        Pace {
            per_second: memory.rates.per_second(),
            done_at: memory.rates.completion(survey.counts.unfinished(), now, closes),
            per_worker: memory.capacity.per_second(),
        }
    })
}
