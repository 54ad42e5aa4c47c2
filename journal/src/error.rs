//! What can go wrong with a journal.

use std::path::PathBuf;

/// What went wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another run has it.
    #[error("{path}: in use by another run (process {owner}); wait for it to end, or stop it")]
    InUse {
        /// The state folder.
        path: PathBuf,
        /// Process id, or `unknown`.
        owner: String,
    },
    /// The campaign's content is not what was pinned.
    #[error("the campaign changed since its first mail: {}", .changed.join(", "))]
    ContentChanged {
        /// Field paths of what differs.
        changed: Vec<String>,
    },
    /// Nothing was pinned yet.
    #[error("nothing has been published to this journal yet")]
    NotPinned,
    /// A newer owner took over; nothing was written.
    #[error("another process took over; this one stops")]
    Fenced,
    /// The disk is full; nothing of the transaction was written.
    #[error("{path}: the disk is full; free some space and run again, nothing is lost")]
    DiskFull {
        /// The journal.
        path: PathBuf,
    },
    /// Not a journal, or of another version.
    #[error("{path}: not a journal of this program ({why})")]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A call out of turn; a mistake in this program.
    #[error("the journal was used out of turn: {0}")]
    OutOfTurn(String),
    /// The storage failed.
    #[error("{path}: {source}")]
    Storage {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }
}
