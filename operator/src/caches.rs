//! What the cluster has, kept up to date by watches: nothing is listed or fetched for a campaign at rest.

use crate::build::{Component, INSTANCE, MANAGED_BY, MANAGER};
use crate::job::KeptJob;
use crate::observed::Children;
use crate::resource::{Campaign, Kind, Named};
use crate::trouble;
use campaign::MailCampaign;
use futures::future::{BoxFuture, Shared};
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Event, PersistentVolumeClaim, Pod, PodSpec, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::utils::PredicateConfig;
use kube::runtime::watcher::{self, Error as WatchError, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// An annotation with the whole object in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The caches of one namespace, or of all.
#[derive(Clone)]
pub struct Caches {
    campaigns: Store<Campaign>,
    files: Store<ConfigMap>,
    producers: Store<KeptJob>,
    workers: Store<Deployment>,
    autoscalers: Store<HorizontalPodAutoscaler>,
    pods: Store<Pod>,
    config_maps: Store<PartialObjectMeta<ConfigMap>>,
    secrets: Store<PartialObjectMeta<Secret>>,
    claims: Store<PartialObjectMeta<PersistentVolumeClaim>>,
    warnings: Store<Event>,
    /// One wait for all who wait: of several that wait for a store itself only the last is woken.
    filled: Shared<BoxFuture<'static, bool>>,
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

    /// What is watched of a kind, of those that are worth keeping (by what never changes of one), without what nobody here reads.
    fn followed<K>(
        &self,
        config: watcher::Config,
        keep: fn(&K) -> bool,
        trim: fn(&mut K),
    ) -> (Store<K>, impl Stream<Item = Result<watcher::Event<K>, WatchError>> + Send + use<K>)
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
        let is_kept = move |change: &watcher::Event<K>| match change {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) | watcher::Event::Delete(object) => {
                keep(object)
            }
            watcher::Event::Init | watcher::Event::InitDone => true,
        };
        let stream = watcher(self.api::<K>(), config).default_backoff();
        let stream = stream.try_filter(move |change| future::ready(is_kept(change))).modify(move |object| {
            object.meta_mut().managed_fields = None;
            trim(object);
        });
        (reader, stream.reflect(writer))
    }
}

/// Watches everything that concerns campaigns, and names a campaign whenever something of it changes. Each kind is watched by itself: after an error it
/// waits a while before it is tried again, and the others go on.
pub fn watch(scope: &Scope) -> (Caches, Changes) {
    let ours = || watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
    let everybodys = watcher::Config::default;
    let (files, of_files) = scope.followed::<ConfigMap>(ours(), all, |_| {});
    let (producers, of_producers) = scope.followed(ours(), all, trim_job);
    let (workers, of_workers) = scope.followed::<Deployment>(ours(), all, |_| {});
    let (autoscalers, of_autoscalers) = scope.followed::<HorizontalPodAutoscaler>(everybodys(), all, |_| {});
    let (pods, of_pods) = scope.followed(ours(), all, trim_pod);
    // The campaigns' files are among those above.
    let others = everybodys().labels(&format!("{MANAGED_BY}!={MANAGER}"));
    let (config_maps, of_config_maps) = scope.followed(others, all, trim_metadata::<ConfigMap>);
    let (secrets, of_secrets) = scope.followed(everybodys(), all, trim_metadata::<Secret>);
    let (claims, of_claims) = scope.followed(everybodys(), all, trim_metadata::<PersistentVolumeClaim>);
    let warned = everybodys().fields("type=Warning");
    let (warnings, of_warnings) = scope.followed(warned, trouble::is_told_by, trim_warning);
    let (campaigns, writer) = store();
    let of_campaigns =
        watcher(scope.api::<Campaign>(), everybodys()).default_backoff().modify(trim_campaign).reflect(writer);
    let of_campaigns = touched(of_campaigns, Some).predicate_filter(asks, PredicateConfig::default());
    let who_refers = |kind| who_refers_to(&campaigns, kind);
    let (to_file, to_config_map, to_secret, to_claim) =
        (who_refers(Kind::ConfigMap), who_refers(Kind::ConfigMap), who_refers(Kind::Secret), who_refers(Kind::Claim));
    let changes = stream::select_all([
        of_campaigns.map_ok(|campaign| ObjectRef::from_obj(&campaign)).boxed(),
        // One of ours may be somebody's list as well.
        touched(of_files, move |file: ConfigMap| to_file(&file.metadata).into_iter().chain(by_label(file))).boxed(),
        touched(of_producers, by_owner).boxed(),
        touched(of_workers, by_label).boxed(),
        touched(of_autoscalers, by_target).boxed(),
        touched(of_pods, by_label).boxed(),
        touched(of_warnings, by_involved(&campaigns)).boxed(),
        touched(of_config_maps, move |object| to_config_map(&object.metadata)).boxed(),
        touched(of_secrets, move |object| to_secret(&object.metadata)).boxed(),
        touched(of_claims, move |object| to_claim(&object.metadata)).boxed(),
    ]);
    let listed = [
        listed(&campaigns),
        listed(&files),
        listed(&producers),
        listed(&workers),
        listed(&autoscalers),
        listed(&pods),
        listed(&config_maps),
        listed(&secrets),
        listed(&claims),
        listed(&warnings),
    ];
    let filled = future::join_all(listed).map(|listed| listed.into_iter().all(|listed| listed));
    let filled = filled.boxed().shared();
    let caches = Caches {
        campaigns,
        files,
        producers,
        workers,
        autoscalers,
        pods,
        config_maps,
        secrets,
        claims,
        warnings,
        filled,
    };
    (caches, changes.boxed())
}

