//! `resolve` and `replay`: a person's decision goes into the campaign's journal, and the operator is told to look there.

use crate::args::{PodArgs, Replay, Resolve};
use crate::cluster::Cluster;
use crate::errand::{Ended, Errand, SHORT};
use crate::failure::Failure;
use crate::output::tell;
use jiff::Timestamp;
use serde_json::json;
use std::process::ExitCode;
use tokio::io::{stderr, stdout};

/// The annotation whose change makes the operator look at the journal at once. Its value is the time of the decision, for people.
const DECIDED_AT: &str = "mailcampaign.io/decided-at";

/// Queues unknown rows again, or gives them up.
pub(crate) async fn resolve(cluster: &Cluster, args: &Resolve) -> Result<ExitCode, Failure> {
    let mut words = vec![if args.resend { "--resend" } else { "--discard" }.to_owned()];
    words.extend(args.row.iter().flat_map(|row| ["--row".to_owned(), row.to_string()]));
    decide(cluster, &args.which.name, &args.pod, "resolve", words).await
}

/// Queues dead rows again.
pub(crate) async fn replay(cluster: &Cluster, args: &Replay) -> Result<ExitCode, Failure> {
    let mut words = vec!["--dead".to_owned()];
    words.extend(args.code.iter().flat_map(|code| ["--where".to_owned(), code.clone()]));
    decide(cluster, &args.which.name, &args.pod, "replay", words).await
}

async fn decide(
    cluster: &Cluster,
    name: &str,
    pod: &PodArgs,
    command: &str,
    words: Vec<String>,
) -> Result<ExitCode, Failure> {
    let errand = Errand::prepare(cluster, name, pod, SHORT).await?;
    let ended = errand
        .run(async |pod| {
            let all: Vec<&str> = [command, pod.file()].into_iter().chain(words.iter().map(String::as_str)).collect();
            pod.exec(&all, &mut stdout(), &mut stderr()).await
        })
        .await?;
    let code = match ended {
        Ended::Exit(code) => code,
        // The decision is made, whoever reads what was said about it.
        Ended::NobodyReads => 0,
    };
    if code == 0 {
        let touch = json!({"metadata": {"annotations": {DECIDED_AT: Timestamp::now().to_string()}}});
        if let Err(failure) = cluster.patch(name, &touch).await {
            tell(&format!("It is decided; the operator will see that within a minute, and not at once: {failure}"));
        }
    }
    Ok(ExitCode::from(code))
}
