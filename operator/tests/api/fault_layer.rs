//! The layer that makes faults for the other suites does what it says, between a client and a real API server.

use crate::faults::{self, Answer, Faults, Plan, Verb, When};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::client::ClientBuilder;
use kube::{Client, ResourceExt};
use operator::leader::{Clock, elect_by, identity};
use serde_json::json;
use std::time::Duration;
use testkit::ApiServer;

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "1"}})).expect("a ConfigMap")
}

fn config_maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "default")
}

async fn create(client: &Client, name: &str) -> kube::Result<ConfigMap> {
    config_maps(client.clone()).create(&PostParams::default(), &config_map(name)).await
}

/// The ConfigMaps of these tests; a cluster has others.
async fn names(client: &Client) -> Vec<String> {
    let list = config_maps(client.clone()).list(&ListParams::default()).await.expect("a list");
    list.iter().map(ResourceExt::name_any).filter(|name| name != "kube-root-ca.crt").collect()
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("not of the API: {other}"),
    }
}

/// One server for all: each part works on names of its own.
#[tokio::test]
async fn what_is_planned_goes_wrong_and_nothing_else() {
    let server = ApiServer::start();
    writes_are_counted(&server).await;
    a_crash_before_a_write_leaves_nothing(&server).await;
    a_crash_after_a_write_leaves_it_done(&server).await;
    calls_are_answered_as_planned(&server).await;
    changes_disappear_from_a_watch(&server).await;
    a_list_is_as_it_was(&server).await;
    the_gate_stands_before_the_faults(&server).await;
}

async fn writes_are_counted(server: &ApiServer) {
    let plan = Plan::default();
    let client = faults::client(server, &plan).await;
    create(&client, "counted").await.expect("it is made");
    create(&client, "counted").await.expect_err("it is there");
    let api = config_maps(client.clone());
    let patch = Patch::Merge(json!({"data": {"a": "2"}}));
    api.patch("counted", &PatchParams::default(), &patch).await.expect("it is changed");
    names(&client).await;
    api.delete("counted", &DeleteParams::default()).await.expect("it is deleted");
    let writes = plan.writes();
    let told: Vec<_> = writes.iter().map(|write| (write.call.verb, write.call.name.as_str(), write.landed)).collect();
    let wanted = [(Verb::Create, true), (Verb::Create, false), (Verb::Patch, true), (Verb::Delete, true)];
    assert_eq!(told, wanted.map(|(verb, landed)| (verb, "counted", landed)));
    assert!(
        writes
            .iter()
            .all(|write| (write.call.plural.as_str(), write.call.namespace.as_str()) == ("configmaps", "default"))
    );
}

async fn a_crash_before_a_write_leaves_nothing(server: &ApiServer) {
    let plan = Plan::default();
    plan.crash_before(2);
    let client = faults::client(server, &plan).await;
    create(&client, "before-1").await.expect("the first goes");
    create(&client, "before-2").await.expect_err("the process has ended");
    config_maps(client.clone()).get("before-1").await.expect_err("nothing is heard by the dead");
    let restarted = faults::client(server, &plan).await;
    assert_eq!(names(&restarted).await, ["before-1"]);
    create(&restarted, "before-2").await.expect("a crash happens once");
    let landed: Vec<bool> = plan.writes().iter().map(|write| write.landed).collect();
    assert_eq!(landed, [true, false, true]);
}

async fn a_crash_after_a_write_leaves_it_done(server: &ApiServer) {
    let plan = Plan::default();
    plan.crash_after(1);
    let client = faults::client(server, &plan).await;
    create(&client, "after").await.expect_err("nobody learns that it is made");
    create(&client, "after-2").await.expect_err("the process has ended");
    let restarted = faults::client(server, &plan).await;
    assert_eq!(code(&create(&restarted, "after").await.expect_err("it is there")), 409);
    let landed: Vec<bool> = plan.writes().iter().map(|write| write.landed).collect();
    assert_eq!(landed, [true, false], "what the dead ask for is not counted");
}

