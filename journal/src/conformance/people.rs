//! What people decide.
#![expect(missing_docs, reason = "the names say it")]

use super::{Rig, account, at, claim, delivered, latest, reply, result, rows_of, settle, with_messages, worker};
use crate::{Command, Journal, Tick, Worker};
use campaign::{Outcome, Reply, spec::OnUnknown};

/// A journal whose rows 2–5 are unknown, 6 is delivered, and 7 is new.
async fn with_unknown<R: Rig>() -> (R, R::Journal, <R::Journal as Journal>::Worker) {
    let (rig, journal) = with_messages::<R>(2..8).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 5, 0).await, [2, 3, 4, 5, 6]);
    settle(&mut sender, 1, (2..6).map(|row| result(row, 1, 1, Outcome::Unknown { reply: reply(451) }))).await;
    settle(&mut sender, 1, [result(6, 1, 1, delivered())]).await;
    (rig, journal, sender)
}

async fn decide<J: Journal>(journal: &J, command: Command) -> u64 {
    let changed = journal.command(command).await.expect("decided");
    account(journal).await;
    changed
}

pub async fn a_pause_stops_new_mails_and_is_kept_until_somebody_resumes<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..8).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 3, 0).await, [2, 3, 4]);
    let finished = vec![result(2, 1, 1, Outcome::Refused { reply: reply(554) })];
    let pause = Some("the relay says 554 5.7.1".to_owned());
    sender.commit(Tick { finished, pause, at: at(1), ..Tick::default() }).await.expect("committed");
    let later = Some("another reason".to_owned());
    sender.commit(Tick { pause: later, at: at(2), ..Tick::default() }).await.expect("committed");
    let paused = journal.paused().await.expect("read").expect("paused");
    assert_eq!((paused.reason.as_str(), paused.at), ("the relay says 554 5.7.1", at(1)), "the first reason stands");
    assert!(sender.take(9, at(2)).await.expect("taken").is_empty());
    settle(&mut sender, 3, [result(3, 1, 3, delivered()), result(4, 1, 3, Outcome::Refused { reply: reply(554) })])
        .await;

    let journal = rig.crash_and_reopen(journal).await;
    assert!(journal.paused().await.expect("read").is_some());
    let mut sender = worker(&journal, OnUnknown::Hold, 4).await;
    assert!(sender.take(9, at(4)).await.expect("taken").is_empty());
    assert!(!sender.exhausted());
    assert_eq!(decide(&journal, Command::Resume).await, 2);
    assert_eq!(decide(&journal, Command::Resume).await, 0);
    assert_eq!(journal.paused().await.expect("read"), None);
    let taken = sender.take(9, at(5)).await.expect("taken");
    assert_eq!(rows_of(&taken), [2, 4, 5, 6, 7], "the refused ones first");
    let refused: Vec<_> = taken.iter().map(|queued| (queued.attempt, queued.first_attempt)).take(2).collect();
    assert_eq!(refused, [(2, None), (2, None)], "the attempt counted, the age counts anew");
    let counts = account(&journal).await;
    assert_eq!((counts.refused, counts.pending, counts.delivered), (0, 5, 1));
}

