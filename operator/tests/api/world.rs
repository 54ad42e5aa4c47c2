//! A namespace of the API server with its node, and an operator that runs in this process and can be killed.

use crate::faults::{self, Faults, Plan};
use crate::node::Node;
use jiff::SignedDuration;
use journal::kafka::{Hub, Settings as Kafka, Which};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::client::ClientBuilder;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use operator::build::{KafkaForPods, PodSettings};
use operator::leader::OnlyWhileLeading;
use operator::metrics::Metrics;
use operator::run::{Settings, Told, run_with};
use program::Health;
use prometheus::Registry;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use testkit::ApiServer;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Longer than anything takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// One server for all tests.
async fn server() -> &'static ApiServer {
    static SERVER: OnceCell<ApiServer> = OnceCell::const_new();
    let start = || {
        let server = ApiServer::start();
        server.define(campaign::crd());
        server
    };
    SERVER.get_or_init(async || tokio::task::spawn_blocking(start).await.expect("it starts")).await
}

/// What was tried, for who reads the output.
#[expect(clippy::print_stdout, reason = "how much was tried is what one wants to see of a fault suite")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}

/// Asks until it holds.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A namespace of its own, with a list in a ConfigMap, and what a node does there.
pub(crate) struct World {
    /// The administrator's.
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) namespace: String,
    pub(crate) node: Node,
}

impl World {
    pub(crate) async fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let config = faults::config(server().await).await;
        let client = Client::try_from(config.clone()).expect("a client");
        let namespace = format!("{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let wanted: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}})).expect("a namespace");
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &wanted).await.expect("it is made");
        let node = Node::start(client.clone(), &namespace);
        let world = Self { client, config, namespace, node };
        world.put_list("Email\nann@example.com\nbob@example.com\neve@example.com\n").await;
        world
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn campaigns(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("mailcampaign.io", "v1alpha1", "MailCampaign");
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::from_gvk(&kind))
    }

    /// Writes the list's ConfigMap.
    pub(crate) async fn put_list(&self, text: &str) {
        let list = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "list"}, "data": {"list.csv": text},
        });
        let put =
            self.api::<ConfigMap>().patch("list", &PatchParams::apply("test").force(), &Patch::Apply(&list)).await;
        put.expect("the list is taken");
    }

    /// Applies a campaign; `change` may change what is applied.
    pub(crate) async fn apply(&self, name: &str, change: impl FnOnce(&mut Value)) -> kube::Result<DynamicObject> {
        let mut document = json!({
            "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign", "metadata": {"name": name},
            "spec": {
                "recipients": {"source": {"configMap": {"name": "list", "key": "list.csv"}}, "emailColumn": "Email"},
                "message": {"from": "people@example.com", "subject": "Hello", "text": {"inline": "Hello"}},
                "delivery": {"backends": [{"name": "relay", "smtp": {"host": "relay.example.com", "tls": "None"}}]},
                "kafka": {"partitions": 1},
            },
        });
        change(&mut document);
        self.campaigns().patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&document)).await
    }

    /// How a campaign's topics are known.
    pub(crate) fn which(&self, name: &str, uid: &str) -> Which {
        Which {
            prefix: "mailcampaign".to_owned(),
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            uid: campaign::CampaignUid(uid.parse().expect("a uid")),
        }
    }

    /// Changes a campaign by a merge patch.
    pub(crate) async fn patch(&self, name: &str, change: Value) {
        let patched = self.campaigns().patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
        patched.expect("the change is taken");
    }

    pub(crate) async fn delete(&self, name: &str) {
        drop(self.campaigns().delete(name, &DeleteParams::default()).await.expect("it is there"));
    }

    pub(crate) async fn campaign(&self, name: &str) -> Option<Value> {
        let found = self.campaigns().get_opt(name).await.expect("the server answers");
        found.map(|found| serde_json::to_value(found).expect("JSON"))
    }

    /// Waits until the campaign is so.
    pub(crate) async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let campaign = self.campaign(name).await.unwrap_or_default();
            if holds(&campaign) {
                return campaign;
            }
            assert!(Instant::now() < deadline, "never: {what}; {:#}", campaign["status"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn until_phase(&self, name: &str, phase: &str) -> Value {
        self.until(name, phase, |campaign| campaign["status"]["phase"] == phase).await
    }

    /// Waits until a condition has a reason.
    pub(crate) async fn until_reason(&self, name: &str, condition: &str, reason: &str) -> Value {
        let what = format!("{condition}: {reason}");
        self.until(name, &what, |campaign| self::condition(campaign, condition)["reason"] == reason).await
    }

    /// Starts an operator for this namespace, with a plan's faults between it and the server.
    pub(crate) fn operator(&self, plan: &Plan) -> Operator {
        self.operator_by(plan, |_| {})
    }

    /// The same with other settings.
    pub(crate) fn operator_by(&self, plan: &Plan, change: impl FnOnce(&mut Settings)) -> Operator {
        let kafka = testkit::Kafka::shared().bootstrap();
        let mut settings = Settings {
            scopes: vec![Some(self.namespace.clone())],
            kafka: Some(Kafka::plaintext(kafka.clone())),
            kafka_for_pods: KafkaForPods { bootstrap: Some(kafka), secret: None },
            pods: PodSettings {
                image: "example.com/mailcampaign:1".to_owned(),
                log_format: "json".to_owned(),
                ..PodSettings::default()
            },
            lease: "operator".to_owned(),
            namespace: self.namespace.clone(),
            pod: "operator".to_owned(),
            deletion_deadline: SignedDuration::from_secs(20),
            status_interval: Duration::from_millis(50),
        };
        change(&mut settings);
        let (config, plan) = (self.config.clone(), plan.clone());
        let faults = Faults::new(&plan);
        let connect = move |leader: Option<&operator::leader::Leader>| {
            let builder = ClientBuilder::try_from(config.clone())?.with_layer(&faults);
            Ok(match leader {
                Some(leader) => builder.with_layer(&OnlyWhileLeading(leader.clone())).build(),
                None => builder.build(),
            })
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let metrics = Metrics::register(&Registry::new()).expect("registered");
        let told = Told { health: Health::new(), metrics };
        let task = tokio::spawn(async move {
            let stop = async move { drop(stopped.await) };
            run_with(&connect, settings, told, stop).await.expect("it runs");
        });
        Operator { stop, task, leases: self.api() }
    }
}

/// A condition of a campaign.
pub(crate) fn condition<'c>(campaign: &'c Value, name: &str) -> &'c Value {
    let conditions = campaign["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == name).unwrap_or(&Value::Null)
}

/// One life of an operator.
pub(crate) struct Operator {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    leases: Api<Lease>,
}

impl Operator {
    /// Ends it as by SIGKILL. Its Lease is taken away, so that the next needn't wait until it has run out.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.expect_err("it was running").is_cancelled());
        drop(self.leases.delete("operator", &DeleteParams::default()).await);
    }

    /// Ends it in order.
    pub(crate) async fn end(self) {
        self.stop.send(()).expect("it runs");
        self.task.await.expect("it ends");
    }
}

/// Whether the topics of a campaign are there.
pub(crate) async fn topics(world: &World, name: &str, uid: &str) -> bool {
    let hub = Hub::connect(Kafka::plaintext(testkit::Kafka::shared().bootstrap()));
    hub.find(&world.which(name, uid)).await.expect("Kafka answers").is_whole()
}
