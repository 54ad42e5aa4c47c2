//! Reading the account, deciding and following, with records that are written as a worker would write them.

use crate::common::{self, campaign, open, pin, publish};
use campaign::{Outcome, Reply};
use jiff::Timestamp;
use journal::kafka::Kafka;
use journal::kafka::wire::{Counted, Event, Happened, Mark, Why, encode, header, schema};
use journal::{Command, Journal, RowState, Tail, TailFrom};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, producer};

pub(crate) const PARTITIONS: u32 = 2;

/// A journal with messages in rows 2 to 9.
pub(crate) async fn with_messages() -> (journal::kafka::Which, Kafka) {
    let which = campaign();
    let journal = open(&which, PARTITIONS).await;
    journal.pin(pin(&which)).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, common::entries(2..10), true).await;
    (which, journal)
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

pub(crate) fn claimed(row: u64, attempt: u32) -> Event {
    let happened = Happened::Claimed { counted: Counted::Pending, due: None };
    Event { row, attempt, at: at(0), outbox: 0, first: None, happened }
}

pub(crate) fn settled(row: u64, attempt: u32, outcome: Outcome) -> Event {
    let happened = Happened::Settled { backend: Some("relay".to_owned()), outcome };
    Event { row, attempt, at: at(1), outbox: 0, first: None, happened }
}

pub(crate) fn reply(code: u16) -> Reply {
    Reply { code, enhanced: Some(format!("{}.7.{}", code / 100, code % 10)), text: format!("the answer was {code}") }
}

pub(crate) fn delivered() -> Outcome {
    Outcome::Delivered { reply: reply(250) }
}

pub(crate) fn dead(code: u16) -> Outcome {
    Outcome::Dead { reply: reply(code) }
}

/// Writes records of `outcomes` as one transaction.
pub(crate) fn write(which: &journal::kafka::Which, journal: &Kafka, events: &[Event]) {
    let producer = producer();
    producer.init_transactions(common::WAIT).expect("begun");
    producer.begin_transaction().expect("begun");
    for event in events {
        send(&producer, &journal.names().outcomes, which, event.row, schema::EVENT, &encode(event));
    }
    producer.commit_transaction(common::WAIT).expect("committed");
}

fn producer() -> ThreadedProducer<DefaultProducerContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", testkit::kafka::Kafka::shared().bootstrap());
    config.set("transactional.id", format!("tests.{}", campaign().name)).create().expect("a producer")
}

fn send(
    producer: &ThreadedProducer<impl producer::ProducerContext<DeliveryOpaque = ()>>,
    topic: &str,
    which: &journal::kafka::Which,
    row: u64,
    schema: &str,
    value: &[u8],
) {
    let (key, uid) = (row.to_string(), which.uid.to_string());
    let headers = OwnedHeaders::new()
        .insert(Header { key: header::CAMPAIGN, value: Some(&uid) })
        .insert(Header { key: header::ROW, value: Some(&key) })
        .insert(Header { key: header::SCHEMA, value: Some(schema) });
    let partition = i32::try_from(row % u64::from(PARTITIONS)).expect("a partition");
    let record = BaseRecord::to(topic).partition(partition).key(&key).payload(value).headers(headers);
    producer.send(record).map_err(|(error, _)| error).expect("sent");
}

/// Commits the marks of both partitions as their owner would.
pub(crate) fn mark(journal: &Kafka, marks: [Mark; 2]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", testkit::kafka::Kafka::shared().bootstrap());
    config.set("group.id", &journal.names().group);
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    for (partition, mark) in (0..).zip(marks) {
        let mut place = offsets.add_partition(&journal.names().outbox, partition);
        place.set_offset(Offset::Offset(4)).expect("an offset");
        place.set_metadata(mark.encode());
    }
    consumer.commit(&offsets, CommitMode::Sync).expect("committed");
}

pub(crate) fn a_mark(at: i64, n: [u64; 6], c: [u64; 2]) -> Mark {
    Mark { v: Mark::VERSION, seq: 1, at, tail: 0, control: i64::MAX, n, c, q: 0, due: None }
}

