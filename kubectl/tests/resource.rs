//! The plugin against a real API server, where this test is the operator: it says in the status how the campaign is.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kubectl::cluster::Cluster;
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use testkit::ApiServer;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// One server for all tests.
async fn server() -> &'static ApiServer {
    static SERVER: OnceCell<ApiServer> = OnceCell::const_new();
    let start = || {
        let server = ApiServer::start();
        server.define(campaign::crd());
        server
    };
    SERVER.get_or_init(async || tokio::task::spawn_blocking(start).await.expect("it starts")).await
}

async fn client(server: &ApiServer) -> Client {
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a context")).expect("a client")
}

/// Asks until it holds.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A namespace with a campaign `offers`.
struct World {
    client: Client,
    namespace: String,
    cluster: Cluster,
}

/// How the plugin ended.
#[derive(Debug, PartialEq)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl World {
    async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let client = client(server().await).await;
        let namespace = format!("plugin-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let wanted: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}})).expect("a namespace");
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &wanted).await.expect("it is made");
        let cluster = Cluster::new(client.clone(), &namespace);
        let campaign = serde_json::from_value(json!({
            "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign", "metadata": {"name": "offers"},
            "spec": {
                "recipients": {"source": {"configMap": {"name": "list", "key": "list.csv"}}},
                "message": {"from": "people@example.com", "subject": "Hello", "text": {"inline": "Hello"}},
                "delivery": {"backends": [{"name": "relay", "smtp": {"host": "relay.example.com", "tls": "None"}}]},
            },
        }));
        let campaign = campaign.expect("a campaign");
        cluster.campaigns().create(&PostParams::default(), &campaign).await.expect("it is taken");
        Self { client, namespace, cluster }
    }

    /// What the operator says: a phase, why, and how far it is. It has seen the latest change.
    async fn say(&self, phase: &str, reason: &str, message: &str, delivered: u64) {
        let found = self.cluster.campaign("offers").await.expect("it is there");
        let holds = if reason == "Sending" { "True" } else { "False" };
        let condition = |name: &str, holds: &str, reason: &str, message: &str| {
            let time = "2027-03-01T07:00:00Z";
            json!({"type": name, "status": holds, "reason": reason, "message": message, "lastTransitionTime": time})
        };
        let status = json!({"status": {
            "phase": phase, "observedGeneration": found.metadata.generation,
            "recipients": {"total": 10, "published": 10, "pending": 10 - delivered, "delivered": delivered},
            "conditions": [
                condition("Published", "True", "ListPublished", "the whole list"),
                condition("Progressing", holds, reason, message),
            ],
        }});
        let patched =
            self.cluster.campaigns().patch_status("offers", &PatchParams::default(), &Patch::Merge(&status)).await;
        patched.expect("the status is taken");
    }

    fn plugin(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-mailcampaign"));
        let kubeconfig = KUBECONFIG.get().expect("the server runs");
        command.args(words).args(["-n", &self.namespace, "--kubeconfig"]).arg(kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn start(&self, words: &[&str]) -> Child {
        KUBECONFIG.get_or_init(async || server().await.kubeconfig()).await;
        self.plugin(words).spawn().expect("it starts")
    }

    async fn run(&self, words: &[&str]) -> Done {
        end(self.start(words).await).await
    }

    /// A Deployment as the operator makes it, as far as commands look at it.
    async fn put_workers(&self) {
        let uid = self.cluster.campaign("offers").await.expect("it is there").metadata.uid;
        let labels = json!({"app.kubernetes.io/instance": "offers", "app.kubernetes.io/component": "worker"});
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "offers-worker", "ownerReferences": [
                {"apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign", "name": "offers", "uid": uid},
            ]},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "worker", "image": "example.com/mailcampaign:1"}]},
            }},
        }))
        .expect("a deployment");
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), &self.namespace);
        deployments.create(&PostParams::default(), &deployment).await.expect("it is taken");
    }

    async fn pods(&self) -> Vec<Pod> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        pods.list(&ListParams::default()).await.expect("they are listed").items
    }
}

static KUBECONFIG: OnceCell<std::path::PathBuf> = OnceCell::const_new();

async fn end(child: Child) -> Done {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").expect("its output");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn lines(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().expect("its output")).lines()
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line comes");
    line.expect("it is read").expect("it has not ended")
}

/// As Ctrl-C does.
async fn interrupt(child: &Child) {
    let pid = child.id().expect("it runs").to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().await.expect("kill runs");
    assert!(killed.success());
}

#[tokio::test]
async fn status_tells_what_the_resource_says_as_text_and_as_json() {
    let world = World::new().await;
    let path = format!("{}/offers", world.namespace);
    let nothing = world.run(&["status", "offers"]).await;
    assert_eq!((nothing.code, nothing.stdout), (Some(0), format!("{path}: the operator has not looked at it yet\n")));
    world.say("Sending", "Sending", "mails are being sent", 4).await;
    let text = world.run(&["status", "offers"]).await;
    let wanted =
        format!("{path}: under way (Sending)\n10 rows: 10 mails\n4 delivered, 6 pending\n6 to go, 0 mails/s\n");
    assert_eq!(text, Done { code: Some(0), stdout: wanted, stderr: String::new() });
    let json: Value = serde_json::from_str(&world.run(&["status", "offers", "-o", "json"]).await.stdout).expect("JSON");
    assert_eq!((&json["delivered"], &json["backlog"], &json["phase"]), (&json!(4), &json!(6), &json!("Sending")));
}

