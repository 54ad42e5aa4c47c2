//! `mailcampaign replay`: what was given up goes back into the queue.

use crate::args::Replay;
use crate::say;
use crate::state::{self, with_journal};
use journal::{Command, Journal};
use program::Failure;
use std::process::ExitCode;

/// Queues dead rows again.
pub(crate) async fn replay(args: &Replay) -> Result<ExitCode, Failure> {
    let opened = state::campaign(&args.which).await?;
    with_journal!(state::open_to_decide(&args.which, &opened).await?, journal => decide(args, &journal).await)
}

async fn decide<J: Journal>(args: &Replay, journal: &J) -> Result<ExitCode, Failure> {
    let changed = journal.command(Command::ReplayDead { code: args.code.clone() }).await?;
    let counts = journal.counts().await?;
    let what = "queued again; the next `run` sends them, or the workers that are at it";
    say(&format!("{changed} {what}. {} still dead.\n", counts.dead));
    Ok(ExitCode::SUCCESS)
}
