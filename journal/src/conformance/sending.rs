//! Claim, then send, then settle.
#![expect(missing_docs, reason = "the names say it")]

use super::{
    Rig, account, at, claim, deferred, delivered, latest, reply, result, rows_of, settle, with_messages, worker,
};
use crate::{Error, Journal, Tick, Worker, WorkerOptions};
use campaign::{Outcome, spec::OnUnknown};

pub async fn a_mail_is_claimed_then_sent_then_settled<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..10).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let claims = sender.take(8, at(0)).await.expect("taken");
    assert_eq!(rows_of(&claims), (2..10).collect::<Vec<_>>());
    let claimed = sender.commit(Tick { claims, at: at(1), ..Tick::default() }).await.expect("committed");
    for (claimed, row) in claimed.iter().zip(2..) {
        assert_eq!((claimed.message().row, claimed.attempt(), claimed.first_attempt()), (row, 1, None));
    }
    assert!(sender.exhausted(), "what is being sent is not left to claim");
    assert_eq!(account(&journal).await.pending, 8);

    let outcomes = [
        delivered(),
        Outcome::Rejected { reply: reply(550) },
        Outcome::Refused { reply: reply(554) },
        Outcome::Unknown {
            reply: campaign::Reply { code: 0, enhanced: None, text: "the connection was lost".to_owned() },
        },
        Outcome::Dead { reply: campaign::Reply::default() },
        deferred(60),
    ];
    let results: Vec<_> = outcomes.into_iter().zip(2..).map(|(outcome, row)| result(row, 1, 2, outcome)).collect();
    settle(&mut sender, 2, results.clone()).await;
    settle(&mut sender, 3, [campaign::Settlement { backend: None, ..result(8, 1, 3, delivered()) }]).await;
    assert!(!sender.exhausted(), "one is deferred");
    drop(sender);
    let journal = rig.crash_and_reopen(journal).await;
    for expected in results {
        assert_eq!(latest(&journal, expected.row).await, (1, Some(expected)));
    }
    let counts = account(&journal).await;
    let by_outcome = [counts.delivered, counts.rejected, counts.refused, counts.unknown, counts.dead, counts.deferred];
    assert_eq!(by_outcome, [2, 1, 1, 2, 1, 1], "row 9 was claimed by an owner that is gone");
}

pub async fn a_claim_survives_a_crash_as_unknown_and_hold_keeps_it_for_a_person<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..6).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 2, 5).await, [2, 3]);
    settle(&mut sender, 6, [result(2, 1, 6, delivered())]).await;
    let mut journal = rig.crash_and_reopen(journal).await;
    assert_eq!(account(&journal).await.unknown, 1, "even before a worker takes over");
    for _ in 0..3 {
        let mut sender = worker(&journal, OnUnknown::Hold, 9).await;
        let (attempts, latest) = latest(&journal, 3).await;
        assert_eq!(attempts, 1);
        assert!(matches!(latest.expect("settled").outcome, Outcome::Unknown { .. }));
        assert_eq!(account(&journal).await.unknown, 1);
        assert_eq!(rows_of(&sender.take(9, at(10_000)).await.expect("taken")), [4, 5]);
        journal = rig.crash_and_reopen(journal).await;
    }
}

pub async fn a_claim_survives_a_crash_as_unknown_and_resend_queues_it_again<R: Rig>() {
    let (mut rig, mut journal) = with_messages::<R>(2..4).await;
    for attempt in 1..4 {
        let mut sender = worker(&journal, OnUnknown::Resend, 10 * i64::from(attempt)).await;
        let claims = sender.take(1, at(10 * i64::from(attempt))).await.expect("taken");
        assert_eq!((claims[0].message.row, claims[0].attempt), (2, attempt), "the attempt counts");
        assert_eq!(claims[0].first_attempt, (attempt > 1).then(|| at(10)));
        sender.commit(Tick { claims, at: at(10 * i64::from(attempt)), ..Tick::default() }).await.expect("committed");
        journal = rig.crash_and_reopen(journal).await;
        assert_eq!(account(&journal).await.unknown, 1);
    }
    let mut sender = worker(&journal, OnUnknown::Resend, 50).await;
    assert_eq!(account(&journal).await.pending, 2);
    assert_eq!(claim(&mut sender, 9, 50).await, [2, 3]);
    settle(&mut sender, 51, [result(2, 4, 51, delivered()), result(3, 1, 51, delivered())]).await;
    assert_eq!(latest(&journal, 2).await, (4, Some(result(2, 4, 51, delivered()))));
    assert!(sender.exhausted());
}

