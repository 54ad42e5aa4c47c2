//! How the account of a campaign is told: the words and fields that `mailcampaign` and `kubectl mailcampaign` have in common. What only one of them knows,
//! it says itself, around these. Values and texts only: who prints decides where.

use crate::Counts;
use serde::Serialize;

/// How far a campaign is, as every `status` tells it; as JSON, its fields are documented in the README. `Pause` is a pause as its teller knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing<Pause> {
    /// The account.
    #[serde(flatten)]
    pub counts: Counts,
    /// Mails that are still to be settled.
    pub backlog: u64,
    /// Mails settled for good a second.
    pub per_second: f64,
    /// Until the backlog is gone at this rate; none while nothing moves.
    pub seconds_left: Option<u64>,
    /// A pause that a person must end.
    pub paused: Option<Pause>,
    /// What is waited for before anything more is sent, by the campaign's file.
    pub waiting: Option<String>,
    /// Whether the whole list is in the journal; `published` counts its mails.
    pub list_published: bool,
    /// Whether nothing more will happen.
    pub finished: bool,
}

impl<Pause> Standing<Pause> {
    /// Why nothing more is sent, if nothing is.
    pub fn halted(&self) -> Option<&str> {
        match (self.finished, &self.paused) {
            (true, _) => Some("finished"),
            (_, Some(_)) => Some("paused"),
            _ => self.waiting.as_deref(),
        }
    }

    /// In a few words.
    pub fn state(&self) -> &str {
        let going = if self.list_published { "under way" } else { "the list is not wholly published" };
        self.halted().unwrap_or(going)
    }

    /// `70 to go, 15 mails/s, 5 s left`; none if nothing is to go.
    pub fn to_go(&self) -> Option<String> {
        (self.backlog > 0).then(|| format!("{} to go, {}", self.backlog, self.pace()))
    }

    /// All of it in one line, which ends with `state`: `30/100  30 delivered, 70 pending  15 mails/s, 5 s left  under way`.
    pub fn line(&self, state: &str) -> String {
        let published = self.counts.published;
        let done = published.saturating_sub(self.backlog);
        let pace = if self.finished { String::new() } else { format!("  {}", self.pace()) };
        format!("{done}/{published}  {}{pace}  {state}", delivered(&self.counts))
    }

    fn pace(&self) -> String {
        let left = self.seconds_left.filter(|seconds| *seconds > 0);
        let left = left.map_or_else(String::new, |seconds| format!(", {} left", time_left(seconds)));
        rate(self.per_second) + &left
    }
}

/// The account in two lines: `205 rows: 200 mails, 2 invalid, 3 duplicate`, and below it `198 delivered, 2 rejected`.
pub fn account(counts: &Counts) -> [String; 2] {
    let skipped = [("invalid", counts.invalid), ("duplicate", counts.duplicate), ("suppressed", counts.suppressed)];
    [format!("{} rows: {} mails{}", counts.total, counts.published, listed(&skipped)), delivered(counts)]
}

/// Since when sending is paused, and why.
pub fn paused(since: &str, reason: &str) -> String {
    format!("paused since {since}: {reason}")
}

/// `36 mails/s`
pub fn rate(per_second: f64) -> String {
    format!("{per_second:.0} mails/s")
}

