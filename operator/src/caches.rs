//! What the cluster has, kept up to date by watches: nothing is listed or fetched for a campaign at rest.

use crate::build::{Component, INSTANCE, MANAGED_BY, MANAGER};
use crate::observed::Children;
use crate::resource::{Campaign, Kind, Named};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, Stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, PodSpec, Secret};
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Error as WatchError, watcher};
use kube::runtime::{Controller, WatchStreamExt, utils::PredicateConfig};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The caches of one namespace, or of all.
#[derive(Clone)]
pub struct Caches {
    campaigns: Store<Campaign>,
    files: Store<ConfigMap>,
    producers: Store<Job>,
    workers: Store<Deployment>,
    autoscalers: Store<HorizontalPodAutoscaler>,
    pods: Store<Pod>,
    config_maps: Store<PartialObjectMeta<ConfigMap>>,
    secrets: Store<PartialObjectMeta<Secret>>,
    claims: Store<PartialObjectMeta<PersistentVolumeClaim>>,
    /// One wait for all who wait: of several that wait for a store itself only the last is woken.
    filled: Shared<BoxFuture<'static, ()>>,
}

/// Whose objects are watched.
#[derive(Clone)]
pub struct Scope {
    /// How the cluster is reached.
    pub client: Client,
    /// One namespace; none: all.
    pub namespace: Option<String>,
}

impl Scope {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// What is watched of a kind: whole objects, without what nobody here reads.
    fn whole<K>(
        &self,
        config: watcher::Config,
        trim: fn(&mut K),
    ) -> (Store<K>, impl Stream<Item = Result<K, WatchError>> + Send + use<K>)
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let (reader, writer) = store();
        let stream = watcher(self.api::<K>(), config).default_backoff().modify(move |object| {
            object.managed_fields_mut().clear();
            trim(object);
        });
        (reader, stream.reflect(writer).touched_objects())
    }

    /// What is watched of a kind: that objects exist, and that they change.
    fn metadata<K>(
        &self,
    ) -> (Store<PartialObjectMeta<K>>, impl Stream<Item = Result<PartialObjectMeta<K>, WatchError>> + Send + use<K>)
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let (reader, writer) = store();
        let stream = watcher(self.api::<PartialObjectMeta<K>>(), watcher::Config::default()).default_backoff();
        let stream = stream.modify(|object: &mut PartialObjectMeta<K>| {
            object.metadata.managed_fields = None;
            object.metadata.annotations = None;
            object.metadata.labels = None;
            object.metadata.owner_references = None;
        });
        (reader, stream.reflect(writer).touched_objects())
    }
}

/// Watches everything that concerns campaigns, and has a campaign looked at whenever something of it changes.
pub fn watch(scope: &Scope) -> (Caches, Controller<Campaign>) {
    let ours = || watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
    let (files, of_files) = scope.whole::<ConfigMap>(ours(), |_| {});
    let (producers, of_producers) = scope.whole::<Job>(ours(), |_| {});
    let (workers, of_workers) = scope.whole::<Deployment>(ours(), |_| {});
    let (autoscalers, of_autoscalers) = scope.whole::<HorizontalPodAutoscaler>(watcher::Config::default(), |_| {});
    let (pods, of_pods) = scope.whole::<Pod>(ours(), trim_pod);
    let (config_maps, of_config_maps) = scope.metadata::<ConfigMap>();
    let (secrets, of_secrets) = scope.metadata::<Secret>();
    let (claims, of_claims) = scope.metadata::<PersistentVolumeClaim>();
    let (campaigns, writer) = store();
    let of_campaigns = watcher(scope.api::<Campaign>(), watcher::Config::default())
        .default_backoff()
        .modify(|campaign: &mut Campaign| campaign.metadata.managed_fields = None)
        .reflect(writer)
        .applied_objects()
        .predicate_filter(asks, PredicateConfig::default());
    let controller = Controller::for_stream(of_campaigns, campaigns.clone())
        .watches_stream(of_files, by_label)
        .watches_stream(of_producers, by_label)
        .watches_stream(of_workers, by_label)
        .watches_stream(of_autoscalers, by_target)
        .watches_stream(of_pods, by_label)
        .watches_stream(of_config_maps, who_refers_to(&campaigns, Kind::ConfigMap))
        .watches_stream(of_secrets, who_refers_to(&campaigns, Kind::Secret))
        .watches_stream(of_claims, who_refers_to(&campaigns, Kind::Claim));
    let stores = (files.clone(), producers.clone(), workers.clone(), autoscalers.clone(), pods.clone());
    let metadata = (config_maps.clone(), secrets.clone(), claims.clone());
    let filled = async move {
        // A cache whose writer is gone ends with the program. The campaigns' own is waited for by the controller.
        let _ = tokio::join!(
            stores.0.wait_until_ready(),
            stores.1.wait_until_ready(),
            stores.2.wait_until_ready(),
            stores.3.wait_until_ready(),
            stores.4.wait_until_ready(),
            metadata.0.wait_until_ready(),
            metadata.1.wait_until_ready(),
            metadata.2.wait_until_ready(),
        );
    };
    let filled = filled.boxed().shared();
    let caches =
        Caches { campaigns, files, producers, workers, autoscalers, pods, config_maps, secrets, claims, filled };
    (caches, controller)
}

