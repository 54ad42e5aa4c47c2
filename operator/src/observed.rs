//! What was found out about a campaign: its objects in the cluster, what it refers to, and what stands on Kafka.

use crate::job::KeptJob;
use crate::resource::Named;
use jiff::Timestamp;
use journal::kafka::Survey;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that was found out, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// What was made for it.
    pub children: Children,
    /// Objects that an earlier campaign of the same name has left, by kind and name.
    pub leftovers: Vec<String>,
    /// What it refers to.
    pub references: References,
    /// What stands on Kafka.
    pub kafka: Kafka,
}

/// What was made for a campaign.
#[derive(Debug, Clone, Default)]
pub struct Children {
    /// Its file.
    pub file: Option<Arc<ConfigMap>>,
    /// The Job that publishes.
    pub producer: Option<Arc<KeptJob>>,
    /// The Deployment that sends.
    pub workers: Option<Arc<Deployment>>,
    /// Its autoscaler.
    pub autoscaler: Option<Arc<HorizontalPodAutoscaler>>,
    /// Somebody else's autoscaler scales the Deployment.
    pub has_foreign_autoscaler: bool,
    /// The pods of both.
    pub pods: Vec<Arc<Pod>>,
    /// What the cluster says about a Job that has no pods, and about pods that don't start.
    pub events: Vec<Event>,
}

/// Where a pod is in its life; none: nobody has said yet.
pub fn pod_phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// Whether a pod may still do something.
pub fn is_alive(pod: &Pod) -> bool {
    !matches!(pod_phase(pod), Some("Succeeded" | "Failed"))
}

/// What a campaign refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// What isn't there.
    pub missing: Vec<Named>,
    /// Versions of what is, by `Kind/name`.
    pub versions: BTreeMap<String, String>,
    /// Fields whose content isn't what was pinned.
    pub changed: Vec<String>,
}

/// What stands on Kafka.
#[derive(Debug, Clone, Default)]
pub enum Kafka {
    /// Nobody asked: the resource is being deleted, or its end was seen.
    #[default]
    NotAsked,
    /// It doesn't answer, or not as it must.
    Silent {
        /// Why, with what to do.
        why: String,
        /// What was known last.
        last: Option<Box<Survey>>,
    },
    /// Nothing of this campaign.
    Absent {
        /// The uids of earlier campaigns of this name that have sent mails.
        sent: Vec<String>,
    },
    /// Topics of the campaign, which was begun, are gone.
    Gone {
        /// Which.
        why: String,
    },
    /// It stands.
    There(Box<Survey>),
}

impl Kafka {
    /// The latest look at the journal.
    pub fn survey(&self) -> Option<&Survey> {
        match self {
            Self::There(survey) | Self::Silent { last: Some(survey), .. } => Some(survey),
            _ => None,
        }
    }
}

/// How fast a campaign goes, as far as it was watched.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    /// Mails a second lately; none: not sending.
    pub per_second: Option<f64>,
    /// When it is done at that pace.
    pub done_at: Option<Timestamp>,
    /// Mails a second of one worker.
    pub per_worker: f64,
}
