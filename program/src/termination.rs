//! Why a program ended, for those who look at its container: Kubernetes shows what a container leaves in a file of its own (`terminationMessagePath`).

use crate::exit::Failure;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Kubernetes keeps so many bytes of a container's message.
const LONGEST: usize = 4096;

/// `--termination-log`
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TerminationArgs {
    /// File for the reason of a failure, besides stderr, at most 4096 bytes; in a pod /dev/termination-log.
    #[arg(long, value_name = "FILE", env = "MAILCAMPAIGN_TERMINATION_LOG")]
    pub termination_log: Option<PathBuf>,
}

impl TerminationArgs {
    /// Says on stderr and in the file why the program failed, and gives the exit code.
    pub fn report(&self, failure: &Failure) -> ExitCode {
        if let Some(path) = &self.termination_log
            && let Err(error) = write(path, failure)
        {
            tracing::warn!(path = %path.display(), %error, "the reason of the failure can't be left there");
        }
        failure.report()
    }
}

fn write(path: &Path, failure: &Failure) -> std::io::Result<()> {
    let text = failure.to_string();
    // Whole characters only.
    std::fs::write(path, &text[..text.floor_char_boundary(LONGEST)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(failure: &Failure, before: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("termination-log");
        std::fs::write(&path, before).expect("written");
        TerminationArgs { termination_log: Some(path.clone()) }.report(failure);
        std::fs::read_to_string(path).expect("whole characters")
    }

    #[test]
    fn the_file_holds_every_line_of_the_failure_and_nothing_older() {
        let failure = Failure::mistakes(&[campaign::Mistake::new("a", "b"), campaign::Mistake::new("c", "d")]);
        assert_eq!(left(&failure, "an older and longer reason"), "a: b\nc: d");
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        let failure = Failure::bad_input(format!("x{}", "ä".repeat(4000)));
        let text = left(&failure, "");
        assert_eq!((text.len(), text.chars().count()), (4095, 2048));
    }

    #[test]
    fn a_file_that_can_not_be_written_changes_nothing_about_the_exit() {
        let args = TerminationArgs { termination_log: Some("/nowhere/termination-log".into()) };
        let code = args.report(&Failure::try_again("x"));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(crate::exit::TRY_AGAIN)));
    }
}
