//! `mailcampaign status`: how far a campaign is, once or again and again.

use crate::args::{Output, Status};
use crate::output::Stream;
use crate::state::{self, with_journal};
use campaign::told::{self, Standing};
use campaign::{Counts, Schedule, ValidCampaign};
use jiff::Timestamp;
use journal::{Journal, Paused};
use producer::Destination;
use program::{Failure, Signals, exit};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const BETWEEN: Duration = Duration::from_secs(1);

/// Looks at the journal, prints what it sees.
pub(crate) async fn status(args: &Status) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::bad_input(error.to_string()))?;
    let opened = state::campaign(&args.which).await?;
    let journal = state::open_to_read(&args.which, &opened).await?;
    let campaign = &opened.bundle.campaign;
    tokio::select! {
        ended = async { with_journal!(journal, journal => show(args, campaign, &journal).await) } => ended,
        () = signals.next() => Ok(ExitCode::from(exit::INTERRUPTED)),
    }
}

async fn show<J: Journal>(args: &Status, campaign: &ValidCampaign, journal: &J) -> Result<ExitCode, Failure> {
    let name = campaign.namespaced_name();
    let orders = Orders::of(campaign, journal).await?;
    let mut out = Stream::open();
    let in_place = args.watch && args.output == Output::Text && std::io::stdout().is_terminal();
    let mut before = Look::at(journal, &orders).await?;
    let mut painted = 0;
    loop {
        let mut now = before.clone();
        if !before.is_finished() {
            tokio::time::sleep_until(before.when + BETWEEN).await;
            now = Look::at(journal, &orders).await?;
        }
        let seen = standing(&before, &now);
        let text = match args.output {
            Output::Json => serde_json::to_string(&seen).unwrap_or_default() + "\n",
            Output::Text if args.watch && !in_place => seen.line(seen.state()) + "\n",
            Output::Text => text(&name, &seen),
        };
        if !out.say(&(told::rewind(painted) + &text)).await || !args.watch || now.is_finished() {
            return Ok(ExitCode::SUCCESS);
        }
        painted = if in_place { text.lines().count() } else { 0 };
        before = now;
    }
}

/// What the campaign's file says about when it may be sent.
struct Orders {
    suspended: bool,
    schedule: Schedule,
}

impl Orders {
    /// Those of a campaign; a rehearsal heeds none.
    async fn of<J: Journal>(campaign: &ValidCampaign, journal: &J) -> Result<Self, Failure> {
        let pinned = journal.pinned().await?;
        if pinned.is_some_and(|pin| pin.destination == Destination::Outbox.name()) {
            return Ok(Self { suspended: false, schedule: Schedule::default() });
        }
        Ok(Self { suspended: campaign.spec.suspend, schedule: Schedule::of(campaign) })
    }

    /// What is waited for at a time, if nothing may be sent then.
    fn waiting(&self, now: Timestamp) -> Option<String> {
        if self.suspended {
            return Some("suspended until spec.suspend is false".to_owned());
        }
        self.schedule.waiting(now).map(|waiting| waiting.to_string())
    }
}

/// What stood in the journal at a time.
#[derive(Clone)]
struct Look {
    when: Instant,
    counts: Counts,
    paused: Option<Paused>,
    waiting: Option<String>,
    published: bool,
}

impl Look {
    async fn at<J: Journal>(journal: &J, orders: &Orders) -> Result<Self, Failure> {
        // Before the counts: what was published by then is counted.
        let published = journal.published().await?;
        let counts = journal.counts().await?;
        let (paused, waiting) = (journal.paused().await?, orders.waiting(Timestamp::now()));
        Ok(Self { when: Instant::now(), counts, paused, waiting, published })
    }

    fn is_finished(&self) -> bool {
        self.published && self.counts.unfinished() == 0 && self.paused.is_none()
    }

    fn settled(&self) -> u64 {
        self.counts.published.saturating_sub(self.counts.unfinished())
    }
}

