//! What happens to campaigns when the installation changes or goes while they are sending.

use crate::cluster::{RELEASE, SYSTEM, Use, cluster};
use crate::storm::all_operators_are_ready;
use crate::world::{PATIENCE, World, until};
use campaign::status::Phase;
use serde_json::json;
use std::time::Duration;

const CRD: &str = "mailcampaigns.mailcampaign.io";

/// The chart as it is installed, with more settings.
fn upgrade(settings: &str) -> String {
    format!(
        "helm upgrade --install {RELEASE} charts/mailcampaign --namespace {SYSTEM} --reset-then-reuse-values {settings} --wait --timeout 3m"
    )
}

/// One after the other, because each takes the installation away from all others.
#[tokio::test]
async fn e2e_campaigns_live_through_an_upgrade_an_image_that_is_not_there_an_uninstallation_and_a_lost_definition() {
    let _alone = Use::alone().await;
    an_upgrade_in_the_middle_of_a_campaign_is_exact().await;
    an_image_that_can_not_be_pulled_is_named_and_when_it_can_the_campaign_goes_on().await;
    without_operator_the_workers_go_on_and_installed_again_it_takes_up_where_it_was().await;
    a_definition_that_is_deleted_takes_its_campaigns_along_and_made_again_serves_new_ones().await;
}

async fn an_upgrade_in_the_middle_of_a_campaign_is_exact() {
    let world = World::new("upgrade").await;
    world.put_list(3_000).await;
    let campaign = world
        .campaign("notices", json!({"delivery": {"rate": {"perSecond": 100}}, "workers": {"minReplicas": 2}}))
        .await;
    campaign.has_sent(100).await;
    // Another format of the log is another pod, of operator and workers.
    cluster().prints(&upgrade("--set log.format=text"));
    assert!(campaign.mails().len() < 3_000, "it was over before the upgrade");
    campaign.delivers_all(3_000).await;
    cluster().prints(&upgrade("--set log.format=json"));
    world.leave().await;
}

async fn an_image_that_can_not_be_pulled_is_named_and_when_it_can_the_campaign_goes_on() {
    let world = World::new("image").await;
    world.put_list(50).await;
    let deployment = format!("deployment/{RELEASE}-mailcampaign-operator --namespace {SYSTEM}");
    let image =
        cluster().prints(&format!("kubectl get {deployment} -o jsonpath={{.spec.template.spec.containers[0].image}}"));
    let set = |image: &str| {
        cluster().prints(&format!(
            "kubectl set env {deployment} MAILCAMPAIGN_IMAGE={image} && kubectl rollout status {deployment}"
        ));
    };
    set("localhost:1/nothing:here");
    let campaign = world.campaign("notices", json!({})).await;
    campaign.says("Degraded", "True", "ImagePullFailed", &["localhost:1/nothing:here"]).await;
    set(&image);
    campaign.delivers_all(50).await;
    world.leave().await;
}

async fn without_operator_the_workers_go_on_and_installed_again_it_takes_up_where_it_was() {
    let world = World::new("uninstall").await;
    world.put_list(2_000).await;
    let values = cluster().prints(&format!("helm get values {RELEASE} --namespace {SYSTEM} -o yaml"));
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    std::fs::write(file.path(), values).expect("the values are kept");
    let campaign = world.campaign("notices", json!({"delivery": {"rate": {"perSecond": 50}}})).await;
    campaign.reaches(Phase::Sending).await;
    cluster().prints(&format!("helm uninstall {RELEASE} --namespace {SYSTEM} --wait"));
    let before = campaign.mails().len();
    campaign.has_sent(before + 100).await;
    let install = format!(
        "helm upgrade --install {RELEASE} charts/mailcampaign --namespace {SYSTEM} --values {} --wait --timeout 3m",
        file.path().display()
    );
    cluster().prints(&install);
    campaign.change(json!({"delivery": {"rate": {"perSecond": 500}}})).await;
    campaign.delivers_all(2_000).await;
    all_operators_are_ready(&world).await;
    world.leave().await;
}

async fn a_definition_that_is_deleted_takes_its_campaigns_along_and_made_again_serves_new_ones() {
    let world = World::new("definition").await;
    world.put_list(2_000).await;
    let campaign = world.campaign("notices", json!({"delivery": {"rate": {"perSecond": 20}}})).await;
    campaign.has_sent(10).await;
    cluster().prints(&format!("kubectl delete crd {CRD} --timeout=60s"));
    until("no worker is left", PATIENCE, async || world.pods_of("notices", "worker").await.is_empty().then_some(()))
        .await;
    until("its topics are gone", PATIENCE, async || campaign.has_no_topics().await.then_some(())).await;
    cluster().prints(&upgrade(""));
    cluster().prints(&format!("kubectl wait --for=condition=Established crd/{CRD} --timeout=60s"));
    world.put_list(50).await;
    let next = world.campaign("next", json!({})).await;
    next.status_within(Duration::from_mins(2), "it is done", |status| status.phase == Some(Phase::Completed)).await;
    next.delivers_all(50).await;
    world.leave().await;
}
