//! `mailcampaign resolve`: a person decides about the unknown ones.

use crate::args::Resolve;
use crate::say;
use crate::state::{self, with_journal};
use jiff::Timestamp;
use journal::{Command, Journal};
use program::Failure;
use std::process::ExitCode;

/// Queues unknown rows again, or gives them up.
pub(crate) async fn resolve(args: &Resolve) -> Result<ExitCode, Failure> {
    let opened = state::campaign(&args.which).await?;
    with_journal!(state::open_to_decide(&args.which, &opened).await?, journal => decide(args, &journal).await)
}

async fn decide<J: Journal>(args: &Resolve, journal: &J) -> Result<ExitCode, Failure> {
    let rows = (!args.row.is_empty()).then(|| args.row.clone());
    let command = if args.resend {
        Command::ResendUnknown { rows }
    } else {
        Command::DiscardUnknown { rows, at: Timestamp::now() }
    };
    let changed = journal.command(command).await?;
    let counts = journal.counts().await?;
    let what =
        if args.resend { "queued again; the next `run` sends them, or the workers that are at it" } else { "given up" };
    say(&format!("{changed} {what}. {} still unknown.\n", counts.unknown));
    Ok(ExitCode::SUCCESS)
}
