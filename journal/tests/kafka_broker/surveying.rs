//! What an onlooker sees of a campaign, while it is sent and while nobody works on it.

use crate::common::{campaign, entries, open, options, pin, publish};
use crate::reading::{PARTITIONS, a_mark, at, claimed, dead, delivered, mark, reply, settled, with_messages, write};
use campaign::{Counts, Outcome};
use jiff::Timestamp;
use journal::kafka::wire::{Counted, Event, Happened, Mark, Why};
use journal::kafka::{Kafka, Timing};
use journal::{Command, Journal, Obstacle, OnUnknown, Preflighted, Sighting, Tally, Tick, Worker, WorkerOptions};
use std::time::Duration;

fn deferred(seconds: i64) -> Outcome {
    Outcome::Deferred { due: at(seconds), reply: reply(450) }
}

fn paced(seconds: i64) -> Happened {
    Happened::Queued { due: Some(at(seconds)), counted: Counted::Pending, why: Why::Paced }
}

#[tokio::test]
async fn a_survey_shows_what_is_pinned_found_published_paused_and_suspended() {
    let which = campaign();
    let journal = open(&which, PARTITIONS).await;
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.pin, survey.preflight, survey.published, survey.partitions), (None, None, false, PARTITIONS));
    assert_eq!((survey.counts, survey.tally, survey.next_due), (Counts::default(), Tally::default(), None));

    let tally = Tally { published: 17, duplicate: 2, ..Tally::default() };
    let found = Preflighted { at: at(1), tally };
    journal.pin_with(pin(&which), Some(found)).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, entries(2..11), false).await;
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.pin, survey.preflight, survey.published), (Some(pin(&which)), Some(found), false));
    assert_eq!((survey.tally.total(), survey.counts.published, survey.counts.pending), (9, 8, 8));

    publish(&mut publisher, entries(11..21), true).await;
    journal.command(Command::Suspend { at: at(2) }).await.expect("suspended");
    let mut worker = journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now: at(3) }).await.expect("a worker");
    let pause = Some("the relay says no".to_owned());
    worker.commit(Tick { pause, at: at(4), ..Tick::default() }).await.expect("committed");
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.tally, survey.published, survey.suspended), (tally, true, Some(at(2))));
    assert_eq!(survey.paused.map(|paused| paused.reason).as_deref(), Some("the relay says no"));
    journal.command(Command::Unsuspend).await.expect("decided");
    assert_eq!(journal.survey().await.expect("looked").suspended, None);
}

/// Has a worker see what the others have told, and say what it has seen itself; what a survey shows then.
async fn say(journal: &Kafka, worker: &mut impl Worker, sighting: Sighting) -> Option<Obstacle> {
    worker.take(0, at(1)).await.expect("taken");
    let tick = Tick { obstacle: Some(sighting), at: at(1), ..Tick::default() };
    worker.commit(tick).await.expect("committed");
    journal.survey().await.expect("looked").obstacle
}

#[tokio::test]
async fn an_obstacle_is_surveyed_and_ended_only_by_the_worker_that_told_it_last() {
    let (_, journal) = with_messages().await;
    let join = || journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now: at(0) });
    let (mut one, mut other) = (join().await.expect("a worker"), join().await.expect("a worker"));
    assert_eq!(journal.survey().await.expect("looked").obstacle, None);
    let [first, second] =
        [2, 3].map(|seconds| Obstacle { reason: "backend relay: refused".to_owned(), at: at(seconds) });
    assert_eq!(say(&journal, &mut one, Sighting::Met(first.clone())).await, Some(first.clone()));
    assert_eq!(say(&journal, &mut other, Sighting::Gone).await, Some(first), "it has told nothing");
    assert_eq!(say(&journal, &mut other, Sighting::Met(second.clone())).await, Some(second.clone()));
    assert_eq!(say(&journal, &mut one, Sighting::Gone).await, Some(second), "the other is still held up");
    assert_eq!(say(&journal, &mut other, Sighting::Gone).await, None);
}

#[tokio::test]
async fn a_worker_leaves_with_its_mark_what_is_in_flight_what_waits_and_until_when() {
    let (_, journal) = with_messages().await;
    let mut worker = journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now: at(0) }).await.expect("a worker");
    while worker.share().owned < worker.share().of {
        worker.take(0, at(0)).await.expect("taken");
    }
    let mut claims = worker.take(4, at(0)).await.expect("taken");
    let later = claims.pop().expect("four");
    let tick = Tick { claims, paced: vec![(later, at(70))], at: at(0), ..Tick::default() };
    worker.commit(tick).await.expect("committed");
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.in_flight, survey.waiting, survey.next_due), (3, 1, Some(at(70))));
    assert_eq!(survey.counts.pending, 8);

    let finished = [(2, deferred(50)), (3, delivered())].map(|(row, outcome)| common_result(row, outcome)).into();
    worker.commit(Tick { finished, at: at(1), ..Tick::default() }).await.expect("committed");
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.in_flight, survey.waiting, survey.next_due), (1, 2, Some(at(50))));
    let Counts { pending, deferred, delivered, .. } = survey.counts;
    assert_eq!((pending, deferred, delivered), (6, 1, 1));
    assert_eq!(pending + deferred - survey.in_flight - survey.waiting, 4, "those that nobody has claimed yet");

    // What is in somebody's hands waits all the same: should its worker be gone, it is due.
    assert_eq!(worker.take(9, at(60)).await.expect("taken").len(), 5);
    let finished = vec![common_result(4, self::delivered())];
    worker.commit(Tick { finished, at: at(61), ..Tick::default() }).await.expect("committed");
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.in_flight, survey.counts.delivered), (0, 2));
    assert!(survey.next_due.is_some_and(|due| due <= at(50)), "{:?}", survey.next_due);
}

