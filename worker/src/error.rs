//! What ends a run before its time.

/// Why a run could not go on. What was known by then is in the journal as far as the journal could be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Error {
    /// Whether the same run may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Journal(error) => error.is_transient(),
        }
    }
}