async fn latest(journal: &Kafka, row: u64) -> (u32, Option<Outcome>) {
    match journal.rows(row, 1).await.expect("rows").into_iter().next() {
        Some(RowState::Message { attempts, latest, .. }) => (attempts, latest.map(|latest| latest.outcome)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_any_offset_of_the_group_the_account_is_that_of_the_outcomes() {
    let (which, journal) = with_messages().await;
    assert_eq!(journal.counts().await.expect("counts").pending, 8, "nothing happened yet");
    write(&which, &journal, &[claimed(2, 1), claimed(3, 1), settled(2, 1, delivered()), settled(3, 1, dead(552))]);
    let counts = journal.counts().await.expect("counts");
    assert_eq!((counts.delivered, counts.dead, counts.pending), (1, 1, 6));
    assert_eq!(latest(&journal, 3).await, (1, Some(dead(552))));
    let queued = Happened::Queued { due: None, counted: Counted::Pending, why: Why::Decided };
    write(&which, &journal, &[Event { happened: queued, ..claimed(3, 1) }, claimed(3, 2), settled(3, 2, delivered())]);
    assert_eq!(latest(&journal, 3).await, (2, Some(delivered())));
    let counts = journal.counts().await.expect("counts");
    assert!(counts.balances());
    assert_eq!((counts.delivered, counts.dead, counts.pending), (2, 0, 6));
    // Another handle that reads from the beginning comes to the same.
    assert_eq!(open(&which, PARTITIONS).await.counts().await.expect("counts"), counts);
}

#[tokio::test]
async fn the_marks_of_the_owners_are_enough_for_the_counts() {
    let (_, journal) = with_messages().await;
    let now = Timestamp::now().as_millisecond();
    // There is no such event: only the marks say so. The second owner has left in order.
    mark(&journal, [a_mark(now + 60_000, [1, 0, 0, 1, 0, 0], [1, 1]), a_mark(0, [0, 1, 0, 1, 0, 0], [1, 1])]);
    let counts = journal.counts().await.expect("counts");
    assert!(counts.balances(), "{counts:?}");
    assert_eq!((counts.delivered, counts.rejected, counts.deferred), (1, 1, 1));
    assert_eq!((counts.unknown, counts.pending), (2, 3), "the claims of the one that is gone are unknown");
}

#[tokio::test]
async fn decisions_are_about_rows_as_they_stand_and_a_second_one_finds_none() {
    let (which, journal) = with_messages().await;
    let events: Vec<Event> = [(2, 552), (3, 552), (4, 451), (5, 550)]
        .into_iter()
        .flat_map(|(row, code)| [claimed(row, 1), settled(row, 1, dead(code))])
        .collect();
    write(&which, &journal, &events);
    let replay = |code: Option<&str>| Command::ReplayDead { code: code.map(str::to_owned) };
    assert_eq!(journal.command(replay(Some("999"))).await.expect("decided"), 0);
    assert_eq!(journal.command(replay(Some("552"))).await.expect("decided"), 2);
    assert_eq!(journal.command(replay(Some("552"))).await.expect("decided"), 0);
    assert_eq!(journal.command(replay(Some("4.7.1"))).await.expect("decided"), 1, "by the enhanced code");
    assert_eq!(latest(&journal, 2).await, (1, None));
    assert_eq!(journal.command(replay(None)).await.expect("decided"), 1, "the one that is left");
    let counts = journal.counts().await.expect("counts");
    assert_eq!((counts.dead, counts.pending), (0, 8));
    // The owner carries one out and gets another result: the decision is past.
    let queued = Happened::Queued { due: None, counted: Counted::Pending, why: Why::Decided };
    write(&which, &journal, &[Event { happened: queued, ..claimed(2, 1) }, claimed(2, 2), settled(2, 2, dead(550))]);
    assert_eq!(latest(&journal, 2).await, (2, Some(dead(550))));
}

#[tokio::test]
async fn of_two_who_decide_at_once_each_row_is_counted_for_one() {
    let (which, journal) = with_messages().await;
    let unknown = || Outcome::Unknown { reply: reply(451) };
    write(&which, &journal, &[2, 3, 4].map(|row| settled(row, 1, unknown())));
    let other = open(&which, PARTITIONS).await;
    let (first, second) = tokio::join!(
        journal.command(Command::ResendUnknown { rows: None }),
        other.command(Command::DiscardUnknown { rows: Some(vec![3, 4, 5]), at: at(9) })
    );
    let (resent, discarded) = (first.expect("decided"), second.expect("decided"));
    assert!([(3, 0), (1, 2)].contains(&(resent, discarded)), "{resent} {discarded}");
    let counts = other.counts().await.expect("counts");
    assert_eq!((counts.unknown, counts.dead, counts.pending), (0, discarded, 8 - discarded));
    assert_eq!(journal.counts().await.expect("counts"), counts);
}

#[tokio::test]
async fn settlements_are_followed_from_the_start_or_from_now_on() {
    let (which, journal) = with_messages().await;
    let late = Happened::Late { backend: None, outcome: delivered() };
    write(&which, &journal, &[claimed(2, 1), settled(2, 1, dead(552)), Event { happened: late, ..claimed(2, 1) }]);
    let mut all = journal.tail(TailFrom::Start).await.expect("a tail");
    let mut new = journal.tail(TailFrom::Now).await.expect("a tail");
    let rows = |settlements: Vec<campaign::Settlement>| settlements.iter().map(|one| one.row).collect::<Vec<_>>();
    assert_eq!(rows(all.next().await.expect("followed")), [2], "evidence is no settlement");
    // A call that is dropped while it waits loses nothing.
    tokio::select! {
        biased;
        _ = new.next() => panic!("nothing is new"),
        () = tokio::task::yield_now() => {}
    }
    write(&which, &journal, &[claimed(4, 1), settled(4, 1, delivered()), settled(6, 1, delivered())]);
    for tail in [&mut all, &mut new] {
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let next = tokio::time::timeout(common::WAIT, tail.next()).await.expect("in time").expect("followed");
            seen.extend(rows(next));
        }
        assert_eq!(seen, [4, 6]);
    }
}

#[tokio::test]
async fn what_can_not_be_read_is_told_and_holds_nothing_up() {
    let (which, journal) = with_messages().await;
    let told = common::Told::about(&which);
    let producer = producer();
    producer.init_transactions(common::WAIT).expect("begun");
    producer.begin_transaction().expect("begun");
    let names = journal.names();
    send(&producer, &names.outcomes, &which, 2, schema::EVENT, b"\x00 garbage");
    send(&producer, &names.outcomes, &which, 2, "event.v2", b"{}");
    send(&producer, &names.outbox, &which, 50, "message.v2", b"{}");
    send(&producer, &names.outcomes, &which, 2, schema::EVENT, &encode(&settled(2, 1, delivered())));
    producer.commit_transaction(common::WAIT).expect("committed");
    assert_eq!(latest(&journal, 2).await, (1, Some(delivered())));
    assert_eq!(latest(&journal, 50).await, (0, None), "a message of a newer version is one");
    // The first of them; which that is depends on the order in which the topics are read.
    let lines = told.lines();
    let places = [&names.outcomes, &names.outbox].map(|topic| format!("{topic}[0]@"));
    assert!(lines.iter().any(|line| places.iter().any(|place| line.contains(place))), "{lines:?}");
}
