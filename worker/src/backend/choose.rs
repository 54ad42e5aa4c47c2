//! Which backend gets the next mail: by priority, by weight within a priority, passing over those whose breaker is open.

use super::{
    Backends, Member,
    breaker::{Breaker, Failures, Pass, Status},
};
use crate::{metrics::Phases, pacing::Moment};
use campaign::spec::Retry;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The backends of a run, each with its breaker, in the order of their priority.
pub(crate) struct Pool {
    seats: Vec<Seat>,
    /// Mails that were given out; spreads them by weight.
    turn: AtomicU64,
    max_attempts: u32,
}

struct Seat {
    member: Member,
    breaker: Breaker,
}

/// What may be expected of the backends as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Availability {
    /// At least one takes mails.
    Open,
    /// None does, but one is due for a probe: one mail may be claimed.
    Probe,
    /// None does before the given time; without one, before the probes under way have their results.
    Closed(Option<Moment>),
}

/// The backends that a mail has been to within one attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tried(Vec<usize>);

/// Leave to give one mail to one backend.
pub(crate) struct Choice<'a> {
    pub(crate) index: usize,
    pub(crate) member: &'a Member,
    pub(crate) pass: Pass<'a>,
}

impl Tried {
    /// Remembers one.
    pub(crate) fn add(&mut self, index: usize) {
        self.0.push(index);
    }

    /// Whether it has been to none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Pool {
    pub(crate) fn new(backends: Backends, retry: &Retry) -> Self {
        let mut members = backends.members;
        members.sort_by_key(|member| member.priority);
        let seats = members.into_iter().map(|member| Seat { member, breaker: Breaker::new(*retry) }).collect();
        Self { seats, turn: AtomicU64::new(0), max_attempts: retry.max_attempts }
    }

    /// Mails that all of them together can take at the same time.
    pub(crate) fn connections(&self) -> usize {
        self.seats.iter().map(|seat| seat.member.connections).sum()
    }

    /// The backend for a mail, if one takes it now. One that is due for a probe goes before its equals, so that it is found to work again.
    pub(crate) fn choose(&self, tried: &Tried, now: Moment) -> Option<Choice<'_>> {
        let mut rest = self.seats.as_slice();
        let mut offset = 0;
        while let Some(first) = rest.first() {
            let equals = rest.partition_point(|seat| seat.member.priority == first.member.priority);
            let choice = self.choose_among(offset..offset + equals, tried, now);
            if choice.is_some() {
                return choice;
            }
            offset += equals;
            rest = &rest[equals..];
        }
        None
    }

    fn choose_among(&self, equals: std::ops::Range<usize>, tried: &Tried, now: Moment) -> Option<Choice<'_>> {
        let choice = |index: usize| {
            let seat = &self.seats[index];
            seat.breaker.admit(now).map(|pass| Choice { index, member: &seat.member, pass })
        };
        let open = |index: &usize| !tried.0.contains(index);
        if equals.len() == 1 {
            return equals.filter(open).find_map(choice);
        }
        let with_status =
            |wanted| equals.clone().filter(open).filter(move |index| self.seats[*index].breaker.status(now) == wanted);
        if let Some(probe) = with_status(Status::ProbeDue).find_map(choice) {
            return Some(probe);
        }
        let weight = |index: usize| u64::from(self.seats[index].member.weight);
        let all: u64 = with_status(Status::Closed).map(weight).sum();
        let mut share = self.next_share(all);
        for index in with_status(Status::Closed) {
            if share < weight(index) {
                return choice(index);
            }
            share -= weight(index);
        }
        // A breaker opened meanwhile.
        with_status(Status::Closed).find_map(choice)
    }

    /// The next of a sequence that spreads evenly over `0..all` (multiples of the golden ratio modulo one).
    fn next_share(&self, all: u64) -> u64 {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        u64::try_from((u128::from(turn) * u128::from(all)) >> 64).unwrap_or(0)
    }

    /// What may be expected of them now.
    pub(crate) fn availability(&self, now: Moment) -> Availability {
        let (mut next, mut probe) = (None::<Moment>, false);
        for seat in &self.seats {
            match seat.breaker.status(now) {
                Status::Closed => return Availability::Open,
                Status::ProbeDue => probe = true,
                Status::Probing => {}
                Status::Open(until) => next = Some(next.map_or(until, |next| next.min(until))),
            }
        }
        if probe { Availability::Probe } else { Availability::Closed(next) }
    }

    /// Whether none takes mails, and each was probed as often as the campaign allows: the text says which, and why.
    pub(crate) fn given_up(&self, now: Moment) -> Option<String> {
        let given_up = |seat: &Seat| {
            let patience = seat.member.patience.unwrap_or(u32::MAX).min(self.max_attempts);
            seat.breaker.failures().is_some_and(|failures| failures.openings >= patience)
        };
        (self.availability(now) != Availability::Open && self.seats.iter().all(given_up))
            .then(|| self.why_given_up(now))
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.seats.iter().map(|seat| &seat.member.name)
    }

    /// What may be expected of each, in the order of their names.
    pub(crate) fn statuses(&self, now: Moment) -> impl Iterator<Item = Status> {
        self.seats.iter().map(move |seat| seat.breaker.status(now))
    }

    /// Has all of them tell how long things take.
    pub(crate) fn observe(&self, phases: &Phases) {
        self.seats.iter().for_each(|seat| seat.member.backend.observe(phases));
    }

    fn why_given_up(&self, now: Moment) -> String {
        let each = self.troubles().map(|(member, failures)| {
            let tries = if failures.openings == 1 { "once".to_owned() } else { format!("{} times", failures.openings) };
            let over = rough(now.since(failures.since));
            format!("{}; found so {tries}{over}", reason(member, &failures))
        });
        each.collect::<Vec<_>>().join("; ")
    }

    /// Which can't be used now, and why: the same text as long as it is the same.
    pub(crate) fn reasons(&self) -> String {
        let each = self.troubles().map(|(member, failures)| reason(member, &failures));
        each.collect::<Vec<_>>().join("; ")
    }

    /// Says goodbye to all of them.
    pub(crate) async fn close(&self) {
        futures::future::join_all(self.seats.iter().map(|seat| seat.member.backend.close())).await;
    }

    /// Those that can't be used now, and why.
    pub(crate) fn troubles(&self) -> impl Iterator<Item = (&Member, Failures)> {
        self.seats.iter().filter_map(|seat| Some((&seat.member, seat.breaker.failures()?)))
    }
}

