//! How a run is to behave.

use crate::{Metrics, WallClock};
use campaign::{
    Schedule, ValidCampaign,
    spec::{GuardSpec, OnUnknown, Rate, Retry},
};
use program::health::Health;
use std::time::Duration;

/// Longer than a backend that is restarted takes, and short enough for who looks on.
const OBSTACLE_AFTER: Duration = Duration::from_secs(10);

/// How a run is to behave: what a campaign says of it, and where and for how long it runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Mails a second; none: unlimited.
    pub rate: Option<Rate>,
    /// When and how often to try again; also how breakers back off and when a run gives up on its backends.
    pub retry: Retry,
    /// Mails claimed and not settled, at most; at least 1.
    pub max_in_flight: u32,
    /// What to do with a mail of which nobody knows whether it was delivered.
    pub on_unknown: OnUnknown,
    /// When mails may leave.
    pub schedule: Schedule,
    /// When the campaign is paused because it goes wrong; none: only for a sender that is blocked.
    pub guard: Option<GuardSpec>,
    /// How long no backend may have taken mails before a worker that stays tells it in the journal ([`journal::Obstacle`]).
    pub obstacle_after: Duration,
    /// How long an orderly stop waits.
    pub grace: Grace,
    /// When it ends by itself.
    pub until: Until,
    /// What is counted and measured.
    pub metrics: Metrics,
    /// Where it says that it moves, and whether it can do its work.
    pub health: Health,
    /// The time of day that it goes by.
    pub clock: WallClock,
}

/// When a run ends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// When everything has its outcome; and when nothing can go on: the campaign is paused, no backend can be used, the journal fails.
    #[default]
    Done,
    /// Never, as one of several workers: what can't go on now waits for better times, and what is done for more to do. A journal that can't be
    /// reached is tried again; one that fails for good ends the run all the same.
    Stopped,
}

impl From<&ValidCampaign> for Options {
    fn from(campaign: &ValidCampaign) -> Self {
        let delivery = &campaign.spec.delivery;
        Self {
            rate: delivery.rate.clone(),
            retry: delivery.retry,
            max_in_flight: delivery.max_in_flight,
            on_unknown: delivery.on_unknown,
            schedule: Schedule::of(campaign),
            guard: campaign.spec.guard,
            obstacle_after: OBSTACLE_AFTER,
            grace: Grace::default(),
            until: Until::default(),
            metrics: Metrics::default(),
            health: Health::default(),
            clock: WallClock::default(),
        }
    }
}

/// How long an orderly stop waits for the mails that were begun, counted from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// The final dot (or the body of an HTTP request) may still be written for this long.
    pub final_dot: Duration,
    /// The reply is awaited for this long; after it the mail is unknown.
    pub reply: Duration,
    /// The journal is waited for this long; after it the run ends with what could be written.
    pub settle: Duration,
}

impl Grace {
    /// Everything within `all`, with some time left to leave the journal: 3 s to the final dot and 3 s after the last reply, or a fifth each if
    /// that is less.
    pub fn within(all: Duration) -> Self {
        let part = (all / 5).min(Duration::from_secs(3));
        Self { final_dot: part, reply: all.saturating_sub(part), settle: all.saturating_sub(part / 3) }
    }
}

impl Default for Grace {
    /// 3 s to the final dot; 9 s to the reply, so that all is settled within 10 s on a busy machine too.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { final_dot: seconds(3), reply: seconds(9), settle: seconds(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_is_parted_so_that_the_last_commit_is_within_it_and_a_small_one_in_proportion() {
        for (all, final_dot, reply, settle) in
            [(15_000, 3_000, 12_000, 14_000), (60_000, 3_000, 57_000, 59_000), (1_500, 300, 1_200, 1_400)]
        {
            let millis = Duration::from_millis;
            let expected = Grace { final_dot: millis(final_dot), reply: millis(reply), settle: millis(settle) };
            assert_eq!(Grace::within(millis(all)), expected);
        }
    }
}
