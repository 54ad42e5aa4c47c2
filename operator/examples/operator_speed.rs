//! Measures an operator as a process, on a real API server and a real Kafka: `operator_speed PROGRAM`.
//!
//! Prints lines `name=figure`: the operator's own share of the time from apply to a producer (the Job made), in ms, median of 20; how long 1,000 campaigns that
//! are made at once wait for their first object, in s, the longest; answers 429; and at rest its memory in MB and its writes in a minute.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::{ApiServer, Kafka};

const NAMESPACE: &str = "default";
const SINGLE: usize = 20;
/// So many at once, unless `CAMPAIGNS` says otherwise.
const MANY: usize = 1_000;
const PATIENCE: Duration = Duration::from_mins(5);
/// It has nothing left to do when it wrote nothing for so long; and then how long it is watched.
const QUIET: Duration = Duration::from_secs(20);
const WATCHED: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> Result<()> {
    let program = std::env::args().nth(1).context("which operator? operator_speed PROGRAM")?;
    let server = tokio::task::spawn_blocking(|| {
        let server = ApiServer::start();
        server.define(campaign::crd());
        server
    })
    .await?;
    let bootstrap = tokio::task::spawn_blocking(|| Kafka::shared().bootstrap()).await?;
    let config = Kubeconfig::read_from(server.kubeconfig())?;
    let client = Client::try_from(Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?)?;
    prepare(&client).await?;
    let operator = Operator::start(&program, &server.kubeconfig(), &bootstrap)?;
    println!("share_ms={:.1}", share(&client).await? * 1000.0);
    let refused = requests(&client, |_, code| code == "429").await?;
    println!("first_child_seconds={:.2}", many(&client).await?);
    println!("refused={}", requests(&client, |_, code| code == "429").await? - refused);
    rest(&client).await?;
    let before = settled(&client).await?;
    tokio::time::sleep(WATCHED).await;
    println!("writes={}", requests(&client, is_write).await? - before);
    println!("resident_mb={:.1}", operator.resident()?);
    Ok(())
}

struct Operator(Child);

impl Operator {
    fn start(program: &str, kubeconfig: &Path, bootstrap: &str) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .env("KUBECONFIG", kubeconfig)
            .env("MALLOC_ARENA_MAX", "2")
            .env("RUST_LOG", std::env::var("OPERATOR_LOG").unwrap_or_else(|_| "warn".to_owned()));
        command.args(["--image", "example.com/mailcampaign:1", "--kafka", bootstrap]);
        Ok(Self(command.stdout(Stdio::null()).spawn().with_context(|| program.to_owned())?))
    }

    fn resident(&self) -> Result<f64> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id()))?;
        let line = rollup.lines().find(|line| line.starts_with("Rss:")).context("no Rss")?;
        let kilobytes: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kilobytes / 1024.0)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It is this program's own.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn prepare(client: &Client) -> Result<()> {
    let list = json!({"metadata": {"name": "list"}, "data": {"list.csv": "Email\nann@example.com\n"}});
    let list: ConfigMap = serde_json::from_value(list)?;
    Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE).create(&PostParams::default(), &list).await?;
    Ok(())
}

fn campaigns(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("mailcampaign.io", "v1alpha1", "MailCampaign");
    Api::namespaced_with(client.clone(), NAMESPACE, &ApiResource::from_gvk(&kind))
}

async fn apply(client: &Client, name: &str) -> Result<()> {
    let document = json!({
        "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign", "metadata": {"name": name},
        "spec": {
            "recipients": {"source": {"configMap": {"name": "list", "key": "list.csv"}}, "emailColumn": "Email"},
            "message": {"from": "people@example.com", "subject": "Hello", "text": {"inline": "Hello"}},
            "delivery": {"backends": [{"name": "relay", "smtp": {"host": "relay.example.com", "tls": "None"}}]},
            "kafka": {"partitions": 1},
        },
    });
    campaigns(client).create(&PostParams::default(), &serde_json::from_value(document)?).await?;
    Ok(())
}

/// From the answer to apply to the Job: the median, in seconds.
async fn share(client: &Client) -> Result<f64> {
    let jobs = Api::<Job>::namespaced(client.clone(), NAMESPACE);
    let from = jobs.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    let mut changes = jobs.watch(&WatchParams::default(), &from).await?.boxed();
    let mut took = Vec::new();
    // The first one also waits for a leader and for the connection to Kafka.
    for number in 0..=SINGLE {
        let name = format!("single-{number}");
        apply(client, &name).await?;
        let applied = Instant::now();
        loop {
            let change = tokio::time::timeout(PATIENCE, changes.try_next()).await.context("no Job is made")??;
            if matches!(change, Some(WatchEvent::Added(job)) if job.name_any() == format!("{name}-producer")) {
                break;
            }
        }
        took.push(applied.elapsed().as_secs_f64());
    }
    let mut took = took.split_off(1);
    took.sort_by(f64::total_cmp);
    Ok(took[SINGLE / 2])
}

