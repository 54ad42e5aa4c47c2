//! Whether a pod has started, and if not, why. Pure.

use super::pod::CONTAINER;
use k8s_openapi::api::core::v1::{ContainerState, Pod};

/// How far a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Its container runs.
    Running,
    /// Not yet; why, if that is known.
    NotYet(String),
    /// It won't by itself.
    Never(String),
}

/// What the kubelet says of a container that it will not start unless something is changed.
const HOPELESS: [&str; 6] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// How far it is.
pub fn of(pod: &Pod) -> Start {
    let Some(status) = &pod.status else { return Start::NotYet("nobody has looked at it".to_owned()) };
    let containers = status.container_statuses.iter().flatten();
    let state = containers.filter(|found| found.name == CONTAINER).find_map(|found| found.state.as_ref());
    match (state, status.phase.as_deref()) {
        (Some(ContainerState { running: Some(_), .. }), _) => Start::Running,
        (Some(state @ ContainerState { terminated: Some(_), .. }), _) => ended(state),
        (_, Some("Failed")) => {
            let why = [&status.reason, &status.message].map(|part| part.clone().unwrap_or_default());
            Start::Never(format!("it failed: {}", said(&why[0], &why[1])))
        }
        (Some(state), _) => waiting(state),
        (None, _) => unscheduled(pod),
    }
}

fn waiting(state: &ContainerState) -> Start {
    let Some(waiting) = &state.waiting else { return Start::NotYet("its container has not started".to_owned()) };
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let said = said(reason, waiting.message.as_deref().unwrap_or_default());
    match reason {
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Start::Never(format!(
            "its image can't be pulled: {said}. It is the image of the campaign's own pods, unless --image names another"
        )),
        _ if HOPELESS.contains(&reason) => Start::Never(said),
        "ContainerCreating" => Start::NotYet(
            "its container is being made; if that doesn't end, a ConfigMap, Secret or claim that it mounts isn't there"
                .to_owned(),
        ),
        _ => Start::NotYet(said),
    }
}

fn ended(state: &ContainerState) -> Start {
    let ended = state.terminated.clone().unwrap_or_default();
    let why = said(ended.reason.as_deref().unwrap_or_default(), ended.message.as_deref().unwrap_or_default());
    Start::Never(format!(
        "its container ended with exit code {} ({why}); at its beginning that means that the image's `mailcampaign` is older than this plugin: \
         upgrade the operator, or name an image with --image",
        ended.exit_code
    ))
}

fn unscheduled(pod: &Pod) -> Start {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    let mut refused = conditions.filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    let why = refused.next_back().and_then(|condition| condition.message.clone());
    Start::NotYet(why.map_or("no node has begun with it".to_owned(), |why| format!("no node takes it: {why}")))
}

fn said(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn start(status: Value) -> Start {
        of(&serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).expect("a pod"))
    }

    fn container(state: Value) -> Value {
        json!({"containerStatuses": [
            {"name": "sidecar", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
            {"name": "command", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state},
        ]})
    }

    #[test]
    fn only_its_own_container_counts() {
        assert_eq!(start(container(json!({"running": {}}))), Start::Running);
        assert!(matches!(start(container(json!({"waiting": {"reason": "PodInitializing"}}))), Start::NotYet(_)));
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_not_waited_for() {
        let waiting =
            |reason: &str| start(container(json!({"waiting": {"reason": reason, "message": "no such host"}})));
        for reason in ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"] {
            let Start::Never(why) = waiting(reason) else { panic!("{reason} is waited for") };
            assert!(why.contains("image can't be pulled") && why.contains("no such host"), "{why}");
        }
        // The first time it may have been the network.
        assert_eq!(waiting("ErrImagePull"), Start::NotYet("ErrImagePull: no such host".to_owned()));
    }

    #[test]
    fn an_image_that_is_too_old_says_so() {
        let ended = start(container(json!({"terminated": {"exitCode": 2, "reason": "Error"}})));
        let Start::Never(why) = ended else { panic!("{ended:?}") };
        assert!(why.contains("exit code 2 (Error)") && why.contains("older than this plugin"), "{why}");
    }

    #[test]
    fn a_pod_that_no_node_takes_says_why_and_is_waited_for() {
        let pending = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"},
        ]});
        assert_eq!(start(pending), Start::NotYet("no node takes it: 0/1 nodes are available".to_owned()));
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"});
        assert_eq!(start(evicted), Start::Never("it failed: Evicted: low on memory".to_owned()));
    }
}