pub async fn what_was_taken_and_never_claimed_is_taken_by_the_next_worker<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..12).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let mut claims = sender.take(6, at(0)).await.expect("taken");
    let again = sender.take(6, at(0)).await.expect("taken");
    assert_eq!(rows_of(&again), [8, 9, 10, 11], "a row is handed out once");
    claims.retain(|queued| [3, 5].contains(&queued.message.row));
    sender.commit(Tick { claims, at: at(0), ..Tick::default() }).await.expect("committed");
    settle(&mut sender, 1, [result(3, 1, 1, delivered()), result(5, 1, 1, delivered())]).await;
    assert!(!sender.exhausted());
    let journal = rig.crash_and_reopen(journal).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 2).await;
    assert_eq!(claim(&mut sender, 3, 2).await, [2, 4, 6]);
    assert_eq!(claim(&mut sender, 9, 2).await, [7, 8, 9, 10, 11]);
    account(&journal).await;
}

pub async fn any_rows_in_any_order_may_be_claimed<R: Rig>() {
    let (mut rig, mut journal) = with_messages::<R>(2..300).await;
    let mut left: Vec<u64> = (2..300).collect();
    // A stride through what was taken; each round another part is left in hand when the crash comes.
    for stride in [3, 2, 5, 1] {
        let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
        let taken = sender.take(200, at(0)).await.expect("taken");
        assert_eq!(rows_of(&taken), left[..200.min(left.len())]);
        let claims: Vec<_> = taken.into_iter().rev().step_by(stride).collect();
        let claimed = sender.commit(Tick { claims: claims.clone(), at: at(0), ..Tick::default() }).await;
        let rows: Vec<u64> = claimed.expect("committed").iter().map(|claimed| claimed.message().row).collect();
        assert_eq!(rows, rows_of(&claims), "all, and in the order they were given");
        settle(&mut sender, 1, rows.iter().map(|row| result(*row, 1, 1, delivered()))).await;
        left.retain(|row| !rows.contains(row));
        assert_eq!(account(&journal).await.pending, left.len() as u64);
        journal = rig.crash_and_reopen(journal).await;
    }
}

pub async fn a_row_kept_in_hand_is_not_forgotten_however_far_the_others_went<R: Rig>() {
    let (mut rig, mut journal) = with_messages::<R>(2..20_000).await;
    let mut kept = Vec::new();
    let mut sent = 0;
    for _ in 0..2 {
        let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
        for _ in 0..6 {
            let mut claims = sender.take(1_500, at(0)).await.expect("taken");
            kept.push(claims.remove(7).message.row);
            sent += claims.len() as u64;
            let claimed = sender.commit(Tick { claims, at: at(0), ..Tick::default() }).await.expect("committed");
            settle(&mut sender, 1, claimed.iter().map(|mail| result(mail.message().row, 1, 1, delivered()))).await;
        }
        kept.sort_unstable();
        journal = rig.crash_and_reopen(journal).await;
        let mut sender = worker(&journal, OnUnknown::Hold, 2).await;
        assert_eq!(rows_of(&sender.take(kept.len(), at(2)).await.expect("taken")), kept);
        assert_eq!(journal.counts().await.expect("counts").delivered, sent);
        // The next round gets the first of them, and again keeps some.
        journal = rig.crash_and_reopen(journal).await;
        let mut sender = worker(&journal, OnUnknown::Hold, 3).await;
        assert_eq!(claim(&mut sender, 3, 3).await, kept[..3]);
        settle(&mut sender, 4, kept.drain(..3).map(|row| result(row, 1, 4, delivered()))).await;
        sent += 3;
        let again = sender.take(kept.len(), at(4)).await.expect("taken");
        assert_eq!(rows_of(&again), kept);
        sender.commit(Tick { claims: again, at: at(4), ..Tick::default() }).await.expect("committed");
        settle(&mut sender, 5, kept.drain(..).map(|row| result(row, 1, 5, Outcome::Rejected { reply: reply(550) })))
            .await;
        drop(sender);
    }
    let mut sender = worker(&journal, OnUnknown::Hold, 9).await;
    let left = sender.take(20_000, at(9)).await.expect("taken").len() as u64;
    let counts = account(&journal).await;
    assert_eq!((counts.delivered, counts.pending), (sent, left));
}

