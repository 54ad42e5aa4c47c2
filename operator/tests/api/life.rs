//! A campaign's life, from apply to deletion, without faults.

use crate::faults::Plan;
use crate::node::ROWS;
use crate::world::{World, condition, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn a_campaign_goes_from_apply_to_completed_and_says_so() {
    let world = World::new("life").await;
    let (plan, does) = (Plan::default(), world.node.does.clone());
    let operator = world.operator(&plan);
    world.apply("offers", |_| {}).await.expect("taken");
    let done = world.until_phase("offers", "Completed").await;
    let status = &done["status"];
    assert_eq!(status["recipients"]["delivered"], ROWS);
    assert_eq!(status["progressPercent"], 100);
    assert_eq!(status["observedGeneration"], done["metadata"]["generation"]);
    for (name, holds) in [
        ("Validated", "True"),
        ("TopicsReady", "True"),
        ("Published", "True"),
        ("Complete", "True"),
        ("Degraded", "False"),
    ] {
        assert_eq!(condition(&done, name)["status"], holds, "{name}");
    }
    assert!(status["startTime"].is_string() && status["completionTime"].is_string());
    eventually("no worker is asked for", async || {
        let deployment = world.api::<Deployment>().get("offers-worker").await.expect("it stays");
        deployment.spec.replicas == Some(0)
    })
    .await;
    assert_eq!(does.producer_runs.load(Ordering::Relaxed), 1);
    let creations = creations(&plan);
    assert_eq!(
        creations,
        [
            "configmaps offers-campaign",
            "deployments offers-worker",
            "horizontalpodautoscalers offers-worker",
            "jobs offers-producer"
        ]
    );
    operator.end().await;
}

/// What was made, each time that it was made.
pub(crate) fn creations(plan: &Plan) -> Vec<String> {
    let made = plan.writes().into_iter().filter(|write| write.created && write.call.plural != "events");
    let mut made: Vec<String> = made.map(|write| format!("{} {}", write.call.plural, write.call.name)).collect();
    made.sort();
    made
}

#[tokio::test]
async fn a_campaign_at_rest_is_not_written_to() {
    let world = World::new("rest").await;
    let plan = Plan::default();
    let operator = world.operator(&plan);
    world.apply("offers", |_| {}).await.expect("taken");
    world.until_phase("offers", "Completed").await;
    world.until("offers", "its workers are gone", |campaign| campaign["status"]["workers"]["ready"] == 0).await;
    operator.end().await;
    let before = world.campaign("offers").await;
    let plan = Plan::default();
    let operator = world.operator(&plan);
    world.apply("other", |_| {}).await.expect("taken");
    world.until_phase("other", "Completed").await;
    let touched: Vec<_> = plan.writes().into_iter().filter(|write| write.call.name.starts_with("offers")).collect();
    assert_eq!(touched, []);
    assert_eq!(world.campaign("offers").await, before);
    operator.end().await;
}

#[tokio::test]
async fn what_is_deleted_or_changed_by_hand_is_mended_and_what_others_set_is_left_alone() {
    let world = World::new("hand").await;
    world.node.does.holds_workers.store(true, Ordering::Relaxed);
    let operator = world.operator(&Plan::default());
    world.apply("offers", |_| {}).await.expect("taken");
    world.until_phase("offers", "Sending").await;
    let (deployments, files) = (world.api::<Deployment>(), world.api::<ConfigMap>());
    let theirs = json!({
        "metadata": {"annotations": {"example.com/note": "kept"}},
        "spec": {"template": {"spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "worker", "image": "example.com/other:1"}, {"name": "sidecar", "image": "example.com/sidecar:1"}],
        }}},
    });
    deployments.patch("offers-worker", &PatchParams::default(), &Patch::Strategic(&theirs)).await.expect("taken");
    files
        .patch("offers-campaign", &PatchParams::default(), &Patch::Merge(json!({"data": {"campaign.yaml": "spoilt"}})))
        .await
        .expect("taken");
    eventually("both are as declared again", async || {
        let deployment = deployments.get("offers-worker").await.expect("there");
        let pod = deployment.spec.template.spec.expect("a pod");
        let images: Vec<_> = pod.containers.iter().filter_map(|container| container.image.clone()).collect();
        let file =
            files.get("offers-campaign").await.expect("there").data.and_then(|data| data.get("campaign.yaml").cloned());
        pod.termination_grace_period_seconds == Some(30)
            && images.contains(&"example.com/mailcampaign:1".to_owned())
            && images.contains(&"example.com/sidecar:1".to_owned())
            && file.is_some_and(|file| file.contains("recipients"))
            && deployment.metadata.annotations.is_some_and(|all| all.contains_key("example.com/note"))
    })
    .await;
    deployments.delete("offers-worker", &DeleteParams::background()).await.expect("there");
    files.delete("offers-campaign", &DeleteParams::default()).await.expect("there");
    world.api::<HorizontalPodAutoscaler>().delete("offers-worker", &DeleteParams::default()).await.expect("there");
    eventually("all are made again", async || {
        deployments.get_opt("offers-worker").await.expect("answers").is_some()
            && files.get_opt("offers-campaign").await.expect("answers").is_some()
            && world.api::<HorizontalPodAutoscaler>().get_opt("offers-worker").await.expect("answers").is_some()
    })
    .await;
    // The list is published: its Job is not made again.
    world.api::<Job>().delete("offers-producer", &DeleteParams::background()).await.expect("there");
    world.node.does.holds_workers.store(false, Ordering::Relaxed);
    world.until_phase("offers", "Completed").await;
    assert_eq!(world.api::<Job>().list(&ListParams::default()).await.expect("a list").items.len(), 0);
    assert_eq!(world.node.does.producer_runs.load(Ordering::Relaxed), 1);
    operator.end().await;
}

