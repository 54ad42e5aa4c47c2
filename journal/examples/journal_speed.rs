//! How many rows a second the journal takes, and the CPU time of a row: `cargo run --release -p journal --example journal_speed [ROWS] [DIR]`.
//!
//! Publishes in chunks of 1,000 rows of eight columns; then claims and settles in ticks of 350; then both at once, as a run does.

use campaign::{CampaignUid, EmailAddress, Fields, Message, Outcome, Reply, Settlement, spec::OnUnknown};
use jiff::Timestamp;
use journal::embedded::Embedded;
use journal::{Checkpoint, Entry, Error, Journal, Pin, Publisher, Tick, Worker, WorkerOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CHUNK: u64 = 1_000;
const TICK: usize = 350;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(Ok(100_000), |rows| rows.parse())?;
    let dir = arguments.next().map_or_else(|| PathBuf::from("target/journal_speed"), PathBuf::from);

    let started = Meter::start();
    let made = (2..rows + 2).filter_map(message).map(std::hint::black_box).count();
    started.report("(making the rows, part of publishing)", made as u64)?;

    let journal = open(&dir.join("apart"))?;
    pin(&journal).await?;
    let started = Meter::start();
    publish(&journal, rows).await?;
    started.report("publish, chunks of 1,000", rows)?;
    let started = Meter::start();
    send(&journal).await?;
    started.report("take + claim + settle, ticks of 350", rows)?;
    let started = Meter::start();
    drop(journal);
    let journal = Embedded::open(&dir.join("apart"))?;
    started.report("close and open again", rows)?;
    let started = Meter::start();
    let mut from = 0;
    while let Some(last) = journal.rows(from, 1_000).await?.last() {
        from = last.row() + 1;
    }
    started.report("read all states", rows)?;

    let journal = open(&dir.join("together"))?;
    pin(&journal).await?;
    let started = Meter::start();
    tokio::try_join!(publish(&journal, rows), send(&journal))?;
    started.report("publish and send at once", rows)?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: unknown");
    std::fs::remove_dir_all(&dir)?;
    writeln!(std::io::stdout(), "peak memory: {}", peak.trim_start_matches("VmHWM:").trim())?;
    Ok(())
}

fn open(dir: &Path) -> Result<Embedded, Box<dyn std::error::Error>> {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(Embedded::open(dir)?)
}

async fn pin(journal: &Embedded) -> Result<(), Error> {
    let uid = CampaignUid::alone("bench/speed", "", "", None);
    journal
        .pin(Pin { uid, contents: std::collections::BTreeMap::new(), destination: "outbox".to_owned(), shards: 1 })
        .await
}

async fn publish(journal: &Embedded, rows: u64) -> Result<(), Error> {
    let mut publisher = journal.publisher(0).await?;
    let mut checkpoint = Checkpoint { next_row: 2, ..Checkpoint::default() };
    while checkpoint.next_row < rows + 2 {
        let end = (checkpoint.next_row + CHUNK).min(rows + 2);
        let entries: Vec<Entry> = (checkpoint.next_row..end).filter_map(message).map(Entry::Message).collect();
        for entry in &entries {
            checkpoint.tally.add(entry);
        }
        checkpoint = Checkpoint { next_row: end, done: end == rows + 2, ..checkpoint };
        publisher.publish(entries, checkpoint).await?;
    }
    Ok(())
}

fn message(row: u64) -> Option<Message> {
    let recipient = EmailAddress::parse(&format!("first.last{row}@example.com")).ok()?;
    let fields: Fields = [
        ("Id", row.into()),
        ("Name", format!("Firstname Lastname {row}").into()),
        ("Position", "Senior Software Engineer".into()),
        ("Department", "Research and Development".into()),
        ("Salary", (50_000.5 + f64::from(u32::try_from(row % 1_000).unwrap_or(0))).into()),
        ("Start", "2027-02-18".into()),
        ("Address", "12 Example Street, 10115 Berlin".into()),
        ("Batch", "2027-A".into()),
    ]
    .into_iter()
    .map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value))
    .collect();
    Some(Message { row, recipient, fields })
}

/// As a worker does: each tick settles the mails of the one before and claims the next.
async fn send(journal: &Embedded) -> Result<(), Error> {
    let mut worker = journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now: Timestamp::now() }).await?;
    let mut finished = Vec::new();
    loop {
        let at = Timestamp::now();
        let claims = worker.take(TICK, at).await?;
        if claims.is_empty() && finished.is_empty() {
            if worker.exhausted() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let claimed = worker.commit(Tick { finished, claims, at, ..Tick::default() }).await?;
        finished = claimed
            .iter()
            .map(|mail| Settlement {
                row: mail.message().row,
                attempt: mail.attempt(),
                at,
                backend: Some("relay".to_owned()),
                outcome: Outcome::Delivered {
                    reply: Reply {
                        code: 250,
                        enhanced: Some("2.0.0".to_owned()),
                        text: format!("Ok: queued as 4WXyZ{:08X}", mail.message().row),
                    },
                },
            })
            .collect();
    }
}

/// Wall and CPU time, and the bytes given to the disk.
struct Meter {
    wall: Instant,
    cpu: Duration,
    written: u64,
}

impl Meter {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time(), written: written() }
    }

    fn report(&self, what: &str, rows: u64) -> std::io::Result<()> {
        let (wall, cpu) = (self.wall.elapsed().as_secs_f64(), cpu_time().saturating_sub(self.cpu).as_secs_f64());
        let rows_f = rows as f64;
        let bytes = (written() - self.written) as f64 / rows_f;
        writeln!(
            std::io::stdout(),
            "{what:<38} {:>9.0} rows/s  {:>6.2} µs CPU/row  {bytes:>6.0} bytes written/row",
            rows_f / wall,
            cpu * 1e6 / rows_f
        )
    }
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(clock.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(clock.tv_nsec).unwrap_or(0))
}

/// Bytes that this process wrote so far.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    bytes.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
}
