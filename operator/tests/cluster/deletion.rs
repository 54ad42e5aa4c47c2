//! A campaign can be deleted in every phase: its pods end, its topics go, and nothing hangs.

use crate::campaign::Campaign;
use crate::cluster::Use;
use crate::world::{PATIENCE, World, until};
use campaign::status::Phase;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::api::{Api, DeleteParams};
use serde_json::json;
use std::time::{Duration, Instant};

/// From the deletion until nothing is left.
const GONE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn e2e_a_campaign_that_is_deleted_in_any_phase_is_gone_within_30_seconds_with_pods_and_topics() {
    let _installed = Use::shared().await;
    let world = World::new("deletion").await;
    let crowded = World::new("crowded").await;
    for world in [&world, &crowded] {
        world.put_list(500).await;
    }
    // One pod in all, also of those that have ended: the second shard's never comes.
    crowded.put::<ResourceQuota>("one", json!({"spec": {"hard": {"count/pods": "1"}}})).await;
    let elsewhere = json!({"producer": {"podTemplate": {"spec": {"nodeSelector": {"example.com/none": "such"}}}}});
    let slow = json!({"delivery": {"rate": {"perSecond": 5}}});
    let missing = json!({"recipients": {"source": {"configMap": {"name": "missing", "key": "list.csv"}}}});
    let campaigns = [
        (Phase::Pending, world.campaign("pending", missing).await),
        (Phase::Validating, world.campaign("validating", elsewhere).await),
        (Phase::Loading, crowded.campaign("loading", json!({"producer": {"shards": 2}})).await),
        (Phase::Scheduled, world.campaign("scheduled", json!({"startAt": "2099-01-01T00:00:00Z"})).await),
        (Phase::Sending, world.campaign("sending", slow.clone()).await),
        (Phase::Paused, world.campaign("paused", json!({"suspend": true})).await),
        (Phase::Completed, world.campaign("completed", json!({})).await),
    ];
    join_all(campaigns.iter().map(|(phase, campaign)| campaign.reaches(*phase))).await;
    campaigns[4].1.has_sent(1).await;
    join_all(campaigns.iter().map(|(phase, campaign)| is_gone_in_time(*phase, campaign))).await;
    world.leave().await;
    crowded.leave().await;
}

async fn is_gone_in_time(phase: Phase, campaign: &Campaign<'_>) {
    let begun = Instant::now();
    campaign.delete().await;
    until(&format!("{phase}: nothing is left"), GONE, async || {
        let pods = campaign.world.pods_of(&campaign.name, "worker").await.len()
            + campaign.world.pods_of(&campaign.name, "producer").await.len();
        (campaign.is_gone().await && pods == 0 && campaign.has_no_topics().await).then_some(())
    })
    .await;
    println!("{phase}: gone after {:.1} s", begun.elapsed().as_secs_f64());
}

#[tokio::test]
async fn e2e_a_namespace_that_is_deleted_while_its_campaign_is_sending_lets_it_go_within_a_minute() {
    let _installed = Use::shared().await;
    let world = World::new("namespace").await;
    world.put_list(2_000).await;
    let campaign = world.campaign("notices", json!({"delivery": {"rate": {"perSecond": 20}}})).await;
    campaign.has_sent(10).await;
    let begun = Instant::now();
    let namespaces = Api::<Namespace>::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.expect("it is deleted");
    until("the campaign is gone", Duration::from_mins(1), async || campaign.is_gone().await.then_some(())).await;
    println!("the campaign is gone with its namespace after {:.1} s", begun.elapsed().as_secs_f64());
    // How soon the cluster looks whether anything is left is its own affair.
    until("the namespace is gone", PATIENCE, async || {
        namespaces.get_opt(&world.namespace).await.expect("the API server answers").is_none().then_some(())
    })
    .await;
    println!("the namespace is gone after {:.1} s", begun.elapsed().as_secs_f64());
    until("its topics are gone", PATIENCE, async || campaign.has_no_topics().await.then_some(())).await;
}

#[tokio::test]
async fn e2e_a_campaign_deleted_and_applied_again_mails_nobody_twice_until_somebody_says_so() {
    let _installed = Use::shared().await;
    let world = World::new("again").await;
    world.put_list(50).await;
    let retained = json!({"deletionPolicy": "Retain"});
    let first = world.campaign("notices", retained.clone()).await;
    first.delivers_all(50).await;
    first.delete().await;
    let second = world.campaign("notices", retained).await;
    let deleted_at_once = second.uid == first.uid;
    let second = if deleted_at_once { applied_when_gone(&world, &first).await } else { second };
    second.says("Progressing", "False", "AlreadySent", &[&first.uid, "mailcampaign.io/send-again"]).await;
    assert_eq!((second.status().await.phase, second.mails().len()), (Some(Phase::Failed), 0));
    second.annotate("mailcampaign.io/send-again", &first.uid).await;
    second.delivers_all(50).await;
    assert_eq!(first.mails().len(), 50);
    world.leave().await;
}

/// The first may still be there for a moment when it is applied again.
async fn applied_when_gone<'w>(world: &'w World, first: &Campaign<'w>) -> Campaign<'w> {
    until("the first is gone", PATIENCE, async || first.is_gone().await.then_some(())).await;
    world.campaign("notices", json!({"deletionPolicy": "Retain"})).await
}