#[tokio::test]
async fn what_is_missing_is_named_and_waited_for() {
    let world = World::new("missing").await;
    world.api::<ConfigMap>().delete("list", &DeleteParams::default()).await.expect("there");
    let operator = world.operator(&Plan::default());
    world.apply("offers", |_| {}).await.expect("taken");
    let waiting = world.until_reason("offers", "Progressing", "ReferenceNotFound").await;
    assert_eq!(waiting["status"]["phase"], "Pending");
    let message = condition(&waiting, "Validated")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("ConfigMap list"), "{message}");
    world.put_list("Email\nann@example.com\n").await;
    world.until_phase("offers", "Completed").await;
    operator.end().await;
}

#[tokio::test]
async fn bad_input_is_told_and_tried_again_when_it_changes() {
    let world = World::new("bad").await;
    world.node.does.finds_bad_input.store(true, Ordering::Relaxed);
    let operator = world.operator(&Plan::default());
    world.apply("offers", |_| {}).await.expect("taken");
    world.until_phase("offers", "Failed").await;
    let first = world.api::<Job>().get("offers-producer").await.expect("it stays").metadata.uid;
    world.node.does.finds_bad_input.store(false, Ordering::Relaxed);
    world.put_list("Email\nann@example.com\nbob@example.com\n").await;
    world.until_phase("offers", "Completed").await;
    let second = world.api::<Job>().get("offers-producer").await.expect("it stays").metadata.uid;
    assert_ne!(first, second);
    operator.end().await;
}

#[tokio::test]
async fn a_changed_list_is_told_and_not_used() {
    let world = World::new("changed").await;
    world.node.does.holds_workers.store(true, Ordering::Relaxed);
    let operator = world.operator(&Plan::default());
    world.apply("offers", |_| {}).await.expect("taken");
    world.until_phase("offers", "Sending").await;
    world.put_list("Email\nmallory@example.com\n").await;
    let told = world.until_reason("offers", "Degraded", "ContentChanged").await;
    let message = condition(&told, "Degraded")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("spec.recipients.source"), "{message}");
    world.put_list("Email\nann@example.com\nbob@example.com\neve@example.com\n").await;
    world.until_reason("offers", "Degraded", "AsExpected").await;
    operator.end().await;
}

#[tokio::test]
async fn a_campaign_applied_again_sends_nothing_until_somebody_says_that_it_is_meant() {
    let world = World::new("again").await;
    let operator = world.operator(&Plan::default());
    world.apply("offers", |_| {}).await.expect("taken");
    let first = world.until_phase("offers", "Completed").await;
    world.delete("offers").await;
    world.apply("offers", |_| {}).await.expect("taken");
    let second = world.until_reason("offers", "Progressing", "AlreadySent").await;
    assert_eq!(second["status"]["phase"], "Failed");
    let old = first["metadata"]["uid"].as_str().expect("a uid");
    let message = condition(&second, "Progressing")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains(old) && message.contains("send-again"), "{message}");
    assert_eq!(world.node.does.mails.load(Ordering::Relaxed), u32::try_from(ROWS).expect("few"));
    world.patch("offers", json!({"metadata": {"annotations": {"mailcampaign.io/send-again": old}}})).await;
    world.until_phase("offers", "Completed").await;
    assert_eq!(world.node.does.mails.load(Ordering::Relaxed), u32::try_from(2 * ROWS).expect("few"));
    operator.end().await;
}

#[tokio::test]
async fn a_suspended_campaign_sends_nothing_and_goes_on_afterwards() {
    let world = World::new("suspend").await;
    let operator = world.operator(&Plan::default());
    world.apply("offers", |document| document["spec"]["suspend"] = json!(true)).await.expect("taken");
    let paused = world.until_phase("offers", "Paused").await;
    assert_eq!(condition(&paused, "Progressing")["reason"], "Suspended");
    assert_eq!(paused["status"]["recipients"]["pending"], ROWS);
    assert_eq!(world.node.does.mails.load(Ordering::Relaxed), 0);
    world.patch("offers", json!({"spec": {"suspend": false}})).await;
    world.until_phase("offers", "Completed").await;
    operator.end().await;
}

#[tokio::test]
async fn a_deleted_campaign_takes_its_topics_along_if_it_says_so() {
    for (policy, stays) in [("Delete", false), ("Retain", true)] {
        let world = World::new("delete").await;
        world.node.does.holds_workers.store(true, Ordering::Relaxed);
        let operator = world.operator(&Plan::default());
        let applied = world.apply("offers", |document| document["spec"]["deletionPolicy"] = json!(policy)).await;
        let uid = applied.expect("taken").metadata.uid.expect("a uid");
        world.until_phase("offers", "Sending").await;
        world.delete("offers").await;
        eventually("the resource is gone", async || world.campaign("offers").await.is_none()).await;
        assert_eq!(crate::world::topics(&world, "offers", &uid).await, stays, "{policy}");
        eventually("its objects are gone", async || {
            world.api::<Deployment>().get_opt("offers-worker").await.expect("answers").is_none()
        })
        .await;
        operator.end().await;
    }
}

#[tokio::test]
async fn a_campaign_whose_time_is_over_is_deleted() {
    let world = World::new("ttl").await;
    let operator = world.operator(&Plan::default());
    world.apply("offers", |document| document["spec"]["ttlSecondsAfterFinished"] = json!(1)).await.expect("taken");
    eventually("it is gone", async || world.campaign("offers").await.is_none()).await;
    assert_eq!(world.node.does.mails.load(Ordering::Relaxed), u32::try_from(ROWS).expect("few"));
    tokio::time::timeout(Duration::from_secs(30), operator.end()).await.expect("it ends");
}
