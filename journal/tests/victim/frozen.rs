//! A worker of a Kafka journal that stops before a commit when it is told to, for as long as it is told to.
//!
//! Words on stdin: `freeze`, so that the next tick with claims waits before its commit; `go` lets it go on; `stop`. On stdout: `joined`, `sent ROW`,
//! `before the commit`, of that tick `frozen ROW MAY` (claimed, and whether it may be sent) and `thawed`, and at the end `left`.

use super::{Failure, step};
use campaign::{CampaignUid, Outcome, Reply, Settlement};
use jiff::Timestamp;
use journal::kafka::{Kafka, Options, Settings, Timing, Which};
use journal::{Error, Journal, OnUnknown, Tick, Worker, WorkerOptions};
use std::io::BufRead;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Rows of a tick.
const ROWS: usize = 5;

/// What was told on stdin.
#[derive(Default)]
struct Told {
    freeze: AtomicBool,
    stop: AtomicBool,
    /// Whether the tick under way was frozen.
    was_frozen: AtomicBool,
}

pub(crate) async fn frozen(bootstrap: &str, name: &str, transaction: Duration) -> Result<(), Failure> {
    let uid = CampaignUid::alone(&format!("test/{name}"), "bb", "aa", None);
    let which = Which { prefix: "mc".to_owned(), namespace: "test".to_owned(), name: name.to_owned(), uid };
    let (lease, takeover) = (Duration::from_secs(2), Duration::from_millis(2_500));
    let timing = Timing { lease, takeover, transaction, ..Timing::default() };
    let settings = Settings::plaintext(bootstrap);
    let journal = Kafka::open(Options { settings, which, partitions: 2, replication: None, timing }).await?;
    let told = Arc::new(Told::default());
    listen(&journal, &told);
    let options = WorkerOptions { on_unknown: OnUnknown::Hold, now: Timestamp::now() };
    let mut worker = journal.worker(options).await?;
    step("joined")?;
    let mut finished: Vec<Settlement> = Vec::new();
    while !told.stop.load(Ordering::SeqCst) || !finished.is_empty() {
        let at = Timestamp::now();
        let max = if told.stop.load(Ordering::SeqCst) { 0 } else { ROWS };
        let claims = patiently(worker.take(max, at).await)?.unwrap_or_default();
        let tick = Tick { finished: finished.clone(), claims, at, ..Tick::default() };
        let claimed = patiently(worker.commit(tick).await)?;
        let was_frozen = told.was_frozen.swap(false, Ordering::SeqCst);
        if claimed.is_some() {
            finished.clear();
        }
        for mail in claimed.unwrap_or_default() {
            let (row, attempt) = (mail.message().row, mail.attempt());
            let may = mail.lease().may_begin() && mail.lease().may_finish();
            if was_frozen {
                step(&format!("frozen {row} {}", may || mail.lease().may_finish()))?;
            }
            let outcome = if may {
                step(&format!("sent {row}"))?;
                Outcome::Delivered { reply: Reply { code: 250, enhanced: None, text: "taken".to_owned() } }
            } else {
                Outcome::Released
            };
            finished.push(Settlement { row, attempt, at, backend: None, outcome });
        }
        if was_frozen {
            step("thawed")?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(worker);
    step("left")?;
    Ok(())
}

/// None for a call that may be made again.
fn patiently<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_transient() => Ok(None),
        Err(error) => Err(error),
    }
}

fn listen(journal: &Kafka, told: &Arc<Told>) {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let here = told.clone();
    journal.before_commit(move || {
        if here.freeze.swap(false, Ordering::SeqCst) {
            here.was_frozen.store(true, Ordering::SeqCst);
            // Whoever listens is gone only with this process.
            let _ = step("before the commit");
            if let Ok(wait) = wait.lock() {
                let _ = wait.recv();
            }
        }
    });
    let here = told.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match line.as_str() {
                "freeze" => here.freeze.store(true, Ordering::SeqCst),
                "go" => drop(go.send(())),
                _ => here.stop.store(true, Ordering::SeqCst),
            }
        }
    });
}
