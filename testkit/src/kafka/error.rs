//! Why there is no broker.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why a broker could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program is missing.
    #[error("`{program}` could not be started ({source}); on Debian the package {package} brings it")]
    Program {
        /// Its name.
        program: String,
        /// What to install.
        package: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Maven could not get Kafka.
    #[error("Apache Kafka {version} could not be downloaded; is Maven's repository in reach?\n{output}")]
    Download {
        /// The wanted version.
        version: &'static str,
        /// What Maven said.
        output: String,
    },
    /// A data folder could not be made.
    #[error("{}: Kafka could not make its data folder\n{output}", folder.display())]
    Format {
        /// The folder.
        folder: PathBuf,
        /// What Kafka said.
        output: String,
    },
    /// A broker ended by itself.
    #[error("broker {broker} ended with {status} instead of running; its log ends with\n{log}")]
    Ended {
        /// Its place, from 0.
        broker: usize,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A broker runs and doesn't answer.
    #[error("broker {broker} did not answer within {seconds} s; its log ends with\n{log}")]
    Silent {
        /// Its place, from 0.
        broker: usize,
        /// How long was waited.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// No ports are free.
    #[error("port {from}, or one of those that follow it, is taken; end what uses it, or choose another")]
    NoPorts {
        /// The first that was tried.
        from: u16,
    },
    /// Brokers run, and not as they are wanted.
    #[error(
        "{brokers} broker(s) already run on port {port} and the ports after it; end them first, their data goes: cargo xtask kafka down"
    )]
    OthersRun {
        /// How many run.
        brokers: u16,
        /// The first one's port.
        port: u16,
    },
    /// A broker can't be ended.
    #[error("process {process} can't be ended; is it another user's?")]
    StillThere {
        /// Its id.
        process: i32,
    },
    /// A request to a broker failed.
    #[error("broker at 127.0.0.1:{port}: {message}")]
    Request {
        /// Its port.
        port: u16,
        /// What it said.
        message: String,
    },
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// An error of a file, to be used with `map_err`.
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::File { path, source }
    }
}
