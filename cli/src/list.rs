//! The campaign's list: its preflight, and the publishing of it.

use crate::failure::Failure;
use crate::opened::Opened;
use campaign::Mistake;
use campaign::spec::OnInvalidRow;
use journal::embedded::Embedded;
use journal::{Checkpoint, Journal};
use producer::preflight::{Error as PreflightError, Options};
use producer::{Input, Preflight};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use worker::{Backends, Stop, StopLevel};

/// Rows that can't be mailed which `run` names one by one.
const NAMED: usize = 20;

/// Reads the whole list (or the first `sample` rows) and makes every letter. Dropping the future ends the reading.
pub(crate) async fn preflight(input: &Arc<Input>, options: Options) -> Result<Preflight, Mistake> {
    let unwanted = Arc::new(AtomicBool::new(false));
    let guard = StopWhenDropped(Arc::clone(&unwanted));
    let (input, name) = (Arc::clone(input), input.list.display_name.clone());
    let reading = tokio::task::spawn_blocking(move || {
        producer::preflight(&input, options, |_| {
            if unwanted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    let result = reading.await;
    drop(guard);
    match result {
        Ok(Ok(preflight)) => Ok(preflight),
        Ok(Err(PreflightError::List(error))) => Err(error.into()),
        Ok(Err(PreflightError::Stopped)) => Err(Mistake::new(name, "stopped before the whole list was read")),
        Err(panic) => Err(Mistake::new(name, format!("reading it failed: {panic}"))),
    }
}

struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A preflight that lets the campaign begin. Names the rows that can't be mailed.
pub(crate) async fn preflight_for_run(opened: &Opened, backends: &Backends) -> Result<Preflight, Failure> {
    let options = Options { sample: None, listed: Some(NAMED) };
    let preflight = preflight(&opened.input, options).await.map_err(|mistake| Failure::mistakes(&[mistake]))?;
    let mut mistakes = preflight.mistakes.clone();
    mistakes.extend(backends.missing_columns(&preflight.columns));
    if !mistakes.is_empty() {
        return Err(Failure::mistakes(&mistakes));
    }
    for row in &preflight.invalid {
        crate::tell(&format!("{}: {}", row.place, row.why));
    }
    let invalid = preflight.tally.invalid;
    let more = invalid.saturating_sub(preflight.invalid.len() as u64);
    if more > 0 {
        crate::tell(&format!("… and {more} more rows that can't be mailed; `validate` and `report` list them"));
    }
    if invalid > 0 && opened.input.recipients.on_invalid_row == OnInvalidRow::Fail {
        return Err(Failure::bad_input(format!(
            "{invalid} rows can't be mailed, and spec.recipients.onInvalidRow is Fail: nothing is sent. \
             Correct them, or set it to Skip"
        )));
    }
    if invalid > 0 && preflight.tally.published == 0 {
        return Err(Failure::bad_input(
            "no row of the list can be mailed, so nothing is sent; correct the template or the list",
        ));
    }
    Ok(preflight)
}

/// Publishes what is not published yet; ends early when the run is stopped.
pub(crate) async fn publish(
    journal: Embedded,
    input: Arc<Input>,
    preflight: Arc<Preflight>,
    stop: Stop,
) -> Result<Checkpoint, producer::publish::Error> {
    let mut publisher = journal.publisher(0).await?;
    producer::publish(&mut publisher, &input, &preflight, |_| match stop.level() {
        StopLevel::Running => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    })
    .await
}
