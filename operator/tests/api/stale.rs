//! What the operator sees is old, incomplete or refused: it comes to the same end, and nobody is mailed twice.

use crate::faults::{Answer, Plan, Verb, When};
use crate::life::creations;
use crate::node::ROWS;
use crate::world::{World, print};
use futures::{StreamExt, stream};
use journal::kafka::{Kafka, Options, Settings, Timing};
use journal::{Command, Journal as _};
use serde_json::json;
use std::sync::atomic::Ordering;

const CHILDREN: [&str; 4] = ["configmaps", "jobs", "deployments", "pods"];
const ALL: [&str; 4] = ["mailcampaigns", "configmaps", "jobs", "deployments"];

fn mails(world: &World) -> u32 {
    world.node.does.mails.load(Ordering::Relaxed)
}

fn all() -> u32 {
    u32::try_from(ROWS).expect("few")
}

#[tokio::test]
async fn a_restart_with_an_older_list_makes_nothing_again() {
    let world = World::new("older").await;
    let plan = Plan::default();
    // Kept while there is nothing yet.
    plan.keep_lists(&CHILDREN);
    let operator = world.operator(&plan);
    world.apply("offers", |_| {}).await.expect("taken");
    world.until_phase("offers", "Completed").await;
    operator.kill().await;
    let made = creations(&plan);
    plan.serve_all_kept(&CHILDREN);
    world.patch("offers", json!({"spec": {"workers": {"maxReplicas": 1}}})).await;
    let operator = world.operator(&plan);
    let is_told = |campaign: &serde_json::Value| campaign["status"]["observedGeneration"] == 2;
    world.until("offers", "the change is seen", is_told).await;
    world.until_phase("offers", "Completed").await;
    assert_eq!((creations(&plan), mails(&world)), (made, all()));
    assert_eq!(world.node.does.producer_runs.load(Ordering::Relaxed), 1);
    operator.end().await;
}

#[tokio::test]
async fn a_campaign_that_was_made_anew_meanwhile_is_not_taken_for_the_old_one() {
    let world = World::new("reborn").await;
    let plan = Plan::default();
    let operator = world.operator(&plan);
    world.apply("offers", |_| {}).await.expect("taken");
    world.until_phase("offers", "Completed").await;
    operator.kill().await;
    // The next one sees the old campaign first, with its objects, and then that there is another.
    let (old, kept) = (world.campaign("offers").await, Plan::default());
    kept.keep_lists(&ALL);
    let operator = world.operator(&kept);
    world.until("offers", "it is seen", |campaign| campaign["status"]["phase"] == "Completed").await;
    crate::world::eventually("everything is listed", async || kept.has_kept(4)).await;
    operator.kill().await;
    world.delete("offers").await;
    world.apply("offers", |_| {}).await.expect("taken");
    assert_ne!(
        old.expect("it was there")["metadata"]["uid"],
        world.campaign("offers").await.expect("there")["metadata"]["uid"]
    );
    kept.serve_all_kept(&ALL);
    let operator = world.operator(&kept);
    world.until_reason("offers", "Progressing", "AlreadySent").await;
    assert_eq!(mails(&world), all());
    operator.end().await;
}

#[tokio::test]
async fn changes_that_no_watch_tells_of_change_nothing_in_the_end() {
    for plural in ["configmaps", "jobs", "deployments", "horizontalpodautoscalers", "pods"] {
        let world = World::new("unseen").await;
        let plan = Plan::default();
        plan.drop_changes(plural, |_| true);
        let operator = world.operator(&plan);
        world.apply("offers", |_| {}).await.expect("taken");
        if plural == "configmaps" {
            // The list was there before, and was listed.
            assert_eq!(plan.dropped(), 0);
        }
        world.until_phase("offers", "Completed").await;
        assert_eq!(mails(&world), all(), "{plural}");
        assert_eq!(world.node.does.producer_runs.load(Ordering::Relaxed), 1, "{plural}");
        operator.kill().await;
    }
}

