//! A campaign in a folder of its own, with its brokers and its mail servers, and the real programs run on it.
//!
//! Every slot of a worker has a mail server of its own, so that it can be seen who sent what: the servers of a campaign may differ, its content may not.

use crate::process::{Process, Signal, Watchdog};
use crate::programs::Programs;
use anyhow::{Context, Result, ensure};
use campaign::spec::OnUnknown;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testkit::{Action, Kafka, KafkaOptions, Keep, Phase, Sink, SinkOptions};

/// Partitions of the campaign's topics.
pub(crate) const PARTITIONS: u32 = 4;

/// What campaign is sent.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Rows of the list.
    pub rows: u64,
    /// What becomes of claims whose owner is gone.
    pub on_unknown: OnUnknown,
    /// The server's time for a mail, at least and at most, in milliseconds.
    pub reply_after: std::ops::Range<u64>,
    /// Connections of each worker.
    pub connections: u32,
    /// Claims of each worker, at most.
    pub max_in_flight: u32,
    /// Mails a second, if that is limited.
    pub per_second: Option<u32>,
}

/// A place for a worker, with a mail server that only it uses.
pub struct Slot {
    file: String,
    /// What it was sent.
    pub sink: Sink,
    lives: AtomicU64,
}

/// See the module. Everything it started ends with it; its folder stays if [`Rig::keep`] was called.
pub struct Rig {
    // Processes are killed one by one before; this is for the case that they are not.
    watchdog: Watchdog,
    /// The brokers.
    pub kafka: Arc<Kafka>,
    programs: Programs,
    campaign: Campaign,
    slots: Vec<Slot>,
    shards: usize,
    folder: tempfile::TempDir,
}

impl Rig {
    /// Starts brokers and servers, and writes the campaign.
    ///
    /// # Errors
    /// Files can't be written, or a broker doesn't start.
    pub fn new(programs: &Programs, campaign: Campaign, brokers: u16, slots: usize, shards: usize) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chaos-").tempdir().context("a folder")?;
        std::fs::create_dir(folder.path().join("logs"))?;
        testkit::lists::write_csv(&folder.path().join("list.csv"), campaign.rows, 2)?;
        let slots = (0..slots).map(|number| slot(folder.path(), number, &campaign)).collect::<Result<Vec<_>>>()?;
        std::fs::copy(folder.path().join(&slots[0].file), folder.path().join("campaign.yaml"))?;
        let options = KafkaOptions::default().brokers(brokers).folder(folder.path().join("kafka")).runs_long();
        let kafka = Arc::new(Kafka::try_start(&options)?);
        let (watchdog, programs) = (Watchdog::start()?, programs.clone());
        Ok(Self { watchdog, kafka, programs, campaign, slots, shards, folder })
    }

    /// What campaign it is.
    pub fn campaign(&self) -> &Campaign {
        &self.campaign
    }

    /// Places for workers.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The folder, with `logs`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets the folder stay, and says where it is.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_path_buf()
    }

    /// Starts a worker in a slot; one that is there already is not touched.
    ///
    /// # Errors
    /// The program can't be started.
    pub fn worker(&self, slot: usize) -> Result<Process> {
        let slot_of = &self.slots[slot];
        let life = slot_of.lives.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("worker-{slot}.{life}");
        self.start(&name, "mailcampaign-worker", &["--campaign", &slot_of.file])
    }

    /// Starts the producer of a shard; `name` is that of its log.
    ///
    /// # Errors
    /// The program can't be started.
    pub fn producer(&self, shard: usize, name: &str) -> Result<Process> {
        let (index, of) = (shard.to_string(), self.shards.to_string());
        self.start(name, "mailcampaign-producer", &["--campaign", "campaign.yaml", "--shard", &index, "--shards", &of])
    }

    fn start(&self, name: &str, program: &str, arguments: &[&str]) -> Result<Process> {
        let log = File::create(self.folder.path().join("logs").join(name))?;
        let mut command = self.command(program);
        command.args(arguments).stdout(log.try_clone()?).stderr(log);
        command.env("RUST_LOG", "info,journal=debug,worker=debug,producer=debug,journal::kafka::errors=info");
        Process::start(name, &mut command, &self.watchdog)
    }

    /// Whether a process has logged something with these words.
    pub(crate) fn has_logged(&self, name: &str, words: &str) -> bool {
        std::fs::read(self.folder.path().join("logs").join(name))
            .is_ok_and(|log| String::from_utf8_lossy(&log).contains(words))
    }

    /// The account as `mailcampaign status` tells it.
    ///
    /// # Errors
    /// What the program said, if it failed.
    pub fn status(&self) -> Result<Value> {
        let said = self.mailcampaign(&["status", "campaign.yaml", "-o", "json"])?;
        serde_json::from_str(&said).with_context(|| format!("what status said: {said}"))
    }

    /// Writes `report.csv`.
    ///
    /// # Errors
    /// What the program said, if it failed.
    pub fn report(&self) -> Result<PathBuf> {
        self.mailcampaign(&["report", "campaign.yaml", "--out", "report.csv"])?;
        Ok(self.folder.path().join("report.csv"))
    }

    fn mailcampaign(&self, arguments: &[&str]) -> Result<String> {
        // One that hangs is ended: nothing here waits for ever.
        let mut command = self.command("mailcampaign");
        let mut child = Process::start(
            "mailcampaign",
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()),
            &self.watchdog,
        )?;
        let (stdout, stderr) = child.output(Duration::from_mins(1))?;
        ensure!(stderr.is_none(), "mailcampaign {} failed: {}", arguments.join(" "), stderr.unwrap_or_default());
        Ok(stdout)
    }

    /// A program in the folder, with nothing of this program's own environment but how to reach Kafka.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.path(program));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text == "RUST_LOG" || text.starts_with("MAILCAMPAIGN_") || text.starts_with("KAFKA_") {
                command.env_remove(&name);
            }
        }
        command.current_dir(self.folder.path());
        command.env("KAFKA_BOOTSTRAP_SERVERS", self.kafka.bootstrap());
        command.env("KAFKA_PARTITIONS", PARTITIONS.to_string());
        command
    }

    /// Asks workers to end, and says which didn't end well in time.
    pub fn stop(workers: &mut [Process]) -> Vec<String> {
        for worker in workers.iter() {
            worker.signal(Signal::CONT);
            worker.signal(Signal::TERM);
        }
        let ends = workers.iter_mut().filter_map(|worker| {
            let name = worker.name.clone();
            match worker.wait(GRACE) {
                Some(status) if status.success() => None,
                Some(status) => Some(format!("{name} was to stop and ended with {}", crate::process::ending(status))),
                None => Some(format!("{name} was to stop and didn't within {} s", GRACE.as_secs())),
            }
        });
        ends.collect()
    }
}