async fn calls_are_answered_as_planned(server: &ApiServer) {
    let plan = Plan::default();
    let client = faults::client(server, &plan).await;
    for status in [409, 410, 429, 500, 504] {
        plan.answer(When::default().verb(Verb::Create).of("configmaps").named("answered"), Answer::Status(status), 1);
        assert_eq!(code(&create(&client, "answered").await.expect_err("by plan")), status);
    }
    plan.answer(When::default(), Answer::Unreachable, 2);
    create(&client, "answered").await.expect_err("by plan");
    config_maps(client.clone()).get("answered").await.expect_err("by plan");
    plan.answer(When::default().of("secrets"), Answer::Unreachable, 1);
    plan.answer(When::default().verb(Verb::Create), Answer::LostReply, 1);
    create(&client, "answered").await.expect_err("by plan");
    config_maps(client.clone()).get("answered").await.expect("it was made, and the process lives");
    plan.answer(When::default().verb(Verb::Get), Answer::Silence, 1);
    let get = tokio::spawn({
        let client = client.clone();
        async move { config_maps(client).get("answered").await }
    });
    let heard = tokio::time::timeout(Duration::from_millis(300), get).await;
    assert!(heard.is_err(), "an answer came");
    plan.heal();
    config_maps(client.clone()).get("answered").await.expect("nothing goes wrong any more");
    plan.answer(When::default().verb(Verb::Watch), Answer::Expired, 1);
    let mut watch = config_maps(client.clone()).watch(&WatchParams::default(), "0").await.expect("it begins").boxed();
    let first = watch.try_next().await.expect("a line");
    assert!(matches!(first, Some(WatchEvent::Error(status)) if status.code == 410));
}

async fn changes_disappear_from_a_watch(server: &ApiServer) {
    let plan = Plan::default();
    let client = faults::client(server, &plan).await;
    let api = config_maps(client.clone());
    let since = api.list(&ListParams::default()).await.expect("a list").metadata.resource_version.unwrap_or_default();
    let mut watch = api.watch(&WatchParams::default(), &since).await.expect("it begins").boxed();
    plan.drop_changes("configmaps", |change| {
        change.name == "dropped" && change.namespace == "default" && change.kind == "ADDED"
    });
    create(&client, "dropped").await.expect("it is made");
    create(&client, "seen").await.expect("it is made");
    let next = async |watch: &mut futures::stream::BoxStream<'_, kube::Result<WatchEvent<ConfigMap>>>| match watch
        .try_next()
        .await
        .expect("a line")
    {
        Some(WatchEvent::Added(object)) => format!("added {}", object.name_any()),
        Some(WatchEvent::Deleted(object)) => format!("deleted {}", object.name_any()),
        other => panic!("{other:?}"),
    };
    assert_eq!(next(&mut watch).await, "added seen");
    assert_eq!(plan.dropped(), 1);
    api.delete("dropped", &DeleteParams::default()).await.expect("it is deleted");
    assert_eq!(next(&mut watch).await, "deleted dropped", "another kind of change comes through");
}

async fn a_list_is_as_it_was(server: &ApiServer) {
    let plan = Plan::default();
    plan.keep_list("configmaps");
    let client = faults::client(server, &plan).await;
    let before = names(&client).await;
    create(&client, "later").await.expect("it is made");
    let after = names(&client).await;
    assert_ne!(before, after);
    plan.serve_kept("configmaps", 1);
    let restarted = faults::client(server, &plan).await;
    let selected = ListParams::default().labels("a=b");
    let other = config_maps(restarted.clone()).list(&selected).await.expect("a list");
    assert_eq!(other.items, [], "another selector is another list");
    assert_eq!(names(&restarted).await, before);
    assert_eq!(names(&restarted).await, after);
}

async fn the_gate_stands_before_the_faults(server: &ApiServer) {
    let plan = Plan::default();
    let config = faults::config(server).await;
    let (clock, _hands) = Clock::by_hand(Duration::from_secs(100));
    let plain = Client::try_from(config.clone()).expect("a client");
    let (leader, _elector) = elect_by(clock, plain, "default", "gate", identity("a"));
    let faulty = ClientBuilder::try_from(config).expect("a client").with_layer(&Faults::new(&plan));
    let client = faulty.with_layer(&operator::leader::OnlyWhileLeading(leader)).build();
    let refused = create(&client, "refused").await.expect_err("it doesn't lead");
    assert!(operator::leader::NotLeading::is_cause_of(&refused), "{refused}");
    assert_eq!(plan.writes(), [], "it never left");
}
