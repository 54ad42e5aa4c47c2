//! The log on stderr: for people, or for programs.

use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// `--log-format`
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// How log lines on stderr look; which ones there are is set by RUST_LOG.
    #[arg(long, value_enum, global = true, default_value = "text", env = "MAILCAMPAIGN_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, one object a line.
    Json,
}

/// Starts the log, once in a process. `default` is what is logged unless RUST_LOG says otherwise, as `RUST_LOG` has it (`warn`, `info`).
pub fn start(format: LogFormat, default: &str) {
    let wanted = EnvFilter::try_from_default_env();
    let misunderstood = match &wanted {
        Err(error) if std::env::var_os(EnvFilter::DEFAULT_ENV).is_some_and(|value| !value.is_empty()) => {
            Some(error.to_string())
        }
        _ => None,
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(wanted.unwrap_or_else(|_| EnvFilter::new(default)))
        .with_writer(std::io::stderr);
    // Only a second start fails, and then there is a log already.
    drop(match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().try_init(),
    });
    if let Some(error) = misunderstood {
        tracing::warn!("RUST_LOG is not understood ({error}); logging as if it were {default}");
    }
}
