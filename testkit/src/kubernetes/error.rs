//! Why there is no cluster.

use std::path::{Path, PathBuf};

/// Why a cluster, or a part of it, could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program is missing.
    #[error("`{program}` could not be started ({source}); {remedy}")]
    Program {
        /// Its name.
        program: String,
        /// What to do.
        remedy: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program that was run to its end failed.
    #[error("{command} failed\n{output}")]
    Failed {
        /// What was run.
        command: String,
        /// What it said.
        output: String,
    },
    /// A program that should run ended.
    #[error("{program} ended instead of running; its log ends with\n{log}")]
    Ended {
        /// Its name.
        program: String,
        /// The end of its log.
        log: String,
    },
    /// Something did not become as it should be.
    #[error("{what} within {seconds} s\n{said}")]
    Waited {
        /// What did not happen.
        what: String,
        /// How long was waited.
        seconds: u64,
        /// What was last seen.
        said: String,
    },
    /// Only root can make a node.
    #[error("a node needs root (network namespaces, mounts, control groups); run this as root")]
    NotRoot,
    /// The cluster's Kafka.
    #[error("the cluster's Kafka: {0}")]
    Kafka(#[from] crate::kafka::Error),
    /// Nothing is free.
    #[error("none of the ports {0} is free on 127.0.0.1; end what uses one of them")]
    NoPort(String),
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
