//! The rows of a campaign over Apache Kafka: producer, worker and broker are processes of their own on this machine, and share its cores.

use super::measure::{self, Process};
use super::rows::{COLUMNS, at_most, times};
use super::table::Line;
use super::{Bench, built, campaigns, peers};
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testkit::{Action, KafkaOptions, Keep, Phase, Sink, SinkOptions};

/// Rows of the list that is published.
const ROWS: u64 = 200_000;
/// Mails that are compared with smtp-source.
const MAILS: u64 = 50_000;
/// Mails through a slow server.
const SLOW_MAILS: u64 = 20_000;
/// How long that server takes for each.
const SLOW: Duration = Duration::from_millis(20);
/// Mails of a campaign whose worker is watched otherwise.
const FEW: u64 = 200;
/// How long a worker that has nothing to do is left alone before it is watched, and how long it is watched.
const SETTLED: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(20);
/// What has not happened by then does not.
const PATIENCE: Duration = Duration::from_mins(2);

/// A line of the producer's log: every letter was made once, and now the list is published.
const PUBLISHING: &str = "the content is pinned";
/// And the one at the end.
const PUBLISHED: &str = "the list is in the journal";
/// A line of the worker's log: it has joined, and has its share.
const SENDING: &str = " sending ";
/// And the one at the end.
const ENDED: &str = " ended ";

impl Bench {
    /// Publishing 200,000 rows, against a bare loop.
    pub(super) fn kafka_publish(&self) -> Result<Line> {
        let folder = self.new_folder()?;
        testkit::lists::write_xlsx(&folder.join("list.xlsx"), ROWS, COLUMNS)?;
        let campaign = campaigns::write(&folder, "list.xlsx", false, nowhere())?;
        let bootstrap = self.kafka()?.bootstrap();
        let ours = || {
            let (_, took) = self.publish(&campaign)?;
            Ok(measure::rate(ROWS, took))
        };
        let peer = || {
            let mut command = built("examples/kafka_publish_bare");
            measure::number_from(command.args([&bootstrap, &ROWS.to_string()]), "rows_per_second=")
        };
        let (ours, peer) = measure::in_turn(self.rounds, ours, peer)?;
        let what = "Kafka: 200,000 rows of an xlsx read and published to one broker, after the preflight";
        Ok(times(what, "rows/s", ours, "bare rdkafka loop", peer, [0.6, 0.9]))
    }

    /// One worker from Kafka to smtp-sink, from its share to its end.
    pub(super) fn kafka_worker(&self) -> Result<Line> {
        let folder = self.list_of(MAILS)?;
        let ours = || {
            let sink = peers::SmtpSink::start()?;
            let campaign = campaigns::write(&folder, "list.xlsx", false, sink.address)?;
            let (label, _) = self.publish(&campaign)?;
            let mut worker = self.worker(&campaign, &label, &["--exit-when-done"])?;
            let begun = worker.says(SENDING, PATIENCE)?;
            let ended = worker.says(ENDED, PATIENCE)?;
            worker.ends(PATIENCE)?;
            Ok(measure::rate(MAILS, ended - begun))
        };
        let (ours, peer) = measure::in_turn(self.rounds, ours, || peers::smtp_source(MAILS, 4000))?;
        let what = "Kafka: one worker to smtp-sink, 50,000 mails of 4 KB, 20 connections, from its join to its end";
        Ok(times(what, "mails/s", ours, "smtp-source", peer, [0.4, 0.7]))
    }

    /// Two workers against one, where the server's delay is what takes time.
    pub(super) fn kafka_two_workers(&self) -> Result<Line> {
        let folder = self.list_of(SLOW_MAILS)?;
        let with = |workers: usize| {
            let arrivals = Arrivals::new(Some(SLOW));
            let campaign = campaigns::write(&folder, "list.xlsx", false, arrivals.sink.addr())?;
            let (label, _) = self.publish(&campaign)?;
            let workers = (0..workers).map(|_| self.worker(&campaign, &label, &["--exit-when-done"]));
            let mut workers = workers.collect::<Result<Vec<_>>>()?;
            for worker in &mut workers {
                worker.ends(PATIENCE)?;
            }
            arrivals.rate_of_the_middle(SLOW_MAILS)
        };
        let (two, one) = measure::in_turn(self.rounds, || with(2), || with(1))?;
        let what = "Kafka: two workers, a server that takes 20 ms a mail, the middle half of 20,000";
        Ok(times(what, "mails/s", two, "one worker", one, [1.9, 2.0]))
    }

