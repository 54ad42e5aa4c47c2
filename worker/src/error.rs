//! What ends a run before its time.

/// Why a run could not go on. What was known by then is in the journal as far as the journal could be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The journal did not answer within the grace of a stop. What it was asked to write may be written or not.
    #[error(
        "the journal did not answer in time; mails that were on their way are unknown if it could not write their results"
    )]
    JournalSilent,
}

impl Error {
    /// Whether the same run may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Journal(error) => error.is_transient(),
            Self::JournalSilent => true,
        }
    }
}
