//! How a program ends: exit codes, and failures that say why.

use campaign::Mistake;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// Exit code: what was asked for is done.
pub const DONE: u8 = 0;
/// Exit code: not done, and the same again may succeed.
pub const TRY_AGAIN: u8 = 1;
/// Exit code: bad input or settings; somebody has to change something first.
pub const BAD_INPUT: u8 = 2;
/// Exit code: interrupted by a signal, as shells have it for SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Why a program ended without having done what it was asked to, with its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    lines: Vec<String>,
    code: u8,
}

impl Failure {
    /// Something that a person has to change first.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self { lines: vec![message.into()], code: BAD_INPUT }
    }

    /// Several mistakes at once.
    pub fn mistakes(mistakes: &[Mistake]) -> Self {
        Self { lines: mistakes.iter().map(ToString::to_string).collect(), code: BAD_INPUT }
    }

    /// The same again may succeed.
    pub fn try_again(message: impl Into<String>) -> Self {
        Self { lines: vec![message.into()], code: TRY_AGAIN }
    }

    /// What is told, a line for each reason.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Says why on stderr, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        for line in &self.lines {
            // Nobody is there to be told if stderr is closed.
            drop(writeln!(stderr, "error: {line}"));
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Failure {}

impl From<journal::Error> for Failure {
    fn from(error: journal::Error) -> Self {
        // A full disk is emptied and a successor has taken over: neither is a fault of what was asked for.
        let passes = error.is_transient() || matches!(error, journal::Error::DiskFull { .. } | journal::Error::Fenced);
        if passes { Self::try_again(error.to_string()) } else { Self::bad_input(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::Error;

    #[test]
    fn what_passes_by_itself_is_tried_again_and_the_rest_is_bad_input() {
        let text = || "x".to_owned();
        let passing = [
            Error::Unreachable { brokers: text(), why: text() },
            Error::Kafka { during: "writing", source: "x".into() },
            Error::InUse { path: "x".into(), owner: text() },
            Error::DiskFull { path: "x".into() },
            Error::Fenced,
        ];
        let lasting = [
            Error::ContentChanged { changed: vec![text()] },
            Error::Denied { what: text() },
            Error::Unsuitable { why: text() },
            Error::TopicGone { topic: text() },
            Error::TooLarge { row: 1, bytes: 2, limit: 1 },
        ];
        for (errors, code) in [(Vec::from(passing), TRY_AGAIN), (Vec::from(lasting), BAD_INPUT)] {
            for error in errors {
                let said = error.to_string();
                let failure = Failure::from(error);
                assert_eq!((failure.code(), failure.to_string()), (code, said));
            }
        }
    }

    #[test]
    fn mistakes_are_told_one_a_line() {
        let failure = Failure::mistakes(&[Mistake::new("a", "b"), Mistake::new("c", "d")]);
        assert_eq!((failure.lines(), failure.code()), (["a: b".to_owned(), "c: d".to_owned()].as_slice(), BAD_INPUT));
    }
}
