//! `tail`: what becomes of the mails, as it happens, until somebody ends it.

use crate::args::Tail;
use crate::cluster::Cluster;
use crate::errand::{Ended, Errand, LONG};
use crate::failure::Failure;
use std::process::ExitCode;
use tokio::io::{stderr, stdout};

/// Prints settlements until a signal comes or nobody reads them any more.
pub(crate) async fn tail(cluster: &Cluster, args: &Tail) -> Result<ExitCode, Failure> {
    let errand = Errand::prepare(cluster, &args.which.name, &args.pod, LONG).await?;
    errand
        .run(async |pod| {
            let mut words = vec!["tail", pod.file(), "-o", args.output.name()];
            words.extend(args.from_start.then_some("--from-start"));
            match pod.exec(&words, &mut stdout(), &mut stderr()).await? {
                Ended::Exit(code) => Ok(ExitCode::from(code)),
                Ended::NobodyReads => Ok(ExitCode::SUCCESS),
            }
        })
        .await
}
