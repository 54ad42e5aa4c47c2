//! What a mail that is being sent may still do: closed step by step when a run stops.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use tokio_util::sync::CancellationToken;

/// What a mail that is being sent may still do. Cheap to clone; every clone is the same gate. It only ever closes.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    closed: Arc<Closed>,
}

#[derive(Debug, Default)]
struct Closed {
    steps: AtomicU8,
    finish: CancellationToken,
    reply: CancellationToken,
}

const BEGIN: u8 = 1;
const FINISH: u8 = 2;
const REPLY: u8 = 3;

impl Gate {
    /// A gate that is open.
    pub fn open() -> Self {
        Self::default()
    }

    /// Whether the first byte of a mail may be written.
    pub fn may_begin(&self) -> bool {
        self.steps() < BEGIN
    }

    /// Whether the byte may be written that makes a mail deliverable: the final dot, the end of a request's body.
    pub fn may_finish(&self) -> bool {
        self.steps() < FINISH
    }

    /// Resolves when [`Gate::may_finish`] turns false: what has not got that far is cut off, and was not delivered.
    pub async fn finish_closed(&self) {
        self.closed.finish.cancelled().await;
    }

    /// Resolves when replies are no longer awaited: what waits for one is unknown.
    pub async fn reply_closed(&self) {
        self.closed.reply.cancelled().await;
    }

    /// From now on no mail is begun.
    pub fn close_begin(&self) {
        self.closed.steps.fetch_max(BEGIN, Ordering::AcqRel);
    }

    /// From now on no mail is finished either.
    pub fn close_finish(&self) {
        self.closed.steps.fetch_max(FINISH, Ordering::AcqRel);
        self.closed.finish.cancel();
    }

    /// From now on no reply is awaited either.
    pub fn close_reply(&self) {
        self.close_finish();
        self.closed.steps.fetch_max(REPLY, Ordering::AcqRel);
        self.closed.reply.cancel();
    }

    fn steps(&self) -> u8 {
        self.closed.steps.load(Ordering::Acquire)
    }
}
