//! The guards against harm. Pure.
//!
//! [`Guard`] comes with every campaign: a sender that is refused again and again is blocked, and every further mail makes it worse. [`Limits`] are those
//! that the campaign's author chose, over the whole account.

use crate::pacing::Moment;
use campaign::{Counts, Outcome, Settlement, guard, spec::GuardSpec};
use journal::Share;
use std::{collections::VecDeque, time::Duration};

/// Settled mails that are looked back upon.
const WINDOW: usize = 200;
/// Refusals among them that stop the campaign.
const REFUSED: usize = 20;

/// Watches over the last settled mails.
#[derive(Debug, Default)]
pub struct Guard {
    last: VecDeque<bool>,
    refused: usize,
}

impl Guard {
    /// Takes note of a result; says why the campaign must stop, once it must.
    pub fn observe(&mut self, settlement: &Settlement) -> Option<String> {
        let reply = match &settlement.outcome {
            Outcome::Refused { reply } => Some(reply),
            Outcome::Released | Outcome::Deferred { .. } => return None,
            _ => None,
        };
        self.last.push_back(reply.is_some());
        self.refused += usize::from(reply.is_some());
        if self.last.len() > WINDOW {
            self.refused -= usize::from(self.last.pop_front().unwrap_or(false));
        }
        let reply = reply.filter(|_| self.refused >= REFUSED)?;
        Some(format!(
            "{} of the last {} mails were refused because of the sender, not the address; the last reply: {} {}",
            self.refused,
            self.last.len(),
            reply.code,
            reply.text
        ))
    }
}

/// What other workers have done by the time that one joins is in the account after this, at the latest.
const OTHERS_KNOWN: Duration = Duration::from_secs(3);

/// Watches over the account by `spec.guard`, from the run's first result on: what was before it, or before the last pause, has been judged.
#[derive(Debug)]
pub struct Limits {
    spec: GuardSpec,
    since: Moment,
    /// What is not counted.
    before: Option<Counts>,
}

impl Limits {
    /// Those of a campaign.
    pub fn new(spec: GuardSpec) -> Self {
        Self { spec, since: Moment::default(), before: None }
    }

    /// Only what is still to come counts.
    pub fn begin_anew(&mut self, now: Moment) {
        (self.since, self.before) = (now, None);
    }

    /// Takes note of the account before results are added to it.
    pub fn before(&mut self, account: &Counts, share: Share, now: Moment) {
        let complete = share == Share::WHOLE || now.since(self.since) >= OTHERS_KNOWN;
        if complete && self.before.is_none() {
            self.before = Some(*account);
        }
    }

    /// Says why the campaign must be paused, if it must by this account.
    pub fn passed(&self, account: &Counts) -> Option<String> {
        let before = self.before.as_ref()?;
        let since = Counts {
            delivered: account.delivered.saturating_sub(before.delivered),
            rejected: account.rejected.saturating_sub(before.rejected),
            refused: account.refused.saturating_sub(before.refused),
            ..Counts::default()
        };
        guard::passed(&self.spec, &since).map(|passed| passed.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::Reply;
    use jiff::Timestamp;

    fn settled(outcome: Outcome) -> Settlement {
        Settlement { row: 2, attempt: 1, at: Timestamp::UNIX_EPOCH, backend: None, outcome }
    }

    fn refused() -> Settlement {
        settled(Outcome::Refused {
            reply: Reply { code: 550, enhanced: Some("5.7.1".into()), text: "5.7.1 blocked".into() },
        })
    }

    fn delivered() -> Settlement {
        settled(Outcome::Delivered { reply: Reply::default() })
    }

    /// How many mails are seen before the guard stops.
    fn stops_after(mails: impl IntoIterator<Item = Settlement>) -> Option<usize> {
        let mut guard = Guard::default();
        mails.into_iter().position(|mail| guard.observe(&mail).is_some()).map(|index| index + 1)
    }

    #[test]
    fn twenty_refusals_in_a_row_stop_and_nineteen_do_not() {
        assert_eq!(stops_after((0..30).map(|_| refused())), Some(20));
        assert_eq!(stops_after((0..19).map(|_| refused())), None);
    }

    #[test]
    fn twenty_among_two_hundred_stop_and_fewer_do_not() {
        let every = |nth: usize| (1..2000).map(move |index| if index % nth == 0 { refused() } else { delivered() });
        assert_eq!(stops_after(every(10)), Some(200));
        assert_eq!(stops_after(every(11)), None);
    }

    #[test]
    fn deferred_and_released_mails_do_not_dilute_the_refused() {
        let released = || settled(Outcome::Released);
        assert_eq!(
            stops_after((0..8000).map(|index| if index % 200 == 0 { refused() } else { released() })),
            Some(3801)
        );
    }

    #[test]
    fn the_reason_holds_the_count_and_the_servers_words() {
        let mut guard = Guard::default();
        let reason = (0..20).find_map(|_| guard.observe(&refused())).expect("stopped");
        assert!(reason.contains("20 of the last 20") && reason.contains("550 5.7.1 blocked"), "{reason}");
    }

    fn account(delivered: u64, rejected: u64) -> Counts {
        Counts { delivered, rejected, ..Counts::default() }
    }

    fn limits() -> Limits {
        let (max_rejected_percent, max_refused_percent) = (Some(10), None);
        Limits::new(GuardSpec { max_rejected_percent, max_refused_percent, min_sent: 10 })
    }

    #[test]
    fn what_was_before_the_first_result_does_not_count_and_what_comes_does() {
        let mut limits = limits();
        assert_eq!(limits.passed(&account(0, 100)), None, "nothing of ours");
        limits.before(&account(0, 100), Share::WHOLE, Moment(0));
        limits.before(&account(9, 101), Share::WHOLE, Moment(0));
        assert_eq!(limits.passed(&account(9, 101)), None);
        let reason = limits.passed(&account(9, 102)).expect("passed");
        assert!(reason.starts_with("2 of 11 mails were rejected, more than the 10 %"), "{reason}");
    }

    #[test]
    fn after_a_pause_only_what_comes_then_counts() {
        let mut limits = limits();
        limits.before(&account(0, 0), Share::WHOLE, Moment(0));
        assert!(limits.passed(&account(0, 50)).is_some());
        limits.begin_anew(Moment(5));
        limits.before(&account(0, 50), Share::WHOLE, Moment(5));
        assert_eq!(limits.passed(&account(18, 52)), None);
        assert!(limits.passed(&account(17, 52)).is_some());
    }

    #[test]
    fn one_of_several_begins_to_count_when_it_knows_what_the_others_have_done() {
        let (mut limits, share) = (limits(), Share { owned: 1, of: 4 });
        let joined = Moment(7);
        limits.begin_anew(joined);
        limits.before(&account(0, 0), share, joined);
        assert_eq!(limits.passed(&account(0, 50)), None, "the others' came in");
        limits.before(&account(0, 50), share, joined.plus(OTHERS_KNOWN));
        assert_eq!(limits.passed(&account(9, 51)), None);
        assert!(limits.passed(&account(8, 52)).is_some());
    }
}
