//! Every field of the spec that may change while mails are sent, changed alone and in pairs, and back again: the cluster follows, and then is left alone.

use crate::faults::Plan;
use crate::world::{World, eventually, print};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::ConfigMap;
use operator::build::{self, Input, KafkaForPods, PodSettings};
use operator::drift;
use operator::resource::Campaign;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// What may change, and what it was before.
fn changes() -> Vec<(&'static str, Value, Value)> {
    let spec = |fields: Value| json!({"spec": fields});
    let delivery = |fields: Value| json!({"spec": {"delivery": fields}});
    let workers = |fields: Value| json!({"spec": {"workers": fields}});
    vec![
        (
            "backends",
            delivery(json!({"backends": [{"name": "relay", "smtp": {"host": "other.example.com", "tls": "None"}}]})),
            delivery(json!({"backends": [{"name": "relay", "smtp": {"host": "relay.example.com", "tls": "None"}}]})),
        ),
        ("rate", delivery(json!({"rate": {"perSecond": 5}})), delivery(json!({"rate": null}))),
        ("retry", delivery(json!({"retry": {"maxAttempts": 2}})), delivery(json!({"retry": {"maxAttempts": 8}}))),
        ("maxInFlight", delivery(json!({"maxInFlight": 7})), delivery(json!({"maxInFlight": 1000}))),
        ("onUnknown", delivery(json!({"onUnknown": "Resend"})), delivery(json!({"onUnknown": "Hold"}))),
        (
            "window",
            delivery(json!({"window": {"timeZone": "Etc/UTC", "from": "00:00", "to": "24:00"}})),
            delivery(json!({"window": null})),
        ),
        ("guard", spec(json!({"guard": {"maxRejectedPercent": 9}})), spec(json!({"guard": null}))),
        ("suspend", spec(json!({"suspend": true})), spec(json!({"suspend": false}))),
        ("startAt", spec(json!({"startAt": "2020-01-01T00:00:00Z"})), spec(json!({"startAt": null}))),
        (
            "resources",
            workers(json!({"resources": {"limits": {"memory": "1000Mi", "cpu": "2"}, "requests": {"cpu": "1000m"}}})),
            workers(
                json!({"resources": {"limits": {"memory": "512Mi", "cpu": null}, "requests": {"cpu": "200m", "memory": "128Mi"}}}),
            ),
        ),
        (
            "podTemplate",
            workers(json!({"podTemplate": {
                "metadata": {"labels": {"team": "hr"}},
                "spec": {
                    "nodeSelector": {"disk": "ssd"}, "priorityClassName": "late",
                    "tolerations": [{"key": "mail", "operator": "Exists"}],
                },
            }})),
            workers(json!({"podTemplate": null})),
        ),
        (
            "replicas",
            workers(json!({"minReplicas": 2, "maxReplicas": 2})),
            workers(json!({"minReplicas": 1, "maxReplicas": 3})),
        ),
        ("deletionPolicy", spec(json!({"deletionPolicy": "Delete"})), spec(json!({"deletionPolicy": "Retain"}))),
        ("ttl", spec(json!({"ttlSecondsAfterFinished": 60})), spec(json!({"ttlSecondsAfterFinished": null}))),
    ]
}

/// What nobody but the campaign sets of a Deployment: nothing may be left of what is not declared any more.
const CHOSEN: [&str; 5] = [
    "/spec/template/metadata/labels",
    "/spec/template/spec/nodeSelector",
    "/spec/template/spec/priorityClassName",
    "/spec/template/spec/tolerations",
    "/spec/template/spec/containers/0/resources",
];

/// Where the cluster is not as the resource declares, if anywhere.
async fn difference(world: &World) -> Option<String> {
    let document = world.campaign("offers").await?;
    let campaign: Campaign = serde_json::from_value(document.clone()).expect("a campaign");
    let valid = campaign::rules::parse(&campaign.document()).expect("no mistake");
    if document["status"]["observedGeneration"] != document["metadata"]["generation"] {
        return Some("the status is older than the spec".to_owned());
    }
    let kafka = KafkaForPods { bootstrap: Some(testkit::Kafka::shared().bootstrap()), secret: None };
    let pods = PodSettings {
        image: "example.com/mailcampaign:1".to_owned(),
        log_format: "json".to_owned(),
        ..PodSettings::default()
    };
    let versions = BTreeMap::new();
    let input =
        Input { campaign: &campaign, valid: &valid, pods: &pods, kafka: &kafka, versions: &versions, pinned: true };
    let suspended = valid.spec.suspend;
    let declared = [
        serde_json::to_value(build::file(&input)).expect("JSON"),
        serde_json::to_value(build::workers(&input)).expect("JSON"),
        serde_json::to_value(build::autoscaler(&input)).expect("JSON"),
    ];
    let deployment = world.api::<Deployment>().get("offers-worker").await.ok()?;
    let (desired, replicas) =
        (document["status"]["workers"]["desired"].as_i64(), deployment.spec.replicas.map(i64::from));
    if desired != replicas || (replicas == Some(0)) != suspended {
        return Some(format!("{replicas:?} workers, {desired:?} desired, suspended: {suspended}"));
    }
    let file = world.api::<ConfigMap>().get("offers-campaign").await.expect("there");
    let autoscaler = world.api::<HorizontalPodAutoscaler>().get_opt("offers-worker").await.expect("answers");
    if autoscaler.is_some() == suspended {
        return Some("the autoscaler".to_owned());
    }
    let has_finalizer = campaign.has_finalizer(build::FINALIZER);
    if has_finalizer != (valid.spec.deletion_policy == campaign::spec::DeletionPolicy::Delete) {
        return Some("the finalizer".to_owned());
    }
    let actual = serde_json::to_value(&deployment).expect("JSON");
    for chosen in CHOSEN {
        let (declared, actual) = (declared[1].pointer(chosen), actual.pointer(chosen));
        if shape(declared) != shape(actual) {
            return Some(format!("{chosen}: {actual:?}, not {declared:?}"));
        }
    }
    let differs = |declared: &Value, actual: Value| drift::difference(declared, &actual);
    differs(&declared[0], serde_json::to_value(file).expect("JSON"))
        .or_else(|| differs(&declared[1], serde_json::to_value(deployment).expect("JSON")))
        .or_else(|| differs(&declared[2], serde_json::to_value(autoscaler?).expect("JSON")))
}