pub async fn a_suspension_stops_new_mails_and_leaves_a_pause_as_it_is<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..8).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 2, 0).await, [2, 3]);
    assert_eq!(decide(&journal, Command::Unsuspend).await, 0, "there is nothing to end");
    for seconds in [1, 2] {
        assert_eq!(decide(&journal, Command::Suspend { at: at(seconds) }).await, 0);
    }
    assert_eq!(journal.suspended().await.expect("read"), Some(at(1)), "the first one stands");
    assert!(sender.take(9, at(3)).await.expect("taken").is_empty());
    assert!(sender.suspended() && !sender.paused() && !sender.exhausted());
    let finished = vec![result(2, 1, 3, delivered()), result(3, 1, 3, Outcome::Refused { reply: reply(554) })];
    let pause = Some("the relay says 554 5.7.1".to_owned());
    sender.commit(Tick { finished, pause, at: at(3), ..Tick::default() }).await.expect("what is claimed is finished");

    let journal = rig.crash_and_reopen(journal).await;
    assert_eq!(journal.suspended().await.expect("read"), Some(at(1)));
    let mut sender = worker(&journal, OnUnknown::Hold, 4).await;
    assert_eq!(decide(&journal, Command::Unsuspend).await, 0);
    assert_eq!(journal.suspended().await.expect("read"), None);
    assert!(journal.paused().await.expect("read").is_some(), "the pause stays");
    assert!(sender.take(9, at(5)).await.expect("taken").is_empty());
    assert!(sender.paused() && !sender.suspended());
    assert_eq!(account(&journal).await.refused, 1, "and nobody is mailed again");

    decide(&journal, Command::Suspend { at: at(6) }).await;
    assert_eq!(decide(&journal, Command::Resume).await, 1);
    assert_eq!(journal.suspended().await.expect("read"), Some(at(6)), "whoever resumes does not end it");
    assert!(sender.take(9, at(7)).await.expect("taken").is_empty());
    decide(&journal, Command::Unsuspend).await;
    assert_eq!(rows_of(&sender.take(9, at(8)).await.expect("taken")), [3, 4, 5, 6, 7]);
}

pub async fn resending_the_unknown_ones_twice_does_nothing_the_second_time<R: Rig>() {
    let (mut rig, journal, mut sender) = with_unknown::<R>().await;
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: None }).await, 4);
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: None }).await, 0);
    assert_eq!(latest(&journal, 2).await, (1, None));
    let claims = sender.take(9, at(2)).await.expect("taken");
    assert_eq!(rows_of(&claims), [2, 3, 4, 5, 7]);
    assert_eq!((claims[0].attempt, claims[0].first_attempt), (2, None));
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: None }).await, 0);
    sender.commit(Tick { claims, at: at(2), ..Tick::default() }).await.expect("committed");
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: Some(vec![2, 3]) }).await, 0, "it is being sent");
    settle(&mut sender, 3, (2..6).map(|row| result(row, 2, 3, delivered()))).await;
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: Some(vec![2]) }).await, 0, "it was delivered");
    let journal = rig.crash_and_reopen(journal).await;
    assert_eq!(account(&journal).await.delivered, 5);
}

pub async fn discarded_unknown_rows_are_dead_and_stay_so<R: Rig>() {
    let (mut rig, journal, _sender) = with_unknown::<R>().await;
    let discard = || Command::DiscardUnknown { rows: None, at: at(9) };
    assert_eq!(decide(&journal, discard()).await, 4);
    assert_eq!(decide(&journal, discard()).await, 0);
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: None }).await, 0);
    let journal = rig.crash_and_reopen(journal).await;
    assert_eq!(latest(&journal, 3).await, (1, Some(result(3, 1, 9, Outcome::Dead { reply: reply(451) }))));
    let mut sender = worker(&journal, OnUnknown::Resend, 10).await;
    assert_eq!(rows_of(&sender.take(9, at(10_000)).await.expect("taken")), [7]);
    assert_eq!(account(&journal).await.dead, 4);
}

pub async fn unknown_rows_can_be_decided_with_no_worker_going<R: Rig>() {
    let (mut rig, journal) = with_messages::<R>(2..6).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 3, 0).await, [2, 3, 4]);
    let journal = rig.crash_and_reopen(journal).await;
    assert_eq!(decide(&journal, Command::DiscardUnknown { rows: Some(vec![3]), at: at(1) }).await, 1);
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: Some(vec![2, 3]) }).await, 1);
    let journal = rig.crash_and_reopen(journal).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 2).await;
    let counts = account(&journal).await;
    assert_eq!((counts.dead, counts.unknown, counts.pending), (1, 1, 2));
    let claims = sender.take(9, at(2)).await.expect("taken");
    assert_eq!(claims.iter().map(|queued| (queued.message.row, queued.attempt)).collect::<Vec<_>>(), [(2, 2), (5, 1)]);
}

