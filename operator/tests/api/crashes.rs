//! The operator is killed at every single write of a campaign's life, before it is sent and after it was done with its reply lost. Started again it
//! comes to the same end with the same objects made, and the list is published once.

use crate::faults::Plan;
use crate::life::creations;
use crate::node::ROWS;
use crate::world::{World, eventually, print};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// So many lives at the same time.
const AT_ONCE: usize = 6;

/// What a life comes to.
#[derive(Debug, PartialEq)]
struct End {
    creations: Vec<String>,
    producer_runs: u32,
    mails: u32,
    phase: Value,
    recipients: Value,
    conditions: Vec<(String, String, String)>,
    is_gone: bool,
}

/// Where the process ends, counted in writes.
#[derive(Debug, Clone, Copy)]
enum Crash {
    Before(usize),
    After(usize),
}

/// From apply to deletion with its topics, with a suspension on the way.
async fn live(crash: Option<Crash>) -> (End, usize) {
    let world = World::new("crash").await;
    let plan = Plan::default();
    match crash {
        Some(Crash::Before(write)) => plan.crash_before(write),
        Some(Crash::After(write)) => plan.crash_after(write),
        None => {}
    }
    let mut operator = Some(world.operator(&plan));
    let applied = world
        .apply("offers", |document| {
            document["spec"]["deletionPolicy"] = json!("Delete");
            document["spec"]["suspend"] = json!(true);
        })
        .await
        .expect("taken");
    let uid = applied.metadata.uid.expect("a uid");
    let mut killed = crash.is_none();
    // Whatever is waited for, a crash may come first.
    let mut reached = async |what: &str, holds: &dyn Fn(&Value) -> bool| {
        eventually(what, async || {
            plan.has_crashed() && !killed || holds(&world.campaign("offers").await.unwrap_or_default())
        })
        .await;
        if plan.has_crashed() && !killed {
            killed = true;
            operator.take().expect("it runs").kill().await;
            operator = Some(world.operator(&plan));
            eventually(what, async || holds(&world.campaign("offers").await.unwrap_or_default())).await;
        }
    };
    reached("it is paused", &|campaign| campaign["status"]["phase"] == "Paused").await;
    world.patch("offers", json!({"spec": {"suspend": false}})).await;
    let is_at_rest = |campaign: &Value| {
        campaign["status"]["phase"] == "Completed" && campaign["status"]["workers"] == json!({"desired": 0, "ready": 0})
    };
    reached("it is completed", &is_at_rest).await;
    let done = world.campaign("offers").await.expect("it is there");
    world.delete("offers").await;
    reached("it is gone", &|campaign| campaign.is_null()).await;
    let is_gone = !crate::world::topics(&world, "offers", &uid).await;
    let does = &world.node.does;
    let conditions = done["status"]["conditions"].as_array().into_iter().flatten().map(|condition| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        (text("type"), text("status"), text("reason"))
    });
    let end = End {
        creations: creations(&plan),
        producer_runs: does.producer_runs.load(Ordering::Relaxed),
        mails: does.mails.load(Ordering::Relaxed),
        phase: done["status"]["phase"].clone(),
        recipients: done["status"]["recipients"].clone(),
        conditions: conditions.collect(),
        is_gone,
    };
    let writes = plan.writes().len();
    if let Some(operator) = operator {
        operator.end().await;
    }
    (end, writes)
}

#[tokio::test]
async fn wherever_the_operator_is_killed_the_campaign_comes_to_the_same_end_and_nothing_is_made_twice() {
    let (without, writes) = live(None).await;
    assert_eq!((without.producer_runs, without.mails, without.is_gone), (1, u32::try_from(ROWS).expect("few"), true));
    // Statuses are written as things come, so lives differ by a few writes.
    let points = (1..=writes + 2).flat_map(|write| [Crash::Before(write), Crash::After(write)]);
    let lives = stream::iter(points).map(async |crash| (crash, live(Some(crash)).await.0)).buffer_unordered(AT_ONCE);
    let ends: Vec<(Crash, End)> = lives.collect().await;
    print(&format!("crash points: {} ({writes} writes without a crash)", ends.len()));
    for (crash, end) in ends {
        assert_eq!(end, without, "{crash:?}");
    }
}
