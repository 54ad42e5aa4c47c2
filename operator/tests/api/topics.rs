//! Kafka that makes some of a campaign's topics and refuses another; and one that only the campaign knows.

use crate::faults::Plan;
use crate::world::{World, condition, eventually, topics};
use journal::kafka::{Found, Hub, Names, Settings};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::json;
use std::sync::atomic::Ordering;
use testkit::kafka::{Login, Resource, Right, Security};
use testkit::{Kafka, KafkaOptions};

/// A broker on which alice may see all topics and read them, but make none.
fn strict() -> Kafka {
    let security = Security::default().login(Login::Plain(vec![("alice".to_owned(), "alice's".to_owned())])).rights();
    let kafka = Kafka::start(KafkaOptions::default().security(security));
    for right in [Right::Describe, Right::DescribeConfigs, Right::Read] {
        kafka.allow("alice", Resource::Topic("mailcampaign.*"), right);
    }
    kafka
}

/// The Secret of a campaign that brings its Kafka along.
fn connection(properties: &str) -> Secret {
    let secret = json!({"metadata": {"name": "kafka"}, "stringData": {"client.properties": properties}});
    serde_json::from_value(secret).expect("a Secret")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_three_that_is_refused_is_named_and_made_when_it_may_be_also_by_another_operator() {
    let kafka = tokio::task::spawn_blocking(strict).await.expect("a broker");
    let world = World::new("topics").await;
    world.node.does.holds_producers.store(true, Ordering::Relaxed);
    let login = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=alice\nsasl.password=alice's\n";
    let secret = connection(&format!("bootstrap.servers={}\n{login}", kafka.bootstrap()));
    world.api::<Secret>().create(&PostParams::default(), &secret).await.expect("it is taken");
    let applied = world.apply("offers", |document| {
        document["spec"]["kafka"] = json!({"partitions": 1, "connection": {"secret": {"name": "kafka"}}});
    });
    let uid = applied.await.expect("taken").metadata.uid.expect("a uid");
    let which = world.which("offers", &uid);
    let names = Names::of(&which);
    for allowed in [&names.outbox, &names.control] {
        kafka.allow("alice", Resource::Topic(allowed), Right::Create);
    }
    let administrator = Hub::connect(Settings::plaintext(kafka.bootstrap_of_administrator()));

    let operator = world.operator(&Plan::default());
    let told = world.until_reason("offers", "TopicsReady", "TopicsNotMade").await;
    let message = condition(&told, "TopicsReady")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains(&names.outcomes), "{message}");
    let found = administrator.find(&which).await.expect("Kafka answers");
    assert_eq!(found, Found { outbox: Some(1), outcomes: None, control: Some(1) });
    assert!(
        world.api::<Job>().get_opt("offers-producer").await.expect("answers").is_none(),
        "a producer without topics"
    );
    operator.kill().await;

    kafka.allow("alice", Resource::Topic(&names.outcomes), Right::Create);
    let operator = world.operator(&Plan::default());
    eventually("the producer is made", async || {
        world.api::<Job>().get_opt("offers-producer").await.expect("answers").is_some()
    })
    .await;
    assert!(administrator.find(&which).await.expect("Kafka answers").is_whole());
    operator.end().await;
}

#[tokio::test]
async fn an_invalid_campaign_that_brings_its_kafka_along_is_deleted_with_its_topics_by_an_operator_that_never_used_it()
{
    let world = World::new("brought").await;
    let secret = connection(&format!("bootstrap.servers={}\n", Kafka::shared().bootstrap()));
    world.api::<Secret>().create(&PostParams::default(), &secret).await.expect("it is taken");
    let operator = world.operator(&Plan::default());
    let applied = world.apply("offers", |document| {
        document["spec"]["kafka"] = json!({"partitions": 1, "connection": {"secret": {"name": "kafka"}}});
        document["spec"]["deletionPolicy"] = json!("Delete");
    });
    let uid = applied.await.expect("taken").metadata.uid.expect("a uid");
    world.until_phase("offers", "Completed").await;
    let window = json!({"timeZone": "Mars/Olympus", "from": "08:00", "to": "17:00"});
    world.patch("offers", json!({"spec": {"delivery": {"window": window}}})).await;
    world.until_reason("offers", "Progressing", "InvalidSpec").await;
    operator.kill().await;
    assert!(topics(&world, "offers", &uid).await);
    world.delete("offers").await;
    // One that has no Kafka of its own to find them on.
    let operator = world.operator_by(&Plan::default(), |settings| settings.kafka = None);
    eventually("it is gone", async || world.campaign("offers").await.is_none()).await;
    assert!(!topics(&world, "offers", &uid).await);
    operator.end().await;
}
