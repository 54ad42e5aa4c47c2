//! What may change while a campaign is sending takes effect without beginning anew, and at the end everybody has one mail.

use crate::cluster::Use;
use crate::world::{PATIENCE, World, until};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// The workers that are ready and not on their way out.
async fn ready(world: &World) -> Vec<Pod> {
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        pod.metadata.deletion_timestamp.is_none()
            && conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    world.pods_of("notices", "worker").await.into_iter().filter(is_ready).collect()
}

#[tokio::test]
async fn e2e_backend_rate_resources_and_credentials_change_while_it_sends_and_everybody_gets_one_mail() {
    let _installed = Use::shared().await;
    let world = World::new("changes").await;
    world.put_list(3_000).await;
    world.put_secret("unused", json!({"token": "one"})).await;
    let backend = |name: &str, more: Value| {
        let mut backend =
            json!({"name": name, "smtp": {"host": "smtp-relay.mail.svc.cluster.local", "port": 2525, "tls": "None"}});
        backend["smtp"]["connections"] = more;
        backend
    };
    // A second one that nobody reaches, and that is asked last: its credential is read all the same.
    let header = json!({"X-Token": {"secret": {"name": "unused", "key": "token"}}});
    let last = json!({"name": "last", "priority": 9, "http": {"url": "http://127.0.0.1:1/", "headers": header}});
    let of = |first: Value, rate: u32| json!({"delivery": {"backends": [first, last], "rate": {"perSecond": rate}}});
    let campaign = world.campaign("notices", of(backend("relay", json!(5)), 40)).await;
    campaign.has_sent(50).await;
    let producer =
        world.api::<k8s_openapi::api::batch::v1::Job>().get("notices-producer").await.expect("the Job").uid();

    let mut before: Vec<String> = ready(&world).await.iter().map(Pod::name_any).collect();
    let changes = [
        ("the rate", of(backend("relay", json!(5)), 60)),
        ("the backend", of(backend("other", json!(8)), 60)),
        ("the resources", json!({"workers": {"resources": {"requests": {"cpu": "15m"}}}})),
    ];
    for (what, change) in changes {
        campaign.change(change).await;
        before = replaced(&world, what, &before).await;
    }
    world.put_secret("unused", json!({"token": "two"})).await;
    replaced(&world, "the credential", &before).await;
    assert!(campaign.mails().len() < 3_000, "it was over before everything had changed");
    campaign.change(of(backend("other", json!(20)), 1_000)).await;
    campaign.delivers_all(3_000).await;
    let still = world.api::<k8s_openapi::api::batch::v1::Job>().get("notices-producer").await.expect("the Job").uid();
    assert_eq!(still, producer, "the list was published once");
    world.leave().await;
}

/// Waits until others are ready in place of those; their names.
async fn replaced(world: &World, what: &str, before: &[String]) -> Vec<String> {
    until(&format!("{what}: new workers"), PATIENCE, async || {
        let now: Vec<String> = ready(world).await.iter().map(Pod::name_any).collect();
        (!now.is_empty() && now.iter().all(|name| !before.contains(name))).then_some(now)
    })
    .await
}