/// The campaigns to look at, by what changed.
pub type Changes = BoxStream<'static, Result<ObjectRef<Campaign>, WatchError>>;

/// What an object is to somebody (`of`), for every object to which something happened: as soon as the cache has it. While all of them are listed anew the
/// cache keeps the old ones, and takes the new ones all at once at the end.
fn touched<K, T, I>(
    events: impl Stream<Item = Result<watcher::Event<K>, WatchError>> + Send,
    of: impl Fn(K) -> I + Send,
) -> impl Stream<Item = Result<T, WatchError>> + Send
where
    K: Send,
    T: Send,
    I: IntoIterator<Item = T>,
{
    let mut listed = Vec::new();
    let told = events.map_ok(move |event| {
        let told: Vec<T> = match event {
            watcher::Event::Init => {
                listed.clear();
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                listed.extend(of(object));
                Vec::new()
            }
            watcher::Event::InitDone => std::mem::take(&mut listed),
            watcher::Event::Apply(object) | watcher::Event::Delete(object) => of(object).into_iter().collect(),
        };
        stream::iter(told.into_iter().map(Ok))
    });
    told.try_flatten()
}

/// Whether a cache was filled once, as soon as it is; never, once its writer is gone.
fn listed<K>(store: &Store<K>) -> BoxFuture<'static, bool>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let store = store.clone();
    async move { store.wait_until_ready().await.is_ok() }.boxed()
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

