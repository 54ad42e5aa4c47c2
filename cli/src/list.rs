//! The campaign's list as `run` wants it: preflighted, and published beside the sending.

use crate::tell;
use journal::Journal;
use producer::preflight::{self, Options};
use producer::{Input, Opened, Plan, Preflight};
use program::Failure;
use std::ops::ControlFlow;
use std::sync::Arc;
use worker::{Stop, StopLevel};

/// Rows that can't be mailed which `run` names one by one.
const NAMED: usize = 20;

/// A preflight that lets the campaign begin. Names the rows that can't be mailed.
pub(crate) async fn preflight_for_run<J: Journal>(journal: &J, opened: &Opened) -> Result<Preflight, Failure> {
    let options = Options { sample: None, listed: Some(NAMED), max_message_bytes: journal.max_message_bytes() };
    let found = preflight::in_background(&opened.input, options).await;
    let found = found.map_err(|mistake| Failure::mistakes(&[mistake]))?;
    if found.mistakes.is_empty() {
        found.complaints().iter().for_each(|complaint| tell(complaint));
    }
    found.may_begin(opened.input.recipients.on_invalid_row).map_err(producer::publish::Error::from)?;
    Ok(found)
}

/// Publishes what is not published yet; ends early when the run is stopped, and when another process has taken over.
pub(crate) async fn publish<J: Journal>(
    journal: J,
    input: Arc<Input>,
    preflight: Arc<Preflight>,
    stop: Stop,
) -> Result<(), producer::publish::Error> {
    let plan = Plan::whole(preflight, journal.max_message_bytes());
    let mut publisher = journal.publisher(0).await?;
    let published = producer::publish(&mut publisher, &input, &plan, |_| match stop.level() {
        StopLevel::Running => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    match published.await {
        Ok(_) => Ok(()),
        Err(producer::publish::Error::Journal(journal::Error::Fenced)) => {
            tell("Another process publishes the rest of the list; this one goes on sending.");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
