//! What `kubectl mailcampaign` needs of the image, which has no shell: a program that waits while commands are run beside it, and one that hands a
//! file over.

use crate::args::Pour;
use program::{Failure, Signals};
use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

/// `mailcampaign hold`: waits for a signal. To the first process of a container comes none that it doesn't listen for.
pub(crate) async fn hold() -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::try_again(error.to_string()))?;
    signals.next().await;
    Ok(ExitCode::SUCCESS)
}

/// `mailcampaign pour FILE`: writes the bytes of a file to stdout, all of them or with a failure.
pub(crate) fn pour(args: &Pour) -> Result<ExitCode, Failure> {
    let failure = |error: std::io::Error| Failure::bad_input(format!("{}: {error}", args.file.display()));
    let mut file = File::open(&args.file).map_err(failure)?;
    let mut out = std::io::stdout().lock();
    std::io::copy(&mut file, &mut out).and_then(|_| out.flush()).map_err(failure)?;
    Ok(ExitCode::SUCCESS)
}
