//! The request to stop: made by a signal or a person, obeyed by the run.

use std::sync::Arc;
use tokio::sync::watch;

/// How urgently to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    /// Not at all.
    #[default]
    Running,
    /// Begin no more mails, let those that were begun finish within [`crate::Grace`], settle everything.
    Graceful,
    /// Settle what is known and return at once.
    Now,
}

/// A handle by which a run is stopped. Cheap to clone; every clone is the same handle.
#[derive(Debug, Clone)]
pub struct Stop {
    level: Arc<watch::Sender<StopLevel>>,
}

impl Stop {
    /// A handle that has not been used yet.
    pub fn new() -> Self {
        Self { level: Arc::new(watch::Sender::new(StopLevel::Running)) }
    }

    /// Asks for an orderly stop.
    pub fn gracefully(&self) {
        self.raise(StopLevel::Graceful);
    }

    /// Asks for a stop at once.
    pub fn now(&self) {
        self.raise(StopLevel::Now);
    }

    /// What was asked for.
    pub fn level(&self) -> StopLevel {
        *self.level.borrow()
    }

    /// Resolves when a stop is asked for.
    pub async fn asked_for(&self) {
        self.raised_above(StopLevel::Running).await;
    }

    /// Resolves when more than `seen` is asked for.
    pub(crate) async fn raised_above(&self, seen: StopLevel) {
        // The sender lives as long as `self`, so that this can't fail.
        let _ = self.level.subscribe().wait_for(|level| *level > seen).await;
    }

    /// The level only ever rises.
    fn raise(&self, to: StopLevel) {
        self.level.send_if_modified(|level| {
            let rises = to > *level;
            if rises {
                *level = to;
            }
            rises
        });
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
