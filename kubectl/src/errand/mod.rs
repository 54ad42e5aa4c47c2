//! An errand: the image's `mailcampaign` run in a short-lived pod beside the campaign's own, as somebody would run it by hand.
//!
//! The pod waits (`mailcampaign hold`), commands are run in it by `exec`, and it is deleted afterwards, also when a signal comes. Killed in between, this
//! program leaves a pod that ends by itself when its time is over.

mod exec;
pub mod pod;
mod signals;
pub mod start;

pub use exec::Ended;
pub(crate) use signals::Signals;

use crate::args::PodArgs;
use crate::cluster::{Campaign, Cluster};
use crate::failure::Failure;
use crate::output::tell;
use campaign::HumanDuration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{self as core, PodTemplateSpec};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use start::Start;
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// Time that is enough for any command that comes to an end.
pub(crate) const SHORT: Duration = Duration::from_hours(1);
/// Time for what goes on until somebody ends it.
pub(crate) const LONG: Duration = Duration::from_hours(24);
/// Between two looks at a pod that starts.
const BETWEEN: Duration = Duration::from_millis(200);

/// A pod that is to be made.
pub struct Errand<'a> {
    cluster: &'a Cluster,
    pod: core::Pod,
    patience: Duration,
    lifetime: Duration,
}

/// A pod that runs.
pub struct Pod<'a> {
    pods: &'a Api<core::Pod>,
    name: String,
    file: String,
}

impl<'a> Errand<'a> {
    /// Finds out how a campaign's pods are made.
    ///
    /// # Errors
    /// There is no such campaign, or nothing was made for it yet.
    pub async fn prepare(
        cluster: &'a Cluster,
        name: &str,
        args: &PodArgs,
        lifetime: Duration,
    ) -> Result<Self, Failure> {
        let campaign = cluster.campaign(name).await?;
        let template = template(cluster, &campaign, name).await?;
        let pod = pod::pod(&campaign, &template, args.image.as_deref(), lifetime)
            .ok_or_else(|| nothing_made(cluster, &campaign, name))?;
        Ok(Self { cluster, pod, patience: args.timeout.0, lifetime })
    }

    /// Makes the pod, does something with it, and takes it away.
    ///
    /// # Errors
    /// It can't be made or doesn't start; what the work says; or a signal came.
    pub async fn run<T>(self, work: impl AsyncFnOnce(&Pod<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut signals = Signals::listen().map_err(|error| Failure::try_again(error.to_string()))?;
        let pods: Api<core::Pod> = self.cluster.api();
        let made = pods.create(&PostParams::default(), &self.pod).await;
        let made = made.map_err(|error| Failure::of_api("making a pod for the command", &error))?;
        let pod = Pod { pods: &pods, name: made.metadata.name.unwrap_or_default(), file: pod::file(&self.pod) };
        let ended = tokio::select! {
            ended = async {
                pod.wait_until_running(self.patience).await?;
                work(&pod).await
            } => ended,
            () = signals.next() => Err(Failure::interrupted()),
        };
        let as_usual = DeleteParams::default();
        let gone = tokio::select! {
            gone = pods.delete(&pod.name, &as_usual) => gone.map(drop),
            () = signals.next() => {
                self.left_behind(&pod.name, "you didn't wait");
                Ok(())
            }
        };
        match gone {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => self.left_behind(&pod.name, Failure::of_api("deleting it", &error).message()),
            Ok(()) => {}
        }
        ended
    }

    fn left_behind(&self, name: &str, why: &str) {
        tell(&format!(
            "The pod {} is left behind ({why}). It ends by itself in {} h; take it away with: kubectl delete pod {}",
            self.cluster.path(name),
            self.lifetime.as_secs() / 3600,
            self.cluster.found_by(name)
        ));
    }
}

/// How the campaign's pods are made: those that send, or those that publish.
async fn template(cluster: &Cluster, campaign: &Campaign, name: &str) -> Result<PodTemplateSpec, Failure> {
    let read = |error: kube::Error| Failure::of_api("reading how the campaign's pods are made", &error);
    let workers = cluster.api::<Deployment>().get_opt(&format!("{name}-worker")).await.map_err(read)?;
    if let Some(workers) = workers.filter(|found| is_of(&found.metadata, campaign)) {
        return Ok(workers.spec.template);
    }
    let producer = cluster.api::<Job>().get_opt(&format!("{name}-producer")).await.map_err(read)?;
    let producer = producer.filter(|found| is_of(&found.metadata, campaign)).and_then(|producer| producer.spec);
    producer.map(|spec| spec.template).ok_or_else(|| nothing_made(cluster, campaign, name))
}

/// Whether something belongs to this campaign, and not to an earlier one of its name.
fn is_of(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta, campaign: &Campaign) -> bool {
    let uid = campaign.metadata.uid.as_deref();
    metadata.owner_references.iter().flatten().any(|owner| Some(owner.uid.as_str()) == uid)
}

fn nothing_made(cluster: &Cluster, campaign: &Campaign, name: &str) -> Failure {
    let phase = campaign.status.as_ref().and_then(|status| status.phase);
    let phase = phase.map_or_else(
        || "and the operator has not looked at it yet".to_owned(),
        |phase| format!("its phase is {phase}"),
    );
    Failure::try_again(format!(
        "nothing of {} is published yet ({phase}): there is neither a Deployment {name}-worker nor a Job {name}-producer, which this command's \
         pod is made after. What it waits for: kubectl mailcampaign status {}",
        cluster.path(name),
        cluster.found_by(name)
    ))
}

impl Pod<'_> {
    /// Where the campaign's file is in it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Runs `mailcampaign` with these words, and passes on what it writes, byte for byte.
    ///
    /// # Errors
    /// It can't be run, or the connection is lost before it has ended.
    pub async fn exec(
        &self,
        words: &[&str],
        stdout: &mut (impl AsyncWrite + Unpin),
        stderr: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Ended, Failure> {
        let failure = match exec::exec(self.pods, &self.name, words, stdout, stderr).await {
            Ok(ended) => return Ok(ended),
            Err(failure) => failure,
        };
        // A pod that has ended meanwhile knows better why.
        match self.pods.get(&self.name).await.map(|found| start::of(&found)) {
            Ok(Start::Never(why)) => Err(Failure::bad_input(format!("the command's pod has ended: {why}"))),
            _ => Err(failure),
        }
    }

    async fn wait_until_running(&self, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        loop {
            let found = self.pods.get(&self.name).await;
            let found = found.map_err(|error| Failure::of_api("looking at the command's pod", &error))?;
            match start::of(&found) {
                Start::Running => return Ok(()),
                Start::Never(why) => return Err(Failure::bad_input(format!("the command's pod doesn't start: {why}"))),
                Start::NotYet(why) if Instant::now() >= deadline => {
                    return Err(Failure::try_again(format!(
                        "the command's pod has not started within {}: {why}. Wait longer with --timeout",
                        HumanDuration(patience)
                    )));
                }
                Start::NotYet(_) => tokio::time::sleep(BETWEEN).await,
            }
        }
    }
}
