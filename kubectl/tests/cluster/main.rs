//! The commands that run in a pod, on a whole cluster: the one that the operator's end-to-end tests use, named or started as they do.

#[path = "../../../operator/tests/cluster/cluster.rs"]
#[expect(dead_code, reason = "the operator's tests do more with it")]
mod cluster;

use campaign::status::Phase;
use cluster::{Use, cluster};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kubectl::cluster::Cluster;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
const ROWS: u64 = 400;

/// A namespace with a campaign `notices` that takes its time.
struct World {
    cluster: Cluster,
    namespaces: Api<Namespace>,
    namespace: String,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let client = cluster().client().await;
        let word = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
        let namespace = format!("e2e-plugin-{word}");
        let namespaces = Api::<Namespace>::all(client.clone());
        let object =
            json!({"metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        let object = serde_json::from_value(object).expect("a namespace");
        namespaces.create(&PostParams::default(), &object).await.expect("a namespace");
        let world = Self {
            cluster: Cluster::new(client, &namespace),
            namespaces,
            namespace,
            folder: tempfile::tempdir().expect("a folder"),
        };
        world.put_campaign().await;
        world
    }

    async fn put_campaign(&self) {
        let mut csv = "Email,Name\n".to_owned();
        for row in 1..=ROWS {
            let _ = writeln!(csv, "p{row}@example.com,{row}");
        }
        let list = json!({"metadata": {"name": "list"}, "data": {"list.csv": csv}});
        let list = serde_json::from_value(list).expect("a list");
        self.cluster.api::<ConfigMap>().create(&PostParams::default(), &list).await.expect("the list");
        let resources = json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}});
        let smtp = json!({"host": "smtp-relay.mail.svc.cluster.local", "port": 2525, "tls": "None"});
        let campaign = json!({
            "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign", "metadata": {"name": "notices"},
            "spec": {
                "recipients": {"source": {"configMap": {"name": "list", "key": "list.csv"}}},
                "message": {"from": "people@example.com", "subject": "For {{ Name }}", "text": {"inline": "Hello {{ Name }}"}},
                "delivery": {"backends": [{"name": "relay", "smtp": smtp}], "rate": {"perSecond": 20}},
                "producer": {"resources": resources}, "workers": {"resources": resources},
                "deletionPolicy": "Delete",
            },
        });
        let campaign = serde_json::from_value(campaign).expect("a campaign");
        self.cluster.campaigns().create(&PostParams::default(), &campaign).await.expect("the campaign");
    }

    /// The plugin, as kubectl starts it, in a folder of this test.
    fn plugin(&self, words: &[&str]) -> Command {
        let mut command = cluster().shell("exec \"$0\" \"$@\"");
        command.arg(env!("CARGO_BIN_EXE_kubectl-mailcampaign")).args(words).args(["-n", &self.namespace]);
        command.current_dir(self.folder.path());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.plugin(words).output().expect("it starts")
    }

    /// What it prints; it must succeed.
    fn prints(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    async fn phase(&self) -> Option<Phase> {
        let campaign = self.cluster.campaign("notices").await.expect("it is there");
        campaign.status.and_then(|status| status.phase)
    }

    /// The pods of commands that are not being taken away.
    async fn commands(&self) -> usize {
        let labels = ListParams::default().labels("app.kubernetes.io/component=command");
        let pods = self.cluster.api::<Pod>().list(&labels).await.expect("pods are listed");
        pods.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).count()
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Reads a few lines of `tail`, and interrupts it as Ctrl-C does.
fn some_of_tail(world: &World) -> (Vec<Value>, Option<i32>) {
    let mut tail = world.plugin(&["tail", "notices", "--from-start", "-o", "json"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(tail.stdout.take().expect("its output")).lines();
    let some = lines.by_ref().take(5).map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect();
    let killed = Command::new("kill").args(["-INT", &tail.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    (some, tail.wait().expect("it ends").code())
}

fn rows_delivered(report: &Path) -> usize {
    let text = std::fs::read_to_string(report).expect("the report");
    text.lines().skip(1).filter(|line| line.contains(",Delivered,")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn e2e_the_plugin_pauses_follows_and_reports_a_campaign_on_a_cluster() {
    let _installed = Use::shared().await;
    let world = World::new().await;
    until("it is sending", async || world.phase().await == Some(Phase::Sending)).await;

    assert!(world.prints(&["pause", "notices"]).contains(": paused; nothing is sent until"));
    assert!(
        world
            .prints(&["status", "notices"])
            .contains("spec.suspend is true; nothing is sent until it is false (Paused)")
    );
    world.prints(&["resume", "notices"]);

    let (settled, code) = some_of_tail(&world);
    assert_eq!((settled.len(), code), (5, Some(130)));
    assert!(settled.iter().all(|settled| settled["outcome"] == "delivered"), "{settled:?}");
    assert_eq!(world.commands().await, 0);

    let preview = world.prints(&["preview", "notices", "--row", "3", "--out", "letter"]);
    assert_eq!(preview, "letter/row-3.eml\n");
    let mail = std::fs::read_to_string(world.path("letter/row-3.eml")).expect("the mail");
    assert!(mail.contains("Subject: For 2\r\n"), "{mail}");
    let none = world.run(&["preview", "notices", "--row", "9999"]);
    assert_eq!((none.status.code(), none.stdout.as_slice()), (Some(2), &b""[..]));

    let watched = world.prints(&["watch", "notices"]);
    assert!(watched.ends_with(&format!("{ROWS}/{ROWS}  {ROWS} delivered  finished (Completed)\n")), "{watched}");
    let report = world.run(&["report", "notices", "--out", "result.csv"]);
    assert_eq!(String::from_utf8_lossy(&report.stderr), format!("result.csv: {ROWS} rows\n"));
    assert_eq!(u64::try_from(rows_delivered(&world.path("result.csv"))), Ok(ROWS));
    world.prints(&["report", "notices", "--out", "result.xlsx"]);
    assert!(std::fs::read(world.path("result.xlsx")).expect("a workbook").starts_with(b"PK"));

    assert!(world.prints(&["replay", "notices", "--dead"]).starts_with("0 queued again"));
    let annotations = world.cluster.campaign("notices").await.expect("it is there").metadata.annotations;
    assert!(annotations.unwrap_or_default().contains_key("mailcampaign.io/decided-at"));
    assert_eq!(world.commands().await, 0);
    world.namespaces.delete(&world.namespace, &DeleteParams::default()).await.expect("the namespace is deleted");
}
