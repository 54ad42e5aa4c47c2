//! A namespace with the lists of one test, in which only pods may run that need nothing.

use crate::cluster::{cluster, workspace};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::{Debug, Write as _};
use std::time::Duration;
use tokio::time::Instant;

/// Longer than anything takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks until there is something to be seen.
pub(crate) async fn until<T>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", patience.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}

/// A namespace of a test.
pub(crate) struct World {
    pub client: Client,
    pub namespace: String,
}

impl World {
    pub(crate) async fn new(name: &str) -> Self {
        let word = uuid::Uuid::new_v4().simple().to_string();
        let world = Self { client: cluster().client().await, namespace: format!("e2e-{name}-{}", &word[..6]) };
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": world.namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        });
        let namespaces = Api::<Namespace>::all(world.client.clone());
        let applying = PatchParams::apply("e2e").force();
        namespaces.patch(&world.namespace, &applying, &Patch::Apply(&object)).await.expect("a namespace");
        world
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Has an object be so.
    pub(crate) async fn put<K>(&self, name: &str, mut object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        object["metadata"]["name"] = json!(name);
        let applying = PatchParams::apply("e2e").force();
        let put = self.api::<K>().patch(name, &applying, &Patch::Apply(&object)).await;
        put.unwrap_or_else(|error| panic!("{} {name}: {error}", K::kind(&())))
    }

    /// A ConfigMap `list` with so many different people in `list.csv`.
    pub(crate) async fn put_list(&self, rows: u64) {
        let mut csv = "Email,Name\n".to_owned();
        for row in 1..=rows {
            let _ = writeln!(csv, "p{row}@example.com,{row}");
        }
        self.put_text("list", "list.csv", &csv).await;
    }

    /// A ConfigMap with one key.
    pub(crate) async fn put_text(&self, name: &str, key: &str, text: &str) {
        self.put::<ConfigMap>(name, json!({"data": {key: text}})).await;
    }

    /// A Secret with these keys.
    pub(crate) async fn put_secret(&self, name: &str, keys: Value) {
        self.put::<Secret>(name, json!({"stringData": keys})).await;
    }

    /// Pods of a campaign that may still do something.
    pub(crate) async fn pods_of(&self, campaign: &str, component: &str) -> Vec<Pod> {
        let labels = format!("app.kubernetes.io/instance={campaign},app.kubernetes.io/component={component}");
        let listed = self.api::<Pod>().list(&ListParams::default().labels(&labels)).await.expect("pods are listed");
        let is_over = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        listed.items.into_iter().filter(|pod| !is_over(pod)).collect()
    }

    /// What the Events about the campaigns here say.
    pub(crate) async fn events(&self) -> Vec<String> {
        let about = ListParams::default().fields("involvedObject.kind=MailCampaign");
        let listed = self.api::<Event>().list(&about).await.expect("events are listed");
        listed.items.into_iter().filter_map(|event| event.message).collect()
    }

    /// Takes it all away; nobody waits for it.
    pub(crate) async fn leave(self) {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.expect("the namespace is deleted");
    }
}

impl Drop for World {
    /// What a person would look at first.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let namespace = &self.namespace;
            let look = format!(
                "kubectl get mc,jobs,deployments,pods,events -n {namespace} 2>&1 | tail -n 60; kubectl get mc -n {namespace} -o yaml 2>&1 | grep -A200 '^  status:'; \
                 kubectl logs -n mailcampaign-system -l app.kubernetes.io/component=operator --tail 2000 2>&1 | grep {namespace} | tail -n 20"
            );
            let output = cluster().shell(&look).current_dir(workspace("")).output().expect("a shell");
            println!("{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// `kubectl delete pod --force --grace-period=0`; who is gone already is no error.
pub(crate) async fn kill(pods: &Api<Pod>, name: &str) {
    match pods.delete(name, &DeleteParams::default().grace_period(0)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => panic!("pod {name}: {error}"),
    }
}
