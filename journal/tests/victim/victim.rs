//! The process that the crash tests run, kill and fill the disk under; see `tests/crash.rs`.
//!
//! `churn DIR SEED hold|resend` publishes and sends until nothing is left. Each mail that it "sends" is a line in `DIR/sent`, each step a line on
//! stdout. `fill DIR` publishes until the disk is full, makes room and goes on. `frozen BOOTSTRAP NAME TRANSACTION_MS` is a worker of a Kafka journal that
//! waits before a commit; see `tests/kafka_worker/frozen.rs`.

mod fill;
mod frozen;

use campaign::{CampaignUid, EmailAddress, Message, Outcome, Reply, Settlement, spec::OnUnknown};
use jiff::{SignedDuration, Timestamp};
use journal::embedded::Embedded;
use journal::{Checkpoint, Entry, Error, Journal, Pin, Publisher, Tick, Worker, WorkerOptions};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The list has the rows from 2 to below this.
const END: u64 = 12_000;

/// Some thousand are enough.
const MOST_TICKS: u32 = 100_000;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["churn", dir, seed, policy] => {
            let on_unknown = if policy == "resend" { OnUnknown::Resend } else { OnUnknown::Hold };
            churn(PathBuf::from(dir), Random(seed.parse()?), on_unknown).await
        }
        ["fill", dir] => fill::fill(Path::new(dir)).await,
        ["frozen", bootstrap, name, transaction] => {
            frozen::frozen(bootstrap, name, Duration::from_millis(transaction.parse()?)).await
        }
        _ => Err("usage: churn DIR SEED hold|resend, fill DIR, or frozen BOOTSTRAP NAME TRANSACTION_MS".into()),
    }
}

/// Numbers that look random and are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn step(what: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}

async fn pin(journal: &Embedded) -> Result<(), Error> {
    let uid = CampaignUid::alone("tests/victim", "", "", None);
    journal.pin(Pin { uid, contents: BTreeMap::new(), destination: "outbox".to_owned(), shards: 1 }).await
}

fn message(row: u64) -> Result<Message, Failure> {
    let recipient = EmailAddress::parse(&format!("person{row}@example.com"))?;
    let fields = [("Text".to_owned(), "x".repeat(300).into())].into_iter().collect();
    Ok(Message { row, recipient, fields })
}

async fn churn(dir: PathBuf, mut random: Random, on_unknown: OnUnknown) -> Result<(), Failure> {
    let journal = Embedded::open(&dir)?;
    step("open")?;
    pin(&journal).await?;
    let publishing = tokio::spawn(publish(journal.clone(), Random(random.below(1 << 31))));
    let mut worker = journal.worker(WorkerOptions { on_unknown, now: Timestamp::now() }).await?;
    let mut sent = OpenOptions::new().append(true).create(true).open(dir.join("sent"))?;
    let mut in_flight: Vec<Settlement> = Vec::new();
    let mut ticks = 0;
    while !worker.exhausted() || !in_flight.is_empty() {
        ticks += 1;
        if ticks > MOST_TICKS {
            return Err(format!("something is never handed out: {:?}", worker.counts()).into());
        }
        let at = Timestamp::now();
        let mut taken = worker.take(usize::try_from(random.below(300))?, at).await?;
        let in_hand = taken.len() - taken.len() / 10;
        let paced = taken.split_off(in_hand).into_iter().map(|queued| (queued, at)).collect();
        // Some of the mails on their way have arrived, in any order.
        let finished = in_flight.extract_if(.., |_| random.below(3) > 0).collect();
        let claimed = worker.commit(Tick { finished, claims: taken, paced, at, ..Tick::default() }).await?;
        for mail in &claimed {
            let outcome =
                if random.below(20) == 0 { Outcome::Released } else { outcome(mail.message().row, mail.attempt(), at) };
            if outcome != Outcome::Released {
                send(&mut sent, mail.message().row, mail.attempt())?;
            }
            let (row, attempt) = (mail.message().row, mail.attempt());
            in_flight.push(Settlement { row, attempt, at, backend: None, outcome });
        }
        step("tick")?;
        tokio::task::yield_now().await;
    }
    publishing.await?.map_err(|error| error.to_string())?;
    step("done")?;
    Ok(())
}

/// One write, so that a kill leaves no half of a line.
fn send(sent: &mut File, row: u64, attempt: u32) -> std::io::Result<()> {
    sent.write_all(format!("{row} {attempt}\n").as_bytes())
}

/// What becomes of a mail: the test knows it too.
fn outcome(row: u64, attempt: u32, at: Timestamp) -> Outcome {
    let reply = Reply { code: 250, enhanced: None, text: format!("row {row}, attempt {attempt}") };
    match (row * 31 + u64::from(attempt) * 7) % 10 {
        0 | 1 if attempt < 5 => Outcome::Deferred { due: at + SignedDuration::from_millis(20), reply },
        2 => Outcome::Rejected { reply },
        _ => Outcome::Delivered { reply },
    }
}

async fn publish(journal: Embedded, mut random: Random) -> Result<(), Error> {
    let mut publisher = journal.publisher(0).await?;
    loop {
        let before = *publisher.checkpoint();
        if before.done {
            return Ok(());
        }
        let first = before.next_row.max(2);
        let end = (first + random.below(400)).min(END);
        let entries: Result<Vec<Entry>, Failure> = (first..end).map(|row| Ok(Entry::Message(message(row)?))).collect();
        let entries = entries.map_err(|error| Error::OutOfTurn(error.to_string()))?;
        let mut tally = before.tally;
        for entry in &entries {
            tally.add(entry);
        }
        publisher.publish(entries, Checkpoint { next_row: end, tally, done: end == END }).await?;
    }
}
