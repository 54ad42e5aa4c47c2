//! `status` and `watch`: how far a campaign is, by its resource alone.

use crate::args::{Output, Status};
use crate::cluster::{Campaign, Cluster};
use crate::errand::Signals;
use crate::failure::Failure;
use crate::output::{say, tell};
use crate::words::Seen;
use campaign::status::Phase;
use campaign::told;
use futures::TryStreamExt;
use jiff::Timestamp;
use kube::runtime::watcher::{self, watch_object};
use std::io::IsTerminal;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

/// After a watch that broke.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints what the resource tells: once, or whenever it changes.
///
/// # Errors
/// There is no such campaign, or it can't be read; with `--watch` also: it has failed.
pub async fn status(cluster: &Cluster, args: &Status) -> Result<ExitCode, Failure> {
    if !args.watch {
        return shown(cluster, args).await;
    }
    // Before anything is shown: who has read it may interrupt at once.
    let mut signals = Signals::listen().map_err(|error| Failure::try_again(error.to_string()))?;
    tokio::select! {
        ended = shown(cluster, args) => ended,
        () = signals.next() => Err(Failure::interrupted()),
    }
}

async fn shown(cluster: &Cluster, args: &Status) -> Result<ExitCode, Failure> {
    let name = &args.which.name;
    let campaign = cluster.campaign(name).await?;
    let in_place = args.watch && args.output == Output::Text && std::io::stdout().is_terminal();
    let mut show =
        Show { path: cluster.path(name), output: args.output, watch: args.watch, in_place, said: None, painted: 0 };
    if !show.show(&campaign) || !args.watch {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(ended) = ended(cluster, &campaign) {
        return ended;
    }
    follow(cluster, name, &mut show).await
}

/// The exit code, if nothing more will happen.
fn ended(cluster: &Cluster, campaign: &Campaign) -> Option<Result<ExitCode, Failure>> {
    let status = campaign.status.as_ref()?;
    match status.phase? {
        Phase::Completed => Some(Ok(ExitCode::SUCCESS)),
        Phase::Failed => {
            let path = cluster.path(campaign.metadata.name.as_deref().unwrap_or_default());
            Some(Err(Failure::bad_input(format!(
                "{path} has failed; it goes on by itself when what is said above is mended"
            ))))
        }
        _ => None,
    }
}

async fn follow(cluster: &Cluster, name: &str, show: &mut Show) -> Result<ExitCode, Failure> {
    let mut changes = pin!(watch_object(cluster.campaigns(), name));
    let mut is_broken = false;
    loop {
        match changes.try_next().await {
            Ok(Some(Some(campaign))) => {
                is_broken = false;
                if !show.show(&campaign) {
                    return Ok(ExitCode::SUCCESS);
                }
                if let Some(ended) = ended(cluster, &campaign) {
                    return ended;
                }
            }
            // Also where it was deleted while nobody watched, which no event tells.
            Ok(Some(None)) => return Err(Failure::bad_input(format!("{} was deleted", cluster.path(name)))),
            Ok(None) => return Err(Failure::try_again("the watch has ended")),
            Err(error) => {
                let failure = broken(cluster, name, &error);
                if failure.code() == Failure::bad_input("").code() {
                    return Err(failure);
                }
                if !std::mem::replace(&mut is_broken, true) {
                    tell(&format!("{failure}; trying again"));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Why a watch broke. One that is too old begins anew by itself.
fn broken(cluster: &Cluster, name: &str, error: &watcher::Error) -> Failure {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => cluster.failure("watching the campaign", name, error),
        watcher::Error::WatchError(status) if status.code == 410 => Failure::try_again("the watch begins anew"),
        watcher::Error::WatchError(status) => Failure::of_status("watching the campaign", status),
        watcher::Error::NoResourceVersion => Failure::try_again(error.to_string()),
    }
}

/// What was shown, and how.
struct Show {
    path: String,
    output: Output,
    watch: bool,
    /// Each picture over the one before.
    in_place: bool,
    said: Option<Seen>,
    /// Lines that stand on the terminal.
    painted: usize,
}

impl Show {
    /// Shows it if it is another than before; false once nobody reads any more.
    fn show(&mut self, campaign: &Campaign) -> bool {
        let seen = Seen::of(campaign, Timestamp::now());
        if self.said.as_ref() == Some(&seen) {
            return true;
        }
        let text = match self.output {
            Output::Json => serde_json::to_string(&seen).unwrap_or_default() + "\n",
            // What ended says why, at length.
            Output::Text if self.watch && !self.in_place && seen.phase() != Some(Phase::Failed) => seen.line() + "\n",
            Output::Text => seen.text(&self.path),
        };
        let said = say(&(told::rewind(self.painted) + &text));
        self.painted = if self.in_place { text.lines().count() } else { 0 };
        self.said = Some(seen);
        said
    }
}
