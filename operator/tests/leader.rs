//! Leadership by a Lease on a real API server, by clocks that the tests move.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use operator::leader::{self, Clock, DURATION, HELD, Hands, Leader, NotLeading, elect_by, identity};
use operator::metrics::Metrics;
use prometheus::Registry;
use serde_json::json;
use std::time::Duration;
use testkit::ApiServer;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const NAMESPACE: &str = "default";
const PATIENCE: Duration = Duration::from_mins(1);

async fn config(server: &ApiServer) -> Config {
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).expect("a kubeconfig");
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a context")
}

/// A replica of the operator, as far as leading goes.
struct Replica {
    identity: String,
    leader: Leader,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(config: &Config, lease: &str, name: &str, clock: &Clock) -> Self {
        let client = Client::try_from(config.clone()).expect("a client");
        let identity = identity(name);
        let (leader, elector) = elect_by(clock.clone(), client, NAMESPACE, lease, identity.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(elector.run(async move { drop(stopped.await) }));
        Self { identity, leader, stop, task }
    }

    /// Its process ends without a word.
    async fn kill(self) -> Leader {
        self.task.abort();
        assert!(self.task.await.is_err());
        self.leader
    }

    /// It ends in order.
    async fn end(self) {
        self.stop.send(()).expect("it runs");
        self.task.await.expect("it ends");
    }
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn holder(leases: &Api<Lease>, name: &str) -> String {
    let lease = leases.get_opt(name).await.expect("an answer");
    lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default()
}

/// Moves the clock on in small steps, each with time for the calls that are due, until something holds; returns how long that took by the clock.
async fn passes_until(hands: &Hands, what: &str, holds: impl AsyncFn() -> bool) -> Duration {
    const STEP: Duration = Duration::from_millis(250);
    let mut passed = Duration::ZERO;
    while !holds().await {
        assert!(passed < PATIENCE, "never: {what}");
        hands.advance(STEP);
        passed += STEP;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    passed
}

#[tokio::test]
async fn one_of_two_leads_and_the_other_goes_on_when_it_is_gone() {
    let server = ApiServer::start();
    let config = config(&server).await;
    let leases: Api<Lease> = Api::namespaced(Client::try_from(config.clone()).expect("a client"), NAMESPACE);
    when_the_leader_is_killed_the_other_leads_within_15_s(&config, &leases).await;
    when_the_leader_ends_in_order_the_other_leads_at_its_next_look(&config, &leases).await;
    a_leader_that_loses_its_lease_follows_and_writes_nothing(&config, &leases).await;
    the_clock_of_the_machine_serves(&config, &leases).await;
}

async fn when_the_leader_is_killed_the_other_leads_within_15_s(config: &Config, leases: &Api<Lease>) {
    let lease = "killed";
    // Each has its own clock, and they show very different times.
    let (clock_a, hands_a) = Clock::by_hand(Duration::from_secs(5));
    let (clock_b, hands_b) = Clock::by_hand(Duration::from_secs(4_000_000));
    let a = Replica::start(config, lease, "a", &clock_a);
    eventually("the first leads", async || a.leader.is_leading()).await;
    let b = Replica::start(config, lease, "b", &clock_b);
    // While it renews, nobody takes it away.
    for _ in 0..60 {
        hands_a.advance(Duration::from_millis(500));
        hands_b.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(a.leader.is_leading() && !b.leader.is_leading());
    }
    assert_eq!(holder(leases, lease).await, a.identity);
    let a = a.kill().await;
    let passed = passes_until(&hands_b, "the other leads", async || b.leader.is_leading()).await;
    assert!(passed <= Duration::from_secs(15), "after {passed:?}");
    assert!(passed + Duration::from_secs(3) > DURATION, "too early, after {passed:?}");
    hands_a.advance(HELD);
    assert!(!a.is_leading());
    assert_eq!(holder(leases, lease).await, b.identity);
    let spec = leases.get(lease).await.expect("the Lease").spec.expect("its spec");
    assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(1), Some(10)));
    b.end().await;
}

async fn when_the_leader_ends_in_order_the_other_leads_at_its_next_look(config: &Config, leases: &Api<Lease>) {
    let lease = "released";
    let (clock, hands) = Clock::by_hand(Duration::from_secs(5));
    let a = Replica::start(config, lease, "a", &clock);
    eventually("the first leads", async || a.leader.is_leading()).await;
    let b = Replica::start(config, lease, "b", &clock);
    let mut changed = b.leader.changed();
    a.end().await;
    assert_eq!(holder(leases, lease).await, "");
    let passed = passes_until(&hands, "the other leads", async || b.leader.is_leading()).await;
    assert!(passed <= Duration::from_secs(3), "after {passed:?}");
    changed.wait_for(|leads| *leads).await.expect("it is told");
    b.end().await;
}

async fn a_leader_that_loses_its_lease_follows_and_writes_nothing(config: &Config, leases: &Api<Lease>) {
    let lease = "taken";
    let (clock, hands) = Clock::by_hand(Duration::from_secs(5));
    let a = Replica::start(config, lease, "a", &clock);
    eventually("it leads", async || a.leader.is_leading()).await;
    let metrics = Metrics::register(&Registry::new()).expect("registered");
    let configs: Api<ConfigMap> =
        Api::namespaced(leader::client(config.clone(), &a.leader, &metrics).expect("a client"), NAMESPACE);
    let make = async |name: &str| {
        let object = serde_json::from_value(json!({"metadata": {"name": name}})).expect("a ConfigMap");
        configs.create(&PostParams::default(), &object).await
    };
    make("by-the-leader").await.expect("the leader writes");
    let theirs = Patch::Merge(json!({"spec": {"holderIdentity": "somebody-else"}}));
    leases.patch(lease, &PatchParams::default(), &theirs).await.expect("it is taken");
    passes_until(&hands, "it learns that", async || !a.leader.is_leading()).await;
    let refused = make("by-a-follower").await.expect_err("a follower writes nothing");
    assert!(NotLeading::is_cause_of(&refused), "{refused}");
    assert!(configs.get_opt("by-a-follower").await.expect("a follower reads").is_none());
    let passed = passes_until(&hands, "it leads again", async || a.leader.is_leading()).await;
    assert!(passed + Duration::from_secs(1) >= DURATION, "after {passed:?}");
    make("by-the-leader-again").await.expect("the leader writes");
    leases.delete(lease, &DeleteParams::default()).await.expect("it is deleted");
    passes_until(&hands, "it is made anew", async || holder(leases, lease).await == a.identity).await;
    assert!(a.leader.is_leading(), "a Lease deleted by hand costs nobody the lead");
    a.end().await;
}

async fn the_clock_of_the_machine_serves(config: &Config, leases: &Api<Lease>) {
    let client = Client::try_from(config.clone()).expect("a client");
    let (leader, elector) = leader::elect(client, NAMESPACE, "real", identity("a"));
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(elector.run(async move { drop(stopped.await) }));
    eventually("it leads", async || leader.is_leading()).await;
    let first = leases.get("real").await.expect("the Lease").metadata.resource_version;
    eventually("it renews", async || leases.get("real").await.expect("the Lease").metadata.resource_version != first)
        .await;
    assert!(leader.is_leading());
    stop.send(()).expect("it runs");
    task.await.expect("it ends");
    assert!(!leader.is_leading());
}