/// What two looks tell.
fn standing(before: &Look, now: &Look) -> Standing<Paused> {
    let (seconds, settled) =
        (now.when.duration_since(before.when).as_secs_f64(), now.settled().saturating_sub(before.settled()));
    let per_second = if seconds > 0.0 { settled as f64 / seconds } else { 0.0 };
    let backlog = now.counts.unfinished();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and cut off where it is too large"
    )]
    let seconds_left = match backlog {
        0 => Some(0),
        _ => (per_second > 0.0).then(|| (backlog as f64 / per_second).ceil() as u64),
    };
    Standing {
        counts: now.counts,
        backlog,
        per_second: (per_second * 10.0).round() / 10.0,
        seconds_left,
        paused: now.paused.clone(),
        waiting: now.waiting.clone().filter(|_| !now.is_finished()),
        list_published: now.published,
        finished: now.is_finished(),
    }
}

/// Several lines.
fn text(name: &str, seen: &Standing<Paused>) -> String {
    let since = |paused: &Paused| paused.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut lines = vec![format!("{name}: {}", seen.state())];
    lines.extend(told::account(&seen.counts));
    lines.extend(seen.to_go());
    lines.extend(seen.paused.as_ref().map(|paused| told::paused(&since(paused), &paused.reason)));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(delivered: u64, pending: u64, seconds: f64) -> Look {
        let published = delivered + pending;
        let counts = Counts { total: published, published, pending, delivered, ..Counts::default() };
        let when = Instant::now() + Duration::from_secs_f64(seconds);
        Look { when, counts, paused: None, waiting: None, published: true }
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_what_was_settled_between_two_looks() {
        let seen = standing(&look(0, 100, 0.0), &look(30, 70, 2.0));
        assert_eq!((seen.per_second, seen.backlog, seen.seconds_left), (15.0, 70, Some(5)));
        assert_eq!(
            text("hr/offers", &seen),
            "hr/offers: under way\n100 rows: 100 mails\n30 delivered, 70 pending\n70 to go, 15 mails/s, 5 s left\n"
        );
        assert_eq!(seen.line(seen.state()), "30/100  30 delivered, 70 pending  15 mails/s, 5 s left  under way");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_knows_how_long_it_takes_while_nothing_moves() {
        let seen = standing(&look(3, 5, 0.0), &look(3, 5, 1.0));
        assert_eq!((seen.seconds_left, seen.finished), (None, false));
        let done = look(8, 0, 0.0);
        let seen = standing(&done, &done);
        assert_eq!((seen.seconds_left, seen.finished, seen.per_second), (Some(0), true, 0.0));
        assert_eq!(seen.line(seen.state()), "8/8  8 delivered  finished");
    }

    #[tokio::test(start_paused = true)]
    async fn a_campaign_that_waits_says_for_what_until_it_is_finished() {
        let start_at = Some(Timestamp::UNIX_EPOCH);
        let orders = Orders { suspended: false, schedule: Schedule { start_at, window: None } };
        let waiting = orders.waiting(Timestamp::from_second(-60).expect("a time"));
        let now = Look { waiting, ..look(3, 5, 0.0) };
        let text = text("a/b", &standing(&now, &now));
        assert!(text.starts_with("a/b: waiting for startAt, begins Thu 1970-01-01 00:00 UTC\n"), "{text}");
        let waiting = Orders { suspended: true, ..orders }.waiting(Timestamp::UNIX_EPOCH);
        let now = Look { waiting, ..look(3, 5, 0.0) };
        let seen = standing(&now, &now);
        assert!(
            seen.line(seen.state()).ends_with("suspended until spec.suspend is false"),
            "{}",
            seen.line(seen.state())
        );
        let done = Look { waiting: now.waiting, ..look(8, 0, 0.0) };
        let seen = standing(&done, &done);
        assert_eq!((seen.state(), seen.waiting.as_ref()), ("finished", None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_campaign_says_so_even_when_nothing_is_left() {
        let reason = "the sender is refused".to_owned();
        let paused = Some(Paused { reason, at: jiff::Timestamp::UNIX_EPOCH });
        let now = Look { paused, ..look(8, 0, 0.0) };
        let seen = standing(&now, &now);
        assert!(
            !seen.finished
                && text("a/b", &seen).ends_with("paused since 1970-01-01T00:00:00Z: the sender is refused\n")
        );
        let json = serde_json::to_value(&seen).expect("JSON");
        assert_eq!(
            (json["paused"]["reason"].as_str(), json["perSecond"].as_f64()),
            (Some("the sender is refused"), Some(0.0))
        );
    }
}