    /// A worker whose campaign is done: resident memory, and processor time.
    pub(super) fn kafka_rest(&self) -> Result<Vec<Line>> {
        let folder = self.list_of(FEW)?;
        let arrivals = Arrivals::new(None);
        let campaign = campaigns::write(&folder, "list.xlsx", false, arrivals.sink.addr())?;
        let (label, _) = self.publish(&campaign)?;
        let worker = self.worker(&campaign, &label, &[])?;
        arrivals.wait_for(FEW)?;
        std::thread::sleep(SETTLED);
        let before = worker.processor_time()?;
        std::thread::sleep(WATCHED);
        let share = worker.processor_time()?.saturating_sub(before).as_secs_f64() / WATCHED.as_secs_f64();
        let memory = worker.memory()?;
        println!("  resident {:.1} MB, of it private {:.1} MB", memory.resident, memory.private);
        Ok(vec![
            at_most("Kafka: worker at rest, resident memory", memory.resident, 30.0, 15.0, "MB"),
            at_most("Kafka: worker at rest, share of one core", share * 100.0, 0.5, 0.15, "%"),
        ])
    }

    /// From the start of a worker to its first mail.
    pub(super) fn kafka_join(&self) -> Result<Line> {
        let folder = self.list_of(FEW)?;
        let figure = measure::several(self.rounds.max(5), || {
            let arrivals = Arrivals::new(None);
            let campaign = campaigns::write(&folder, "list.xlsx", false, arrivals.sink.addr())?;
            let (label, _) = self.publish(&campaign)?;
            let begun = Instant::now();
            let _worker = self.worker(&campaign, &label, &[])?;
            let took = arrivals.wait_for(1)? - begun;
            println!("  {:.3} s", took.as_secs_f64());
            Ok(took.as_secs_f64())
        })?;
        let what = "Kafka: start of a worker to its first mail, `group.protocol=consumer`";
        Ok(at_most(what, figure, 1.5, 0.5, "s"))
    }

    /// A tick's transaction.
    pub(super) fn kafka_tick(&self) -> Result<Line> {
        let bootstrap = self.kafka()?.bootstrap();
        let figure = measure::several(self.rounds, || {
            measure::number_from(built("examples/kafka_tick").arg(&bootstrap), "median_milliseconds=")
        })?;
        let what = "Kafka: a tick's transaction, 100 claims and 100 outcomes, median";
        Ok(at_most(what, figure, 20.0, 8.0, "ms"))
    }

    /// The broker of all rows.
    pub(super) fn kafka(&self) -> Result<&testkit::Kafka> {
        if self.kafka.get().is_none() {
            let broker = testkit::Kafka::try_start(&KafkaOptions::default().runs_long())?;
            // There is one thread here.
            let _ = self.kafka.set(broker);
        }
        self.kafka.get().context("a broker")
    }

    /// Publishes a campaign under a label that no other has; the label, and how long it took from the end of the preflight.
    fn publish(&self, campaign: &Path) -> Result<(String, Duration)> {
        let label = format!("bench-{}", self.labels.replace(self.labels.get() + 1));
        let mut producer = self.program("mailcampaign-producer", campaign, &label, &[])?;
        let begun = producer.says(PUBLISHING, PATIENCE)?;
        let ended = producer.says(PUBLISHED, PATIENCE)?;
        producer.ends(PATIENCE)?;
        Ok((label, ended - begun))
    }

    fn worker(&self, campaign: &Path, label: &str, more: &[&str]) -> Result<Process> {
        self.program("mailcampaign-worker", campaign, label, more)
    }

    fn program(&self, name: &str, campaign: &Path, label: &str, more: &[&str]) -> Result<Process> {
        let mut command = built(name);
        command.args(["--kafka", &self.kafka()?.bootstrap(), "--run", label, "--campaign"]).arg(campaign).args(more);
        Process::start(command.env_remove("RUST_LOG"))
    }

    /// A folder with a list of so many rows.
    fn list_of(&self, rows: u64) -> Result<PathBuf> {
        let folder = self.new_folder()?;
        testkit::lists::write_xlsx(&folder.join("list.xlsx"), rows, COLUMNS)?;
        Ok(folder)
    }
}

/// Where nothing is sent to.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 25))
}

/// A server that notes when each mail came.
struct Arrivals {
    sink: Sink,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Arrivals {
    /// One that takes `delay` for each mail.
    fn new(delay: Option<Duration>) -> Self {
        let times = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&times);
        let mut options = SinkOptions::default().keep(Keep::Recipients).on_mail(move |_| {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        });
        if let Some(delay) = delay {
            options = options.script(move |moment| match moment.phase {
                Phase::FinalDot => Action::delay(delay),
                _ => Action::Accept,
            });
        }
        Self { sink: Sink::start(options), times }
    }

    fn times(&self) -> Vec<Instant> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
        times.sort_unstable();
        times
    }

    /// When that many had come.
    fn wait_for(&self, count: u64) -> Result<Instant> {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.times().get(usize::try_from(count)? - 1) {
                return Ok(*at);
            }
            if begun.elapsed() > PATIENCE {
                bail!("fewer than {count} mails came");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Mails a second, without the beginning, when the workers share the campaign out, and the end, when one may have nothing left.
    fn rate_of_the_middle(&self, count: u64) -> Result<f64> {
        let times = self.times();
        if times.len() as u64 != count {
            bail!("{} mails came instead of {count}", times.len());
        }
        let (first, last) = (times.len() / 4, times.len() * 3 / 4);
        Ok(measure::rate((last - first) as u64, times[last] - times[first]))
    }
}
