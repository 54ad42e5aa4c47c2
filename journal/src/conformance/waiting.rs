//! Rows that wait: deferred ones, and those whose budget is spent.
#![expect(missing_docs, reason = "the names say it")]

use super::{Rig, account, at, claim, deferred, delivered, latest, result, rows_of, settle, with_messages, worker};
use crate::{Tick, Worker};
use campaign::spec::OnUnknown;

pub async fn a_deferred_row_comes_back_when_due_and_not_before<R: Rig>() {
    let (mut rig, mut journal) = with_messages::<R>(2..3).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 1, 0).await, [2]);
    assert_eq!(sender.next_due(), None);
    settle(&mut sender, 1, [result(2, 1, 1, deferred(60))]).await;
    for crashed in [false, true] {
        if crashed {
            journal = rig.crash_and_reopen(journal).await;
            sender = worker(&journal, OnUnknown::Hold, 2).await;
        }
        assert_eq!(sender.next_due(), Some(at(60)));
        let just_before = at(60).checked_sub(jiff::SignedDuration::from_nanos(1)).expect("a time");
        assert!(sender.take(9, just_before).await.expect("taken").is_empty());
        assert!(!sender.exhausted());
    }
    let claims = sender.take(9, at(60)).await.expect("taken");
    assert_eq!((claims[0].attempt, claims[0].first_attempt), (2, Some(at(0))));
    assert_eq!(sender.next_due(), None, "it is in the worker's hands");
    assert!(sender.take(9, at(61)).await.expect("taken").is_empty());
    sender.commit(Tick { claims, at: at(61), ..Tick::default() }).await.expect("committed");
    assert_eq!(account(&journal).await.deferred, 1, "its latest result is still that");
    settle(&mut sender, 62, [result(2, 2, 62, delivered())]).await;
    assert_eq!(account(&journal).await.delivered, 1);
    assert!(sender.exhausted());
}

pub async fn due_rows_come_in_the_order_of_their_times_and_before_new_ones<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..20).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 5, 0).await, [2, 3, 4, 5, 6]);
    let dues = [(2, 50), (3, 20), (4, 40), (5, 20), (6, 90)];
    settle(&mut sender, 1, dues.map(|(row, due)| result(row, 1, 1, deferred(due)))).await;
    assert_eq!(sender.next_due(), Some(at(20)));
    assert_eq!(rows_of(&sender.take(1, at(60)).await.expect("taken")), [3]);
    assert_eq!(sender.next_due(), Some(at(20)));
    assert_eq!(rows_of(&sender.take(5, at(60)).await.expect("taken")), [5, 4, 2, 7, 8]);
    assert_eq!(sender.next_due(), Some(at(90)));
}

pub async fn pacing_costs_no_attempt_and_survives_a_crash<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..6).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 1, 0).await, [2]);
    settle(&mut sender, 1, [result(2, 1, 1, deferred(10))]).await;
    let taken = sender.take(3, at(10)).await.expect("taken");
    assert_eq!(rows_of(&taken), [2, 3, 4]);
    let paced = taken.into_iter().map(|queued| (queued, at(30))).collect();
    sender.commit(Tick { paced, at: at(11), ..Tick::default() }).await.expect("committed");
    assert_eq!(latest(&journal, 3).await, (0, None));
    let (attempts, settled) = latest(&journal, 2).await;
    assert_eq!((attempts, settled.expect("settled").attempt), (1, 1));
    let counts = account(&journal).await;
    assert_eq!((counts.pending, counts.deferred), (3, 1), "who had no attempt has no outcome");

    let journal = rig.crash_and_reopen(journal).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 12).await;
    assert_eq!(sender.next_due(), Some(at(30)));
    assert_eq!(rows_of(&sender.take(9, at(29)).await.expect("taken")), [5]);
    let taken = sender.take(9, at(30)).await.expect("taken");
    let found: Vec<_> = taken.iter().map(|queued| (queued.message.row, queued.attempt, queued.first_attempt)).collect();
    assert_eq!(found, [(2, 2, Some(at(0))), (3, 1, None), (4, 1, None)]);
    // Paced again, and again.
    let paced = taken.into_iter().map(|queued| (queued, at(40))).collect();
    sender.commit(Tick { paced, at: at(31), ..Tick::default() }).await.expect("committed");
    assert!(sender.take(9, at(39)).await.expect("taken").is_empty());
    let claims = sender.take(9, at(40)).await.expect("taken");
    assert_eq!(claims.iter().map(|queued| queued.attempt).collect::<Vec<_>>(), [2, 1, 1]);
    sender.commit(Tick { claims, at: at(41), ..Tick::default() }).await.expect("committed");
    assert_eq!(latest(&journal, 2).await.0, 2);
    account(&journal).await;
}

pub async fn what_waits_does_not_hold_up_what_could_go<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..1_002).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    // Every second row belongs to a domain whose budget is spent for long.
    let mut sent = 0;
    loop {
        let taken = sender.take(100, at(0)).await.expect("taken");
        if taken.is_empty() {
            break;
        }
        let (paced, claims): (Vec<_>, Vec<_>) = taken.into_iter().partition(|queued| queued.message.row % 2 == 0);
        let paced = paced.into_iter().map(|queued| (queued, at(1_000))).collect();
        let claimed = sender.commit(Tick { claims, paced, at: at(0), ..Tick::default() }).await.expect("committed");
        sent += claimed.len();
        settle(&mut sender, 1, claimed.iter().map(|mail| result(mail.message().row, 1, 1, delivered()))).await;
    }
    assert_eq!(sent, 500);
    assert_eq!(account(&journal).await.pending, 500);
    assert_eq!(sender.take(1_000, at(1_000)).await.expect("taken").len(), 500);
}

pub async fn the_first_attempt_is_remembered_over_a_crash<R: Rig>() {
    let (mut rig, mut journal) = with_messages::<R>(2..3).await;
    for attempt in 1..5_u32 {
        let seconds = i64::from(attempt) * 100;
        let mut sender = worker(&journal, OnUnknown::Resend, seconds).await;
        let claims = sender.take(1, at(seconds)).await.expect("taken");
        assert_eq!((claims[0].attempt, claims[0].first_attempt), (attempt, (attempt > 1).then(|| at(100))));
        let claimed = sender.commit(Tick { claims, at: at(seconds), ..Tick::default() }).await.expect("committed");
        assert_eq!(claimed[0].first_attempt(), (attempt > 1).then(|| at(100)));
        settle(&mut sender, seconds + 1, [result(2, attempt, seconds + 1, deferred(seconds + 50))]).await;
        journal = rig.crash_and_reopen(journal).await;
    }
}
