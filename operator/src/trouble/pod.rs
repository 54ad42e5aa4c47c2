//! What is wrong with one pod.

use super::{
    BAD_INPUT, CONFIG_MISSING, CONTAINER_NOT_CREATED, IMAGE_PULL_FAILED, MOUNT_FAILED, NODE_LOST, OUT_OF_MEMORY,
    PRODUCER_FAILED, Trouble, UNSCHEDULABLE, WORKER_FAILED, is_older, missing, says_missing, told,
};
use crate::build::{COMPONENT, Component};
use crate::job::KeptJob;
use crate::observed::pod_phase;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod, PodCondition};
use kube::ResourceExt;
use std::borrow::Borrow;

/// The label with a producer's shard.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The scheduler tries again before this is worth telling.
const SCHEDULING: SignedDuration = SignedDuration::from_secs(10);
/// Who has run for so long has got over what ended it before.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);
/// What happened before is past. Memory runs out slowly.
const PAST: SignedDuration = SignedDuration::from_mins(10);
/// How much longer than promised a pod may take to go.
const OVERDUE: SignedDuration = SignedDuration::from_secs(30);
/// From this many restarts on nobody believes any more that the next one helps.
const HOPELESS: i32 = 5;

/// A pod that counts, and those of its shard that it replaced.
pub(super) struct Seen<'a> {
    pub(super) pod: &'a Pod,
    /// The newest first.
    before: Vec<&'a Pod>,
    is_producer: bool,
}

/// The pods that count, in a fixed order: of each shard the newest.
pub(super) fn seen(pods: &[impl Borrow<Pod>]) -> Vec<Seen<'_>> {
    let mut sorted: Vec<&Pod> = pods.iter().map(Borrow::borrow).collect();
    sorted.sort_by_key(|pod| (std::cmp::Reverse(pod.creation_timestamp()), pod.name_any()));
    let mut seen: Vec<Seen<'_>> = Vec::new();
    for pod in sorted {
        let index = pod.labels().get(INDEX);
        let newer = seen.iter_mut().find(|seen| index.is_some() && seen.pod.labels().get(INDEX) == index);
        match newer {
            Some(newer) => newer.before.push(pod),
            None => seen.push(Seen { pod, before: Vec::new(), is_producer: is_producer(pod) }),
        }
    }
    seen.sort_by_key(|seen| seen.pod.name_any());
    seen
}

fn is_producer(pod: &Pod) -> bool {
    pod.labels().get(COMPONENT).is_some_and(|component| component == Component::Producer.name())
}

impl Seen<'_> {
    /// The part of the spec that is about this pod.
    fn field(&self) -> &'static str {
        if self.is_producer { "spec.producer" } else { "spec.workers" }
    }

    fn place(&self) -> String {
        format!("pod {}", self.pod.name_any())
    }

    fn is_going(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().chain(main).flatten()
}

/// Why a container waits, and what is said about it.
fn waiting(container: &ContainerStatus) -> Option<(&str, &str)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    Some((waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default()))
}

fn condition<'a>(pod: &'a Pod, name: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|condition| condition.type_ == name)
}

/// An image can't be had.
pub(super) fn image(seen: &Seen<'_>) -> Option<Trouble> {
    containers(seen.pod).filter(|_| !seen.is_going()).find_map(|container| {
        let (reason, message) = waiting(container)?;
        let lasting = match reason {
            // The first try: a registry may be slow once.
            "ErrImagePull" | "RegistryUnavailable" => false,
            "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError" => true,
            _ => return None,
        };
        let said = if message.is_empty() { reason.to_owned() } else { told(message) };
        let image = &container.image;
        let what_to_do = if ["producer", "worker"].contains(&container.name.as_str()) {
            format!(
                "set the operator's --image to one that the nodes can pull, or give a Secret to pull it with: --image-pull-secrets or {}.podTemplate.spec.imagePullSecrets",
                seen.field()
            )
        } else {
            format!("the container {} is not the operator's: whoever adds it to pods must mend it", container.name)
        };
        let message = format!("{}: image {image} can't be pulled: {said}; {what_to_do}", seen.place());
        Some(Trouble { reason: IMAGE_PULL_FAILED, message, lasting })
    })
}

