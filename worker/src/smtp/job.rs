//! A mail on its way through the client, and the answer that its sender waits for.

use super::{Failure, Kind, Mail, Phase};
use crate::Gate;
use campaign::Reply;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, Ordering},
};
use tokio::sync::oneshot;

/// What the sender waits for.
pub(super) type Answer = Result<Reply, Failure>;

/// How far a mail has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Stage {
    /// It waits for a connection.
    Queued,
    /// Commands or content of it were written, but not its end.
    Begun,
    /// Its end is perhaps being written at this moment.
    Committing,
    /// Its end, or a part of that, was written.
    Committed,
}

/// The stage, shared by the connection that moves it and the sender that may stop waiting.
#[derive(Debug)]
pub(super) struct Progress {
    stage: AtomicU8,
    withdrawn: AtomicBool,
}

impl Progress {
    pub(super) fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::SeqCst) {
            0 => Stage::Queued,
            1 => Stage::Begun,
            2 => Stage::Committing,
            _ => Stage::Committed,
        }
    }

    /// The sender wants no more of it: its end is not begun any more. Whether that is sure already, or its end may be on the way.
    /// In this order, and the connection in the other: one of the two sees what the other does.
    pub(super) fn withdraw(&self) -> bool {
        self.withdrawn.store(true, Ordering::SeqCst);
        self.stage() < Stage::Committing
    }

    /// Whether its end must not be written.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::SeqCst)
    }

    /// What is to be said of a mail that is given up at this stage.
    pub(super) fn interrupted(&self) -> Failure {
        let (phase, text) = match self.stage() {
            Stage::Queued => (Phase::Queue, "stopped before it was begun"),
            Stage::Begun => (Phase::Content, "stopped before its end was written; it was not sent"),
            Stage::Committing | Stage::Committed => {
                (Phase::FinalDot, "stopped while waiting for the reply to the final dot")
            }
        };
        Failure::new(phase, Kind::Stopped, text)
    }
}

/// A mail on its way. Whoever holds it answers for it; dropped without an answer it says how far it had come.
pub(super) struct Job {
    pub(super) mail: Mail,
    pub(super) gate: Gate,
    pub(super) progress: Arc<Progress>,
    /// How often it was taken back from a connection that ended.
    pub(super) returned: u8,
    answer: Option<oneshot::Sender<Answer>>,
}

impl Job {
    pub(super) fn new(mail: Mail, gate: Gate) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        let stage = AtomicU8::new(Stage::Queued as u8);
        let progress = Arc::new(Progress { stage, withdrawn: AtomicBool::new(false) });
        (Self { mail, gate, progress, returned: 0, answer: Some(answer) }, receiver)
    }

    /// Whether somebody still waits for it and it may be begun.
    pub(super) fn may_begin(&self) -> bool {
        self.gate.may_begin() && self.answer.as_ref().is_some_and(|answer| !answer.is_closed())
    }

    pub(super) fn finish(mut self, result: Answer) {
        if let Some(answer) = self.answer.take() {
            // Nobody waits any more: then nobody needs to know.
            let _ = answer.send(result);
        }
    }

    pub(super) fn fail(self, failure: Failure) {
        self.finish(Err(failure));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(Err(self.progress.interrupted()));
        }
    }
}
