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
    /// A message is longer than the journal can hold.
    #[error("row {row}: its message is {bytes} bytes long, and the journal takes {limit} at most")]
    TooLarge {
        /// The row.
        row: u64,
        /// Bytes of its message.
        bytes: usize,
        /// Bytes that are possible.
        limit: usize,
    },
    /// No broker answers.
    #[error("Kafka at {brokers} can't be reached: {why}")]
    Unreachable {
        /// As they were given.
        brokers: String,
        /// Refused, no route, name not found, TLS, credentials: and what to do.
        why: String,
    },
    /// The broker doesn't let us.
    #[error("Kafka does not allow it: {what}")]
    Denied {
        /// Which right on what is missing.
        what: String,
    },
    /// The broker can't do what is needed, or a setting can't be used.
    #[error("Kafka: {why}")]
    Unsuitable {
        /// What, and what to do.
        why: String,
    },
    /// A topic of a campaign that was begun is not there.
    #[error(
        "the topic {topic} is gone, though the campaign was begun; nothing more is sent. Restore it, or start the campaign anew under another name or run label"
    )]
    TopicGone {
        /// Its name.
        topic: String,
    },
    /// Kafka failed.
    #[error("Kafka: {during}: {source}")]
    Kafka {
        /// What was being done.
        during: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
        matches!(self, Self::InUse { .. } | Self::Unreachable { .. } | Self::Kafka { .. })
    }
}
