//! How a command ends when it can't do what it was asked to.

use campaign::Mistake;
use std::process::ExitCode;

/// Why a command ended, with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    lines: Vec<String>,
    code: u8,
}

/// Exit code: not everything was delivered.
pub(crate) const NOT_ALL_DELIVERED: u8 = 1;
/// Exit code: bad input or usage.
pub(crate) const BAD_INPUT: u8 = 2;
/// Exit code: interrupted by a signal, as shells have it for SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

impl Failure {
    /// Something the user can mend; nothing was sent.
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self { lines: vec![message.into()], code: BAD_INPUT }
    }

    /// Several mistakes at once; nothing was sent.
    pub(crate) fn mistakes(mistakes: &[Mistake]) -> Self {
        Self { lines: mistakes.iter().map(ToString::to_string).collect(), code: BAD_INPUT }
    }

    /// Stopped in the middle; the journal knows how far it came.
    pub(crate) fn halfway(message: impl Into<String>) -> Self {
        Self { lines: vec![message.into()], code: NOT_ALL_DELIVERED }
    }

    /// Says why on stderr, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        for line in &self.lines {
            crate::tell(&format!("error: {line}"));
        }
        ExitCode::from(self.code)
    }
}

impl From<journal::Error> for Failure {
    fn from(error: journal::Error) -> Self {
        match error {
            journal::Error::DiskFull { .. } | journal::Error::Fenced => Self::halfway(error.to_string()),
            _ => Self::bad_input(error.to_string()),
        }
    }
}
