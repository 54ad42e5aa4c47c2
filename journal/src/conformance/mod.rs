//! The traits as tests: what every journal must do, whatever it is made of.
//!
//! An implementation brings a [`Rig`], and `journal::conformance!(ItsRig);` in a test file makes a test of each function here.
//! Needs the feature `conformance`. Everything is asserted through the traits alone.

mod following;
mod model;
mod obstacles;
mod people;
mod publishing;
mod sending;
mod waiting;

pub use following::*;
pub use model::{Operation, follows_the_model, operations};
pub use obstacles::*;
pub use people::*;
pub use publishing::*;
pub use sending::*;
pub use waiting::*;

use crate::{Checkpoint, Entry, Journal, Pin, Publisher, Queued, RowState, Tally, Tick, Worker, WorkerOptions};
use campaign::{
    CampaignUid, Counts, EmailAddress, Fields, Message, Outcome, Reply, Settlement, SkipReason, Skipped,
    spec::OnUnknown,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::future::Future;

/// A campaign's storage under test.
pub trait Rig: Sized + Send {
    /// What is tested.
    type Journal: Journal;

    /// New and empty storage, opened.
    fn fresh() -> impl Future<Output = (Self, Self::Journal)> + Send;

    /// Every owner dies at once, as by SIGKILL; then the journal is opened again. What was committed is there.
    fn crash_and_reopen(&mut self, journal: Self::Journal) -> impl Future<Output = Self::Journal> + Send;
}

/// Makes a test of each function of the module of the same name for a `Rig`; needs tokio's `macros`.
#[macro_export]
macro_rules! conformance {
    ($rig:ty) => {
        $crate::conformance! { $rig:
            content_is_pinned_once_and_a_difference_is_named,
            what_the_preflight_found_is_kept_with_the_pin_that_stands,
            nothing_is_published_or_sent_before_the_content_is_pinned,
            every_row_is_published_once_whatever_chunk_a_crash_falls_on,
            a_chunk_that_does_not_follow_on_is_refused_and_changes_nothing,
            a_publisher_that_was_replaced_writes_nothing_more,
            a_refused_chunk_does_not_harm_a_tick_at_the_same_time,
            a_list_is_published_when_all_its_shards_are,
            a_shard_that_was_not_begun_is_missing_all_the_same,
            values_come_back_as_they_were_published,
            rows_are_paged_without_gap_or_repetition,
            a_mail_is_claimed_then_sent_then_settled,
            a_claim_survives_a_crash_as_unknown_and_hold_keeps_it_for_a_person,
            a_claim_survives_a_crash_as_unknown_and_resend_queues_it_again,
            what_was_taken_and_never_claimed_is_taken_by_the_next_worker,
            any_rows_in_any_order_may_be_claimed,
            a_row_kept_in_hand_is_not_forgotten_however_far_the_others_went,
            what_was_not_handed_out_can_not_be_claimed,
            a_released_row_comes_back_at_the_same_attempt,
            a_result_that_comes_twice_or_too_late_changes_nothing,
            sending_overlaps_with_publishing,
            a_worker_that_has_gone_leaves_its_claims_unknown,
            there_is_one_worker_at_a_time_for_a_row,
            an_obstacle_is_told_until_it_is_gone_and_stops_nothing,
            a_deferred_row_comes_back_when_due_and_not_before,
            due_rows_come_in_the_order_of_their_times_and_before_new_ones,
            pacing_costs_no_attempt_and_survives_a_crash,
            what_waits_does_not_hold_up_what_could_go,
            the_first_attempt_is_remembered_over_a_crash,
            a_pause_stops_new_mails_and_is_kept_until_somebody_resumes,
            a_suspension_stops_new_mails_and_leaves_a_pause_as_it_is,
            resending_the_unknown_ones_twice_does_nothing_the_second_time,
            discarded_unknown_rows_are_dead_and_stay_so,
            unknown_rows_can_be_decided_with_no_worker_going,
            a_command_names_rows_and_touches_no_other,
            dead_rows_are_sent_again_when_a_person_says_so_and_once,
            dead_rows_are_chosen_by_the_code_of_their_last_reply,
            what_is_settled_is_followed_in_the_order_in_which_it_happened,
            from_the_start_all_that_is_kept_is_followed_and_then_what_is_new,
            from_now_on_only_what_is_new_is_followed,
            what_a_person_gives_up_is_followed_and_what_is_released_is_not,
            what_is_sent_again_is_followed_again,
        }
    };
    ($rig:ty: $($name:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::conformance::$name::<$rig>().await;
            }
        )*
    };
}

/// A time, in seconds after the tests' beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

fn message(row: u64) -> Message {
    let recipient = EmailAddress::parse(&format!("person{row}@example.com")).expect("an address");
    let fields: Fields = [("Name".to_owned(), format!("Person {row}").into())].into_iter().collect();
    Message { row, recipient, fields }
}

fn skipped(row: u64) -> Entry {
    let reason = match row % 3 {
        0 => SkipReason::Invalid { why: format!("row {row} has no address") },
        1 => SkipReason::Duplicate,
        _ => SkipReason::Suppressed,
    };
    Entry::Skipped(Skipped { row, reason })
}

fn a_pin() -> Pin {
    let contents = [("spec.message.text", "aa"), ("spec.recipients.source", "bb")];
    let contents: BTreeMap<_, _> =
        contents.into_iter().map(|(path, hash)| (path.to_owned(), hash.to_owned())).collect();
    let uid = CampaignUid::alone("hr/offers", "bb", "aa", None);
    Pin { uid, contents, destination: "backends".to_owned(), shards: 1 }
}