/// Why a backend can't be used.
fn reason(member: &Member, failures: &Failures) -> String {
    let Member { name, address, .. } = member;
    format!("backend {name} ({address}): {}", failures.reason)
}

/// A time span for people; nothing below a second.
fn rough(span: Duration) -> String {
    match span.as_secs() {
        0 => String::new(),
        seconds => format!(" over {}", campaign::HumanDuration(Duration::from_secs(seconds))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Gate,
        backend::{Backend, Failure, Mail},
    };
    use campaign::Reply;
    use futures::future::BoxFuture;

    struct Nothing;

    impl Backend for Nothing {
        fn send<'a>(&'a self, _: Mail<'a>, _: &'a Gate) -> BoxFuture<'a, Result<Reply, Failure>> {
            Box::pin(async { Ok(Reply::default()) })
        }
    }

    /// Backends by priority and weight, named `0`, `1`, … in the order given.
    fn pool(members: &[(u32, u32)]) -> Pool {
        let mut backends = Backends { members: Vec::new() };
        for (index, place) in members.iter().enumerate() {
            backends = backends.with(&index.to_string(), "here", *place, 1, Nothing);
        }
        Pool::new(backends, &Retry { max_attempts: 2, ..Retry::default() })
    }

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000_000)
    }

    fn chosen(pool: &Pool, now: Moment) -> Option<String> {
        pool.choose(&Tried::default(), now).map(|choice| {
            choice.pass.succeeded();
            choice.member.name.to_string()
        })
    }

    /// Makes every backend of the names fail until its breaker is open, or its probe has failed.
    fn break_down(pool: &Pool, names: &[&str], now: Moment) {
        let reply = Reply { code: 0, enhanced: None, text: "connection refused".into() };
        for seat in pool.seats.iter().filter(|seat| names.contains(&&*seat.member.name)) {
            while let Some(pass) = seat.breaker.admit(now) {
                pass.failed(now, &reply, None);
            }
        }
    }

    #[test]
    fn equals_share_by_weight_and_smoothly() {
        let pool = pool(&[(0, 3), (0, 1)]);
        let names: Vec<_> = (0..400).map(|_| chosen(&pool, at(0)).expect("one")).collect();
        for hundred in names.chunks(100) {
            let first = hundred.iter().filter(|name| *name == "0").count();
            assert!((73..=77).contains(&first), "{first}");
        }
    }

    #[test]
    fn the_next_priority_is_used_only_when_all_of_this_one_are_open_and_no_longer_than_that() {
        let pool = pool(&[(5, 1), (0, 1), (0, 1)]);
        break_down(&pool, &["1"], at(0));
        assert!((0..20).all(|_| chosen(&pool, at(1)).as_deref() == Some("2")));
        break_down(&pool, &["2"], at(0));
        assert_eq!(chosen(&pool, at(1)).as_deref(), Some("0"));
        assert_ne!(chosen(&pool, at(30)).as_deref(), Some("0"), "the wait is over: a probe");
    }

    #[test]
    fn a_mail_does_not_go_back_where_it_failed() {
        let pool = pool(&[(0, 1), (0, 1), (1, 1)]);
        let mut tried = Tried::default();
        let mut went = Vec::new();
        while let Some(choice) = pool.choose(&tried, at(0)) {
            tried.add(choice.index);
            went.push(choice.index);
        }
        went[..2].sort_unstable();
        assert_eq!(went, [0, 1, 2]);
    }

    #[test]
    fn with_all_open_nothing_goes_but_probes_and_after_the_allowed_ones_it_is_given_up_with_the_reason() {
        let pool = pool(&[(0, 1), (1, 1)]);
        assert_eq!(pool.availability(at(0)), Availability::Open);
        break_down(&pool, &["0", "1"], at(0));
        assert_eq!(pool.availability(at(0)), Availability::Closed(Some(at(30))));
        assert_eq!(pool.availability(at(30)), Availability::Probe);
        break_down(&pool, &["0"], at(30));
        assert_eq!((pool.availability(at(30)), pool.given_up(at(30))), (Availability::Probe, None));
        break_down(&pool, &["1"], at(30));
        let reason = pool.given_up(at(30)).expect("given up");
        assert_eq!(
            reason,
            "backend 0 (here): connection refused; found so 2 times over 30s; \
             backend 1 (here): connection refused; found so 2 times over 30s"
        );
        let same = "backend 0 (here): connection refused; backend 1 (here): connection refused";
        assert_eq!(pool.reasons(), same, "without what changes from one time to the next");
    }
}
