//! Whether a campaign that goes wrong must be paused, by `spec.guard`. Pure.
//!
//! The worker's own guard stops a blocked sender after a few mails, with every campaign. This one looks at the whole account, and at limits that the
//! campaign's author chose.

use crate::{Counts, spec::GuardSpec};
use std::fmt;

/// Which limit was passed, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// What was counted.
    pub limit: Limit,
    /// How many there are.
    pub count: u64,
    /// Mails to which a server gave its last word: delivered, rejected and refused.
    pub sent: u64,
    /// How many percent of them were allowed.
    pub max_percent: u8,
}

/// A limit of the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `maxRejectedPercent`.
    Rejected,
    /// `maxRefusedPercent`.
    Refused,
}

/// The limit that the account passes, if it passes one; nothing before `minSent`. Of two the refused: the sender is the one who must act.
///
/// For a campaign that went on after a pause, `counts` is what happened since: the same failures must not pause it twice.
pub fn passed(guard: &GuardSpec, counts: &Counts) -> Option<Passed> {
    let sent = counts.delivered + counts.rejected + counts.refused;
    if sent < u64::from(guard.min_sent) {
        return None;
    }
    let limits = [
        (Limit::Refused, counts.refused, guard.max_refused_percent),
        (Limit::Rejected, counts.rejected, guard.max_rejected_percent),
    ];
    limits.into_iter().find_map(|(limit, count, max)| {
        let max_percent = max?;
        let is_passed = u128::from(count) * 100 > u128::from(max_percent) * u128::from(sent);
        is_passed.then_some(Passed { limit, count, sent, max_percent })
    })
}

impl Limit {
    /// The word of a condition's reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Rejected => "TooManyRejected",
            Self::Refused => "TooManyRefused",
        }
    }
}

/// For people, with what to do.
impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, sent, max_percent, .. } = self;
        match self.limit {
            Limit::Rejected => write!(
                f,
                "{count} of {sent} mails were rejected, more than the {max_percent} % of guard.maxRejectedPercent: \
                 is it the right list? Look at the report, then raise the limit to go on"
            ),
            Limit::Refused => write!(
                f,
                "{count} of {sent} mails were refused because of the sender, more than the {max_percent} % of \
                 guard.maxRefusedPercent: ask the mail server's operator, then raise the limit to go on"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(max_rejected: Option<u8>, max_refused: Option<u8>) -> GuardSpec {
        GuardSpec { max_rejected_percent: max_rejected, max_refused_percent: max_refused, min_sent: 100 }
    }

    fn counts(delivered: u64, rejected: u64, refused: u64) -> Counts {
        Counts { delivered, rejected, refused, ..Counts::default() }
    }

    #[test]
    fn a_limit_is_passed_by_more_than_its_percent_and_not_before_min_sent() {
        let limits = guard(Some(5), Some(1));
        for (counts, wanted) in [
            (counts(95, 5, 0), None),
            (counts(94, 6, 0), Some(Limit::Rejected)),
            (counts(93, 6, 0), None),
            (counts(99, 0, 1), None),
            (counts(98, 0, 2), Some(Limit::Refused)),
            (counts(0, 50, 50), Some(Limit::Refused)),
            (counts(0, 0, 99), None),
            (counts(1_999, 101, 0), None),
            (counts(1_899, 101, 0), Some(Limit::Rejected)),
            (counts(0, 0, 0), None),
        ] {
            assert_eq!(passed(&limits, &counts).map(|passed| passed.limit), wanted, "{counts:?}");
        }
    }

    #[test]
    fn what_no_server_had_the_last_word_on_does_not_count() {
        let waiting = Counts { pending: 1000, deferred: 1000, dead: 1000, unknown: 1000, ..counts(0, 99, 0) };
        assert_eq!(passed(&guard(Some(0), None), &waiting), None);
        assert!(passed(&guard(Some(99), None), &Counts { rejected: 100, ..waiting }).is_some());
    }

    #[test]
    fn a_limit_that_is_not_set_is_never_passed_and_a_hundred_percent_neither() {
        assert_eq!(passed(&guard(None, Some(50)), &counts(0, 1000, 0)), None);
        assert_eq!(passed(&guard(Some(100), Some(100)), &counts(0, 1000, 0)), None);
        assert!(passed(&guard(Some(0), None), &counts(100, 1, 0)).is_some());
    }

    #[test]
    fn the_largest_counts_are_no_problem() {
        let third = u64::MAX / 3;
        assert!(passed(&guard(Some(33), None), &counts(third, third, third)).is_some());
    }

    #[test]
    fn the_message_says_how_many_and_what_to_do() {
        let passed = passed(&guard(Some(5), None), &counts(90, 10, 0)).expect("passed");
        let message = passed.to_string();
        assert!(message.starts_with("10 of 100 mails were rejected, more than the 5 %"), "{message}");
        assert_eq!(passed.limit.reason(), "TooManyRejected");
    }
}