/// No node takes it.
pub(super) fn unschedulable(seen: &Seen<'_>, now: Timestamp) -> Option<Trouble> {
    let condition = condition(seen.pod, "PodScheduled").filter(|condition| {
        condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable") && !seen.is_going()
    })?;
    let said = told(condition.message.as_deref().unwrap_or("no node fits"));
    if said.contains("persistentvolumeclaim") && says_missing(&said) {
        let message =
            format!("{}: {said}; make the PersistentVolumeClaim, or name another in the campaign", seen.place());
        return Some(Trouble { reason: CONFIG_MISSING, message, lasting: true });
    }
    let since = condition.last_transition_time.as_ref().map(|time| time.0);
    let since = since.or_else(|| seen.pod.creation_timestamp().map(|time| time.0));
    is_older(since, SCHEDULING, now).then(|| {
        let field = seen.field();
        let message = format!(
            "{}: no node takes it: {said}; lower {field}.resources.requests, change {field}.podTemplate.spec, or add nodes",
            seen.place()
        );
        Trouble { reason: UNSCHEDULABLE, message, lasting: false }
    })
}

/// Its containers can't be made, or what they mount isn't there.
pub(super) fn not_created(seen: &Seen<'_>, events: &[Event]) -> Option<Trouble> {
    if seen.is_going() {
        return None;
    }
    let waits = containers(seen.pod).find_map(|container| {
        waiting(container).filter(|(reason, _)| ["CreateContainerConfigError", "CreateContainerError"].contains(reason))
    });
    let is_pending = seen.pod.status.as_ref().is_none_or(|status| status.phase.as_deref() == Some("Pending"));
    let (said, otherwise) = match waits {
        Some((reason, message)) => (if message.is_empty() { reason } else { message }, CONTAINER_NOT_CREATED),
        None if is_pending => (missing::mount(seen.pod, events)?, MOUNT_FAILED),
        None => return None,
    };
    let is_missing = says_missing(said);
    let (reason, what_to_do) = if is_missing {
        (CONFIG_MISSING, "make the object or its key, or name another in the campaign: it goes on by itself".to_owned())
    } else {
        (otherwise, format!("see {}.podTemplate.spec and the events of the pod", seen.field()))
    };
    let message = format!("{}: {}; {what_to_do}", seen.place(), told(said));
    Some(Trouble { reason, message, lasting: is_missing })
}

/// How a container ended last: now, or before it was started again.
fn last_end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let ended = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.or_else(|| container.last_state.as_ref().and_then(|state| state.terminated.as_ref()))
}

fn finished(end: &ContainerStateTerminated) -> Option<Timestamp> {
    end.finished_at.as_ref().map(|time| time.0)
}

/// How this pod or one that it replaced ended badly, the newest first. Who was evicted has not failed.
fn failures<'a>(
    seen: &'a Seen<'_>,
) -> impl Iterator<Item = (&'a Pod, &'a ContainerStatus, &'a ContainerStateTerminated)> {
    let pods = std::iter::once(seen.pod).chain(seen.before.iter().copied());
    let in_place = |pod: &&Pod| {
        let disrupted = condition(pod, "DisruptionTarget").is_some_and(|condition| condition.status == "True");
        pod.metadata.deletion_timestamp.is_none() && !disrupted
    };
    pods.filter(in_place).flat_map(|pod| {
        let ends = containers(pod).filter_map(|container| Some((container, last_end(container)?)));
        ends.filter(|(_, end)| end.exit_code != 0).map(move |(container, end)| (pod, container, end))
    })
}

/// It used more memory than it may.
pub(super) fn out_of_memory(seen: &Seen<'_>, now: Timestamp) -> Option<Trouble> {
    let succeeded = pod_phase(seen.pod) == Some("Succeeded");
    let recent = |end: &ContainerStateTerminated| !is_older(finished(end), PAST, now);
    let mut killed = failures(seen).filter(|(_, _, end)| end.reason.as_deref() == Some("OOMKilled") && recent(end));
    let (pod, container, _) = killed.next().filter(|_| !succeeded)?;
    let limit = memory_limit(pod, &container.name).map(|limit| format!(" of {limit}")).unwrap_or_default();
    let field = seen.field();
    let message = format!(
        "pod {}: it used more memory than its limit{limit}; raise {field}.resources.limits.memory",
        pod.name_any()
    );
    Some(Trouble { reason: OUT_OF_MEMORY, message, lasting: true })
}

fn memory_limit<'a>(pod: &'a Pod, container: &str) -> Option<&'a str> {
    let containers = &pod.spec.as_ref()?.containers;
    let resources = containers.iter().find(|one| one.name == container)?.resources.as_ref()?;
    Some(&resources.limits.as_ref()?.get("memory")?.0)
}

/// It ended by itself, and nobody has yet shown that the next try goes better.
pub(super) fn ended(seen: &Seen<'_>, now: Timestamp) -> Option<Trouble> {
    let (pod, container, end) = failures(seen).next().filter(|_| !has_settled(seen.pod, now))?;
    Some(failure(seen, pod, container, end))
}

