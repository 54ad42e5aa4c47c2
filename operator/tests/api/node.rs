//! What controllers and a node do with Jobs and Deployments in one namespace: their pods' work is done in the journal, and their status says so.

use crate::world::print;
use anyhow::{Context as _, Result};
use campaign::{CampaignUid, EmailAddress, Message, Outcome, Reply, Settlement};
use jiff::Timestamp;
use journal::kafka::{Kafka, Options, Settings, Timing, Which};
use journal::{
    Checkpoint, Entry, Journal as _, Pin, Preflighted, Publisher as _, Tally, Tick, Worker as _, WorkerOptions,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Rows of each list.
pub(crate) const ROWS: u64 = 3;

/// Many tests share one Kafka, which may take long: no mail is to become unknown by that.
const PATIENT: Timing = Timing {
    lease: Duration::from_mins(1),
    takeover: Duration::from_secs(66),
    transaction: Duration::from_secs(30),
    final_dot: Duration::from_secs(3),
    reply: Duration::from_secs(5),
    first_share: Duration::from_secs(10),
};

/// A node; it ends with the test.
pub(crate) struct Node {
    pub(crate) does: Arc<Does>,
    task: AbortHandle,
}

/// What it does, and what it has done.
#[derive(Default)]
pub(crate) struct Does {
    /// Producers don't get on.
    pub(crate) holds_producers: AtomicBool,
    /// Workers don't get on.
    pub(crate) holds_workers: AtomicBool,
    /// Workers give their mails up.
    pub(crate) gives_up: AtomicBool,
    /// The producer ends with exit code 2.
    pub(crate) finds_bad_input: AtomicBool,
    /// Runs of a producer that began to publish.
    pub(crate) producer_runs: AtomicU32,
    /// Mails that were sent.
    pub(crate) mails: AtomicU32,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    pub(crate) fn start(client: Client, namespace: &str) -> Self {
        let does = Arc::new(Does::default());
        let work = Work { client, namespace: namespace.to_owned(), does: does.clone() };
        let task = tokio::spawn(work.go_on()).abort_handle();
        Self { does, task }
    }
}

struct Work {
    client: Client,
    namespace: String,
    does: Arc<Does>,
}

impl Work {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn go_on(self) {
        let managed = ListParams::default().labels("app.kubernetes.io/managed-by=mailcampaign");
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (Ok(jobs), Ok(deployments)) =
                (self.api::<Job>().list(&managed).await, self.api::<Deployment>().list(&managed).await)
            else {
                continue;
            };
            let files = self.api::<ConfigMap>().list(&managed).await;
            let autoscalers = self.api::<HorizontalPodAutoscaler>().list(&managed).await;
            self.collect_garbage(files.as_ref().map_or(&[], |files| files.items.as_slice())).await;
            self.collect_garbage(autoscalers.as_ref().map_or(&[], |found| found.items.as_slice())).await;
            self.collect_garbage(&jobs.items).await;
            self.collect_garbage(&deployments.items).await;
            for job in jobs.items.iter().filter(|job| !is_finished(job)) {
                if !self.does.holds_producers.load(Ordering::Relaxed) {
                    self.produce(job).await;
                }
            }
            for deployment in &deployments.items {
                self.run_workers(deployment).await;
            }
        }
    }

    /// Deletes what belongs to a campaign that is gone.
    async fn collect_garbage<K>(&self, objects: &[K])
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        for object in objects {
            let Some(owner) = object.meta().owner_references.as_ref().and_then(|owners| owners.first()) else {
                continue;
            };
            let found = self.api::<operator::resource::Campaign>().get_opt(&owner.name).await;
            let is_gone = found.is_ok_and(|found| found.is_none_or(|found| found.uid() != owner.uid));
            if is_gone {
                drop(self.api::<K>().delete(&object.name_any(), &DeleteParams::background()).await);
            }
        }
    }

    async fn produce(&self, job: &Job) {
        let api = self.api::<Job>();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now});
        let status = if self.does.finds_bad_input.load(Ordering::Relaxed) {
            let why = "Container producer for pod x failed with exit code 2 matching FailJob rule at index 0";
            json!({
                "startTime": now, "failed": 1,
                "conditions": [
                    condition("FailureTarget", "PodFailurePolicy", why), condition("Failed", "PodFailurePolicy", why),
                ],
            })
        } else {
            let Some(published) = self.publish(job).await else { return };
            if !published {
                return;
            }
            let shards = job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(1);
            let indexes = if shards > 1 { format!("0-{}", shards - 1) } else { "0".to_owned() };
            json!({
                "startTime": now, "completionTime": now, "succeeded": shards, "completedIndexes": indexes,
                "conditions": [condition("SuccessCriteriaMet", "CompletionsReached", ""), condition("Complete", "CompletionsReached", "")],
            })
        };
        let change = Patch::Merge(json!({"metadata": {"uid": job.metadata.uid}, "status": status}));
        match api.patch_status(&job.name_any(), &PatchParams::default(), &change).await {
            Err(kube::Error::Api(status)) if !status.is_not_found() && !status.is_conflict() => {
                panic!("the server takes no such status of a Job: {status:?}")
            }
            _ => {}
        }
    }

    /// Publishes what is still to be published. None: Kafka isn't ready for it.
    async fn publish(&self, job: &Job) -> Option<bool> {
        let env = env_of(job.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.env.as_ref()?);
        let owner = job.metadata.owner_references.as_ref()?.first()?;
        let journal = Kafka::open(self.options(&env, &owner.name, &owner.uid)?).await.ok()?;
        let list = self.api::<ConfigMap>().get_opt("list").await.ok()??;
        let text = list.data?.get("list.csv")?.clone();
        let hash = bundle::sha256(text.as_bytes());
        let shards = job.spec.as_ref()?.completions.and_then(|count| u32::try_from(count).ok())?;
        let pin = Pin {
            uid: CampaignUid(owner.uid.parse().ok()?),
            contents: [("spec.recipients.source".to_owned(), hash)].into(),
            destination: "backends".to_owned(),
            shards,
        };
        let tally = Tally { published: ROWS, ..Tally::default() };
        journal.pin_with(pin, Some(Preflighted { at: Timestamp::now(), tally })).await.ok()?;
        for shard in 0..shards {
            let mut publisher = journal.publisher(shard).await.ok()?;
            if publisher.checkpoint().done {
                continue;
            }
            self.does.producer_runs.fetch_add(1, Ordering::Relaxed);
            let entries: Vec<Entry> = if shard == 0 { (2..2 + ROWS).map(message).collect() } else { Vec::new() };
            let tally = if shard == 0 { tally } else { Tally::default() };
            publisher.publish(entries, Checkpoint { next_row: 2 + ROWS, tally, done: true }).await.ok()?;
        }
        Some(true)
    }

    /// The Deployment has as many pods as it is to have; one of them sends what can be sent.
    async fn run_workers(&self, deployment: &Deployment) {
        let wanted = deployment.spec.replicas.unwrap_or(1);
        let status = deployment.status.clone().unwrap_or_default();
        let is_so =
            status.replicas.unwrap_or(0) == wanted && status.observed_generation == deployment.metadata.generation;
        if !is_so {
            let now = json!({
                "observedGeneration": deployment.metadata.generation, "replicas": wanted, "readyReplicas": wanted,
                "availableReplicas": wanted, "updatedReplicas": wanted,
            });
            let change = Patch::Merge(json!({"metadata": {"uid": deployment.metadata.uid}, "status": now}));
            drop(self.api::<Deployment>().patch_status(&deployment.name_any(), &PatchParams::default(), &change).await);
        }
        if wanted > 0 && !self.does.holds_workers.load(Ordering::Relaxed) {
            // What fails is tried again a moment later.
            if let Err(error) = self.send(deployment).await {
                print(&format!("the workers of {}: {error:#}", deployment.name_any()));
            }
        }
    }

    async fn send(&self, deployment: &Deployment) -> Result<()> {
        let pod = deployment.spec.template.spec.as_ref().context("no pod")?;
        let env = env_of(pod.containers.first().and_then(|first| first.env.as_ref()).context("no environment")?);
        let owner = deployment.metadata.owner_references.as_ref().and_then(|owners| owners.first());
        let owner = owner.context("no owner")?;
        let options = self.options(&env, &owner.name, &owner.uid).context("no settings")?;
        let journal = Kafka::open_existing(options).await?;
        if journal.pinned().await?.is_none() || journal.counts().await?.pending == 0 {
            return Ok(());
        }
        let on_unknown = journal::OnUnknown::Hold;
        let mut worker = journal.worker(WorkerOptions { on_unknown, now: Timestamp::now() }).await?;
        for _ in 0..100 {
            let now = Timestamp::now();
            let claims = worker.take(10, now).await?;
            if claims.is_empty() {
                worker.commit(Tick { at: now, ..Tick::default() }).await?;
                if worker.exhausted() || worker.paused() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            let claimed = worker.commit(Tick { claims, at: now, ..Tick::default() }).await?;
            self.does.mails.fetch_add(u32::try_from(claimed.len())?, Ordering::Relaxed);
            let outcome = if self.does.gives_up.load(Ordering::Relaxed) {
                Outcome::Dead { reply: Reply { code: 452, enhanced: None, text: "Full".to_owned() } }
            } else {
                Outcome::Delivered { reply: Reply { code: 250, enhanced: None, text: "Ok".to_owned() } }
            };
            let finished = claimed.iter().map(|claimed| Settlement {
                row: claimed.message().row,
                attempt: claimed.attempt(),
                at: now,
                backend: Some("relay".to_owned()),
                outcome: outcome.clone(),
            });
            worker.commit(Tick { finished: finished.collect(), at: now, ..Tick::default() }).await?;
        }
        Ok(())
    }

    fn options(&self, env: &BTreeMap<String, String>, name: &str, uid: &str) -> Option<Options> {
        let which = Which {
            prefix: env.get("KAFKA_TOPIC_PREFIX")?.clone(),
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            uid: CampaignUid(uid.parse().ok()?),
        };
        Some(Options {
            // One that the campaign brings along stands in a Secret.
            settings: Settings::plaintext(env.get("KAFKA_BOOTSTRAP_SERVERS").cloned().unwrap_or_else(shared)),
            which,
            partitions: env.get("KAFKA_PARTITIONS")?.parse().ok()?,
            replication: None,
            timing: PATIENT,
        })
    }
}

fn shared() -> String {
    testkit::Kafka::shared().bootstrap()
}

fn message(row: u64) -> Entry {
    let recipient = EmailAddress::parse(&format!("r{row}@example.com")).expect("an address");
    Entry::Message(Message { row, recipient, fields: serde_json::Map::new() })
}

fn is_finished(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.status == "True" && (condition.type_ == "Complete" || condition.type_ == "Failed"))
}

fn env_of(env: &[k8s_openapi::api::core::v1::EnvVar]) -> BTreeMap<String, String> {
    env.iter().map(|variable| (variable.name.clone(), variable.value.clone().unwrap_or_default())).collect()
}
