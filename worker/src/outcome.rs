//! What an attempt's result means for the message: tried again, given up, or settled for good. Pure.

use crate::backend::{Failure, Kind};
use campaign::{
    Outcome, Reply,
    spec::{OnUnknown, Retry},
};
use jiff::Timestamp;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// The rules of a campaign for what is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// When and how often.
    pub retry: Retry,
    /// Whether what may have been delivered is sent again.
    pub on_unknown: OnUnknown,
}

/// One attempt at one message.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The message's identity; spreads the retries.
    pub message_id: &'a str,
    /// Which attempt it was, from 1.
    pub number: u32,
    /// When the first attempt was made; none if this is the first.
    pub first: Option<Timestamp>,
    /// When it ended.
    pub at: Timestamp,
}

impl Policy {
    /// The state of the message after an attempt.
    pub fn outcome(&self, attempt: &Attempt<'_>, result: Result<Reply, Failure>) -> Outcome {
        let Failure { kind, reply, retry_after, .. } = match result {
            Ok(reply) => return Outcome::Delivered { reply },
            Err(failure) => failure,
        };
        match kind {
            Kind::Rejected => Outcome::Rejected { reply },
            Kind::Refused | Kind::SenderRefused => Outcome::Refused { reply },
            Kind::Unsendable => Outcome::Dead { reply },
            // This program's doing, or the backend's, and nothing left it: the message loses no attempt by it.
            Kind::Stopped | Kind::NotBegun => Outcome::Released,
            Kind::Transient | Kind::Cut => match self.next_try(attempt, retry_after) {
                Some(due) => Outcome::Deferred { due, reply },
                None => Outcome::Dead { reply },
            },
            // Perhaps it was delivered, so that it is never called dead.
            Kind::Unknown => match self.next_try(attempt, retry_after).filter(|_| self.on_unknown == OnUnknown::Resend)
            {
                Some(due) => Outcome::Deferred { due, reply },
                None => Outcome::Unknown { reply },
            },
        }
    }

    /// When to try again; none once attempts or age are exhausted. What the server asked for goes before our own backoff.
    fn next_try(&self, attempt: &Attempt<'_>, retry_after: Option<Duration>) -> Option<Timestamp> {
        if attempt.number >= self.retry.max_attempts {
            return None;
        }
        let own = || spread(backoff(&self.retry, attempt.number), attempt);
        let wait = retry_after.filter(|asked| !asked.is_zero()).unwrap_or_else(own);
        let due = attempt.at.checked_add(wait).ok()?;
        let last = attempt.first.unwrap_or(attempt.at).checked_add(self.retry.max_age.0).unwrap_or(Timestamp::MAX);
        (due <= last).then_some(due)
    }
}

/// The wait after the given failure in a row, from 1: doubled each time, up to the limit.
pub(crate) fn backoff(retry: &Retry, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    retry.initial_backoff.0.saturating_mul(1 << doublings).min(retry.max_backoff.0)
}

