//! Pods, Jobs and Events as a cluster writes them, and what is said of them.

use super::*;
use serde_json::{Value, json};

const NOW: &str = "2027-03-01T08:10:00Z";
const NO_PODS: &[Pod] = &[];

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("as the API writes it")
}

/// A worker's pod of eight minutes, with a status.
fn worker(status: Value) -> Pod {
    from(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "offers-worker-6d9f7c5b8-x2x4z",
            "namespace": "shop",
            "uid": "aaaa",
            "creationTimestamp": "2027-03-01T08:02:00Z",
            "labels": {"app.kubernetes.io/component": "worker", "app.kubernetes.io/instance": "offers"},
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "worker", "image": "example.com/mailcampaign:1", "resources": {"limits": {"memory": "512Mi"}}}],
        },
        "status": status,
    }))
}

/// A producer's pod of one shard, made at a minute.
fn producer(index: u32, minute: u32, status: Value) -> Pod {
    from(json!({
        "metadata": {
            "name": format!("offers-producer-{index}-m{minute}"),
            "namespace": "shop",
            "uid": format!("p{index}{minute}"),
            "creationTimestamp": format!("2027-03-01T08:{minute:02}:00Z"),
            "labels": {"app.kubernetes.io/component": "producer", "batch.kubernetes.io/job-completion-index": index.to_string()},
        },
        "spec": {"containers": [{"name": "producer", "image": "example.com/mailcampaign:1"}]},
        "status": status,
    }))
}

/// The container's part of a pod's status.
fn container(name: &str, fields: Value) -> Value {
    let mut container = json!({
        "name": name, "image": "example.com/mailcampaign:1", "imageID": "", "ready": false, "restartCount": 0, "started": false,
    });
    for (key, value) in fields.as_object().expect("fields") {
        container[key] = value.clone();
    }
    container
}

fn pending(reason: &str, message: &str) -> Value {
    let state = json!({"state": {"waiting": {"reason": reason, "message": message}}});
    json!({"phase": "Pending", "containerStatuses": [container("worker", state)]})
}

fn terminated(code: i32, reason: &str, message: Option<&str>, minute: u32) -> Value {
    let mut end = json!({
        "exitCode": code, "reason": reason, "startedAt": "2027-03-01T08:00:00Z", "finishedAt": format!("2027-03-01T08:{minute:02}:00Z"),
    });
    if let Some(message) = message {
        end["message"] = message.into();
    }
    json!({"terminated": end})
}

fn failed_producer(index: u32, minute: u32, code: i32, message: Option<&str>) -> Pod {
    let state = json!({"state": terminated(code, "Error", message, minute)});
    producer(index, minute, json!({"phase": "Failed", "containerStatuses": [container("producer", state)]}))
}

fn job(status: Value) -> KeptJob {
    from(json!({
        "metadata": {"name": "offers-producer", "namespace": "shop", "uid": "jjjj"},
        "spec": {"completions": 4, "parallelism": 4, "completionMode": "Indexed", "template": {"spec": {"containers": []}}},
        "status": status,
    }))
}

fn deployment(status: Value) -> Deployment {
    from(json!({
        "metadata": {"name": "offers-worker", "namespace": "shop", "uid": "dddd"},
        "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": []}}},
        "status": status,
    }))
}

fn event(kind: &str, name: &str, uid: &str, reason: &str, message: &str, minute: u32) -> Event {
    let at = format!("2027-03-01T08:{minute:02}:00Z");
    from(json!({
        "metadata": {"name": format!("{name}.17f"), "namespace": "shop"},
        "involvedObject": {"apiVersion": "batch/v1", "kind": kind, "name": name, "namespace": "shop", "uid": uid},
        "reason": reason, "message": message, "type": "Warning", "count": 3,
        "firstTimestamp": "2027-03-01T08:00:00Z", "lastTimestamp": at, "source": {"component": "job-controller"},
        "reportingComponent": "job-controller", "reportingInstance": "",
    }))
}

