//! Pods that were never made, and volumes that were never mounted: only Events and conditions of others tell.

use super::pod::Seen;
use super::{PODS_REFUSED, Trouble, is_older, told};
use crate::job::KeptJob;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;

/// An Event that is older tells nothing of now: who makes pods tries again more often.
const PAST: SignedDuration = SignedDuration::from_mins(15);

/// The reason of an Event about who makes pods: the API server takes none.
pub(super) const NOT_CREATED: &str = "FailedCreate";
/// The reasons of Events about a pod's volumes.
pub(super) const NOT_MOUNTED: [&str; 2] = ["FailedMount", "FailedAttachVolume"];

/// The API server takes no pods.
pub(super) fn refused(
    seen: &[Seen<'_>],
    job: Option<&KeptJob>,
    deployment: Option<&Deployment>,
    events: &[Event],
    now: Timestamp,
) -> Option<Trouble> {
    let newest_pod = seen.iter().filter_map(|seen| seen.pod.creation_timestamp()).map(|time| time.0).max();
    let current = |event: &&Event| {
        let at = last_seen(event);
        event.reason.as_deref() == Some(NOT_CREATED) && at > newest_pod && !is_older(at, PAST, now)
    };
    let of_job = job.filter(|job| lacks_pods(job)).and_then(|job| {
        let about = |event: &&Event| is_about(event, "Job", &job.name_any(), job.uid().as_deref());
        newest(events.iter().filter(current).filter(about))
    });
    let said_of_job = of_job.and_then(|event| event.message.as_deref());
    let deployment = deployment.filter(|deployment| lacks_replicas(deployment));
    let said = said_of_job.map(|said| (said, "spec.producer")).or_else(|| {
        let deployment = deployment?;
        let prefix = format!("{}-", deployment.name_any());
        let about = |event: &&Event| {
            let object = &event.involved_object;
            let name = object.name.as_deref().unwrap_or_default();
            object.kind.as_deref() == Some("ReplicaSet") && name.starts_with(&prefix)
        };
        let of_set = newest(events.iter().filter(current).filter(about)).and_then(|event| event.message.as_deref());
        replica_failure(deployment).or(of_set).map(|said| (said, "spec.workers"))
    });
    said.map(|(said, field)| {
        let said = said.strip_prefix("Error creating: ").unwrap_or(said);
        // Room may be made by others; a rule stays.
        let is_quota = said.contains("exceeded quota");
        let what_to_do = if is_quota {
            format!("raise the quota, or lower {field}.resources")
        } else if said.contains("PodSecurity") {
            format!("change {field}.podTemplate.spec, or the namespace's pod-security labels")
        } else {
            format!("change {field}, or the rule that refuses it")
        };
        Trouble {
            reason: PODS_REFUSED,
            message: format!("pods are refused: {}; {what_to_do}", told(said)),
            lasting: !is_quota,
        }
    })
}

/// It should have more pods than it has, and none of them is just late.
fn lacks_pods(job: &KeptJob) -> bool {
    let number = |number: Option<i32>| number.unwrap_or_default();
    let status = job.status.as_ref();
    let (active, succeeded) = status.map_or((0, 0), |status| (number(status.active), number(status.succeeded)));
    let completions = job.spec.completions.unwrap_or(1);
    let parallelism = job.spec.parallelism.unwrap_or(1);
    active < parallelism.min(completions - succeeded)
}

fn lacks_replicas(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let there = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or_default();
    there < wanted || replica_failure(deployment).is_some()
}

fn replica_failure(deployment: &Deployment) -> Option<&str> {
    let conditions = deployment.status.as_ref()?.conditions.as_deref()?;
    let is = |text: &Option<String>, word: &str| text.as_deref() == Some(word);
    let failed = conditions.iter().find(|one| is(&one.type_, "ReplicaFailure") && is(&one.status, "True"))?;
    failed.message.as_deref().or(failed.reason.as_deref())
}

/// What is said about a volume of the pod that can't be mounted.
pub(super) fn mount<'a>(pod: &Pod, events: &'a [Event]) -> Option<&'a str> {
    let about = |event: &&Event| is_about(event, "Pod", &pod.name_any(), pod.uid().as_deref());
    let of_volumes = |event: &&Event| event.reason.as_deref().is_some_and(|reason| NOT_MOUNTED.contains(&reason));
    // "timed out waiting for the condition" says less than what came before it.
    let tells_why = |event: &&Event| {
        event.message.as_deref().is_some_and(|message| !message.starts_with("Unable to attach or mount"))
    };
    let mut found: Vec<&Event> = events.iter().filter(about).filter(of_volumes).collect();
    if found.iter().any(tells_why) {
        found.retain(|event| tells_why(event));
    }
    newest(found.into_iter())?.message.as_deref()
}

fn newest<'a>(events: impl Iterator<Item = &'a Event>) -> Option<&'a Event> {
    events.max_by_key(|event| last_seen(event))
}

/// Events of events.k8s.io and those of core/v1 tell their time in different fields.
fn last_seen(event: &Event) -> Option<Timestamp> {
    let in_series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0).or(event.first_timestamp.as_ref().map(|time| time.0));
    in_series.max(last).or(first)
}

/// One of an earlier object of the same name isn't.
fn is_about(event: &Event, kind: &str, name: &str, uid: Option<&str>) -> bool {
    let object = &event.involved_object;
    let same_life = object.uid.is_none() || uid.is_none() || object.uid.as_deref() == uid;
    object.kind.as_deref() == Some(kind) && object.name.as_deref() == Some(name) && same_life
}
