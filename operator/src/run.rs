//! The whole of `mailcampaign-operator`: watches, elects a leader, reconciles until it is told to stop.

use crate::build::{KafkaForPods, MANAGER, PodSettings};
use crate::caches::{Caches, Changes, Scope, watch};
use crate::context::Context;
use crate::controller::{Looked, reconcile};
use crate::kafka::Connections;
use crate::leader::{self, Leader};
use crate::metrics::{Metrics, Reconciled};
use crate::queue::WorkQueue;
use crate::resource::Campaign;
use crate::rights::{self, Rule};
use futures::{FutureExt, StreamExt};
use jiff::SignedDuration;
use journal::kafka;
use kube::api::ListParams;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Config};
use program::{Failure, Health};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// Campaigns of a namespace that are looked at at the same time.
const AT_ONCE: usize = 16;
/// Until a look that failed is made again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// A call of the API server takes this long at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two writes of a campaign's status, at least.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// Between two times that what is remembered is looked through.
const TIDY: Duration = Duration::from_mins(1);

/// How the operator is set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The namespaces to watch; none: all.
    pub scopes: Vec<Option<String>>,
    /// Its own Kafka, if it has one.
    pub kafka: Option<kafka::Settings>,
    /// How pods reach that.
    pub kafka_for_pods: KafkaForPods,
    /// How pods are made.
    pub pods: PodSettings,
    /// The Lease's name.
    pub lease: String,
    /// Its namespace.
    pub namespace: String,
    /// This pod's name.
    pub pod: String,
    /// How long a deletion may wait for Kafka.
    pub deletion_deadline: SignedDuration,
    /// Between two writes of a campaign's status, at least.
    pub status_interval: Duration,
}

/// Where it says how it is.
#[derive(Debug, Clone)]
pub struct Told {
    /// Alive and ready.
    pub health: Health,
    /// In figures.
    pub metrics: Metrics,
}

/// Runs until `stop` resolves.
///
/// # Errors
/// The settings lead to no cluster.
pub async fn run(
    settings: Settings,
    told: Told,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let config = config().await?;
    let metrics = told.metrics.clone();
    let connect = move |leader: Option<&Leader>| match leader {
        Some(leader) => leader::client(config.clone(), leader, &metrics),
        None => Client::try_from(config.clone()),
    };
    run_with(&connect, settings, told, stop).await
}

/// The same, with clients made so: one that stands for election, and one that writes only while it leads. Dropped, it has ended at once, as by SIGKILL.
///
/// # Errors
/// No client can be made.
pub async fn run_with(
    connect: &(dyn Fn(Option<&Leader>) -> Result<Client, kube::Error> + Send + Sync),
    settings: Settings,
    told: Told,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let lacks = |error: kube::Error| Failure::bad_input(format!("the API server can't be used: {error}"));
    let stopping = CancellationToken::new();
    let electing = connect(None).map_err(lacks)?;
    let identity = leader::identity(&settings.pod);
    let (leader, elector) = leader::elect(electing, &settings.namespace, &settings.lease, identity.clone());
    let client = connect(Some(&leader)).map_err(lacks)?;
    let mut running = JoinSet::new();
    running.spawn(elector.run(stopping.clone().cancelled_owned()));
    let shared = Shared { leader, identity, metrics: told.metrics, settings: settings.clone() };
    let mut filled = Vec::new();
    for namespace in &settings.scopes {
        let scope = Scope { client: client.clone(), namespace: namespace.clone() };
        let (caches, changes) = watch(&scope);
        filled.push(caches.clone());
        running.spawn(one_scope(scope, caches, changes, shared.clone(), stopping.clone()));
    }
    let _getting_ready = AbortOnDropHandle::new(tokio::spawn(ready_when(filled, told.health)));
    tokio::select! {
        () = stop => {}
        Some(ended) = running.join_next() => {
            return Err(Failure::try_again(format!("a part of the operator ended by itself: {ended:?}")));
        }
    }
    info!("stopping: what was begun is finished, and another replica takes over");
    stopping.cancel();
    // What is left runs out by itself.
    let ended = async { while running.join_next().await.is_some() {} };
    drop(tokio::time::timeout(PATIENCE, ended).await);
    Ok(())
}