/// A whole life in which the first so many calls of a kind go wrong.
async fn live_with(verb: Verb, answer: Answer) {
    let world = World::new("refused").await;
    let plan = Plan::default();
    plan.answer(When::default().verb(verb), answer, 4);
    let operator = world.operator(&plan);
    world.apply("offers", |document| document["spec"]["deletionPolicy"] = json!("Delete")).await.expect("taken");
    world.until_phase("offers", "Completed").await;
    assert_eq!(mails(&world), all(), "{verb:?} {answer:?}");
    assert_eq!(world.node.does.producer_runs.load(Ordering::Relaxed), 1, "{verb:?} {answer:?}");
    plan.answer(When::default().verb(verb), answer, 4);
    world.delete("offers").await;
    crate::world::eventually("it is gone", async || world.campaign("offers").await.is_none()).await;
    operator.kill().await;
}

#[tokio::test]
async fn calls_that_are_refused_or_lost_are_made_again() {
    let answers = [409, 410, 429, 500, 503].map(Answer::Status);
    let answers = answers.into_iter().chain([Answer::Unreachable, Answer::LostReply]);
    let verbs = [Verb::Get, Verb::List, Verb::Watch, Verb::Patch, Verb::Delete];
    let all = answers.flat_map(|answer| verbs.map(|verb| (verb, answer)));
    let lives = stream::iter(all).map(|(verb, answer)| live_with(verb, answer)).buffer_unordered(6);
    print(&format!("kinds of refused calls: {}", lives.count().await));
}

#[tokio::test]
async fn a_kafka_that_refuses_is_told_and_the_campaign_goes_on_when_it_is_mended() {
    let world = World::new("kafka").await;
    let operator = world.operator(&Plan::default());
    // One broker can't hold three copies.
    world.apply("offers", |document| document["spec"]["kafka"]["replicationFactor"] = json!(3)).await.expect("taken");
    let told = world.until_reason("offers", "Progressing", "StepFailed").await;
    let message = crate::world::condition(&told, "TopicsReady")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.to_lowercase().contains("replication"), "{message}");
    world.patch("offers", json!({"spec": {"kafka": {"replicationFactor": 1}}})).await;
    world.until_phase("offers", "Completed").await;
    operator.end().await;
}

#[tokio::test]
async fn mails_that_are_sent_again_after_the_end_are_sent_though_the_status_could_not_be_written_then() {
    let world = World::new("replay").await;
    let (plan, does) = (Plan::default(), world.node.does.clone());
    does.gives_up.store(true, Ordering::Relaxed);
    let operator = world.operator(&plan);
    let uid = world.apply("offers", |_| {}).await.expect("taken").metadata.uid.expect("a uid");
    let gave_up = |campaign: &serde_json::Value| {
        campaign["status"]["phase"] == "Completed" && campaign["status"]["recipients"]["dead"] == ROWS
    };
    world.until("offers", "all are given up", gave_up).await;
    operator.end().await;
    // This one sees the end twice before somebody decides: what it remembers of it is from there.
    let operator = world.operator(&plan);
    world.until("offers", "its workers are gone", |campaign| campaign["status"]["workers"]["ready"] == 0).await;
    let touch = |value: &str| json!({"metadata": {"annotations": {"example.com/touched": value}}});
    world.patch("offers", touch("1")).await;
    does.gives_up.store(false, Ordering::Relaxed);
    // The node waits, so that nothing but the operator decides whether there is a worker.
    does.holds_workers.store(true, Ordering::Relaxed);
    plan.answer(When::default().verb(Verb::Patch).of("mailcampaigns"), Answer::Status(503), 2);
    let options = Options {
        settings: Settings::plaintext(testkit::Kafka::shared().bootstrap()),
        which: world.which("offers", &uid),
        partitions: 1,
        replication: None,
        timing: Timing::default(),
    };
    let journal = Kafka::open_existing(options).await.expect("it is there");
    journal.command(Command::ReplayDead { code: None }).await.expect("decided");
    world.patch("offers", touch("2")).await;
    world.until_phase("offers", "Sending").await;
    does.holds_workers.store(false, Ordering::Relaxed);
    let sent = |campaign: &serde_json::Value| campaign["status"]["recipients"]["delivered"] == ROWS;
    world.until("offers", "all are delivered", sent).await;
    operator.end().await;
}