pub async fn what_was_not_handed_out_can_not_be_claimed<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..6).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let claims = sender.take(2, at(0)).await.expect("taken");
    let tick = |claims| Tick { claims, at: at(0), ..Tick::default() };

    let mut other = claims.clone();
    other[1].message.row = 4;
    let mut later = claims.clone();
    later[0].attempt = 2;
    let twice = vec![claims[0].clone(), claims[0].clone()];
    for wrong in [other, later, twice] {
        assert!(matches!(sender.commit(tick(wrong)).await, Err(Error::OutOfTurn(_))));
        assert_eq!(latest(&journal, 2).await, (0, None), "nothing of the tick was written");
    }
    sender.commit(tick(claims.clone())).await.expect("committed");
    assert!(matches!(sender.commit(tick(claims)).await, Err(Error::OutOfTurn(_))), "claimed already");
    account(&journal).await;
}

pub async fn a_released_row_comes_back_at_the_same_attempt<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..4).await;
    let mut sender = worker(&journal, OnUnknown::Resend, 0).await;
    assert_eq!(claim(&mut sender, 2, 0).await, [2, 3]);
    settle(&mut sender, 1, [result(2, 1, 1, Outcome::Released), result(3, 1, 1, deferred(2))]).await;
    assert_eq!(latest(&journal, 2).await, (0, None));
    let counts = account(&journal).await;
    assert_eq!((counts.pending, counts.deferred), (1, 1));

    let claims = sender.take(9, at(5)).await.expect("taken");
    let attempts: Vec<_> =
        claims.iter().map(|queued| (queued.message.row, queued.attempt, queued.first_attempt)).collect();
    assert_eq!(attempts, [(2, 1, None), (3, 2, Some(at(0)))]);
    sender.commit(Tick { claims, at: at(5), ..Tick::default() }).await.expect("committed");
    settle(&mut sender, 6, [result(2, 1, 6, Outcome::Released), result(3, 2, 6, Outcome::Released)]).await;
    assert_eq!(latest(&journal, 3).await, (1, Some(result(3, 1, 1, deferred(2)))), "the second attempt never was");
    let journal = rig.crash_and_reopen(journal).await;
    let mut sender = worker(&journal, OnUnknown::Resend, 7).await;
    let mut claims = sender.take(9, at(7)).await.expect("taken");
    claims.sort_by_key(|queued| queued.message.row);
    let attempts: Vec<_> =
        claims.iter().map(|queued| (queued.message.row, queued.attempt, queued.first_attempt)).collect();
    assert_eq!(attempts, [(2, 1, None), (3, 2, Some(at(0)))]);
    account(&journal).await;
}

pub async fn a_result_that_comes_twice_or_too_late_changes_nothing<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..5).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 2, 0).await, [2, 3]);
    let twice = [result(2, 1, 1, delivered()), result(2, 1, 1, delivered())];
    settle(&mut sender, 1, twice).await;
    let before = account(&journal).await;
    assert_eq!(before.delivered, 1);
    settle(&mut sender, 2, [result(2, 1, 2, Outcome::Rejected { reply: reply(550) })]).await;
    settle(&mut sender, 2, [result(3, 2, 2, delivered()), result(4, 1, 2, delivered()), result(99, 1, 2, delivered())])
        .await;
    assert_eq!(account(&journal).await, before);
    assert_eq!(latest(&journal, 2).await, (1, Some(result(2, 1, 1, delivered()))));

    settle(&mut sender, 3, [result(3, 1, 3, deferred(4))]).await;
    assert_eq!(claim(&mut sender, 1, 5).await, [3]);
    settle(&mut sender, 6, [result(3, 1, 6, delivered())]).await;
    assert_eq!(account(&journal).await.deferred, 1, "the first attempt is over");
    settle(&mut sender, 7, [result(3, 2, 7, delivered())]).await;
    assert_eq!(account(&journal).await.delivered, 2);
}

pub async fn there_is_one_worker_at_a_time_for_a_row<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..6).await;
    let mut first = worker(&journal, OnUnknown::Resend, 0).await;
    assert_eq!(claim(&mut first, 2, 0).await, [2, 3]);
    // A journal of one owner refuses the second, one that shares gives it other rows.
    if let Ok(mut second) = journal.worker(WorkerOptions { on_unknown: OnUnknown::Resend, now: at(1) }).await {
        let rows = rows_of(&second.take(9, at(1)).await.expect("taken"));
        assert!(!rows.contains(&2) && !rows.contains(&3), "{rows:?}");
    }
    settle(&mut first, 2, [result(2, 1, 2, delivered()), result(3, 1, 2, delivered())]).await;
    assert_eq!(account(&journal).await.delivered, 2);
}
