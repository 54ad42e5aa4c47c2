//! What is learnt from counting: how fast a worker is, how fast the campaign goes, and when it will be done. Pure: time is an argument.

use super::CAPACITY;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// How much one more measurement of 10 s counts.
const WEIGHT: f64 = 0.2;
/// From this share of the campaign's rate on it is the rate that holds the workers up.
const LIMITED: f64 = 0.8;
/// How far back "lately" goes.
const LATELY: Duration = Duration::from_mins(1);
/// Less time than this tells nothing.
const SHORTEST: Duration = Duration::from_secs(2);

/// Mails a second that one worker does while it has enough to do: an exponential average, [`CAPACITY`] to begin with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity(f64);

/// What the workers did in some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Mails that were done.
    pub done: u64,
    /// In which time.
    pub during: Duration,
    /// Workers that were ready all that time.
    pub ready: u32,
    /// The smallest backlog in that time.
    pub backlog: u64,
    /// The campaign's rate.
    pub rate_per_second: Option<f64>,
}

impl Default for Capacity {
    fn default() -> Self {
        Self(CAPACITY)
    }
}

impl Capacity {
    /// Mails a second.
    pub fn per_second(self) -> f64 {
        self.0
    }

    /// Takes a measurement in. One says nothing of the workers' speed if they ran out of mails, or if it was the campaign's rate that held them up: then more
    /// workers, each of them slower for it, would seem to need yet more.
    pub fn learn(&mut self, work: &Work) {
        let seconds = work.during.as_secs_f64();
        if work.ready == 0 || work.backlog == 0 || work.during < SHORTEST {
            return;
        }
        let together = work.done as f64 / seconds;
        if work.rate_per_second.is_some_and(|rate| together >= rate * LIMITED) {
            return;
        }
        let each = (together / f64::from(work.ready)).clamp(1.0, 10_000.0);
        let weight = 1.0 - (1.0 - WEIGHT).powf(seconds.min(LATELY.as_secs_f64()) / 10.0);
        self.0 += (each - self.0) * weight;
    }
}

/// How fast the campaign goes, from counts of what is done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates {
    /// When (by a clock that is never set), and how many were done by then; the oldest first.
    samples: VecDeque<(Duration, u64)>,
}

impl Rates {
    /// Takes a count in. While nothing may leave (`sending` is false) nothing is remembered: a closed window makes nobody slower.
    pub fn count(&mut self, at: Duration, done: u64, sending: bool) {
        let goes_back = self.samples.back().is_some_and(|(last, before)| at < *last || done < *before);
        if !sending || goes_back {
            self.samples.clear();
        }
        if !sending {
            return;
        }
        if self.samples.back().is_some_and(|(last, _)| *last == at) {
            self.samples.pop_back();
        }
        self.samples.push_back((at, done));
        // The youngest of those that are older than the time looked at stays, or a rare count would leave nothing to compare with.
        while self.samples.get(1).is_some_and(|(next, _)| at.saturating_sub(*next) >= LATELY) {
            self.samples.pop_front();
        }
    }

    /// The latest count, and when it was taken.
    pub fn latest(&self) -> Option<(Duration, u64)> {
        self.samples.back().copied()
    }

