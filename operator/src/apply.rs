//! Does what was decided: writes to the cluster and to Kafka. Makes no choices.

use crate::build::{self, Component, DECLARED, FINALIZER, INSTANCE, Input, MANAGED_BY, MANAGER};
use crate::context::Context;
use crate::drift;
use crate::kafka::Journals;
use crate::leader::NotLeading;
use crate::lifecycle::Step;
use crate::observed::{Children, is_alive};
use crate::resource::Campaign;
use futures::future;
use jiff::Timestamp;
use journal::Command;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use tracing::{debug, info};

/// The field manager of the number of workers: another than that of the rest, which never mentions it.
const SCALER: &str = "mailcampaign-scaler";

/// What went wrong, and with which step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refuses, or doesn't answer.
    #[error("{what}: {}", message_of(.source))]
    Cluster {
        /// Which object.
        what: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The caches said that nobody works any more, and the API server says otherwise.
    #[error("{0} is still there")]
    StillThere(String),
    /// There is no way to Kafka.
    #[error("{0}")]
    NoKafka(String),
    /// Kafka refuses, or doesn't answer.
    #[error(transparent)]
    Kafka(#[from] journal::Error),
    /// Another replica leads by now.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
}

impl Error {
    /// Whether the same may succeed when the caches are up to date: another was faster, or it is gone.
    pub fn is_stale_view(&self) -> bool {
        match self {
            Self::Cluster { source, .. } => {
                matches!(&**source, kube::Error::Api(status) if status.is_conflict() || status.is_not_found())
            }
            Self::StillThere(_) => true,
            Self::NoKafka(_) | Self::Kafka(_) | Self::NotLeading(_) => false,
        }
    }
}

/// What the API server said.
fn message_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// Does the steps, in their order.
///
/// # Errors
/// The first that failed; those behind it were not begun.
pub async fn apply(
    ctx: &Context,
    declared: Option<Declared<'_>>,
    campaign: &Campaign,
    children: &Children,
    journals: &Result<Journals, String>,
    steps: &[Step],
) -> Result<(), Error> {
    let doing = Doing { ctx, campaign, children, journals };
    let mut steps = steps.iter().copied().peekable();
    while let Some(step) = steps.next() {
        if step == Step::WriteFile && steps.next_if_eq(&Step::EnsureTopics).is_some() {
            // Neither needs the other, and Kafka takes a while.
            let (file, topics) =
                Box::pin(future::join(doing.step(Step::WriteFile, declared), doing.step(Step::EnsureTopics, declared)))
                    .await;
            file.and(topics)?;
        } else {
            doing.step(step, declared).await?;
        }
    }
    Ok(())
}

/// What the objects are made of, and the Job made of it; there is none of a resource that breaks a rule.
pub type Declared<'a> = (&'a Input<'a>, &'a Job);

/// What a step works on.
struct Doing<'a> {
    ctx: &'a Context,
    campaign: &'a Campaign,
    children: &'a Children,
    journals: &'a Result<Journals, String>,
}

