//! `mailcampaign resolve`: a person decides about the unknown ones.

use crate::args::Resolve;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::state;
use jiff::Timestamp;
use journal::{Command, Journal};
use std::process::ExitCode;

/// Queues unknown rows again, or gives them up.
pub(crate) async fn resolve(args: &Resolve) -> Result<ExitCode, Failure> {
    let opened = Opened::open(&args.which.file, None).await?;
    let journal = state::open_existing(&state::folder(&args.which, &opened))?;
    let rows = (!args.row.is_empty()).then(|| args.row.clone());
    let command = if args.resend {
        Command::ResendUnknown { rows }
    } else {
        Command::DiscardUnknown { rows, at: Timestamp::now() }
    };
    let changed = journal.command(command).await?;
    let counts = journal.counts().await?;
    let what = if args.resend { "queued again; the next `run` sends them" } else { "given up" };
    crate::say(&format!("{changed} {what}. {} still unknown.\n", counts.unknown));
    Ok(ExitCode::SUCCESS)
}