    /// Mails a second in the last minute; none: nothing may leave, or it is too early to say.
    pub fn per_second(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.samples.front()?, self.samples.back()?);
        let passed = to.checked_sub(*from).filter(|passed| *passed >= SHORTEST)?;
        let rate = after.saturating_sub(*before) as f64 / passed.as_secs_f64();
        Some((rate * 10.0).round() / 10.0)
    }

    /// When `remaining` mails will be done if it goes on like this; none: nobody can say. That is also so if the window closes before (`open_until`): then the end is
    /// later.
    pub fn completion(&self, remaining: u64, now: Timestamp, open_until: Option<Timestamp>) -> Option<Timestamp> {
        let rate = self.per_second().filter(|rate| *rate > 0.0)?;
        let left = Duration::try_from_secs_f64((remaining as f64 / rate).ceil()).ok()?;
        let done_at = now.checked_add(left).ok()?;
        open_until.is_none_or(|closes| done_at <= closes).then_some(done_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "2027-03-01T12:00:00Z";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn work(done: u64, ready: u32) -> Work {
        Work { done, during: seconds(10), ready, backlog: 100, rate_per_second: None }
    }

    #[test]
    fn a_workers_speed_is_learnt_while_it_has_enough_to_do() {
        let mut capacity = Capacity::default();
        capacity.learn(&work(4_000, 2));
        assert!((capacity.per_second() - 80.0).abs() < 1e-9, "{capacity:?}");
        for _ in 0..50 {
            capacity.learn(&work(4_000, 2));
        }
        assert!((capacity.per_second() - 200.0).abs() < 0.1, "{capacity:?}");
    }

    #[test]
    fn nothing_is_learnt_from_workers_that_ran_out_of_mails_or_that_the_rate_held_up() {
        let slow = work(10, 2);
        for tells_nothing in [
            Work { backlog: 0, ..slow },
            Work { ready: 0, ..slow },
            Work { during: seconds(1), ..slow },
            Work { rate_per_second: Some(1.0), ..slow },
        ] {
            let mut capacity = Capacity::default();
            capacity.learn(&tells_nothing);
            assert_eq!(capacity, Capacity::default(), "{tells_nothing:?}");
        }
    }

    #[test]
    fn a_speed_of_nothing_or_of_wonder_is_not_believed() {
        let mut capacity = Capacity::default();
        for _ in 0..500 {
            capacity.learn(&work(0, 1));
        }
        assert!((capacity.per_second() - 1.0).abs() < 1e-6, "{capacity:?}");
        for _ in 0..500 {
            capacity.learn(&work(u64::MAX, 1));
        }
        assert!(capacity.per_second() <= 10_000.0, "{capacity:?}");
    }

    #[test]
    fn the_rate_is_that_of_the_last_minute() {
        let mut rates = Rates::default();
        rates.count(seconds(1_000), 0, true);
        assert_eq!(rates.per_second(), None, "one count tells nothing");
        rates.count(seconds(1_001), 50, true);
        assert_eq!(rates.per_second(), None, "a second tells nothing");
        for second in 2..=200 {
            rates.count(
                seconds(1_000 + second),
                if second <= 100 { second * 50 } else { 5_000 + (second - 100) * 10 },
                true,
            );
        }
        assert_eq!(rates.per_second(), Some(10.0));
        assert!(rates.samples.len() <= 62, "{}", rates.samples.len());
    }

    #[test]
    fn counts_that_come_rarely_are_compared_all_the_same() {
        let mut rates = Rates::default();
        rates.count(seconds(0), 100, true);
        rates.count(seconds(300), 400, true);
        assert_eq!(rates.per_second(), Some(1.0));
    }

    #[test]
    fn while_nothing_may_leave_there_is_no_rate_and_afterwards_it_begins_anew() {
        let mut rates = Rates::default();
        rates.count(seconds(0), 0, true);
        rates.count(seconds(10), 1_000, true);
        assert_eq!(rates.per_second(), Some(100.0));
        rates.count(seconds(11), 1_000, false);
        assert_eq!((rates.per_second(), rates.completion(5, at(NOON), None)), (None, None));
        rates.count(seconds(40_000), 1_000, true);
        rates.count(seconds(40_010), 1_200, true);
        assert_eq!(rates.per_second(), Some(20.0));
        rates.count(seconds(40_020), 7, true);
        assert_eq!(rates.per_second(), None, "a count that goes back is of something else");
    }

    #[test]
    fn the_end_is_told_only_if_it_can_be() {
        let mut rates = Rates::default();
        rates.count(seconds(0), 0, true);
        rates.count(seconds(10), 100, true);
        let end = at("2027-03-01T12:01:41Z");
        assert_eq!(rates.completion(1_001, at(NOON), None), Some(end));
        assert_eq!(rates.completion(1_001, at(NOON), Some(end)), Some(end));
        assert_eq!(
            rates.completion(1_001, at(NOON), Some(at("2027-03-01T12:01:40Z"))),
            None,
            "the window closes before"
        );
        assert_eq!(rates.completion(u64::MAX, at(NOON), None), None, "beyond the end of time");
        rates.count(seconds(75), 100, true);
        assert_eq!((rates.per_second(), rates.completion(1, at(NOON), None)), (Some(0.0), None), "nothing moves");
    }
}
