//! What a run came to: for people, and as the one JSON object of `--json`.

use campaign::{Counts, told};
use serde::Serialize;
use std::time::Duration;

/// The account at the end of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    #[serde(flatten)]
    counts: Counts,
    elapsed_seconds: f64,
    mails_per_second: f64,
}

impl Summary {
    /// `finished` mails ended in this run, which took `elapsed`.
    pub(crate) fn new(counts: Counts, finished: u64, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { finished as f64 / seconds } else { 0.0 };
        Self { counts, elapsed_seconds: rounded(seconds), mails_per_second: rounded(rate) }
    }

    /// One line of JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A few lines for people.
    pub(crate) fn text(&self) -> String {
        let mut lines = told::account(&self.counts).to_vec();
        lines.push(format!("{:.1} s, {}", self.elapsed_seconds, told::rate(self.mails_per_second)));
        lines.join("\n")
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_documented_keys_and_balances() {
        let counts = Counts { total: 5, invalid: 1, published: 4, delivered: 3, dead: 1, ..Counts::default() };
        assert!(counts.balances());
        let json = Summary::new(counts, 4, Duration::from_secs(2)).json();
        let expected = concat!(
            r#"{"total":5,"invalid":1,"duplicate":0,"suppressed":0,"published":4,"pending":0,"delivered":3,"#,
            r#""rejected":0,"refused":0,"deferred":0,"dead":1,"unknown":0,"elapsedSeconds":2.0,"mailsPerSecond":2.0}"#
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn people_see_only_what_happened() {
        let counts = Counts { total: 3, duplicate: 1, published: 2, delivered: 2, ..Counts::default() };
        let text = Summary::new(counts, 2, Duration::from_secs(1)).text();
        assert_eq!(text, "3 rows: 2 mails, 1 duplicate\n2 delivered\n1.0 s, 2 mails/s");
    }
}