/// What in a campaign asks for something. Its status is written here, and never does.
#[expect(clippy::unnecessary_wraps, reason = "the shape of the callback")]
fn asks(campaign: &Campaign) -> Option<u64> {
    let metadata = &campaign.metadata;
    let mut hasher = DefaultHasher::new();
    metadata.generation.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    metadata.finalizers.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    Some(hasher.finish())
}

/// Of a pod only its state is read.
fn trim_pod(pod: &mut Pod) {
    let node_name = pod.spec.as_mut().and_then(|spec| spec.node_name.take());
    pod.spec = Some(PodSpec { node_name, ..PodSpec::default() });
}

/// The campaign that an object was made for.
fn by_label<K: ResourceExt>(object: K) -> Option<ObjectRef<Campaign>> {
    let name = object.labels().get(INSTANCE)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// The campaign whose workers an autoscaler scales.
#[expect(clippy::needless_pass_by_value, reason = "the shape of the callback")]
fn by_target(autoscaler: HorizontalPodAutoscaler) -> Option<ObjectRef<Campaign>> {
    let target = &autoscaler.spec.scale_target_ref;
    let name = target.name.strip_suffix(&Component::Worker.of(""))?;
    (target.kind == "Deployment").then(|| ObjectRef::new(name).within(&autoscaler.namespace().unwrap_or_default()))
}

/// The campaigns that refer to an object.
fn who_refers_to<K: Resource<DynamicType = ()>>(
    campaigns: &Store<Campaign>,
    kind: Kind,
) -> impl Fn(PartialObjectMeta<K>) -> Vec<ObjectRef<Campaign>> + Send + Sync + 'static {
    let campaigns = campaigns.clone();
    move |object| {
        let named = Named { kind, name: object.name_any() };
        let namespace = object.namespace();
        let refers = campaigns
            .state_filter(|campaign| campaign.metadata.namespace == namespace && campaign.refers_to.contains(&named));
        refers.iter().map(|campaign| ObjectRef::from_obj(&**campaign)).collect()
    }
}

/// Whether an object was made for this campaign, and not for an earlier one of its name.
fn is_of(campaign: &Campaign, object: &impl Resource) -> bool {
    object.meta().owner_references.iter().flatten().any(|owner| owner.uid == campaign.uid())
}

impl Caches {
    /// Resolves when everything but the campaigns was listed once.
    pub async fn are_filled(&self) {
        self.filled.clone().await;
    }

    /// All campaigns.
    pub fn campaigns(&self) -> Vec<Arc<Campaign>> {
        self.campaigns.state()
    }

    /// The campaign as it stands now.
    pub fn campaign(&self, namespace: &str, name: &str) -> Option<Arc<Campaign>> {
        self.campaigns.get(&ObjectRef::new(name).within(namespace))
    }

    /// What was made for a campaign; and what an earlier one of its name has left.
    pub fn children(&self, campaign: &Campaign) -> (Children, Vec<String>) {
        let mut leftovers = Vec::new();
        let children = Children {
            file: own(&self.files, campaign, Component::Campaign, &mut leftovers),
            producer: own(&self.producers, campaign, Component::Producer, &mut leftovers),
            workers: own(&self.workers, campaign, Component::Worker, &mut leftovers),
            autoscaler: own(&self.autoscalers, campaign, Component::Worker, &mut leftovers),
            has_foreign_autoscaler: self.has_foreign_autoscaler(campaign),
            pods: self.pods_of(campaign),
            events: Vec::new(),
        };
        (children, leftovers)
    }

    fn pods_of(&self, campaign: &Campaign) -> Vec<Arc<Pod>> {
        let is_its = |pod: &Pod| {
            pod.metadata.namespace == campaign.metadata.namespace
                && pod.labels().get(INSTANCE).is_some_and(|name| name == campaign.name())
        };
        self.pods.state_filter(is_its)
    }

    fn has_foreign_autoscaler(&self, campaign: &Campaign) -> bool {
        let workers = Component::Worker.of(campaign.name());
        let scales = |autoscaler: &HorizontalPodAutoscaler| {
            autoscaler.metadata.namespace == campaign.metadata.namespace
                && !is_of(campaign, autoscaler)
                && autoscaler.spec.scale_target_ref.kind == "Deployment"
                && autoscaler.spec.scale_target_ref.name == workers
        };
        self.autoscalers.find(scales).is_some()
    }

    /// The version of an object in a campaign's namespace; none: it isn't there.
    pub fn version(&self, namespace: &str, named: &Named) -> Option<String> {
        fn of<K: Resource<DynamicType = ()> + Clone>(
            store: &Store<PartialObjectMeta<K>>,
            namespace: &str,
            name: &str,
        ) -> Option<String> {
            let found = store.get(&ObjectRef::new(name).within(namespace))?;
            found.metadata.resource_version.clone()
        }
        match named.kind {
            Kind::ConfigMap => of(&self.config_maps, namespace, &named.name),
            Kind::Secret => of(&self.secrets, namespace, &named.name),
            // What is written in a volume changes no version, and what the cluster notes about one says nothing.
            Kind::Claim => of(&self.claims, namespace, &named.name).map(|_| "there".to_owned()),
        }
    }
}

fn own<K>(store: &Store<K>, campaign: &Campaign, part: Component, leftovers: &mut Vec<String>) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let found = store.get(&ObjectRef::new(&part.of(campaign.name())).within(campaign.namespace()))?;
    if is_of(campaign, &*found) {
        return Some(found);
    }
    leftovers.push(format!("{} {}", K::kind(&()), found.name_any()));
    None
}