impl Doing<'_> {
    async fn step(&self, step: Step, declared: Option<Declared<'_>>) -> Result<(), Error> {
        let children = self.children;
        match (step, declared) {
            (Step::Hold, _) => self.finalizers(true).await,
            (Step::Release, _) => self.finalizers(false).await,
            (Step::WriteFile, Some((input, _))) => self.declare(&build::file(input), children.file.as_deref()).await,
            (Step::EnsureTopics, _) => Ok(self.journals()?.ensure().await?),
            (Step::Publish, Some((_, producer))) => self.publish(producer).await,
            (Step::Send, Some((input, _))) => self.declare(&build::workers(input), children.workers.as_deref()).await,
            (Step::Autoscale, Some((input, _))) => {
                self.declare(&build::autoscaler(input), children.autoscaler.as_deref()).await
            }
            (Step::RemoveProducer, _) => self.remove(children.producer.as_deref()).await,
            (Step::RemoveAutoscaler, _) => self.remove(children.autoscaler.as_deref()).await,
            (Step::Scale(wanted), _) => self.scale(wanted).await,
            (Step::Suspend, _) => self.tell(Command::Suspend { at: Timestamp::now() }).await,
            (Step::Unsuspend, _) => self.tell(Command::Unsuspend).await,
            (Step::Resume, _) => self.tell(Command::Resume).await,
            (Step::DeleteTopics, _) => {
                self.nobody_works().await?;
                Ok(self.journals()?.delete().await?)
            }
            (Step::DeleteCampaign, _) => self.remove(Some(self.campaign)).await,
            // Without a valid resource nothing of the kind is decided.
            (Step::WriteFile | Step::Publish | Step::Send | Step::Autoscale, None) => Ok(()),
        }
    }

    /// The way to Kafka, for a change there: the client of the API server asks by itself whether this replica may write, this one doesn't.
    fn journals(&self) -> Result<&Journals, Error> {
        self.ctx.leader.may_write()?;
        self.journals.as_ref().map_err(|why| Error::NoKafka(why.clone()))
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.ctx.client.clone(), self.campaign.namespace())
    }

    /// Has an object as it is declared; nothing is written if it is so already.
    async fn declare<K>(&self, declared: &K, actual: Option<&K>) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        let (uid, mut wanted) = (self.campaign.uid(), as_json(declared));
        let digest = build::digest(wanted.clone());
        wanted["metadata"]["annotations"][DECLARED] = json!(digest);
        if let Some(actual) = actual {
            let Some(difference) = drift::difference(&wanted, &as_json(actual)) else { return Ok(()) };
            if self.ctx.memory(uid, |memory| memory.was_applied(&digest, actual)) {
                return Ok(());
            }
            debug!(object = describe(declared), difference, "is not as declared");
            // Gone in the meantime, it is not to be made by an update.
            wanted["metadata"]["uid"] = json!(actual.meta().uid);
        }
        let api = self.api::<K>();
        let applying = PatchParams::apply(MANAGER).force();
        let applied = api.patch(&declared.name_any(), &applying, &Patch::Apply(&wanted)).await;
        let applied = applied.map_err(|error| failed(declared, error))?;
        info!(object = describe(declared), created = actual.is_none(), "applied");
        self.ctx.memory(uid, |memory| memory.applied(digest, &applied));
        Ok(())
    }

    /// Starts the Job, or lets it go on. Its pods' template can't be changed: what is there keeps its own.
    async fn publish(&self, declared: &Job) -> Result<(), Error> {
        let actual = self.children.producer.as_deref();
        let (Some(actual), Some(wanted)) = (actual, &declared.spec) else {
            return self.declare(declared, None).await;
        };
        if actual.spec.parallelism == wanted.parallelism && actual.spec.suspend != Some(true) {
            return Ok(());
        }
        let change = json!({
            "metadata": {"uid": actual.metadata.uid},
            "spec": {"parallelism": wanted.parallelism, "suspend": false},
        });
        let patching = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.api::<Job>().patch(&actual.name_any(), &patching, &Patch::Merge(&change)).await;
        patched.map(drop).map_err(|error| failed(declared, error))
    }

    async fn scale(&self, wanted: u32) -> Result<(), Error> {
        let name = Component::Worker.of(self.campaign.name());
        let api = self.api::<Deployment>();
        let scaling = PatchParams { field_manager: Some(SCALER.to_owned()), ..PatchParams::default() };
        let scaled = api.patch_scale(&name, &scaling, &Patch::Merge(json!({"spec": {"replicas": wanted}}))).await;
        scaled.map_err(|source| Error::Cluster { what: format!("Deployment {name}"), source: Box::new(source) })?;
        info!(workers = wanted, "scaled");
        Ok(())
    }

    /// Deletes exactly this object, with what depends on it.
    async fn remove<K>(&self, object: Option<&K>) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let Some(object) = object.filter(|object| object.meta().deletion_timestamp.is_none()) else { return Ok(()) };
        let deleting = DeleteParams {
            preconditions: Some(Preconditions { uid: object.meta().uid.clone(), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match self.api::<K>().delete(&object.name_any(), &deleting).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(failed(object, error)),
            Ok(_) => {
                info!(object = describe(object), "deleted");
                Ok(())
            }
        }
    }

    /// Puts the finalizer on or takes it off, unless somebody else changed the campaign since it was seen.
    async fn finalizers(&self, held: bool) -> Result<(), Error> {
        let metadata = &self.campaign.metadata;
        let others = metadata.finalizers.iter().flatten().filter(|finalizer| *finalizer != FINALIZER);
        let mut finalizers: Vec<&str> = others.map(String::as_str).collect();
        finalizers.extend(held.then_some(FINALIZER));
        let change = json!({"metadata": {
            "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": finalizers,
        }});
        let patching = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.api::<Campaign>().patch(self.campaign.name(), &patching, &Patch::Merge(&change)).await;
        patched.map(drop).map_err(|error| failed(self.campaign, error))
    }

    /// Asks the API server itself: what can't be undone is not done by what caches say.
    async fn nobody_works(&self) -> Result<(), Error> {
        let asking = |what: &str, source| Error::Cluster { what: what.to_owned(), source: Box::new(source) };
        let name = self.campaign.name();
        let (producer, worker) = (Component::Producer.of(name), Component::Worker.of(name));
        let job = self.api::<Job>().get_opt(&producer).await.map_err(|error| asking("the Job", error))?;
        let workers =
            self.api::<Deployment>().get_opt(&worker).await.map_err(|error| asking("the Deployment", error))?;
        let of_it = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER},{INSTANCE}={name}"));
        let pods = self.api::<Pod>().list(&of_it).await.map_err(|error| asking("the pods", error))?;
        let sends = |deployment: &Deployment| deployment.spec.replicas != Some(0);
        if let Some(job) = job.filter(|job| self.campaign.owns(job)) {
            return Err(Error::StillThere(describe(&job)));
        }
        if let Some(deployment) = workers.filter(|found| self.campaign.owns(found) && sends(found)) {
            return Err(Error::StillThere(describe(&deployment)));
        }
        match pods.items.iter().find(|pod| is_alive(pod)) {
            Some(pod) => Err(Error::StillThere(describe(pod))),
            None => Ok(()),
        }
    }

    async fn tell(&self, command: Command) -> Result<(), Error> {
        Ok(self.journals()?.tell(command).await?)
    }
}

/// An object as the API has it, with its kind.
fn as_json<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn describe<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()), object.name_any())
}

fn failed<K: Resource<DynamicType = ()>>(object: &K, source: kube::Error) -> Error {
    Error::Cluster { what: describe(object), source: Box::new(source) }
}