fn of_pods(pods: &[Pod]) -> Option<Trouble> {
    of(pods, None, None, &[], now())
}

/// The reason, whether it lasts, and that the message says so much.
#[track_caller]
fn assert_says(trouble: Option<Trouble>, reason: &str, lasting: bool, parts: &[&str]) {
    let trouble = trouble.expect("trouble");
    assert_eq!((trouble.reason, trouble.lasting), (reason, lasting), "{}", trouble.message);
    for part in parts {
        assert!(trouble.message.contains(part), "{part:?} is not in {:?}", trouble.message);
    }
    assert!(!trouble.message.contains("ann@example.com"), "{}", trouble.message);
}

#[test]
fn pods_that_run_or_have_succeeded_are_no_trouble() {
    let running = json!({"running": {"startedAt": "2027-03-01T08:02:05Z"}});
    let ready = container("worker", json!({"state": running, "ready": true, "started": true}));
    let starting = pending("ContainerCreating", "");
    let done = json!({"phase": "Succeeded", "containerStatuses": [container("producer", json!({"state": terminated(0, "Completed", None, 5)}))]});
    let pods =
        [worker(json!({"phase": "Running", "containerStatuses": [ready]})), worker(starting), producer(0, 2, done)];
    assert_eq!(of_pods(&pods), None);
    assert_eq!(of_pods(&[]), None);
    assert_eq!(of_pods(&[worker(json!({}))]), None);
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_with_what_the_kubelet_says() {
    let said = "Back-off pulling image \"example.com/mailcampaign@sha256:0a1b\": ErrImagePull: not found";
    for (reason, lasting) in [("ErrImagePull", false), ("ImagePullBackOff", true), ("InvalidImageName", true)] {
        let trouble = of_pods(&[worker(pending(reason, said))]);
        assert_says(
            trouble,
            "ImagePullFailed",
            lasting,
            &["image example.com/mailcampaign:1", said, "--image", "spec.workers.podTemplate"],
        );
    }
    let mut sidecar = pending("ImagePullBackOff", "no such image");
    sidecar["containerStatuses"][0]["name"] = "istio-proxy".into();
    assert_says(of_pods(&[worker(sidecar)]), "ImagePullFailed", true, &["istio-proxy is not the operator's"]);
}

#[test]
fn pods_that_a_quota_or_a_rule_refuses_are_told_by_the_job_or_the_deployment() {
    let quota = "Error creating: pods \"offers-producer-0-\" is forbidden: exceeded quota: compute, requested: limits.memory=512Mi, used: limits.memory=1Gi, limited: limits.memory=1Gi";
    let security = "Error creating: pods \"offers-worker-6d9f7c5b8-\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
    let waiting = job(json!({"active": 0, "ready": 0}));
    let of_job = [event("Job", "offers-producer", "jjjj", "FailedCreate", quota, 9)];
    assert_says(
        of(NO_PODS, Some(&waiting), None, &of_job, now()),
        "PodsRefused",
        false,
        &["exceeded quota: compute", "spec.producer.resources"],
    );

    let condition =
        json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": security}]);
    let refused = deployment(json!({"conditions": condition}));
    assert_says(
        of(NO_PODS, None, Some(&refused), &[], now()),
        "PodsRefused",
        true,
        &["runAsNonRoot", "spec.workers.podTemplate.spec"],
    );

    let bare = deployment(json!({"replicas": 0}));
    let of_set = [event(
        "ReplicaSet",
        "offers-worker-6d9f7c5b8",
        "rrrr",
        "FailedCreate",
        "Error creating: admission webhook \"x\" denied the request",
        9,
    )];
    assert_says(
        of(NO_PODS, None, Some(&bare), &of_set, now()),
        "PodsRefused",
        true,
        &["pods are refused: admission webhook"],
    );
}

#[test]
fn a_refusal_that_is_over_is_not_told_any_more() {
    let refusal = |uid, minute| [event("Job", "offers-producer", uid, "FailedCreate", "exceeded quota", minute)];
    let lacks = job(json!({"active": 3}));
    let pod = producer(0, 6, json!({"phase": "Running"}));
    assert!(of(NO_PODS, Some(&lacks), None, &refusal("jjjj", 5), now()).is_some());
    assert_eq!(of(NO_PODS, Some(&lacks), None, &refusal("of an earlier Job", 5), now()), None);
    assert_eq!(of(&[pod], Some(&lacks), None, &refusal("jjjj", 5), now()), None, "a pod was made since");
    for all_there in [json!({"active": 4}), json!({"active": 1, "succeeded": 3})] {
        assert_eq!(of(NO_PODS, Some(&job(all_there)), None, &refusal("jjjj", 5), now()), None);
    }
    let much_later: Timestamp = "2027-03-01T08:20:00Z".parse().expect("a time");
    assert_eq!(of(NO_PODS, Some(&lacks), None, &refusal("jjjj", 5), much_later), None);
}

#[test]
fn a_pod_that_no_node_takes_is_told_after_ten_seconds() {
    let unscheduled = |since: &str, message: &str| {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastTransitionTime": since});
        worker(json!({"phase": "Pending", "conditions": [condition]}))
    };
    let said = "0/3 nodes are available: 3 Insufficient memory.";
    let trouble = of_pods(&[unscheduled("2027-03-01T08:09:50Z", said)]);
    assert_says(trouble, "Unschedulable", false, &[said, "spec.workers.resources.requests"]);
    assert_eq!(of_pods(&[unscheduled("2027-03-01T08:09:51Z", said)]), None);
    let claim =
        "0/3 nodes are available: persistentvolumeclaim \"lists\" not found. preemption: 0/3 nodes are available";
    assert_says(
        of_pods(&[unscheduled("2027-03-01T08:10:00Z", claim)]),
        "ConfigMissing",
        true,
        &["\"lists\" not found", "PersistentVolumeClaim"],
    );
}

#[test]
fn an_object_or_a_key_that_is_missing_is_named() {
    let missing = worker(pending("CreateContainerConfigError", "secret \"smtp-credentials\" not found"));
    assert_says(of_pods(&[missing]), "ConfigMissing", true, &["secret \"smtp-credentials\" not found"]);
    let key =
        worker(pending("CreateContainerConfigError", "couldn't find key password in Secret shop/smtp-credentials"));
    assert_says(of_pods(&[key]), "ConfigMissing", true, &["couldn't find key password"]);
    let root = worker(pending("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"));
    assert_says(of_pods(&[root]), "ContainerNotCreated", false, &["runAsNonRoot"]);
}

#[test]
fn a_volume_that_cannot_be_mounted_is_told_by_an_event_of_its_pod() {
    let pod = || worker(pending("ContainerCreating", ""));
    let name = "offers-worker-6d9f7c5b8-x2x4z";
    let missing = "MountVolume.SetUp failed for volume \"files\" : configmap \"offers-files\" not found";
    let events = [
        event("Pod", name, "aaaa", "FailedMount", missing, 8),
        event(
            "Pod",
            name,
            "aaaa",
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[files]: timed out waiting for the condition",
            9,
        ),
    ];
    assert_says(
        of(&[pod()], None, None, &events, now()),
        "ConfigMissing",
        true,
        &["configmap \"offers-files\" not found"],
    );
    let key = "MountVolume.SetUp failed for volume \"files\" : references non-existent config key: offers.xlsx";
    let events = [event("Pod", name, "aaaa", "FailedMount", key, 8)];
    assert_says(of(&[pod()], None, None, &events, now()), "ConfigMissing", true, &["offers.xlsx"]);
    let server = "MountVolume.SetUp failed for volume \"pv\" : mount failed: exit status 32";
    let events = [event("Pod", name, "aaaa", "FailedMount", server, 8)];
    assert_says(of(&[pod()], None, None, &events, now()), "MountFailed", false, &["exit status 32"]);
    let running = worker(json!({"phase": "Running"}));
    assert_eq!(of(&[running], None, None, &events, now()), None, "it was mounted at last");
    let of_another = [event("Pod", name, "bbbb", "FailedMount", missing, 8)];
    assert_eq!(of(&[pod()], None, None, &of_another, now()), None);
}

#[test]
fn memory_that_ran_out_is_told_for_ten_minutes_also_while_the_next_try_runs() {
    let again = |minute: u32| {
        let running = json!({"running": {"startedAt": "2027-03-01T08:08:00Z"}});
        let fields = json!({"state": running, "lastState": terminated(137, "OOMKilled", None, minute), "ready": true, "restartCount": 1});
        worker(json!({"phase": "Running", "containerStatuses": [container("worker", fields)]}))
    };
    assert_says(of_pods(&[again(8)]), "OutOfMemory", true, &["of 512Mi", "raise spec.workers.resources.limits.memory"]);
    assert_eq!(of_pods(&[again(0)]), None);
    let state = json!({"state": terminated(137, "OOMKilled", None, 9)});
    let of_shard = producer(1, 5, json!({"phase": "Failed", "containerStatuses": [container("producer", state)]}));
    let next = producer(1, 9, pending("ContainerCreating", ""));
    assert_says(of_pods(&[next, of_shard]), "OutOfMemory", true, &["spec.producer.resources.limits.memory"]);
}

#[test]
fn a_crash_is_told_in_the_words_of_the_program_until_the_next_try_has_run_for_a_minute() {
    let crashed = |state: Value, restarts: i32| {
        let end = terminated(1, "Error", Some("error: Kafka at kafka:9092 can't be reached: refused\n"), 9);
        let fields = json!({"state": state, "lastState": end, "restartCount": restarts});
        worker(json!({"phase": "Running", "containerStatuses": [container("worker", fields)]}))
    };
    let back_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=worker"}});
    let words = ["ended with exit code 1", "Kafka at kafka:9092 can't be reached: refused"];
    assert_says(of_pods(&[crashed(back_off.clone(), 1)]), "WorkerFailed", false, &words);
    assert_says(of_pods(&[crashed(back_off, 5)]), "WorkerFailed", true, &words);
    let running = |since: &str| json!({"running": {"startedAt": since}});
    assert!(of_pods(&[crashed(running("2027-03-01T08:09:05Z"), 1)]).is_some());
    assert_eq!(of_pods(&[crashed(running("2027-03-01T08:09:00Z"), 1)]), None);

    let silent = json!({"state": terminated(139, "Error", None, 9), "restartCount": 2});
    let silent = worker(json!({"phase": "Running", "containerStatuses": [container("worker", silent)]}));
    assert_says(
        of_pods(&[silent]),
        "WorkerFailed",
        false,
        &["kubectl logs -n shop offers-worker-6d9f7c5b8-x2x4z -c worker --previous"],
    );
}

#[test]
fn bad_input_is_told_in_the_words_of_the_program_alone_and_without_addresses() {
    let said = "error: spec.message.subject: the list has no column \"nmae\"\nerror: row of <ann@example.com>";
    let trouble = of_pods(&[failed_producer(0, 9, 2, Some(said))]);
    assert_eq!(
        trouble.as_ref().map(|trouble| trouble.message.as_str()),
        Some("error: spec.message.subject: the list has no column \"nmae\"\nerror: row of <…>")
    );
    assert_says(trouble, "BadInput", true, &[]);
}

#[test]
fn a_shard_that_went_on_in_another_pod_is_no_trouble_any_more() {
    let failed = || failed_producer(2, 5, 1, Some("error: no broker answers"));
    let done = json!({"phase": "Succeeded", "containerStatuses": [container("producer", json!({"state": terminated(0, "Completed", None, 8)}))]});
    assert_says(
        of_pods(&[failed(), producer(2, 6, pending("ContainerCreating", ""))]),
        "ProducerFailed",
        false,
        &["no broker answers"],
    );
    assert_eq!(of_pods(&[failed(), producer(2, 6, done.clone())]), None);
    assert_says(of_pods(&[failed(), producer(3, 6, done)]), "ProducerFailed", false, &["no broker answers"]);
}

#[test]
fn a_pod_that_was_evicted_or_is_being_deleted_has_not_failed() {
    let mut evicted = failed_producer(0, 9, 143, None);
    let disrupted = json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]);
    evicted.status.get_or_insert_default().conditions = from(disrupted);
    assert_eq!(of_pods(&[evicted]), None);
    let mut going = failed_producer(0, 9, 1, None);
    going.metadata.deletion_timestamp = from(json!("2027-03-01T08:10:00Z"));
    assert_eq!(of_pods(&[going]), None);
}

