//! Whether the journal can be reached. While it can't, nothing is begun: nobody could be told what became of it.

use crate::{Gate, gate::Hold, metrics::Tallies, pacing::Moment};
use program::health::Ready;
use std::{sync::Arc, time::Duration};

/// How long a call may take before the journal counts as out of reach.
pub(super) const SILENCE: Duration = Duration::from_secs(2);
/// Time between two tries to reach it.
const AGAIN: Duration = Duration::from_secs(1);
/// The same while the run is about to end.
const AGAIN_SOON: Duration = Duration::from_millis(200);

/// A call of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Take,
    Commit,
}

/// What is known of the way to the journal.
pub(super) struct Link {
    gate: Gate,
    ready: Ready,
    tallies: Arc<Tallies>,
    /// It has answered at least once.
    met: bool,
    /// A call is taking too long.
    silent: bool,
    trouble: Option<Trouble>,
}

struct Trouble {
    error: journal::Error,
    /// Which call failed; the same must succeed.
    call: Call,
    again: Moment,
}

impl Link {
    pub(super) fn new(gate: Gate, ready: Ready, tallies: Arc<Tallies>) -> Self {
        Self { gate, ready, tallies, met: false, silent: false, trouble: None }
    }

    /// A call is taking too long.
    pub(super) fn is_silent(&mut self) {
        if !std::mem::replace(&mut self.silent, true) && self.trouble.is_none() {
            tracing::error!("the journal does not answer; nothing is begun until it does");
            self.lose();
        }
    }

    /// A call failed, and may be made again later.
    pub(super) fn failed(&mut self, call: Call, error: journal::Error, stopping: bool, now: Moment) {
        if self.trouble.is_none() {
            tracing::error!(%error, "the journal can't be reached; nothing is begun until it can");
        }
        self.lose();
        self.silent = false;
        let again = now.plus(if stopping { AGAIN_SOON } else { AGAIN });
        self.trouble = Some(Trouble { error, call, again });
    }

    /// A call succeeded.
    pub(super) fn answered(&mut self, call: Call) {
        if self.met && !self.silent && self.trouble.is_none() {
            return;
        }
        if self.trouble.as_ref().is_some_and(|trouble| trouble.call != call) {
            return;
        }
        if self.met {
            tracing::info!("the journal can be reached again");
        }
        (self.met, self.silent, self.trouble) = (true, false, None);
        self.gate.let_go(Hold::Journal);
        self.ready.set(true);
        self.tallies.journal_is_reachable(true);
    }

    /// Whether it is to be left alone for now.
    pub(super) fn rests(&self, now: Moment) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.again > now)
    }

    /// Whether it is out of reach.
    pub(super) fn is_down(&self) -> bool {
        self.trouble.is_some()
    }

    /// Whether this call is to be made though there is nothing to write or to take: only so it is known to work again.
    pub(super) fn needs(&self, call: Call) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.call == call)
    }

    /// When to try again, if it is out of reach.
    pub(super) fn again(&self) -> Option<Moment> {
        self.trouble.as_ref().map(|trouble| trouble.again)
    }

    /// The run is about to end: tries sooner.
    pub(super) fn hurry(&mut self, now: Moment) {
        if let Some(trouble) = &mut self.trouble {
            trouble.again = trouble.again.min(now.plus(AGAIN_SOON));
        }
    }

    /// Why it is out of reach.
    pub(super) fn take_error(&mut self) -> Option<journal::Error> {
        self.trouble.take().map(|trouble| trouble.error)
    }

    fn lose(&mut self) {
        self.gate.hold(Hold::Journal);
        self.ready.wait_for("the journal can't be reached");
        self.tallies.journal_is_reachable(false);
    }
}
