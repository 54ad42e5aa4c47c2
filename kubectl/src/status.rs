//! `status` and `watch`: how far a campaign is, by its resource alone.

use crate::args::{Output, Status};
use crate::cluster::{Campaign, Cluster};
use crate::failure::Failure;
use crate::output::{say, tell};
use crate::words::Seen;
use campaign::status::Phase;
use futures::TryStreamExt;
use jiff::Timestamp;
use kube::runtime::watcher::{self, Event, watcher};
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
    tokio::select! {
        ended = follow(cluster, name, &mut show) => ended,
        signal = interrupted() => signal,
    }
}

async fn interrupted() -> Result<ExitCode, Failure> {
    match crate::errand::Signals::listen() {
        Ok(mut signals) => {
            signals.next().await;
            Err(Failure::interrupted())
        }
        Err(error) => Err(Failure::try_again(error.to_string())),
    }
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
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(cluster.campaigns(), config));
    let mut is_broken = false;
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
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
                continue;
            }
        };
        is_broken = false;
        match event {
            Event::Apply(campaign) | Event::InitApply(campaign) => {
                if !show.show(&campaign) {
                    return Ok(ExitCode::SUCCESS);
                }
                if let Some(ended) = ended(cluster, &campaign) {
                    return ended;
                }
            }
            Event::Delete(_) => return Err(Failure::bad_input(format!("{} was deleted", cluster.path(name)))),
            Event::Init | Event::InitDone => {}
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
        let said = say(&(rewind(self.painted) + &text));
        self.painted = if self.in_place { text.lines().count() } else { 0 };
        self.said = Some(seen);
        said
    }
}

/// The cursor to the beginning of so many lines above, and away with what stood there (ECMA-48: CPL, ED).
fn rewind(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}F\x1b[J") }
}