/// A worker ends within its `--grace` of 15 s; two more for a busy machine.
pub(crate) const GRACE: Duration = Duration::from_secs(17);

/// The mail server of a slot, and the campaign's file with it.
fn slot(folder: &Path, number: usize, campaign: &Campaign) -> Result<Slot> {
    let time = campaign.reply_after.clone();
    let calls = AtomicU64::new(0);
    let sink = Sink::start(SinkOptions::default().keep(Keep::Recipients).script(move |moment| {
        if moment.phase != Phase::FinalDot {
            return Action::Accept;
        }
        let call = calls.fetch_add(1, Ordering::Relaxed);
        let length = crate::plan::Random::new(call).below(time.end - time.start);
        Action::delay(Duration::from_millis(time.start + length))
    }));
    let Campaign { connections, max_in_flight, on_unknown, .. } = campaign;
    let rate = campaign.per_second.map_or(String::new(), |rate| format!("    rate: {{perSecond: {rate}}}\n"));
    let text = format!(
        "apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {{name: chaos, namespace: rig}}
spec:
  recipients: {{source: {{configMap: {{name: rig, key: list.csv}}}}}}
  message: {{from: people@example.com, subject: \"Hello {{{{ Name }}}}\", text: {{inline: \"Dear {{{{ Name }}}}\"}}}}
  delivery:
    backends: [{{name: slot-{number}, smtp: {{host: 127.0.0.1, port: {port}, tls: None, connections: {connections}}}}}]
    onUnknown: {on_unknown:?}
    maxInFlight: {max_in_flight}
    retry: {{initialBackoff: 1s, maxBackoff: 3s, maxAttempts: 20}}
{rate}",
        port = sink.port(),
    );
    let file = format!("campaign-{number}.yaml");
    std::fs::write(folder.join(&file), text)?;
    Ok(Slot { file, sink, lives: AtomicU64::new(0) })
}