/// The checkpoint behind `entries`, which follow on `before`.
pub fn after(before: &Checkpoint, entries: &[Entry], done: bool) -> Checkpoint {
    let mut tally: Tally = before.tally;
    for entry in entries {
        tally.add(entry);
    }
    let next_row = entries.last().map_or(before.next_row, |entry| entry.row() + 1);
    Checkpoint { next_row, tally, done }
}

async fn publish<P: Publisher>(publisher: &mut P, entries: Vec<Entry>, done: bool) {
    let checkpoint = after(publisher.checkpoint(), &entries, done);
    publisher.publish(entries, checkpoint).await.expect("published");
    assert_eq!(*publisher.checkpoint(), checkpoint);
}

/// A journal with messages in the given rows, all published.
async fn with_messages<R: Rig>(rows: impl IntoIterator<Item = u64>) -> (R, R::Journal) {
    let (rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, rows.into_iter().map(|row| Entry::Message(message(row))).collect(), true).await;
    (rig, journal)
}

async fn worker<J: Journal>(journal: &J, on_unknown: OnUnknown, seconds: i64) -> J::Worker {
    let mut worker = journal.worker(WorkerOptions { on_unknown, now: at(seconds) }).await.expect("a worker");
    settle_in(&mut worker, seconds).await;
    worker
}

/// Waits until everything is this worker's, and it is known what became of the claims of former owners.
async fn settle_in<W: Worker>(worker: &mut W, seconds: i64) {
    let begun = std::time::Instant::now();
    while worker.taking_over() > 0 || worker.share().owned < worker.share().of {
        assert!(worker.take(0, at(seconds)).await.expect("taken").is_empty());
        assert!(
            begun.elapsed().as_secs() < 60,
            "all is this worker's at some time, and claims that are found are over"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Takes and claims as many rows as there are, up to `max`.
async fn claim<W: Worker>(worker: &mut W, max: usize, seconds: i64) -> Vec<u64> {
    let claims = worker.take(max, at(seconds)).await.expect("taken");
    let tick = Tick { claims, at: at(seconds), ..Tick::default() };
    let claimed = worker.commit(tick).await.expect("committed");
    claimed.iter().map(|claimed| claimed.message().row).collect()
}

/// Commits results.
async fn settle<W: Worker>(worker: &mut W, seconds: i64, results: impl IntoIterator<Item = Settlement>) {
    let tick = Tick { finished: results.into_iter().collect(), at: at(seconds), ..Tick::default() };
    let claimed = worker.commit(tick).await.expect("committed");
    assert!(claimed.is_empty());
}

fn result(row: u64, attempt: u32, seconds: i64, outcome: Outcome) -> Settlement {
    Settlement { row, attempt, at: at(seconds), backend: Some("relay".to_owned()), outcome }
}

fn reply(code: u16) -> Reply {
    Reply { code, enhanced: Some(format!("{}.1.1", code / 100)), text: format!("the answer was {code}") }
}

fn delivered() -> Outcome {
    Outcome::Delivered { reply: reply(250) }
}

fn deferred(until: i64) -> Outcome {
    Outcome::Deferred { due: at(until), reply: reply(450) }
}

fn rows_of(queued: &[Queued]) -> Vec<u64> {
    queued.iter().map(|queued| queued.message.row).collect()
}

async fn all_rows<J: Journal>(journal: &J) -> Vec<RowState> {
    journal.rows(0, 100_000).await.expect("rows")
}

async fn latest<J: Journal>(journal: &J, row: u64) -> (u32, Option<Settlement>) {
    match journal.rows(row, 1).await.expect("rows").into_iter().next() {
        Some(RowState::Message { row: found, attempts, latest }) if found == row => (attempts, latest),
        other => panic!("row {row} is {other:?}"),
    }
}

/// The account, after asserting that it balances and is what the rows add up to.
pub async fn account<J: Journal>(journal: &J) -> Counts {
    let counts = journal.counts().await.expect("counts");
    assert!(counts.balances(), "{counts:?}");
    assert_eq!(counts, counted(&all_rows(journal).await));
    counts
}

/// The account of rows: a message without a latest settlement is pending.
fn counted(rows: &[RowState]) -> Counts {
    let mut counts = Counts { total: rows.len() as u64, ..Counts::default() };
    for row in rows {
        let place = match row {
            RowState::Skipped(Skipped { reason: SkipReason::Invalid { .. }, .. }) => &mut counts.invalid,
            RowState::Skipped(Skipped { reason: SkipReason::Duplicate, .. }) => &mut counts.duplicate,
            RowState::Skipped(Skipped { reason: SkipReason::Suppressed, .. }) => &mut counts.suppressed,
            RowState::Message { latest, .. } => {
                counts.published += 1;
                match latest.as_ref().map(|latest| &latest.outcome) {
                    None | Some(Outcome::Released) => &mut counts.pending,
                    Some(Outcome::Delivered { .. }) => &mut counts.delivered,
                    Some(Outcome::Deferred { .. }) => &mut counts.deferred,
                    Some(Outcome::Rejected { .. }) => &mut counts.rejected,
                    Some(Outcome::Refused { .. }) => &mut counts.refused,
                    Some(Outcome::Unknown { .. }) => &mut counts.unknown,
                    Some(Outcome::Dead { .. }) => &mut counts.dead,
                }
            }
        };
        *place += 1;
    }
    counts
}