/// Of a campaign what `kubectl apply` remembers is once more what it declares.
fn trim_campaign(campaign: &mut Campaign) {
    campaign.metadata.managed_fields = None;
    if let Some(annotations) = &mut campaign.metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

fn all<K>(_: &K) -> bool {
    true
}

/// Of a Job its labels are not compared.
fn trim_job(job: &mut KeptJob) {
    job.metadata.labels = None;
}

/// Of a pod only its state is read, where it is, and what its containers may use.
fn trim_pod(pod: &mut Pod) {
    let PodSpec { node_name, containers, .. } = pod.spec.take().unwrap_or_default();
    let containers = containers.into_iter();
    let containers =
        containers.map(|Container { name, resources, .. }| Container { name, resources, ..Container::default() });
    pod.spec = Some(PodSpec { node_name, containers: containers.collect(), ..PodSpec::default() });
}

/// Of an Event only what it says, of what, and when.
fn trim_warning(event: &mut Event) {
    event.metadata.annotations = None;
    event.source = None;
    event.reporting_component = None;
    event.reporting_instance = None;
}

/// Of what campaigns refer to only that it exists, that it changes, and whose it is.
fn trim_metadata<K>(object: &mut PartialObjectMeta<K>) {
    object.metadata.annotations = None;
    object.metadata.labels = None;
}

/// The campaign that owns an object.
#[expect(clippy::needless_pass_by_value, reason = "the shape of the callback")]
fn by_owner(job: KeptJob) -> Option<ObjectRef<Campaign>> {
    let owner = job.metadata.owner_references.as_ref()?.iter().find(|owner| owner.kind == MailCampaign::kind(&()))?;
    Some(ObjectRef::new(&owner.name).within(&job.namespace()?))
}

/// The campaign that an object was made for.
fn by_label<K: ResourceExt>(object: K) -> Option<ObjectRef<Campaign>> {
    let name = object.labels().get(INSTANCE)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// The campaign for which the object of an Event was made, by that object's name; others' objects may be called alike.
fn by_involved(campaigns: &Store<Campaign>) -> impl Fn(Event) -> Option<ObjectRef<Campaign>> + Send + Sync + 'static {
    let campaigns = campaigns.clone();
    move |event| {
        let object = event.involved_object;
        let campaign = ObjectRef::new(campaign_of(object.name.as_deref()?)?).within(&object.namespace?);
        campaigns.get(&campaign).map(|_| campaign)
    }
}

/// The campaign in the name of a Job, a ReplicaSet or a pod of its: what stands before the last component.
fn campaign_of(name: &str) -> Option<&str> {
    let of = |component: Component| name.rfind(&component.of(""));
    let end = of(Component::Producer).max(of(Component::Worker))?;
    Some(&name[..end])
}

/// The campaign whose workers an autoscaler scales.
#[expect(clippy::needless_pass_by_value, reason = "the shape of the callback")]
fn by_target(autoscaler: HorizontalPodAutoscaler) -> Option<ObjectRef<Campaign>> {
    let target = &autoscaler.spec.scale_target_ref;
    let name = target.name.strip_suffix(&Component::Worker.of(""))?;
    (target.kind == "Deployment").then(|| ObjectRef::new(name).within(&autoscaler.namespace().unwrap_or_default()))
}

/// The campaigns that refer to an object of a kind.
fn who_refers_to(
    campaigns: &Store<Campaign>,
    kind: Kind,
) -> impl Fn(&ObjectMeta) -> Vec<ObjectRef<Campaign>> + Send + use<> {
    let campaigns = campaigns.clone();
    move |object| {
        let named = Named { kind, name: object.name.clone().unwrap_or_default() };
        let refers = campaigns.state_filter(|campaign| {
            campaign.metadata.namespace == object.namespace && campaign.refers_to.contains(&named)
        });
        refers.iter().map(|campaign| ObjectRef::from_obj(&**campaign)).collect()
    }
}

impl Caches {
    /// Resolves when everything was listed once; false: it never will be, for the watches have ended.
    pub async fn are_filled(&self) -> bool {
        self.filled.clone().await
    }

    /// All campaigns.
    pub fn campaigns(&self) -> Vec<Arc<Campaign>> {
        self.campaigns.state()
    }

    /// A campaign as it stands now.
    pub fn campaign(&self, at: &ObjectRef<Campaign>) -> Option<Arc<Campaign>> {
        self.campaigns.get(at)
    }

    /// What was made for a campaign; and what an earlier one of its name has left.
    pub fn children(&self, campaign: &Campaign) -> (Children, Vec<String>) {
        let mut leftovers = Vec::new();
        let children = Children {
            file: own(&self.files, campaign, Component::Campaign, &mut leftovers),
            producer: own(&self.producers, campaign, Component::Producer, &mut leftovers),
            workers: own(&self.workers, campaign, Component::Worker, &mut leftovers),
            // Somebody else's of this name scales the workers: it is left alone.
            autoscaler: own(&self.autoscalers, campaign, Component::Worker, &mut Vec::new()),
            has_foreign_autoscaler: self.has_foreign_autoscaler(campaign),
            pods: self.pods_of(campaign),
            events: Vec::new(),
        };
        // One without our labels is followed by its metadata only.
        let is_unknown = children.file.is_none() && leftovers.is_empty();
        if is_unknown {
            own(&self.config_maps, campaign, Component::Campaign, &mut leftovers);
        }
        (children, leftovers)
    }

    /// What the cluster warns of about objects that are named like those of the campaign.
    pub fn warnings(&self, campaign: &Campaign) -> Vec<Event> {
        let is_its = |event: &Event| {
            let object = &event.involved_object;
            object.namespace == campaign.metadata.namespace
                && object.name.as_deref().and_then(campaign_of) == Some(campaign.name())
        };
        self.warnings.state_filter(is_its).into_iter().map(Arc::unwrap_or_clone).collect()
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
                && !campaign.owns(autoscaler)
                && autoscaler.spec.scale_target_ref.kind == "Deployment"
                && autoscaler.spec.scale_target_ref.name == workers
        };
        self.autoscalers.find(scales).is_some()
    }

    /// The version of an object in a campaign's namespace; none: it isn't there.
    pub fn version(&self, namespace: &str, named: &Named) -> Option<String> {
        fn of<K: Resource<DynamicType = ()> + Clone>(store: &Store<K>, namespace: &str, name: &str) -> Option<String> {
            let found = store.get(&ObjectRef::new(name).within(namespace))?;
            found.meta().resource_version.clone()
        }
        match named.kind {
            Kind::ConfigMap => {
                of(&self.config_maps, namespace, &named.name).or_else(|| of(&self.files, namespace, &named.name))
            }
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
    if campaign.owns(&*found) {
        return Some(found);
    }
    leftovers.push(format!("{} {}", K::kind(&()), found.name_any()));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_pod_stays_what_its_containers_may_use() {
        let mut pod: Pod = serde_json::from_value(serde_json::json!({"spec": {
            "nodeName": "one", "serviceAccountName": "nobody",
            "containers": [{"name": "worker", "image": "a", "resources": {"limits": {"memory": "64Mi"}}}],
        }}))
        .expect("a pod");
        trim_pod(&mut pod);
        let kept = serde_json::to_value(&pod.spec).expect("JSON");
        let worker = serde_json::json!({"name": "worker", "resources": {"limits": {"memory": "64Mi"}}});
        assert_eq!(kept, serde_json::json!({"nodeName": "one", "containers": [worker]}));
    }

    #[test]
    fn the_campaign_of_an_object_is_found_in_its_name_also_if_it_is_called_like_a_component() {
        for (name, campaign) in [
            ("offers-producer", Some("offers")),
            ("offers-worker-6d9f7c-x2x4z", Some("offers")),
            ("a-worker-b-producer-0-x2x4z", Some("a-worker-b")),
            ("a-producer-worker-6d9f7c", Some("a-producer")),
            ("database-0", None),
        ] {
            assert_eq!(campaign_of(name), campaign, "{name}");
        }
    }
}