/// `40 s`, `3 min`, `2 h 5 min`
pub fn time_left(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// What a terminal is sent so that the next text stands where the last so many lines stood: the cursor to the beginning of the first of them, and away
/// with what is there (ECMA-48: CPL, ED).
pub fn rewind(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}F\x1b[J") }
}

/// `118 delivered, 2 rejected, 76 pending`
fn delivered(counts: &Counts) -> String {
    let others = [
        ("rejected", counts.rejected),
        ("refused", counts.refused),
        ("deferred", counts.deferred),
        ("dead", counts.dead),
        ("unknown", counts.unknown),
        ("pending", counts.pending),
    ];
    format!("{} delivered{}", counts.delivered, listed(&others))
}

/// `, 3 invalid, 1 duplicate`: those that are not zero.
fn listed(counts: &[(&str, u64)]) -> String {
    let happened = counts.iter().filter(|(_, count)| *count > 0);
    happened.fold(String::new(), |text, (name, count)| format!("{text}, {count} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under_way() -> Standing<&'static str> {
        let counts = Counts {
            total: 205,
            invalid: 2,
            duplicate: 3,
            published: 200,
            pending: 76,
            delivered: 118,
            rejected: 2,
            deferred: 4,
            ..Counts::default()
        };
        assert!(counts.balances());
        Standing {
            counts,
            backlog: counts.unfinished(),
            per_second: 36.5,
            seconds_left: Some(185),
            paused: None,
            waiting: None,
            list_published: true,
            finished: false,
        }
    }

    #[test]
    fn an_account_names_what_happened_and_leaves_out_what_did_not() {
        let [rows, mails] = account(&under_way().counts);
        assert_eq!(rows, "205 rows: 200 mails, 2 invalid, 3 duplicate");
        assert_eq!(mails, "118 delivered, 2 rejected, 4 deferred, 76 pending");
        let every = Counts {
            suppressed: 1,
            pending: 2,
            rejected: 3,
            refused: 4,
            deferred: 5,
            dead: 6,
            unknown: 7,
            ..Counts::default()
        };
        let [rows, mails] = account(&every);
        assert_eq!(rows, "0 rows: 0 mails, 1 suppressed");
        assert_eq!(mails, "0 delivered, 3 rejected, 4 refused, 5 deferred, 6 dead, 7 unknown, 2 pending");
    }

    #[test]
    fn one_line_tells_how_far_how_fast_and_how_it_stands() {
        let standing = under_way();
        assert_eq!(standing.to_go().as_deref(), Some("80 to go, 36 mails/s, 3 min left"));
        assert_eq!(
            standing.line(standing.state()),
            "120/200  118 delivered, 2 rejected, 4 deferred, 76 pending  36 mails/s, 3 min left  under way"
        );
        let counts = Counts { total: 8, published: 8, delivered: 8, ..Counts::default() };
        let done = Standing { counts, backlog: 0, seconds_left: Some(0), finished: true, ..standing };
        assert_eq!((done.to_go(), done.line(done.state())), (None, "8/8  8 delivered  finished".to_owned()));
    }

    #[test]
    fn the_state_is_the_strongest_thing_that_can_be_said() {
        let mut standing = Standing { list_published: false, ..under_way() };
        assert_eq!((standing.state(), standing.halted()), ("the list is not wholly published", None));
        standing.waiting = Some("waiting for startAt".to_owned());
        assert_eq!((standing.state(), standing.halted()), ("waiting for startAt", Some("waiting for startAt")));
        standing.paused = Some("the sender is refused");
        assert_eq!(standing.state(), "paused");
        standing.finished = true;
        assert_eq!(standing.state(), "finished");
        assert_eq!(paused("1970-01-01T00:00:00Z", "it is refused"), "paused since 1970-01-01T00:00:00Z: it is refused");
    }

    #[test]
    fn the_time_left_is_as_exact_as_one_wants_to_know_it() {
        for (seconds, wanted) in [(1, "1 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7500, "2 h 5 min")] {
            assert_eq!(time_left(seconds), wanted);
        }
        let unmoved = Standing { per_second: 0.0, seconds_left: None, ..under_way() };
        assert_eq!(unmoved.to_go().as_deref(), Some("80 to go, 0 mails/s"));
    }

    #[test]
    fn json_has_the_documented_fields_in_their_order() {
        let standing = Standing { paused: Some("why"), ..under_way() };
        let wanted = concat!(
            r#"{"total":205,"invalid":2,"duplicate":3,"suppressed":0,"published":200,"pending":76,"delivered":118,"rejected":2,"#,
            r#""refused":0,"deferred":4,"dead":0,"unknown":0,"backlog":80,"perSecond":36.5,"secondsLeft":185,"#,
            r#""paused":"why","waiting":null,"listPublished":true,"finished":false}"#
        );
        assert_eq!(serde_json::to_string(&standing).expect("JSON"), wanted);
    }

    #[test]
    fn nothing_is_painted_over_where_nothing_stands() {
        assert_eq!((rewind(0), rewind(3)), (String::new(), "\x1b[3F\x1b[J".to_owned()));
    }
}
