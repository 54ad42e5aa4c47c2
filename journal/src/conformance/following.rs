//! Following the settlements as they come.
#![expect(missing_docs, reason = "the names say it")]

use super::{Rig, at, claim, deferred, delivered, latest, reply, result, rows_of, settle, with_messages, worker};
use crate::{Command, Journal, Tail, TailFrom, Tick, Worker};
use campaign::{Outcome, Settlement, spec::OnUnknown};
use std::collections::BTreeMap;
use std::time::Duration;

/// Until then a settlement must have been seen.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a tail has seen, by row, in the order in which it came.
#[derive(Default)]
struct Seen(BTreeMap<u64, Vec<Settlement>>);

impl Seen {
    /// Follows until each of these was seen, as the latest of its row.
    async fn until<T: Tail>(&mut self, tail: &mut T, wanted: &[Settlement]) {
        let is_latest =
            |seen: &Self, wanted: &Settlement| seen.0.get(&wanted.row).and_then(|row| row.last()) == Some(wanted);
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !wanted.iter().all(|wanted| is_latest(self, wanted)) {
            let next = tokio::time::timeout_at(deadline, tail.next()).await;
            let next = next.unwrap_or_else(|_| panic!("{wanted:?} did not come; there was {:?}", self.0));
            let next = next.expect("followed");
            assert!(!next.is_empty(), "it waits until there is one");
            for settlement in next {
                self.0.entry(settlement.row).or_default().push(settlement);
            }
        }
    }

    fn rows(&self) -> Vec<u64> {
        self.0.keys().copied().collect()
    }
}

pub async fn what_is_settled_is_followed_in_the_order_in_which_it_happened<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..6).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let mut tail = journal.tail(TailFrom::Start).await.expect("followed");
    let mut seen = Seen::default();
    let mut all = Vec::new();
    for attempt in 1..4_u32 {
        let now = i64::from(attempt) * 100;
        claim(&mut sender, 9, now).await;
        let outcome = if attempt < 3 { deferred(now + 50) } else { delivered() };
        let results: Vec<_> = (2..6).map(|row| result(row, attempt, now + 1, outcome.clone())).collect();
        settle(&mut sender, now + 1, results.clone()).await;
        seen.until(&mut tail, &results).await;
        all.extend(results);
    }
    for row in 2..6 {
        let wanted: Vec<_> = all.iter().filter(|settlement| settlement.row == row).cloned().collect();
        assert_eq!(seen.0[&row], wanted, "each was there to be seen when it was the latest");
    }
}

pub async fn from_the_start_all_that_is_kept_is_followed_and_then_what_is_new<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..1_202).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let first = claim(&mut sender, 1_000, 0).await;
    let soon: Vec<_> =
        first.iter().map(|row| result(*row, 1, 1, if *row == 7 { deferred(5) } else { delivered() })).collect();
    settle(&mut sender, 1, soon.clone()).await;
    assert_eq!(claim(&mut sender, 1, 5).await, [7]);
    let late = result(7, 2, 6, delivered());
    settle(&mut sender, 6, [late.clone()]).await;
    drop(sender);

    let journal = rig.crash_and_reopen(journal).await;
    let mut tail = journal.tail(TailFrom::Start).await.expect("followed");
    let mut seen = Seen::default();
    let mut kept: Vec<_> = soon.into_iter().filter(|settlement| settlement.row != 7).collect();
    kept.push(late);
    seen.until(&mut tail, &kept).await;
    assert_eq!(seen.rows(), first, "of every settled row, and of no other");
    let mut sender = worker(&journal, OnUnknown::Hold, 10).await;
    let rest = claim(&mut sender, 1_000, 10).await;
    assert_eq!(rest.len(), 200);
    let new: Vec<_> = rest.iter().map(|row| result(*row, 1, 11, delivered())).collect();
    settle(&mut sender, 11, new.clone()).await;
    seen.until(&mut tail, &new).await;
    for (row, settlements) in &seen.0 {
        let earlier = usize::from(*row == 7);
        assert!((1..=1 + earlier).contains(&settlements.len()), "row {row} came again: {settlements:?}");
    }
}

pub async fn from_now_on_only_what_is_new_is_followed<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..6).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 2, 0).await, [2, 3]);
    settle(&mut sender, 1, [result(2, 1, 1, delivered())]).await;
    let mut tail = journal.tail(TailFrom::Now).await.expect("followed");
    let waiting = tokio::time::timeout(Duration::from_millis(50), tail.next()).await;
    assert!(waiting.is_err(), "nothing is new");
    let new = result(3, 1, 2, Outcome::Unknown { reply: reply(451) });
    settle(&mut sender, 2, [new.clone()]).await;
    let mut seen = Seen::default();
    seen.until(&mut tail, &[new]).await;
    assert_eq!(seen.rows(), [3]);
}

pub async fn what_a_person_gives_up_is_followed_and_what_is_released_is_not<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..6).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let mut tail = journal.tail(TailFrom::Now).await.expect("followed");
    assert_eq!(claim(&mut sender, 3, 0).await, [2, 3, 4]);
    let unknown = result(2, 1, 1, Outcome::Unknown { reply: reply(451) });
    settle(&mut sender, 1, [unknown.clone(), result(3, 1, 1, Outcome::Released)]).await;
    let mut seen = Seen::default();
    seen.until(&mut tail, &[unknown]).await;
    assert_eq!(journal.command(Command::DiscardUnknown { rows: None, at: at(3) }).await.expect("decided"), 1);
    let (_, given_up) = latest(&journal, 2).await;
    let given_up = given_up.expect("settled");
    assert_eq!((&given_up.outcome, given_up.at), (&Outcome::Dead { reply: reply(451) }, at(3)));
    let sent = result(4, 1, 4, delivered());
    settle(&mut sender, 4, [sent.clone()]).await;
    seen.until(&mut tail, &[given_up, sent]).await;
    assert_eq!(seen.rows(), [2, 4]);
}

pub async fn what_is_sent_again_is_followed_again<R: Rig>() {
    let (mut rig, mut journal) = with_messages::<R>(2..3).await;
    for attempt in 1..4_u32 {
        let now = i64::from(attempt) * 10;
        let mut sender = worker(&journal, OnUnknown::Hold, now).await;
        let mut tail = journal.tail(TailFrom::Now).await.expect("followed");
        let claims = sender.take(9, at(now)).await.expect("taken");
        assert_eq!(rows_of(&claims), [2]);
        sender.commit(Tick { claims, at: at(now), ..Tick::default() }).await.expect("committed");
        let dead = result(2, attempt, now + 1, Outcome::Dead { reply: reply(552) });
        settle(&mut sender, now + 1, [dead.clone()]).await;
        let mut seen = Seen::default();
        seen.until(&mut tail, std::slice::from_ref(&dead)).await;
        assert_eq!(seen.0[&2], [dead]);
        assert_eq!(journal.command(Command::ReplayDead { code: None }).await.expect("decided"), 1);
        drop((sender, tail));
        journal = rig.crash_and_reopen(journal).await;
    }
}