#[tokio::test]
async fn a_campaign_that_is_not_there_is_bad_input_and_says_where_to_look() {
    let world = World::new().await;
    for words in
        [&["status", "offer"][..], &["watch", "offer"], &["pause", "offer"], &["report", "offer", "--out", "r.csv"]]
    {
        let done = world.run(words).await;
        let wanted = format!("error: no campaign offer in the namespace {}: ", world.namespace);
        assert!(done.code == Some(2) && done.stderr.starts_with(&wanted) && done.stdout.is_empty(), "{done:?}");
    }
}

#[tokio::test]
async fn watch_says_each_change_and_ends_with_the_campaign() {
    let world = World::new().await;
    world.say("Sending", "Sending", "mails are being sent", 4).await;
    let mut watch = world.start(&["watch", "offers"]).await;
    let mut said = lines(&mut watch);
    assert_eq!(next(&mut said).await, "4/10  4 delivered, 6 pending  0 mails/s  under way (Sending)");
    world.say("Sending", "Sending", "mails are being sent", 7).await;
    assert_eq!(next(&mut said).await, "7/10  7 delivered, 3 pending  0 mails/s  under way (Sending)");
    world.say("Completed", "Completed", "every mail has its end", 10).await;
    assert_eq!(next(&mut said).await, "10/10  10 delivered  finished (Completed)");
    assert_eq!(end(watch).await.code, Some(0));
}

#[tokio::test]
async fn watch_ends_with_2_when_the_campaign_fails_or_goes_and_with_130_when_it_is_interrupted() {
    let world = World::new().await;
    world.say("Sending", "Sending", "mails are being sent", 4).await;
    let mut watches = Vec::new();
    for _ in 0..2 {
        let mut watch = world.start(&["status", "offers", "--watch", "-o", "json"]).await;
        let mut said = lines(&mut watch);
        assert!(next(&mut said).await.contains("\"phase\":\"Sending\""));
        watches.push((watch, said));
    }
    let (interrupted, _said) = watches.pop().expect("a watch");
    interrupt(&interrupted).await;
    assert_eq!(end(interrupted).await.code, Some(130));
    let (failed, _said) = watches.pop().expect("a watch");
    world.say("Failed", "TopicsGone", "the topics are gone", 4).await;
    assert_eq!(end(failed).await.code, Some(2));

    world.say("Sending", "Sending", "mails are being sent", 4).await;
    let mut deleted = world.start(&["watch", "offers"]).await;
    let mut said = lines(&mut deleted);
    next(&mut said).await;
    drop(world.cluster.campaigns().delete("offers", &DeleteParams::default()).await.expect("it is deleted"));
    let done = end(deleted).await;
    assert!(done.code == Some(2) && done.stderr.ends_with("was deleted\n"), "{done:?}");
}

#[tokio::test]
async fn pause_suspends_and_waits_until_the_operator_says_so() {
    let world = World::new().await;
    world.say("Sending", "Sending", "mails are being sent", 4).await;
    let early = world.run(&["pause", "offers", "--timeout", "300ms"]).await;
    assert!(early.code == Some(1) && early.stderr.contains("the operator has not said"), "{early:?}");
    assert_eq!(world.cluster.campaign("offers").await.expect("it is there").spec["suspend"], true);
    let pause = world.start(&["pause", "offers"]).await;
    world.say("Paused", "Suspended", "spec.suspend is true", 4).await;
    let done = end(pause).await;
    assert!(done.code == Some(0) && done.stdout.contains("/offers: paused; nothing is sent until"), "{done:?}");
}

#[tokio::test]
async fn resume_ends_the_suspension_and_the_pause_of_the_time_that_the_status_names() {
    let world = World::new().await;
    let suspend = json!({"spec": {"suspend": true}});
    world.cluster.patch("offers", &suspend).await.expect("it is suspended");
    let at = "2027-03-01T07:59:30.5Z";
    let message =
        format!("too many were rejected. When it is mended: kubectl annotate mc offers mailcampaign.io/resume={at}");
    world.say("Paused", "Paused", &message, 4).await;
    let resume = world.start(&["resume", "offers"]).await;
    eventually("the pause is ended", async || {
        let found = world.cluster.campaign("offers").await.expect("it is there");
        let annotations = found.metadata.annotations.unwrap_or_default();
        found.spec["suspend"] == false && annotations.get("mailcampaign.io/resume").is_some_and(|time| time == at)
    })
    .await;
    world.say("Sending", "Sending", "mails are being sent", 4).await;
    let done = end(resume).await;
    assert!(done.code == Some(0) && done.stdout.ends_with("/offers: goes on\n"), "{done:?}");
}

#[tokio::test]
async fn a_command_about_a_campaign_of_which_nothing_is_published_says_so() {
    let world = World::new().await;
    let done = world.run(&["report", "offers", "--out", "r.csv"]).await;
    assert!(
        done.code == Some(1) && done.stderr.contains("nothing of ") && done.stderr.contains(" is published yet"),
        "{done:?}"
    );
    assert_eq!(world.pods().await, []);
}

#[tokio::test]
async fn a_pod_that_does_not_start_is_told_and_taken_away_and_so_is_one_that_is_interrupted() {
    let world = World::new().await;
    world.put_workers().await;
    let late = world.run(&["replay", "offers", "--dead", "--timeout", "500ms"]).await;
    assert!(late.code == Some(1) && late.stderr.contains("has not started within 500ms"), "{late:?}");
    assert_eq!(world.pods().await, []);
    let tail = world.start(&["tail", "offers"]).await;
    eventually("a pod is made", async || world.pods().await.len() == 1).await;
    let labels = world.pods().await.remove(0).metadata.labels.unwrap_or_default();
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        [("app.kubernetes.io/component".to_owned(), "command".to_owned())]
    );
    interrupt(&tail).await;
    let done = end(tail).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(130), ""));
    assert_eq!(world.pods().await, []);
}