/// Up to 10 % more or less, so that what failed together does not come back together; the same for the same attempt.
fn spread(wait: Duration, attempt: &Attempt<'_>) -> Duration {
    let mut hash = DefaultHasher::new();
    (attempt.message_id, attempt.number).hash(&mut hash);
    let share = hash.finish() as f64 / u64::MAX as f64;
    wait.mul_f64(0.9 + 0.2 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::HumanDuration;
    use proptest::prelude::*;

    fn policy(on_unknown: OnUnknown) -> Policy {
        let human = |seconds| HumanDuration(Duration::from_secs(seconds));
        let retry =
            Retry { max_attempts: 3, initial_backoff: human(30), max_backoff: human(100), max_age: human(86_400) };
        Policy { retry, on_unknown }
    }

    fn noon() -> Timestamp {
        "2027-02-18T12:00:00Z".parse().expect("a time")
    }

    fn attempt(number: u32) -> Attempt<'static> {
        Attempt { message_id: "a.1@example.com", number, first: (number > 1).then(noon), at: noon() }
    }

    fn failed(kind: Kind) -> Result<Reply, Failure> {
        Err(Failure { kind, reply: Reply::default(), backend_failed: false, retry_after: None })
    }

    fn wait(outcome: &Outcome) -> Option<f64> {
        let Outcome::Deferred { due, .. } = outcome else { return None };
        Some(due.duration_since(noon()).as_secs_f64())
    }

    #[test]
    fn each_result_has_its_outcome() {
        let reply = Reply::default();
        for (on_unknown, result, expected) in [
            (OnUnknown::Hold, Ok(Reply::default()), Outcome::Delivered { reply: reply.clone() }),
            (OnUnknown::Hold, failed(Kind::Rejected), Outcome::Rejected { reply: reply.clone() }),
            (OnUnknown::Hold, failed(Kind::Refused), Outcome::Refused { reply: reply.clone() }),
            (OnUnknown::Hold, failed(Kind::SenderRefused), Outcome::Refused { reply: reply.clone() }),
            (OnUnknown::Hold, failed(Kind::Unsendable), Outcome::Dead { reply: reply.clone() }),
            (OnUnknown::Resend, failed(Kind::Stopped), Outcome::Released),
            (OnUnknown::Resend, failed(Kind::NotBegun), Outcome::Released),
            (OnUnknown::Hold, failed(Kind::Unknown), Outcome::Unknown { reply: reply.clone() }),
        ] {
            assert_eq!(policy(on_unknown).outcome(&attempt(1), result), expected);
        }
    }

    #[test]
    fn a_transient_failure_waits_twice_as_long_each_time_and_then_the_mail_is_dead() {
        let policy = policy(OnUnknown::Hold);
        let first = wait(&policy.outcome(&attempt(1), failed(Kind::Transient))).expect("deferred");
        let second = wait(&policy.outcome(&attempt(2), failed(Kind::Transient))).expect("deferred");
        assert!((27.0..=33.0).contains(&first) && (54.0..=66.0).contains(&second), "{first} {second}");
        assert_eq!(policy.outcome(&attempt(3), failed(Kind::Transient)), Outcome::Dead { reply: Reply::default() });
    }

    #[test]
    fn what_would_be_too_old_when_tried_again_is_dead() {
        let first = noon() - Duration::from_secs(86_390);
        let old = Attempt { first: Some(first), ..attempt(2) };
        assert_eq!(
            policy(OnUnknown::Hold).outcome(&old, failed(Kind::Transient)),
            Outcome::Dead { reply: Reply::default() }
        );
    }

    #[test]
    fn the_unknown_is_sent_again_only_where_the_campaign_says_so_and_is_never_called_dead() {
        let resend = policy(OnUnknown::Resend);
        assert!(wait(&resend.outcome(&attempt(1), failed(Kind::Unknown))).is_some());
        assert_eq!(resend.outcome(&attempt(3), failed(Kind::Unknown)), Outcome::Unknown { reply: Reply::default() });
    }

    #[test]
    fn the_wait_that_a_server_asks_for_is_obeyed() {
        let asked = Failure {
            kind: Kind::Transient,
            reply: Reply::default(),
            backend_failed: false,
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(wait(&policy(OnUnknown::Hold).outcome(&attempt(1), Err(asked))), Some(7.0));
    }

    proptest! {
        #[test]
        fn a_wait_is_within_ten_percent_of_the_backoff_and_the_same_each_time(id in ".{0,40}", number in 1_u32..40) {
            let attempt = Attempt { message_id: &id, ..attempt(number) };
            let plain = backoff(&policy(OnUnknown::Hold).retry, number);
            let spread_out = spread(plain, &attempt);
            prop_assert!(spread_out >= plain.mul_f64(0.899) && spread_out <= plain.mul_f64(1.101));
            prop_assert_eq!(spread_out, spread(plain, &attempt));
            prop_assert!(plain <= Duration::from_secs(100));
        }
    }
}