pub async fn a_command_names_rows_and_touches_no_other<R: Rig>() {
    let (_rig, journal, mut sender) = with_unknown::<R>().await;
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: Some(vec![3, 3, 6, 7, 99]) }).await, 1);
    assert_eq!(decide(&journal, Command::DiscardUnknown { rows: Some(vec![3, 5, 6]), at: at(2) }).await, 1);
    assert_eq!(decide(&journal, Command::ResendUnknown { rows: Some(vec![]) }).await, 0);
    let counts = account(&journal).await;
    assert_eq!((counts.unknown, counts.dead, counts.delivered, counts.pending), (2, 1, 1, 2));
    assert_eq!(rows_of(&sender.take(9, at(2)).await.expect("taken")), [3, 7]);
}

/// A journal of which rows 2–6 are dead, for one reason or another, 7 is rejected, and 8 is new.
async fn with_dead<R: Rig>() -> (R, R::Journal, <R::Journal as Journal>::Worker) {
    let (rig, journal) = with_messages::<R>(2..9).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 6, 0).await, [2, 3, 4, 5, 6, 7]);
    let because =
        |code, enhanced: Option<&str>| Reply { code, enhanced: enhanced.map(str::to_owned), text: "no".to_owned() };
    let why = [
        (2, because(552, Some("5.2.2"))),
        (3, because(452, Some("4.2.2"))),
        (4, because(552, None)),
        (5, because(503, None)),
        (6, Reply::default()),
    ];
    settle(&mut sender, 1, why.map(|(row, reply)| result(row, 1, 1, Outcome::Dead { reply }))).await;
    settle(&mut sender, 1, [result(7, 1, 1, Outcome::Rejected { reply: because(552, Some("5.2.2")) })]).await;
    (rig, journal, sender)
}

pub async fn dead_rows_are_sent_again_when_a_person_says_so_and_once<R: Rig>() {
    let (mut rig, journal, mut sender) = with_dead::<R>().await;
    assert_eq!(decide(&journal, Command::ReplayDead { code: None }).await, 5);
    assert_eq!(decide(&journal, Command::ReplayDead { code: None }).await, 0);
    assert_eq!(latest(&journal, 2).await, (1, None));
    assert!(!sender.exhausted());
    let claims = sender.take(9, at(2)).await.expect("taken");
    assert_eq!(rows_of(&claims), [2, 3, 4, 5, 6, 8]);
    assert_eq!((claims[0].attempt, claims[0].first_attempt), (2, None), "the attempt counted, the age counts anew");
    sender.commit(Tick { claims, at: at(2), ..Tick::default() }).await.expect("committed");
    assert_eq!(decide(&journal, Command::ReplayDead { code: None }).await, 0, "they are being sent");
    let again =
        (2..7).map(|row| result(row, 2, 3, if row == 4 { Outcome::Dead { reply: reply(552) } } else { delivered() }));
    settle(&mut sender, 3, again.chain([result(8, 1, 3, delivered())])).await;
    let journal = rig.crash_and_reopen(journal).await;
    let counts = account(&journal).await;
    assert_eq!((counts.delivered, counts.dead, counts.rejected), (5, 1, 1));
    assert_eq!(decide(&journal, Command::ReplayDead { code: None }).await, 1, "also with no worker going");
    let mut sender = worker(&journal, OnUnknown::Hold, 4).await;
    let claims = sender.take(9, at(4)).await.expect("taken");
    assert_eq!(claims.iter().map(|queued| (queued.message.row, queued.attempt)).collect::<Vec<_>>(), [(4, 3)]);
}

pub async fn dead_rows_are_chosen_by_the_code_of_their_last_reply<R: Rig>() {
    let (_rig, journal, mut sender) = with_dead::<R>().await;
    let replay = |code: &str| Command::ReplayDead { code: Some(code.to_owned()) };
    for nobody in ["", "55", "5.2", "999", "delivered", "5.2.2.1"] {
        assert_eq!(decide(&journal, replay(nobody)).await, 0, "{nobody:?}");
    }
    assert_eq!(decide(&journal, replay("5.2.2")).await, 1);
    assert_eq!(decide(&journal, replay("5.2.2")).await, 0);
    assert_eq!(decide(&journal, replay("552")).await, 1);
    assert_eq!(decide(&journal, replay("503")).await, 1);
    let counts = account(&journal).await;
    assert_eq!((counts.dead, counts.pending, counts.rejected), (2, 4, 1));
    assert_eq!(rows_of(&sender.take(9, at(2)).await.expect("taken")), [2, 4, 5, 8]);
}
