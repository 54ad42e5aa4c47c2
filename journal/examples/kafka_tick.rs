//! How long a worker's transaction takes: `cargo run --release -p journal --example kafka_tick HOST:PORT [TICKS]`.
//!
//! A campaign of 100 rows a tick is published; then each tick settles the 100 mails of the one before and claims the next 100. The median is of the call of
//! `commit` alone: what the worker waits before it may send.

use campaign::{CampaignUid, EmailAddress, Fields, Message, Outcome, Reply, Settlement, spec::OnUnknown};
use jiff::Timestamp;
use journal::kafka::{Kafka, Options, Settings, Timing, Which};
use journal::{Checkpoint, Claimed, Entry, Journal, Pin, Publisher, Tick, Worker, WorkerOptions};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

const CLAIMS: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().ok_or("usage: kafka_tick HOST:PORT [TICKS]")?;
    let ticks: u64 = arguments.next().map_or(Ok(300), |ticks| ticks.parse())?;
    let journal = open(&bootstrap).await?;
    publish(&journal, ticks * CLAIMS as u64).await?;
    let mut worker = journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now: Timestamp::now() }).await?;
    let mut taken_in = Vec::new();
    let mut took = Vec::new();
    let mut finished = Vec::new();
    while !worker.exhausted() || !finished.is_empty() {
        let (at, begun) = (Timestamp::now(), Instant::now());
        let claims = worker.take(CLAIMS, at).await?;
        taken_in.push(begun.elapsed());
        let is_full = claims.len() == CLAIMS && finished.len() == CLAIMS;
        let begun = Instant::now();
        let claimed = worker.commit(Tick { finished, claims, at, ..Tick::default() }).await?;
        if is_full {
            took.push(begun.elapsed());
        }
        finished = claimed.iter().map(delivered).collect();
    }
    let (commits, median, slow) = (took.len(), part(&mut took, 50), part(&mut took, 95));
    writeln!(
        std::io::stdout(),
        "ticks={commits} take_milliseconds={:.2} slow_milliseconds={slow:.2} median_milliseconds={median:.2}",
        part(&mut taken_in, 50)
    )?;
    Ok(())
}

/// The figure, in milliseconds, that so many of a hundred don't exceed.
fn part(took: &mut [Duration], of_hundred: usize) -> f64 {
    took.sort_unstable();
    took.get(took.len() * of_hundred / 100).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}

async fn open(bootstrap: &str) -> Result<Kafka, journal::Error> {
    let name = format!("tick-{}", uuid::Uuid::new_v4().simple());
    let uid = CampaignUid::alone(&format!("bench/{name}"), "", "", None);
    let which = Which { prefix: "bench".to_owned(), namespace: "bench".to_owned(), name, uid };
    let settings = Settings::plaintext(bootstrap);
    let journal =
        Kafka::open(Options { settings, which, partitions: 4, replication: None, timing: Timing::default() }).await?;
    journal.pin(Pin { uid, contents: BTreeMap::new(), destination: "backends".to_owned(), shards: 1 }).await?;
    Ok(journal)
}

async fn publish(journal: &Kafka, rows: u64) -> Result<(), journal::Error> {
    let mut publisher = journal.publisher(0).await?;
    let mut checkpoint = Checkpoint { next_row: 2, ..Checkpoint::default() };
    while checkpoint.next_row < rows + 2 {
        let end = (checkpoint.next_row + 5_000).min(rows + 2);
        let entries: Vec<Entry> = (checkpoint.next_row..end).filter_map(message).collect();
        for entry in &entries {
            checkpoint.tally.add(entry);
        }
        checkpoint = Checkpoint { next_row: end, done: end == rows + 2, ..checkpoint };
        publisher.publish(entries, checkpoint).await?;
    }
    Ok(())
}

fn message(row: u64) -> Option<Entry> {
    let recipient = EmailAddress::parse(&format!("first.last{row}@example.com")).ok()?;
    let fields: Fields = [("Name", format!("Firstname Lastname {row}")), ("Position", "Senior Engineer".to_owned())]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Some(Entry::Message(Message { row, recipient, fields }))
}

fn delivered(mail: &Claimed) -> Settlement {
    let text = format!("Ok: queued as 4WXyZ{:08X}", mail.message().row);
    Settlement {
        row: mail.message().row,
        attempt: mail.attempt(),
        at: Timestamp::now(),
        backend: Some("relay".to_owned()),
        outcome: Outcome::Delivered { reply: Reply { code: 250, enhanced: Some("2.0.0".to_owned()), text } },
    }
}
