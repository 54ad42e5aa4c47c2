//! On a file system that is too small.

use super::{Failure, message, pin, step};
use campaign::{Outcome, Reply, Settlement, spec::OnUnknown};
use jiff::Timestamp;
use journal::conformance::{account, after};
use journal::embedded::Embedded;
use journal::{Entry, Error, Journal, Publisher, Tick, Worker, WorkerOptions};
use std::path::Path;

pub(crate) async fn fill(dir: &Path) -> Result<(), Failure> {
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; 512 * 1024])?;
    let state = dir.join("state");
    let journal = Embedded::open(&state)?;
    pin(&journal).await?;

    // Publish until there is no room: the chunk that failed left nothing.
    let mut publisher = journal.publisher(0).await?;
    let refused = loop {
        let next = publisher.checkpoint().next_row.max(2);
        let entries =
            (next..next + 100).map(|row| Ok(Entry::Message(message(row)?))).collect::<Result<Vec<_>, Failure>>()?;
        let checkpoint = after(publisher.checkpoint(), &entries, false);
        match publisher.publish(entries.clone(), checkpoint).await {
            Ok(()) => {}
            Err(Error::DiskFull { .. }) => break entries,
            Err(other) => return Err(other.into()),
        }
    };
    let published = account(&journal).await.published;
    step(&format!("full after {published} rows"))?;
    assert_eq!(published, publisher.checkpoint().tally.published);

    // Take and claim until that fails too: the claims that failed can be committed again.
    let now = Timestamp::now();
    let mut worker = journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now }).await?;
    let mut claimed = 0;
    let failed = loop {
        let claims = worker.take(20, now).await?;
        if claims.is_empty() {
            return Err("every row could be claimed on a full disk: it is not full".into());
        }
        let tick = Tick { claims, at: now, ..Tick::default() };
        match worker.commit(tick.clone()).await {
            Ok(claims) => claimed += claims.len() as u64,
            Err(Error::DiskFull { .. }) => break tick,
            Err(other) => return Err(other.into()),
        }
    };
    assert_eq!(account(&journal).await.pending, published, "claims that failed changed nothing");
    step(&format!("full after {claimed} claims"))?;

    // With room again the same calls succeed.
    std::fs::remove_file(&ballast)?;
    claimed += worker.commit(failed).await?.len() as u64;
    let checkpoint = after(publisher.checkpoint(), &refused, true);
    publisher.publish(refused, checkpoint).await?;
    let reply = Reply { code: 250, enhanced: None, text: "taken".to_owned() };
    let outcome = Outcome::Delivered { reply };
    let settle = |row| Settlement { row, attempt: 1, at: now, backend: None, outcome: outcome.clone() };
    let finished = (2..2 + claimed).map(settle).collect();
    worker.commit(Tick { finished, at: now, ..Tick::default() }).await?;
    drop((worker, publisher, journal));

    let counts = account(&Embedded::open(&state)?).await;
    assert_eq!((counts.published, counts.delivered), (published + 100, claimed));
    step("fine")?;
    Ok(())
}