/// The fields, without values that the API writes otherwise (`1000m` as `1`).
fn shape(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Object(fields)) => fields.iter().map(|(name, value)| (name.clone(), shape(Some(value)))).collect(),
        Some(Value::Array(entries)) => entries.iter().map(|entry| shape(Some(entry))).collect(),
        Some(_) => json!("something"),
        None => Value::Null,
    }
}

async fn follows(world: &World, what: &str) {
    eventually(&format!("the cluster follows: {what}"), async || difference(world).await.is_none()).await;
}

#[tokio::test]
async fn the_cluster_follows_every_change_alone_and_in_pairs_and_back_again() {
    let world = World::new("fields").await;
    world.node.does.holds_workers.store(true, Ordering::Relaxed);
    let plan = Plan::default();
    let operator = world.operator(&plan);
    let with_three = |document: &mut Value| document["spec"]["kafka"]["partitions"] = json!(3);
    world.apply("offers", with_three).await.expect("taken");
    world.until_phase("offers", "Sending").await;
    let changes = changes();
    let mut mutations = 0;
    for (index, (name, to, back)) in changes.iter().enumerate() {
        world.patch("offers", to.clone()).await;
        follows(&world, name).await;
        mutations += 2;
        for (other, second, undone) in &changes[index + 1..] {
            world.patch("offers", second.clone()).await;
            follows(&world, &format!("{name} and {other}")).await;
            world.patch("offers", undone.clone()).await;
            follows(&world, &format!("{name}, and {other} back")).await;
            mutations += 2;
        }
        world.patch("offers", back.clone()).await;
        follows(&world, &format!("{name} back")).await;
    }
    print(&format!("mutations: {mutations}"));
    // Then nothing is written any more: another campaign comes and goes meanwhile.
    world
        .until("offers", "its workers are ready", |campaign| {
            campaign["status"]["workers"]["desired"] == campaign["status"]["workers"]["ready"]
        })
        .await;
    let before = plan.writes().len();
    world.node.does.holds_workers.store(false, Ordering::Relaxed);
    world.until_phase("offers", "Completed").await;
    assert!(plan.writes()[before..].iter().all(|write| !["configmaps", "jobs"].contains(&write.call.plural.as_str())));
    assert_eq!(world.node.does.producer_runs.load(Ordering::Relaxed), 1);
    operator.end().await;
}

#[tokio::test]
async fn a_resource_that_came_to_break_a_rule_is_told_and_goes_on_when_it_is_mended() {
    let world = World::new("invalid").await;
    let operator = world.operator(&Plan::default());
    // The schema can't know what templates may say; the server takes what only a look at everything refuses.
    world.node.does.finds_bad_input.store(true, Ordering::Relaxed);
    world
        .apply("offers", |document| document["spec"]["message"]["text"]["inline"] = json!("Dear {{ Nmae }}"))
        .await
        .expect("taken");
    world.until_phase("offers", "Failed").await;
    world.node.does.finds_bad_input.store(false, Ordering::Relaxed);
    world.patch("offers", json!({"spec": {"message": {"text": {"inline": "Dear {{ Name }}"}}}})).await;
    world.until_phase("offers", "Completed").await;
    operator.end().await;
}

#[tokio::test]
async fn partitions_grow_while_mails_are_sent() {
    let world = World::new("grow").await;
    world.node.does.holds_workers.store(true, Ordering::Relaxed);
    let operator = world.operator(&Plan::default());
    world.apply("offers", |_| {}).await.expect("taken");
    world.until_phase("offers", "Sending").await;
    world.patch("offers", json!({"spec": {"kafka": {"partitions": 4}}})).await;
    let grown = |campaign: &Value| {
        let message = crate::world::condition(campaign, "TopicsReady")["message"].as_str();
        message.is_some_and(|message| message.contains("4 partitions"))
    };
    world.until("offers", "the topics have grown", grown).await;
    world.node.does.holds_workers.store(false, Ordering::Relaxed);
    world.until_phase("offers", "Completed").await;
    operator.end().await;
}
