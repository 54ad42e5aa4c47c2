//! Why pods are not there or do not run, from what the cluster says about them. Pure.
//!
//! What is told is the worst of what is there, in the words of whoever knows (kubelet, scheduler, the program itself), with what to change. A text of
//! strangers never keeps a mail address.

mod missing;
mod pod;

use crate::job::KeptJob;
use campaign::status::without_addresses;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use pod::Seen;
use std::borrow::Borrow;

/// An image can't be had.
pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
/// The API server takes no pod: a quota, or a rule of the namespace or the cluster.
pub const PODS_REFUSED: &str = "PodsRefused";
/// No node takes a pod.
pub const UNSCHEDULABLE: &str = "Unschedulable";
/// An object that a pod mounts, or a key of it, isn't there.
pub const CONFIG_MISSING: &str = "ConfigMissing";
/// A container can't be made for another reason.
pub const CONTAINER_NOT_CREATED: &str = "ContainerNotCreated";
/// A volume can't be mounted for another reason.
pub const MOUNT_FAILED: &str = "MountFailed";
/// A container used more memory than it may.
pub const OUT_OF_MEMORY: &str = "OutOfMemory";
/// A program ended because of what it was given.
pub const BAD_INPUT: &str = "BadInput";
/// A producer ended before its work was done.
pub const PRODUCER_FAILED: &str = "ProducerFailed";
/// A worker ended by itself.
pub const WORKER_FAILED: &str = "WorkerFailed";
/// A node with a pod on it doesn't answer.
pub const NODE_LOST: &str = "NodeLost";

/// Longest text of a stranger that is passed on, in characters.
const LONGEST: usize = 1_000;

/// What keeps pods from doing their work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The condition's reason: one of the constants of this module.
    pub reason: &'static str,
    /// What happened, in which words, and what to change.
    pub message: String,
    /// It won't pass by itself: a person has to change something.
    pub lasting: bool,
}

/// The worst that is wrong now with the pods of a campaign, its Job and its Deployment; none: nothing is known to be. `events` are core/v1 Events about the pods, the
/// Job and the Deployment's ReplicaSets; others don't matter.
pub fn of(
    pods: &[impl Borrow<Pod>],
    job: Option<&KeptJob>,
    deployment: Option<&Deployment>,
    events: &[Event],
    now: Timestamp,
) -> Option<Trouble> {
    let seen = pod::seen(pods);
    let worst = |of: &dyn Fn(&Seen<'_>) -> Option<Trouble>| seen.iter().find_map(of);
    pod::final_failure(&seen, job)
        .or_else(|| worst(&pod::image))
        .or_else(|| missing::refused(&seen, job, deployment, events, now))
        .or_else(|| worst(&|seen| pod::unschedulable(seen, now)))
        .or_else(|| worst(&|seen| pod::not_created(seen, events)))
        .or_else(|| worst(&|seen| pod::out_of_memory(seen, now)))
        .or_else(|| worst(&|seen| pod::ended(seen, now)))
        .or_else(|| worst(&|seen| pod::node_lost(seen, now)))
}

/// Whether an Event may tell why pods are not there or do not run: no other is ever looked at.
pub fn is_told_by(event: &Event) -> bool {
    event
        .reason
        .as_deref()
        .is_some_and(|reason| reason == missing::NOT_CREATED || missing::NOT_MOUNTED.contains(&reason))
}

/// A text of strangers, fit for a status.
fn told(text: &str) -> String {
    // The digest of an image is no address.
    const DIGEST: (&str, &str) = ("@sha256:", "\u{1}sha256:");
    let text = without_addresses(&text.trim().replace(DIGEST.0, DIGEST.1)).replace(DIGEST.1, DIGEST.0);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Whether something was longer ago than that. What has no time was not.
fn is_older(at: Option<Timestamp>, than: SignedDuration, now: Timestamp) -> bool {
    at.is_some_and(|at| now.duration_since(at) >= than)
}

/// A name of an object that a message says isn't there: the one who says so and what.
fn says_missing(message: &str) -> bool {
    ["not found", "couldn't find", "non-existent"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests;
