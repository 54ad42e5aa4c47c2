//! Records that can't be read, on all topics: of a newer version of the program, broken ones, and ones of strangers.

use crate::common::{Post, Runner, Stage, TIMING, blocking, message, publish, shared};
use campaign::Outcome;
use journal::conformance::account;
use journal::kafka::Kafka;
use journal::kafka::wire::{Published, encode, header, schema};
use journal::{Checkpoint, Command, Journal, Publisher, RowState, Tally};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use std::collections::BTreeMap;

/// Headers as this program writes them.
fn ours(uid: &str, row: Option<u64>, schema: &str) -> OwnedHeaders {
    let row = row.map(|row| row.to_string());
    let mut headers = OwnedHeaders::new()
        .insert(Header { key: header::CAMPAIGN, value: Some(uid) })
        .insert(Header { key: header::SCHEMA, value: Some(schema) });
    if let Some(row) = &row {
        headers = headers.insert(Header { key: header::ROW, value: Some(row) });
    }
    headers
}

/// A chunk of a newer producer, with the checkpoint behind it: rows 12 to 16, of which only 12 is as we know it. Between them what strangers wrote, and
/// garbage on the other topics.
fn write_a_bad_chunk(stage: &Stage, journal: &Kafka, before: Checkpoint) {
    let names = journal.names();
    let uid = stage.options.which.uid.to_string();
    let producer = stage.producer(&names.publisher(0));
    let valid = encode(&message(12));
    let outbox: [(Option<OwnedHeaders>, &[u8]); 9] = [
        (None, b"hello"),
        (Some(ours(&uid, Some(12), schema::MESSAGE)), &valid),
        (Some(ours(&uid, Some(13), "message.v2")), b"{\"row\":13}"),
        (Some(ours("somebody else", Some(13), schema::MESSAGE)), b"{}"),
        (Some(ours(&uid, Some(14), schema::MESSAGE)), b"\x00\xff\xfe"),
        (Some(ours(&uid, Some(15), schema::MESSAGE)), b""),
        (Some(ours(&uid, Some(16), schema::MESSAGE)), &valid),
        (Some(ours(&uid, None, schema::MESSAGE)), b"no row"),
        (Some(OwnedHeaders::new()), b""),
    ];
    for (headers, value) in outbox {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&names.outbox).partition(0).key(b"k".as_slice()).payload(value);
        record.headers = headers;
        producer.send(record).map_err(|(error, _)| error).expect("sent");
    }
    for (topic, schemas) in [
        (&names.outcomes, ["event.v2", schema::EVENT]),
        (&names.control, ["future.v1", schema::SHARD]),
        (&names.control, [schema::DECISION, schema::PAUSED]),
    ] {
        for schema in schemas {
            let record =
                BaseRecord::to(topic).partition(0).key("x").payload("\u{1}{").headers(ours(&uid, Some(12), schema));
            producer.send(record).map_err(|(error, _)| error).expect("sent");
        }
        let foreign: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(0).key("y").payload("{}");
        producer.send(foreign).map_err(|(error, _)| error).expect("sent");
    }
    let tally = Tally { published: before.tally.published + 5, ..before.tally };
    let checkpoint = Checkpoint { next_row: 17, tally, done: false };
    // Ten messages with their marker, and the nine of this chunk.
    let published = Published { checkpoint, ends: BTreeMap::from([(0, 20)]) };
    let value = encode(&published);
    let record = BaseRecord::to(&names.control).partition(0).key("shard.0").payload(&value).headers(ours(
        &uid,
        None,
        schema::SHARD,
    ));
    producer.send(record).map_err(|(error, _)| error).expect("sent");
    producer.commit_transaction(crate::common::WAIT).expect("committed");
}

/// The rows that are dead say where their records are.
async fn tells_the_places(journal: &Kafka) {
    let rows = journal.rows(13, 4).await.expect("rows");
    let texts = rows.iter().map(|row| match row {
        RowState::Message { latest: Some(latest), .. } => match &latest.outcome {
            Outcome::Dead { reply } => reply.text.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    });
    let texts: Vec<String> = texts.collect();
    let outbox = &journal.names().outbox;
    for (text, (offset, why)) in
        texts.iter().zip([(13, "message.v2"), (15, "message.v1"), (16, "message.v1"), (17, "row 12")])
    {
        assert!(text.contains(&format!("{outbox}[0]@{offset}")) && text.contains(why), "{text}");
    }
    assert_eq!(texts.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_is_dead_with_its_place_and_the_others_are_sent() {
    let stage = Stage::new(blocking(shared).await, 1, TIMING);
    let journal = stage.pinned().await;
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, 2..12, false).await;
    let (chunk_stage, chunk_journal, before) = (stage.clone(), journal.clone(), *publisher.checkpoint());
    blocking(move || write_a_bad_chunk(&chunk_stage, &chunk_journal, before)).await;

    // A worker is there already when the rest comes.
    let post = Post::default();
    let mut runner = Runner::join(&journal, "worker", &post).await;
    runner.until("it sends what is there", 3, |_| post.sent() == 11).await;
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    assert_eq!(publisher.checkpoint().next_row, 17);
    publish(&mut publisher, 17..30, true).await;
    runner.drain().await;
    let counts = account(&journal).await;
    assert_eq!((counts.delivered, counts.dead, counts.pending), (24, 4, 0), "{counts:?}");
    assert_eq!(journal::Worker::counts(runner.worker()), counts);
    tells_the_places(&journal).await;
    runner.leave().await;

    // Neither a restart nor a person's wish makes them better, and nobody is stuck.
    let again = stage.open().await;
    assert_eq!(account(&again).await, counts);
    let mut runner = Runner::join(&again, "next", &post).await;
    runner.drain().await;
    assert_eq!(again.command(Command::ReplayDead { code: None }).await.expect("decided"), 4);
    runner.until("they are queued", 3, |worker| journal::Worker::counts(worker).dead == 0).await;
    runner.drain().await;
    assert_eq!(account(&again).await, counts);
    tells_the_places(&again).await;
    let sent: Vec<u64> = (2..30).filter(|row| post.of(*row).len() == 1).collect();
    assert_eq!(sent, (2..13).chain(17..30).collect::<Vec<_>>());
}