#[test]
fn a_job_that_has_given_up_is_told_before_all_else_with_the_words_of_its_last_pod() {
    let condition = |reason: &str| json!([{"type": "Failed", "status": "True", "reason": reason, "message": "Container producer for pod shop/offers-producer-0-m9 failed with exit code 2 matching FailJob rule at index 0"}]);
    let failed = job(json!({"failed": 1, "conditions": condition("PodFailurePolicy")}));
    let pods = [
        failed_producer(1, 9, 1, Some("stopped")),
        failed_producer(0, 8, 2, Some("error: no such sheet")),
        worker(pending("ErrImagePull", "")),
    ];
    assert_says(of(&pods, Some(&failed), None, &[], now()), "BadInput", true, &["no such sheet"]);
    assert_says(of(NO_PODS, Some(&failed), None, &[], now()), "BadInput", true, &["failed with exit code 2"]);
    let hopeless = job(json!({"failed": 30, "conditions": condition("FailedIndexes")}));
    assert_says(
        of(&[failed_producer(1, 9, 1, Some("no broker"))], Some(&hopeless), None, &[], now()),
        "ProducerFailed",
        true,
        &["no broker"],
    );
    assert_says(
        of(NO_PODS, Some(&hopeless), None, &[], now()),
        "ProducerFailed",
        true,
        &["the producer's Job has failed"],
    );
}

