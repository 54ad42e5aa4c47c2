//! The cluster that the command line means, and the campaigns in one of its namespaces.

use crate::args::Place;
use crate::failure::Failure;
use campaign::{MailCampaign, MailCampaignStatus};
use kube::api::{Api, ApiResource, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Object;
use kube::{Client, Config};
use serde_json::Value;

/// The resource as far as it is looked at: what it declares stays as it is, whatever a later version adds.
pub type Campaign = Object<Value, MailCampaignStatus>;

/// A namespace of a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
}

impl Cluster {
    /// Finds out how the cluster is reached, and asks nothing yet.
    ///
    /// # Errors
    /// There is no kubeconfig, or it has no such context.
    pub async fn connect(place: &Place) -> Result<Self, Failure> {
        let unusable = |error: &dyn std::error::Error| {
            Failure::bad_input(format!(
                "the kubeconfig can't be used: {error}; name one with --kubeconfig, and its context with --context"
            ))
        };
        let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
        let config = match &place.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        };
        let config = config.map_err(|error| unusable(&error))?;
        let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Self::new(client, &namespace))
    }

    /// A namespace as a client sees it.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// `namespace/name`.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// The words with which kubectl finds it: `offers -n hr`.
    pub fn found_by(&self, name: &str) -> String {
        format!("{name} -n {}", self.namespace)
    }

    /// Objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The campaigns in the namespace.
    pub fn campaigns(&self) -> Api<Campaign> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::erase::<MailCampaign>(&()))
    }

    /// Reads a campaign.
    ///
    /// # Errors
    /// There is none of this name, or it can't be read.
    pub async fn campaign(&self, name: &str) -> Result<Campaign, Failure> {
        self.campaigns().get(name).await.map_err(|error| self.failure("reading the campaign", name, &error))
    }

    /// Changes a campaign by a merge patch (RFC 7386).
    ///
    /// # Errors
    /// There is none of this name, or it can't be changed.
    pub async fn patch(&self, name: &str, change: &Value) -> Result<Campaign, Failure> {
        let patched = self.campaigns().patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
        patched.map_err(|error| self.failure("changing the campaign", name, &error))
    }

    /// What it means that something about a campaign couldn't be done.
    pub fn failure(&self, doing: &str, name: &str, error: &kube::Error) -> Failure {
        match error {
            kube::Error::Api(status) if status.is_not_found() && !status.message.contains(name) => Failure::bad_input(
                "this cluster has no resource MailCampaign: install the operator there, or name another cluster with --context",
            ),
            kube::Error::Api(status) if status.is_not_found() => self.missing(name),
            other => Failure::of_api(&format!("{doing} {}", self.path(name)), other),
        }
    }

    /// There is no such campaign.
    pub fn missing(&self, name: &str) -> Failure {
        let namespace = &self.namespace;
        Failure::bad_input(format!(
            "no campaign {name} in the namespace {namespace}: name another one with -n; `kubectl get mailcampaigns -A` lists all that you may see"
        ))
    }
}