/// Tries whether the API server allows what is needed, and whether Kafka can be used.
///
/// # Errors
/// What can't.
pub async fn check(settings: &Settings) -> Result<(), Failure> {
    let client = Client::try_from(config().await?).map_err(|error| Failure::bad_input(error.to_string()))?;
    for scope in &settings.scopes {
        let api: Api<Campaign> = match scope {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let listed = api.list(&ListParams::default().limit(1)).await;
        listed.map_err(|error| Failure::try_again(format!("MailCampaigns can't be listed: {error}")))?;
        may(&client, &rights::WATCHED, scope.as_deref(), None).await?;
    }
    may(&client, &rights::OWN, Some(&settings.namespace), Some(&settings.lease)).await?;
    if let Some(kafka) = settings.kafka.clone() {
        let reached = tokio::task::spawn_blocking(move || kafka.try_reach()).await;
        reached.map_err(|error| Failure::try_again(error.to_string()))??;
    }
    Ok(())
}

/// Fails if a right is missing.
async fn may(client: &Client, rules: &[Rule], namespace: Option<&str>, name: Option<&str>) -> Result<(), Failure> {
    let missing = rights::missing(client, rules, namespace, name).await;
    let missing =
        missing.map_err(|error| Failure::try_again(format!("the API server doesn't say what is allowed: {error}")))?;
    if missing.is_empty() {
        return Ok(());
    }
    let place =
        namespace.map_or_else(|| "in all namespaces".to_owned(), |namespace| format!("in namespace {namespace}"));
    Err(Failure::bad_input(format!(
        "rights are missing {place}: {}; the chart's Roles (rbac.create) have them",
        missing.join(", ")
    )))
}

async fn config() -> Result<Config, Failure> {
    let mut config = Config::infer()
        .await
        .map_err(|error| Failure::bad_input(format!("no cluster: set KUBECONFIG, or run this in a pod ({error})")))?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(PATIENCE);
    Ok(config)
}

/// What the namespaces share.
#[derive(Clone)]
struct Shared {
    settings: Settings,
    leader: Leader,
    metrics: Metrics,
    identity: String,
}

/// The campaigns of one namespace, or of all.
async fn one_scope(scope: Scope, caches: Caches, changes: Changes, shared: Shared, stopping: CancellationToken) {
    let Shared { settings, leader, metrics, identity } = shared;
    let scratch = std::env::temp_dir().join(format!("mailcampaign-{}", std::process::id()));
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity.chars().take(63).collect()) };
    let ctx = Arc::new(Context {
        connections: Connections::new(scope.client.clone(), settings.kafka, settings.kafka_for_pods, scratch),
        recorder: Recorder::new(scope.client.clone(), reporter),
        client: scope.client,
        caches,
        leader,
        metrics,
        queue: WorkQueue::default(),
        pods: settings.pods,
        deletion_deadline: settings.deletion_deadline,
        status_interval: settings.status_interval,
        campaigns: Mutex::new(HashMap::new()),
    });
    ctx.metrics.watch(&ctx);
    let mut working = JoinSet::new();
    for _ in 0..AT_ONCE {
        working.spawn(work(ctx.clone()));
    }
    tokio::select! {
        // Nobody may take what the watches have told by halves when they are gone.
        () = stopping.cancelled().map(|()| ctx.queue.close()) => {}
        () = follow(changes, &ctx) => {}
        () = look_at_all_when_leading(&ctx) => {}
        never = tidy(&ctx) => match never {},
        // It ends by a panic only, as whoever waits for this one will see.
        Some(ended) = working.join_next() => ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())),
    }
    ctx.queue.close();
    while working.join_next().await.is_some() {}
}

/// Puts those to whom something happened into the queue.
async fn follow(mut changes: Changes, ctx: &Context) {
    while let Some(change) = changes.next().await {
        match change {
            Ok(campaign) => ctx.queue.add(campaign),
            Err(error) => warn!(%error, "a watch failed, and is tried again"),
        }
    }
}

/// Whenever this replica begins to lead, all campaigns are looked at.
async fn look_at_all_when_leading(ctx: &Context) {
    let mut leads = ctx.leader.changed();
    while leads.changed().await.is_ok() {
        if *leads.borrow_and_update() {
            ctx.caches.campaigns().iter().for_each(|campaign| ctx.queue.add(ObjectRef::from_obj(&**campaign)));
        }
    }
}

/// Looks at one campaign after the other.
async fn work(ctx: Arc<Context>) {
    // What isn't known yet would seem not to be there.
    if !ctx.caches.are_filled().await {
        return;
    }
    while let Some(mut taken) = ctx.queue.next().await {
        // As it is by now.
        let Some(campaign) = ctx.caches.campaign(&taken.key) else { continue };
        let begun = Instant::now();
        let Looked { result, again } = reconcile(campaign, &ctx).await.unwrap_or_else(|error| {
            warn!(campaign = %taken.key, %error, "tried again");
            Looked { result: Reconciled::StatusFailed, again: Some(AFTER_FAILURE) }
        });
        ctx.metrics.reconciled(result, taken.waited, begun.elapsed());
        if let Some(again) = again {
            taken.again_in(again);
        }
    }
}

/// It is ready when the objects of every namespace were listed.
async fn ready_when(all: Vec<Caches>, health: Health) {
    health.ready().wait_for("the cluster's objects are being listed");
    for caches in all {
        if !caches.are_filled().await {
            return;
        }
    }
    health.ready().set(true);
}

/// Forgets campaigns that are gone.
async fn tidy(ctx: &Context) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(TIDY).await;
        ctx.forget_those_gone();
    }
}
