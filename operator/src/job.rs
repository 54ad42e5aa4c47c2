//! A Job as it is kept in the cache: without its pods' template, which can't be changed and is by far the most of it.

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use std::borrow::Cow;

/// A Job as the API server has it, as far as anybody here looks at it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct KeptJob {
    /// As it stands.
    pub metadata: ObjectMeta,
    /// How it is to run.
    pub spec: KeptJobSpec,
    /// How it stands.
    pub status: Option<JobStatus>,
}

/// See [`k8s_openapi::api::batch::v1::JobSpec`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct KeptJobSpec {
    /// So many pods at once.
    pub parallelism: Option<i32>,
    /// So many pods in all.
    pub completions: Option<i32>,
    /// It has no pods.
    pub suspend: Option<bool>,
}

impl Resource for KeptJob {
    type DynamicType = ();
    type Scope = k8s_openapi::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Job::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Job::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Job::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Job::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
