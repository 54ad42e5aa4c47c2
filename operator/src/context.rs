//! What all reconciles share: the client, the caches, the connections to Kafka, and what is remembered of each campaign.
//!
//! Nothing that is remembered decides what becomes of a campaign: it only saves questions. Forgotten (the operator starts anew) it is found out again.

use crate::build::PodSettings;
use crate::caches::Caches;
use crate::kafka::{Connections, Opened};
use crate::leader::Leader;
use crate::metrics::Metrics;
use crate::queue::WorkQueue;
use crate::resource::Campaign;
use crate::scaling::{Capacity, Rates};
use campaign::status::Failure;
use jiff::SignedDuration;
use journal::kafka::Survey;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What all reconciles share.
pub struct Context {
    /// Writes only while this replica leads.
    pub client: Client,
    /// What the cluster has.
    pub caches: Caches,
    /// Whether this replica leads.
    pub leader: Leader,
    /// What is told under `/metrics`.
    pub metrics: Metrics,
    /// The campaigns that are to be looked at.
    pub queue: WorkQueue<ObjectRef<Campaign>>,
    /// How Kafka is reached.
    pub connections: Connections,
    /// Writes Events.
    pub recorder: Recorder,
    /// How this installation makes pods.
    pub pods: PodSettings,
    /// How long a deletion may wait for Kafka.
    pub deletion_deadline: SignedDuration,
    /// Between two writes of a campaign's status, at least.
    pub status_interval: Duration,
    /// By uid.
    pub campaigns: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of one campaign.
#[derive(Default)]
pub struct Memory {
    /// Its journal, while it is looked at often.
    pub journal: Option<Opened>,
    /// The latest look at it, and when that was.
    pub survey: Option<(Instant, Survey)>,
    /// How fast it goes.
    pub rates: Rates,
    /// How fast one of its workers is.
    pub capacity: Capacity,
    /// Why mails were not delivered, as of so many of them.
    pub failures: (u64, Vec<Failure>),
    /// Where its `control` ended when it was looked at last.
    pub control_end: Option<i64>,
    /// When its status was written last.
    pub status_written: Option<Instant>,
    /// Contents that were compared with what is pinned, by object and version: fields that differ.
    pub compared: HashMap<(String, String), Vec<String>>,
    /// By kind and name: a hash of what was applied, and the version that this made. What the API server writes otherwise than it was declared (`1000m` as
    /// `1`) is not to be applied again and again.
    applied: HashMap<String, (String, Option<String>)>,
}

impl Memory {
    /// Remembers that an object was applied: a hash of what was declared, and what the API server has made of it.
    pub fn applied<K: Resource<DynamicType = ()>>(&mut self, declared: String, applied: &K) {
        self.applied.insert(key(applied), (declared, applied.meta().resource_version.clone()));
    }

    /// Whether an object of this name was applied, whether the caches have it or not.
    pub fn has_applied<K: Resource<DynamicType = ()>>(&self, name: &str) -> bool {
        self.applied.contains_key(&format!("{}/{name}", K::kind(&())))
    }

    /// Whether just this was applied, and nobody has touched it since.
    pub fn was_applied<K: Resource<DynamicType = ()>>(&self, declared: &str, actual: &K) -> bool {
        let known = self.applied.get(&key(actual));
        known.is_some_and(|(known, version)| known == declared && *version == actual.meta().resource_version)
    }
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{}/{}", K::kind(&()), object.meta().name.as_deref().unwrap_or_default())
}

impl Context {
    /// Looks at what is remembered of a campaign, or changes it.
    pub fn memory<T>(&self, uid: &str, look: impl FnOnce(&mut Memory) -> T) -> T {
        let mut campaigns = self.campaigns.lock().unwrap_or_else(PoisonError::into_inner);
        look(campaigns.entry(uid.to_owned()).or_default())
    }

    /// Forgets campaigns that are gone, and the connections that nobody else brings along.
    pub fn forget_those_gone(&self) {
        let there = self.caches.campaigns();
        self.connections.forget_all_but_those_of(&there);
        let uids: HashSet<&str> = there.iter().map(|campaign| campaign.uid()).collect();
        let mut campaigns = self.campaigns.lock().unwrap_or_else(PoisonError::into_inner);
        campaigns.retain(|uid, _| uids.contains(uid.as_str()));
    }
}
