//! The topics of a campaign on a real broker: made, grown, compared, and never made anew under a campaign that was begun.

use crate::common::{self, Told, administrator, campaign, entries, open, options, pin, publish};
use journal::kafka::{Kafka, Names};
use journal::{Error, Journal, Publisher, TailFrom};
use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};

async fn setting(topic: &str, name: &str) -> String {
    let specifier = ResourceSpecifier::Topic(topic);
    let found = administrator().describe_configs([&specifier], &AdminOptions::new()).await.expect("described");
    let resource = found.into_iter().next().expect("a topic").expect("a topic");
    resource.get(name).and_then(|entry| entry.value.clone()).expect("a value")
}

fn partitions(topic: &str) -> usize {
    let metadata = administrator().inner().fetch_metadata(Some(topic), common::WAIT).expect("metadata");
    metadata.topics()[0].partitions().len()
}

async fn delete(topic: &str) {
    administrator().delete_topics(&[topic], &AdminOptions::new()).await.expect("asked")[0].as_ref().expect("deleted");
    let begun = std::time::Instant::now();
    while partitions(topic) > 0 {
        assert!(begun.elapsed() < common::WAIT);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn topics_are_made_with_their_settings() {
    let which = campaign();
    let journal = open(&which, 3).await;
    let Names { outbox, outcomes, control, .. } = journal.names();
    assert_eq!([outbox, outcomes, control].map(|topic| partitions(topic)), [3, 3, 1]);
    for topic in [outbox, outcomes] {
        assert_eq!(setting(topic, "retention.ms").await, "-1");
        assert_eq!(setting(topic, "cleanup.policy").await, "delete");
    }
    assert_eq!(setting(control, "cleanup.policy").await, "compact");
}

#[tokio::test]
async fn partitions_are_added_and_never_taken_away() {
    let which = campaign();
    let journal = open(&which, 2).await;
    journal.pin(pin(&which)).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, entries(2..20), false).await;
    assert_eq!(journal.rows(0, 100).await.expect("rows").len(), 18);

    let grown = open(&which, 4).await;
    assert_eq!([&grown.names().outbox, &grown.names().outcomes].map(|topic| partitions(topic)), [4, 4]);
    // Whoever began before goes on, and so do those who read.
    publish(&mut publisher, entries(20..40), true).await;
    assert_eq!(journal.rows(0, 100).await.expect("rows").len(), 38);
    assert_eq!(journal.counts().await.expect("counts").total, 38);
    let again = open(&which, 1).await;
    assert_eq!(partitions(&again.names().outbox), 4);
    assert_eq!(again.rows(0, 100).await.expect("rows").len(), 38);
}

#[tokio::test]
async fn a_retention_that_would_expire_mails_is_told_and_mended_and_other_settings_stay() {
    let which = campaign();
    let names = Names::of(&which);
    let made = NewTopic::new(&names.outbox, 1, TopicReplication::Fixed(1));
    let made = made.set("retention.ms", "3600000").set("max.message.bytes", "200000");
    administrator().create_topics([&made], &AdminOptions::new()).await.expect("asked")[0].as_ref().expect("made");

    let told = Told::about(&which);
    let journal = open(&which, 1).await;
    let lines = told.lines();
    let line = lines.iter().find(|line| line.contains("retention.ms")).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(line.contains(&names.outbox) && line.contains("3600000") && line.contains("-1"), "{line}");
    let begun = std::time::Instant::now();
    while setting(&names.outbox, "retention.ms").await != "-1" {
        assert!(begun.elapsed() < common::WAIT, "the broker takes it on a moment later");
    }
    assert_eq!(setting(&names.outbox, "max.message.bytes").await, "200000");
    let longest = journal.max_message_bytes().expect("a limit");
    assert!((190_000..200_000).contains(&longest), "{longest}");

    let told = Told::about(&which);
    open(&which, 1).await;
    assert_eq!(told.lines(), Vec::<String>::new(), "nothing more to say");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_its_row_and_changes_nothing() {
    let which = campaign();
    let journal = open(&which, 1).await;
    journal.pin(pin(&which)).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    let limit = journal.max_message_bytes().expect("a limit");
    let refused = publisher.publish(vec![common::long(7, limit)], common::after(&publisher, 7, false)).await;
    assert!(matches!(refused, Err(Error::TooLarge { row: 7, .. })), "{refused:?}");
    // What just fits is taken by the broker too.
    let fits = common::long(7, limit - 200);
    publisher.publish(vec![fits], common::after(&publisher, 7, true)).await.expect("published");
    assert_eq!(journal.rows(0, 10).await.expect("rows").len(), 1);
}

#[tokio::test]
async fn a_topic_that_is_gone_is_not_made_anew() {
    let which = campaign();
    let journal = open(&which, 2).await;
    journal.pin(pin(&which)).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, entries(2..20), false).await;
    journal.rows(0, 1).await.expect("rows");
    let mut tail = journal.tail(TailFrom::Start).await.expect("a tail");
    let gone = journal.names().outbox.clone();
    delete(&gone).await;

    let is_gone = |error: &Error| matches!(error, Error::TopicGone { topic } if *topic == gone);
    assert!(is_gone(&journal.rows(0, 1).await.expect_err("rows")));
    assert!(is_gone(&journal.counts().await.expect_err("counts")));
    let checkpoint = common::after(&publisher, 99, false);
    let refused = publisher.publish(entries(99..100), checkpoint).await.expect_err("published");
    assert!(is_gone(&refused), "{refused}");
    assert_eq!(partitions(&gone), 0, "and writing has not made it");
    for opened in [Kafka::open(options(&which, 2)).await, Kafka::open_existing(options(&which, 2)).await] {
        assert!(is_gone(&opened.err().expect("an error")));
    }
    let outcomes = journal.names().outcomes.clone();
    delete(&outcomes).await;
    let ended = journal::Tail::next(&mut tail).await.expect_err("it ends");
    assert!(matches!(&ended, Error::TopicGone { topic } if *topic == outcomes), "{ended}");
}

#[tokio::test]
async fn a_campaign_that_was_not_begun_is_not_begun_by_looking_at_it() {
    let which = campaign();
    let looked = Kafka::open_existing(options(&which, 1)).await.err().expect("an error");
    assert!(matches!(looked, Error::NotPinned), "{looked}");
    assert_eq!(partitions(&Names::of(&which).control), 0);
}

#[tokio::test]
async fn names_that_kafka_does_not_take_are_said_before_anything_is_made() {
    for name in ["n".repeat(230), "offers/2027".to_owned()] {
        let which = journal::kafka::Which { name, ..campaign() };
        let refused = Kafka::open(options(&which, 1)).await.err().expect("an error");
        assert!(matches!(&refused, Error::Unsuitable { why } if why.contains("a topic's name has")), "{refused}");
    }
}
