//! What others made beside a campaign, or made anew: a ConfigMap of the name that its file needs, an autoscaler of its workers, empty topics.

use crate::faults::Plan;
use crate::world::{World, condition, eventually};
use journal::kafka::{Hub, Options, Settings, Timing};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use std::sync::atomic::Ordering;
use testkit::Kafka;

#[tokio::test]
async fn a_config_map_of_somebody_else_is_left_as_it_is_and_waited_for() {
    let world = World::new("theirs").await;
    let theirs =
        json!({"metadata": {"name": "offers-campaign"}, "data": {"campaign.yaml": "mine", "list.csv": "Email\n"}});
    let files = world.api::<ConfigMap>();
    files.create(&PostParams::default(), &serde_json::from_value(theirs).expect("one")).await.expect("taken");
    let operator = world.operator(&Plan::default());
    world.apply("offers", |_| {}).await.expect("taken");
    let told = world.until_reason("offers", "Progressing", "LeftoversOfAnother").await;
    let message = condition(&told, "Progressing")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("ConfigMap offers-campaign"), "{message}");
    let kept = files.get("offers-campaign").await.expect("it stays");
    assert_eq!((kept.metadata.owner_references, kept.metadata.labels), (None, None));
    assert_eq!(kept.data.expect("data")["campaign.yaml"], "mine");
    files.delete("offers-campaign", &DeleteParams::default()).await.expect("it goes");
    world.until_phase("offers", "Completed").await;
    operator.end().await;
}

async fn workers(world: &World) -> Option<i32> {
    world.api::<Deployment>().get("offers-worker").await.expect("there").spec.replicas
}

#[tokio::test]
async fn an_autoscaler_of_somebody_else_is_the_only_one_and_is_helped_up_from_none() {
    for name in ["mine", "offers-worker"] {
        let world = World::new("autoscaled").await;
        world.node.does.holds_workers.store(true, Ordering::Relaxed);
        let operator = world.operator(&Plan::default());
        world.apply("offers", |document| document["spec"]["suspend"] = json!(true)).await.expect("taken");
        world.until_phase("offers", "Paused").await;
        let autoscalers = world.api::<HorizontalPodAutoscaler>();
        let theirs = json!({"metadata": {"name": name}, "spec": {
            "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "offers-worker"},
        }});
        autoscalers.create(&PostParams::default(), &serde_json::from_value(theirs).expect("one")).await.expect("taken");
        world.patch("offers", json!({"spec": {"suspend": false}})).await;
        world.until_phase("offers", "Sending").await;
        eventually("somebody works", async || workers(&world).await == Some(1)).await;
        let all = autoscalers.list(&kube::api::ListParams::default()).await.expect("answers").items;
        let names: Vec<_> = all.iter().filter_map(|one| one.metadata.name.as_deref()).collect();
        assert_eq!(names, [name]);
        assert_eq!(all[0].metadata.owner_references, None);
        world.patch("offers", json!({"spec": {"suspend": true}})).await;
        eventually("nobody works", async || workers(&world).await == Some(0)).await;
        world.node.does.holds_workers.store(false, Ordering::Relaxed);
        world.patch("offers", json!({"spec": {"suspend": false}})).await;
        world.until_phase("offers", "Completed").await;
        operator.end().await;
    }
}

#[tokio::test]
async fn empty_topics_of_a_campaign_that_was_begun_are_told_and_nobody_is_mailed_again() {
    let world = World::new("emptied").await;
    world.node.does.holds_workers.store(true, Ordering::Relaxed);
    let operator = world.operator(&Plan::default());
    let uid = world.apply("offers", |_| {}).await.expect("taken").metadata.uid.expect("a uid");
    world.until_phase("offers", "Sending").await;
    operator.kill().await;
    let options = Options {
        settings: Settings::plaintext(Kafka::shared().bootstrap()),
        which: world.which("offers", &uid),
        partitions: 1,
        replication: None,
        timing: Timing::default(),
    };
    let hub = Hub::connect(options.settings.clone());
    hub.delete(&options.which).await.expect("they go");
    eventually("they are made anew", async || hub.ensure(&options).await.is_ok_and(|ensured| ensured.created)).await;
    world.api::<Job>().delete("offers-producer", &DeleteParams::background()).await.expect("it goes");
    let operator = world.operator(&Plan::default());
    let told = world.until_reason("offers", "Progressing", "TopicsGone").await;
    assert_eq!(told["status"]["phase"], "Failed");
    assert_eq!(condition(&told, "Validated")["status"], "True", "what was begun stays begun");
    eventually("nobody works", async || workers(&world).await == Some(0)).await;
    assert_eq!(world.node.does.producer_runs.load(Ordering::Relaxed), 1);
    assert_eq!(world.node.does.mails.load(Ordering::Relaxed), 0);
    operator.end().await;
}

#[tokio::test]
async fn a_campaign_that_came_to_break_a_rule_can_still_be_suspended() {
    let world = World::new("stop").await;
    world.node.does.holds_workers.store(true, Ordering::Relaxed);
    let operator = world.operator(&Plan::default());
    world.apply("offers", |_| {}).await.expect("taken");
    world.until_phase("offers", "Sending").await;
    let window =
        |zone: &str| json!({"spec": {"delivery": {"window": {"timeZone": zone, "from": "00:00", "to": "24:00"}}}});
    world.patch("offers", window("Mars/Olympus")).await;
    let told = world.until_reason("offers", "Progressing", "InvalidSpec").await;
    assert_eq!(condition(&told, "Validated")["status"], "True", "what is pinned stays pinned");
    assert!(workers(&world).await > Some(0), "what runs goes on");
    world.patch("offers", json!({"spec": {"suspend": true}})).await;
    eventually("nobody works", async || workers(&world).await == Some(0)).await;
    world.patch("offers", window("Etc/UTC")).await;
    world.until_reason("offers", "Progressing", "Suspended").await;
    world.node.does.holds_workers.store(false, Ordering::Relaxed);
    world.patch("offers", json!({"spec": {"suspend": false}})).await;
    world.until_phase("offers", "Completed").await;
    operator.end().await;
}
