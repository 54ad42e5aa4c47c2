//! Errors on the journal's thread, and what they mean to the caller.

use crate::Error;
use rusqlite::ErrorCode;
use std::path::Path;

/// A step of a transaction failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// In SQLite or below it.
    Sql(rusqlite::Error),
    /// The call is refused.
    Refused(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// The error for the caller, with the place.
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Sql(error) => sql(error, path),
        }
    }
}

fn sql(error: rusqlite::Error, path: &Path) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::DiskFull { path: path.to_owned() },
        // Growing the WAL's index or a sync fails as a plain I/O error when there is no room.
        Some(ErrorCode::SystemIoFailure) if is_full(path) => Error::DiskFull { path: path.to_owned() },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::NotAJournal { path: path.to_owned(), why: error.to_string() }
        }
        _ => Error::Storage { path: path.to_owned(), source: error.into() },
    }
}

/// Whether the file system has less room left than one transaction may take.
fn is_full(path: &Path) -> bool {
    const ROOM: u64 = 256 * 1024;
    let folder = path.parent().unwrap_or(path);
    rustix::fs::statvfs(folder).is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < ROOM)
}
