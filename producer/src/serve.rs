//! The whole of `mailcampaign-producer`: agree on the content, then publish a shard of the list.
//!
//! Shard 0 looks at the whole list and pins what the campaign is made of; the others wait for that, and refuse other bytes. So nothing is published of
//! a list that nobody has looked at.

use crate::begin::must_be;
use crate::preflight::{self, Options, Preflight};
use crate::publish::{self, Plan, publish};
use crate::{Destination, Metrics, Opened, Shard};
use jiff::Timestamp;
use journal::{Checkpoint, Journal, Pin, Preflighted};
use program::{Failure, Heartbeat};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two looks whether the content is pinned: soon at first, then less and less often.
const POLL: Range<Duration> = Duration::from_millis(100)..Duration::from_secs(2);
/// Rows that can't be mailed which are named one by one.
const NAMED: usize = 20;

/// How a producer was started.
pub struct Service {
    /// Which part of the list it publishes.
    pub shard: Shard,
    /// Asks for an end: between two chunks, or at once while nothing is written.
    pub stop: CancellationToken,
    /// Told how far it is.
    pub metrics: Metrics,
    /// Beats while it moves.
    pub heart: Heartbeat,
}

/// Publishes a shard of the campaign's list, from where its last publisher has stopped.
///
/// Returns the last checkpoint: `done` unless it was stopped.
pub async fn serve<J: Journal>(journal: &J, opened: &Opened, service: &Service) -> Result<Checkpoint, Failure> {
    let shard = service.shard;
    let beating = beat_while_waiting(&service.heart);
    let agreed = tokio::select! {
        agreed = agree(journal, opened, service) => agreed?,
        () = service.stop.cancelled() => return Ok(Checkpoint::default()),
        never = beating => match never {},
    };
    let plan = Plan { shard, preflight: agreed, max_message_bytes: journal.max_message_bytes() };
    let mut publisher = journal.publisher(shard.index()).await?;
    let published = publish(&mut publisher, &opened.input, &plan, |reached| {
        service.metrics.reached(reached);
        service.heart.beat();
        if service.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let last = published.await?;
    service.metrics.reached(&last);
    let tally = &last.tally;
    tracing::info!(
        shard = shard.index(),
        done = last.done,
        next_row = last.next_row,
        published = tally.published,
        invalid = tally.invalid,
        duplicate = tally.duplicate,
        suppressed = tally.suppressed,
        "the list is in the journal as far as this"
    );
    Ok(last)
}

/// The content is pinned, and it is this one. With what the preflight found, if it was made here.
async fn agree<J: Journal>(journal: &J, opened: &Opened, service: &Service) -> Result<Option<Arc<Preflight>>, Failure> {
    let pin = opened.pin(Destination::Backends, service.shard.of());
    if let Some(pinned) = journal.pinned().await? {
        must_be(&pinned, &pin)?;
        return Ok(None);
    }
    if service.shard.index() > 0 {
        service.metrics.waiting(true);
        let pinned = wait_for_pin(journal).await?;
        service.metrics.waiting(false);
        must_be(&pinned, &pin)?;
        return Ok(None);
    }
    let options = Options { listed: Some(NAMED), max_message_bytes: journal.max_message_bytes(), ..Options::default() };
    let found = preflight::in_background(&opened.input, options).await;
    let found = found.map_err(|mistake| Failure::mistakes(&[mistake]))?;
    if found.tally.invalid > 0 {
        // Their places only: what is wrong with a row quotes the row, and this is a log.
        let first: Vec<&str> = found.invalid.iter().map(|row| row.place.as_str()).collect();
        tracing::warn!(
            rows = found.tally.invalid,
            ?first,
            "rows that can't be mailed; `mailcampaign validate` says why"
        );
    }
    found.may_begin(opened.input.recipients.on_invalid_row).map_err(publish::Error::from)?;
    service.metrics.preflighted(found.tally.total());
    let preflighted = Preflighted { at: Timestamp::now(), tally: found.tally };
    journal.pin_with(pin, Some(preflighted)).await?;
    tracing::info!(rows = found.tally.total(), "every letter can be made, and the content is pinned; publishing");
    Ok(Some(Arc::new(found)))
}

async fn wait_for_pin<J: Journal>(journal: &J) -> Result<Pin, journal::Error> {
    tracing::info!("waiting for shard 0 to look at the whole list");
    let mut pause = POLL.start;
    loop {
        tokio::time::sleep(pause).await;
        if let Some(pinned) = journal.pinned().await? {
            return Ok(pinned);
        }
        pause = (pause * 2).min(POLL.end);
    }
}

/// Waiting for another, or for a preflight that has a thread of its own, is no standstill.
async fn beat_while_waiting(heart: &Heartbeat) -> std::convert::Infallible {
    loop {
        heart.beat();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl From<publish::Error> for Failure {
    fn from(error: publish::Error) -> Self {
        match error {
            publish::Error::Journal(error) => error.into(),
            publish::Error::Reader(_) => Self::try_again(error.to_string()),
            publish::Error::Refused(preflight::Refused::Mistakes(mistakes)) => Self::mistakes(&mistakes),
            publish::Error::List(_) | publish::Error::Refused(_) | publish::Error::Changed { .. } => {
                Self::bad_input(error.to_string())
            }
        }
    }
}