/// Many at once: the longest wait for the first object of one, in seconds.
async fn many(client: &Client) -> Result<f64> {
    let many = std::env::var("CAMPAIGNS").map_or(Ok(MANY), |count| count.parse())?;
    let files = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    let waiting = tokio::spawn(async move {
        let mut changes = watcher(files, watcher::Config::default()).default_backoff().applied_objects().boxed();
        let mut made = BTreeMap::new();
        while made.len() < many {
            let file = changes.next().await.context("the watch ended")??.name_any();
            if file.starts_with("many-") {
                made.entry(file).or_insert_with(Instant::now);
            }
        }
        Ok::<_, anyhow::Error>(made)
    });
    let applied = stream::iter(0..many).map(async |number| {
        let name = format!("many-{number}");
        apply(client, &name).await.map(|()| (name, Instant::now()))
    });
    let applied: BTreeMap<String, Instant> = applied.buffer_unordered(32).try_collect().await?;
    let made = tokio::time::timeout(PATIENCE, waiting).await.context("not every campaign gets an object")???;
    let waits = applied.iter().filter_map(|(name, at)| {
        Some(made.get(&format!("{name}-campaign"))?.saturating_duration_since(*at).as_secs_f64())
    });
    Ok(waits.fold(0.0, f64::max))
}

/// Has all of them come to their end, as far as their statuses say.
async fn rest(client: &Client) -> Result<()> {
    let all = campaigns(client).list(&ListParams::default()).await?;
    let done = |campaign: &DynamicObject| -> Value {
        let condition = |name: &str| {
            json!({
                "type": name, "status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2027-03-01T08:00:00Z",
                "observedGeneration": campaign.metadata.generation,
            })
        };
        let conditions = ["Validated", "TopicsReady", "Published", "Complete"].map(condition);
        json!({"status": {
            "phase": "Completed", "observedGeneration": campaign.metadata.generation,
            "conditions": conditions,
            "recipients": {"total": 1, "published": 1, "delivered": 1},
        }})
    };
    let ended = stream::iter(all.items).map(async |campaign| {
        let change = Patch::Merge(done(&campaign));
        campaigns(client).patch_status(&campaign.name_any(), &PatchParams::default(), &change).await.map(drop)
    });
    ended.buffer_unordered(32).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// Waits until it has nothing left to do: how much was written by then.
async fn settled(client: &Client) -> Result<f64> {
    let begun = Instant::now();
    loop {
        let before = requests_by_resource(client, is_write).await?;
        tokio::time::sleep(QUIET).await;
        let after = requests_by_resource(client, is_write).await?;
        if after == before {
            return Ok(after.values().sum());
        }
        if begun.elapsed() > PATIENCE {
            let more = |(what, count): (String, f64)| {
                let more = count - before.get(&what).unwrap_or(&0.0);
                (more > 0.0).then(|| format!("{more} {what}"))
            };
            let told: Vec<String> = after.into_iter().filter_map(more).collect();
            bail!("it goes on writing: in {} s {}", QUIET.as_secs(), told.join(", "));
        }
    }
}

/// Of what the operator writes; the API server itself writes other things now and then.
fn is_write(resource: &str, _: &str) -> bool {
    ["mailcampaigns", "configmaps", "jobs", "deployments", "horizontalpodautoscalers", "events"].contains(&resource)
}

/// How many requests that write the API server has answered so far, of those for which it is asked by resource and code.
async fn requests(client: &Client, which: fn(&str, &str) -> bool) -> Result<f64> {
    Ok(requests_by_resource(client, which).await?.values().sum())
}

/// The same by resource.
async fn requests_by_resource(client: &Client, which: fn(&str, &str) -> bool) -> Result<BTreeMap<String, f64>> {
    let text = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let label = |line: &str, name: &str| {
        let value = line.split_once(&format!("{name}=\""))?.1;
        Some(value.split_once('"')?.0.to_owned())
    };
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let labels = ["verb", "resource", "subresource", "code"].map(|name| label(line, name).unwrap_or_default());
        let [verb, resource, subresource, code] = labels;
        let writes = ["APPLY", "PATCH", "POST", "PUT", "DELETE"].contains(&verb.as_str()) || code == "429";
        if writes && which(&resource, &code) {
            let count: f64 = line.rsplit(' ').next().context("a line without a figure")?.parse()?;
            *counts.entry(format!("{verb} {resource} {subresource}")).or_default() += count;
        }
    }
    Ok(counts)
}