/// It has succeeded, or runs for so long that what ended it before is over.
fn has_settled(pod: &Pod, now: Timestamp) -> bool {
    let phase = pod_phase(pod);
    let mut containers = containers(pod).peekable();
    let runs_long = |container: &ContainerStatus| {
        let running = container.state.as_ref().and_then(|state| state.running.as_ref());
        let since = running.and_then(|running| running.started_at.as_ref()).map(|time| time.0);
        is_older(since, SETTLED, now)
    };
    phase == Some("Succeeded") || (phase == Some("Running") && containers.peek().is_some() && containers.all(runs_long))
}

fn failure(seen: &Seen<'_>, pod: &Pod, container: &ContainerStatus, end: &ContainerStateTerminated) -> Trouble {
    let name = pod.name_any();
    let said = end.message.as_deref().map(told).filter(|said| !said.is_empty());
    if end.exit_code == i32::from(program::exit::BAD_INPUT) {
        let said = said.unwrap_or_else(|| format!("nothing was said; see {}", logs(pod, container)));
        return Trouble { reason: BAD_INPUT, message: said, lasting: true };
    }
    let reason = if seen.is_producer { PRODUCER_FAILED } else { WORKER_FAILED };
    let ended = match end.signal {
        Some(signal) => format!("pod {name} was ended by signal {signal}"),
        None => format!("pod {name} ended with exit code {}", end.exit_code),
    };
    let message = match said {
        Some(said) => format!("{ended}: {said}"),
        None => format!("{ended}; see {}", logs(pod, container)),
    };
    Trouble { reason, message, lasting: container.restart_count >= HOPELESS }
}

fn logs(pod: &Pod, container: &ContainerStatus) -> String {
    let previous = if container.restart_count > 0 { " --previous" } else { "" };
    let namespace = pod.namespace().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    format!("kubectl logs{namespace} {} -c {}{previous}", pod.name_any(), container.name)
}

/// The Job has given up: with the words of its last pod, if that is still there.
pub(super) fn final_failure(seen: &[Seen<'_>], job: Option<&KeptJob>) -> Option<Trouble> {
    let conditions = job?.status.as_ref()?.conditions.as_deref()?;
    let is_final = |name: &str| ["Failed", "FailureTarget"].contains(&name);
    let failed = conditions.iter().find(|condition| is_final(&condition.type_) && condition.status == "True")?;
    let mut ends: Vec<_> = seen
        .iter()
        .filter(|seen| seen.is_producer)
        .flat_map(|seen| failures(seen).map(move |end| (seen, end)))
        .collect();
    let policy = failed.reason.as_deref() == Some("PodFailurePolicy");
    // Bad input ended it, whatever else failed before; and of several pods the one that ended last.
    ends.sort_by_key(|(_, (_, _, end))| {
        (policy && end.exit_code == i32::from(program::exit::BAD_INPUT), finished(end))
    });
    let Some((seen, (pod, container, end))) = ends.pop() else {
        let said = failed.message.as_deref().or(failed.reason.as_deref()).unwrap_or("it says not why");
        let reason = if policy { BAD_INPUT } else { PRODUCER_FAILED };
        return Some(Trouble {
            reason,
            message: format!("the producer's Job has failed: {}", told(said)),
            lasting: true,
        });
    };
    let trouble = if end.reason.as_deref() == Some("OOMKilled") {
        let message = format!(
            "pod {}: it used more memory than its limit; raise spec.producer.resources.limits.memory",
            pod.name_any()
        );
        Trouble { reason: OUT_OF_MEMORY, message, lasting: true }
    } else {
        failure(seen, pod, container, end)
    };
    Some(Trouble { lasting: true, ..trouble })
}

/// Its node doesn't answer: it should have gone long ago, or the cluster says so.
pub(super) fn node_lost(seen: &Seen<'_>, now: Timestamp) -> Option<Trouble> {
    let status = seen.pod.status.as_ref();
    let should_be_gone = seen.pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let is_stuck = is_older(should_be_gone, OVERDUE, now);
    let is_told = status.and_then(|status| status.reason.as_deref()) == Some("NodeLost");
    (is_stuck || is_told).then(|| {
        let node = seen.pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("unknown");
        let name = seen.pod.name_any();
        let message = format!(
            "pod {name} should have ended, and its node {node} doesn't say that it has; \
             mend the node, or delete it (kubectl delete node {node}) when it is certainly off"
        );
        Trouble { reason: NODE_LOST, message, lasting: false }
    })
}
