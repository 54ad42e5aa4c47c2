//! What no rule of the resource can refuse: the status says what is wrong, where, and what to do, and when it is mended the campaign goes on by itself.

use crate::cluster::Use;
use crate::world::World;
use campaign::status::Phase;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

#[tokio::test]
async fn e2e_a_list_that_is_missing_is_named_and_when_it_is_made_the_campaign_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("missing").await;
    let campaign = world.campaign("notices", json!({})).await;
    campaign.reaches(Phase::Pending).await;
    campaign.says("Validated", "False", "ReferenceNotFound", &["ConfigMap list", "goes on by itself"]).await;
    let events = world.events().await;
    assert!(
        events.iter().any(|said| said.starts_with("ReferenceNotFound: ") && said.contains("ConfigMap list")),
        "{events:?}"
    );
    world.put_list(20).await;
    campaign.delivers_all(20).await;
    world.leave().await;
}

#[tokio::test]
async fn e2e_a_key_that_is_missing_is_named_and_when_it_is_there_the_campaign_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("key").await;
    world.put_text("list", "other.csv", "Email,Name\n").await;
    let campaign = world.campaign("notices", json!({})).await;
    campaign.says("Validated", "False", "BadInput", &["list.csv"]).await;
    world.put_list(20).await;
    campaign.delivers_all(20).await;
    world.leave().await;
}

#[tokio::test]
async fn e2e_a_secret_without_its_key_is_named_and_when_it_is_there_the_campaign_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("secret").await;
    world.put_list(20).await;
    world.put_secret("texts", json!({"other": "x"})).await;
    let text = json!({"inline": null, "secret": {"name": "texts", "key": "body"}});
    let campaign = world.campaign("notices", json!({"message": {"text": text}})).await;
    campaign.says("Validated", "False", "BadInput", &["texts", "body"]).await;
    world.put_secret("texts", json!({"other": "x", "body": "Hello {{ Name }}"})).await;
    campaign.delivers_all(20).await;
    world.leave().await;
}

#[tokio::test]
async fn e2e_a_list_that_is_no_workbook_is_named_and_when_it_is_one_the_campaign_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("workbook").await;
    world.put_text("list", "list.xlsx", "Email,Name\nann@example.com,Ann\n").await;
    let source = json!({"source": {"configMap": {"name": "list", "key": "list.xlsx"}}});
    let campaign = world.campaign("notices", json!({"recipients": source})).await;
    campaign.reaches(Phase::Failed).await;
    campaign.says("Validated", "False", "BadInput", &["list.xlsx", "not an Excel workbook"]).await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("list.xlsx");
    testkit::lists::write_xlsx(&file, 20, 3).expect("a workbook");
    let bytes = std::fs::read(&file).expect("the workbook");
    let bytes = k8s_openapi::ByteString(bytes);
    world.put::<ConfigMap>("list", json!({"data": {}, "binaryData": {"list.xlsx": bytes}})).await;
    campaign.delivers_all(20).await;
    world.leave().await;
}

#[tokio::test]
async fn e2e_a_column_that_is_missing_is_named_and_when_the_message_is_mended_the_campaign_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("column").await;
    world.put_list(20).await;
    let campaign = world.campaign("notices", json!({"message": {"subject": "For {{ Nmae }}"}})).await;
    campaign.reaches(Phase::Failed).await;
    campaign.says("Validated", "False", "BadInput", &["spec.message.subject", "Nmae", "list.csv", "Name"]).await;
    campaign.change(json!({"message": {"subject": "For {{ Name }}"}})).await;
    campaign.delivers_all(20).await;
    world.leave().await;
}

#[tokio::test]
async fn e2e_a_kafka_that_does_not_answer_is_named_and_when_the_secret_is_mended_the_campaign_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("kafka").await;
    world.put_list(20).await;
    let brokers = |brokers: &str| json!({"client.properties": format!("bootstrap.servers={brokers}\n")});
    world.put_secret("kafka", brokers("127.0.0.1:1")).await;
    let campaign = world.campaign("notices", json!({"kafka": {"connection": {"secret": {"name": "kafka"}}}})).await;
    campaign.says("TopicsReady", "False", "KafkaUnavailable", &["127.0.0.1:1"]).await;
    world.put_secret("kafka", json!({"client.properties": "bootstrap.servers\n"})).await;
    campaign.says("TopicsReady", "False", "KafkaUnavailable", &["Secret kafka", "client.properties"]).await;
    world.put_secret("kafka", brokers(testkit::kubernetes::KAFKA_FOR_PODS)).await;
    campaign.delivers_all(20).await;
    world.leave().await;
}