#[test]
fn a_node_that_does_not_let_go_of_its_pod_is_told_half_a_minute_after_the_pod_should_be_gone() {
    let stuck = |since: &str| {
        let mut pod = worker(json!({"phase": "Running"}));
        pod.metadata.deletion_timestamp = from(json!(since));
        pod
    };
    assert_says(
        of_pods(&[stuck("2027-03-01T08:09:30Z")]),
        "NodeLost",
        false,
        &["node-1", "kubectl delete node node-1"],
    );
    assert_eq!(of_pods(&[stuck("2027-03-01T08:09:31Z")]), None);
    assert_says(of_pods(&[worker(json!({"phase": "Running", "reason": "NodeLost"}))]), "NodeLost", false, &[]);
}

#[test]
fn the_worst_of_several_is_told_and_the_order_of_the_pods_does_not_matter() {
    let pods = [
        worker(pending("CreateContainerConfigError", "secret \"x\" not found")),
        failed_producer(0, 9, 1, None),
        producer(1, 2, pending("ImagePullBackOff", "no")),
    ];
    let forth = of_pods(&pods);
    assert_eq!(forth, of_pods(&pods.into_iter().rev().collect::<Vec<_>>()));
    assert_says(forth, "ImagePullFailed", true, &[]);
}

#[test]
fn a_long_text_is_cut() {
    let trouble = of_pods(&[failed_producer(0, 9, 2, Some(&"ü".repeat(4_000)))]).expect("trouble");
    assert_eq!(trouble.message.chars().count(), LONGEST + 1);
}