fn common_result(row: u64, outcome: Outcome) -> campaign::Settlement {
    campaign::Settlement { row, attempt: 1, at: at(1), backend: None, outcome }
}

#[tokio::test]
async fn claims_of_owners_that_are_gone_are_not_in_flight() {
    let (_, journal) = with_messages().await;
    let now = Timestamp::now().as_millisecond();
    let living = Mark { q: 1, due: Some(7_000), ..a_mark(now + 60_000, [1, 0, 0, 1, 0, 0], [1, 0]) };
    // An earlier version does not say when; the worker has left in order.
    let gone = Mark { q: 1, due: None, ..a_mark(0, [0, 0, 0, 1, 0, 0], [1, 0]) };
    mark(&journal, [living.clone(), gone.clone()]);
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.in_flight, survey.waiting, survey.counts.unknown), (1, 2, 1));
    assert_eq!(survey.next_due, Some(Timestamp::UNIX_EPOCH), "perhaps now");
    mark(&journal, [living, Mark { q: 0, ..gone }]);
    let due = Timestamp::from_millisecond(7_000).expect("a time");
    assert_eq!(journal.survey().await.expect("looked").next_due, Some(due));
}

#[tokio::test]
async fn without_marks_a_survey_says_the_same_by_all_records_and_goes_on_when_more_come() {
    let (which, _) = with_messages().await;
    let timing = Timing { lease: Duration::from_mins(10), ..Timing::default() };
    let mut options = options(&which, PARTITIONS);
    options.timing = timing;
    let journal = Kafka::open(options).await.expect("opened");
    let queued = Event { happened: paced(40), ..claimed(4, 0) };
    write(&which, &journal, &[claimed(2, 1), claimed(3, 1), settled(3, 1, deferred(90)), queued]);
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.in_flight, survey.waiting, survey.next_due), (1, 2, Some(at(40))));
    assert_eq!((survey.counts.pending, survey.counts.deferred, survey.published), (7, 1, true));

    write(&which, &journal, &[settled(2, 1, delivered()), claimed(4, 1), settled(4, 1, delivered())]);
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.in_flight, survey.waiting, survey.next_due), (0, 1, Some(at(90))));
    for _ in 0..2 {
        assert_eq!(journal.survey().await.expect("looked"), survey, "nothing has happened");
    }
    write(&which, &journal, &[claimed(3, 2), settled(3, 2, delivered())]);
    let survey = journal.survey().await.expect("looked");
    assert_eq!((survey.counts.delivered, survey.waiting, survey.next_due), (3, 0, None));
    assert_eq!(journal.counts().await.expect("counts"), survey.counts);
}

#[tokio::test]
async fn failures_are_told_by_code_as_the_rows_stand_now() {
    let (which, journal) = with_messages().await;
    assert_eq!(journal.failures().await.expect("looked"), []);
    let rejected = |code| Outcome::Rejected { reply: reply(code) };
    let no_code = Outcome::Dead { reply: campaign::Reply { code: 0, enhanced: None, text: "too old".to_owned() } };
    let late = Happened::Late { backend: None, outcome: rejected(559) };
    write(
        &which,
        &journal,
        &[
            settled(2, 1, rejected(551)),
            settled(3, 1, dead(551)),
            settled(4, 1, Outcome::Refused { reply: reply(554) }),
            settled(5, 1, no_code),
            settled(6, 1, delivered()),
            settled(7, 1, deferred(9)),
            Event { happened: late, ..claimed(6, 1) },
        ],
    );
    let told = |code: &str, count, text: &str| (code.to_owned(), count, text.to_owned());
    let first =
        [told("5.7.1", 2, "the answer was 551"), told("0", 1, "too old"), told("5.7.4", 1, "the answer was 554")];
    assert_eq!(journal.failures().await.expect("looked"), first);
    let again = Event {
        happened: Happened::Queued { due: None, counted: Counted::Pending, why: Why::Decided },
        ..claimed(3, 1)
    };
    write(&which, &journal, &[again, claimed(3, 2), settled(7, 2, dead(554))]);
    let second =
        [told("5.7.4", 2, "the answer was 554"), told("0", 1, "too old"), told("5.7.1", 1, "the answer was 551")];
    assert_eq!(journal.failures().await.expect("looked"), second);
    // Who reads from the beginning comes to the same.
    assert_eq!(open(&which, PARTITIONS).await.failures().await.expect("looked"), second);
}
