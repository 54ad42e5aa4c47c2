//! The campaigns of a cluster through a hub: topics made, found, looked at and deleted, by few clients.

use crate::common::{self, administrator, campaign, entries, options, pin, publish};
use campaign::CampaignUid;
use jiff::Timestamp;
use journal::kafka::{Found, Hub, Names, Settings, Sibling, Which};
use journal::{Command, Error, Journal, OnUnknown, Tick, Worker, WorkerOptions};
use rdkafka::admin::AdminOptions;
use std::time::{Duration, Instant};

fn hub() -> Hub {
    Hub::connect(Settings::plaintext(testkit::kafka::Kafka::shared().bootstrap()))
}

fn found(partitions: u32) -> Found {
    Found { outbox: Some(partitions), outcomes: Some(partitions), control: Some(1) }
}

/// Another campaign of the same name.
fn another(which: &Which) -> Which {
    Which { uid: CampaignUid::alone("test/x", "another list", "aa", None), ..which.clone() }
}

fn uid8(which: &Which) -> String {
    which.uid.0.as_simple().to_string()[..8].to_owned()
}

/// Asks until that is so.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> T, is_so: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if is_so(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < common::WAIT, "not in time");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn topics_are_made_found_grown_and_deleted() {
    let (hub, which) = (hub(), campaign());
    assert!(hub.find(&which).await.expect("looked").is_nothing());
    let made = hub.ensure(&options(&which, 2)).await.expect("made");
    assert!(made.created && made.partitions == 2, "{made:?}");
    assert_eq!(hub.find(&which).await.expect("looked"), found(2));
    for (wanted, partitions) in [(2, 2), (4, 4), (1, 4)] {
        let ensured = hub.ensure(&options(&which, wanted)).await.expect("ensured");
        assert!(!ensured.created && ensured.partitions == partitions, "{wanted}: {ensured:?}");
        assert_eq!(hub.find(&which).await.expect("looked"), found(partitions));
    }
    for _ in 0..2 {
        hub.delete(&which).await.expect("what is gone already is no error");
    }
    eventually(async || hub.find(&which).await.expect("looked"), Found::is_nothing).await;
}

#[tokio::test]
async fn of_topics_that_are_partly_there_the_others_are_made_unless_the_campaign_was_begun() {
    let (hub, which) = (hub(), campaign());
    let options = options(&which, 1);
    let outcomes = Names::of(&which).outcomes;
    for begun in [false, true] {
        hub.ensure(&options).await.expect("made");
        if begun {
            hub.open(&options).await.expect("opened").pin(pin(&which)).await.expect("pinned");
        }
        administrator().delete_topics(&[&outcomes], &AdminOptions::new()).await.expect("asked")[0]
            .as_ref()
            .expect("gone");
        eventually(async || hub.find(&which).await.expect("looked"), |found| found.outcomes.is_none()).await;
    }
    let refused = hub.ensure(&options).await.expect_err("begun");
    assert!(matches!(&refused, Error::TopicGone { topic } if *topic == outcomes), "{refused}");
    assert_eq!(hub.find(&which).await.expect("looked").outcomes, None);
}

#[tokio::test]
async fn siblings_are_told_with_what_they_pinned_and_whether_they_have_sent() {
    let (hub, which) = (hub(), campaign());
    let other = another(&which);
    assert_eq!(hub.siblings(&other).await.expect("looked"), []);
    let journal = hub.open(&options(&which, 2)).await.expect("opened");
    let uid8 = uid8(&which);
    let sibling = |pin, sent| [Sibling { uid8: uid8.clone(), pin, sent }];
    assert_eq!(hub.siblings(&other).await.expect("looked"), sibling(None, false));
    assert_eq!(hub.siblings(&which).await.expect("looked"), [], "not its own");
    journal.pin(pin(&which)).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, entries(2..8), true).await;
    assert_eq!(hub.siblings(&other).await.expect("looked"), sibling(Some(pin(&which)), false), "published only");

    let now = Timestamp::now();
    let mut worker = journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now }).await.expect("a worker");
    let claims = worker.take(1, now).await.expect("taken");
    assert_eq!(worker.commit(Tick { claims, at: now, ..Tick::default() }).await.expect("committed").len(), 1);
    // Also by a hub that has listed the topics before the campaign was made.
    assert_eq!(hub.siblings(&other).await.expect("looked"), sibling(Some(pin(&which)), true));
    drop(worker);
    eventually(async || hub.delete(&which).await, Result::is_ok).await.expect("deleted");
    assert_eq!(hub.siblings(&other).await.expect("looked"), []);
}

#[tokio::test]
async fn a_campaign_made_by_another_program_is_a_sibling_soon() {
    let (hub, which) = (hub(), campaign());
    let other = another(&which);
    assert_eq!(hub.siblings(&other).await.expect("looked"), []);
    common::open(&which, 1).await;
    let seen = eventually(async || hub.siblings(&other).await.expect("looked"), |seen| !seen.is_empty()).await;
    assert_eq!(seen[0].uid8, uid8(&which));
}

#[tokio::test]
async fn topics_are_not_deleted_under_a_worker() {
    let (hub, which) = (hub(), campaign());
    let journal = hub.open(&options(&which, 2)).await.expect("opened");
    journal.pin(pin(&which)).await.expect("pinned");
    let worker =
        journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now: Timestamp::now() }).await.expect("one");
    let refused = hub.delete(&which).await.expect_err("it is in the group");
    assert!(refused.is_transient() && refused.to_string().contains("a worker is still in it"), "{refused}");
    assert_eq!(hub.find(&which).await.expect("looked"), found(2));
    drop(worker);
    eventually(async || hub.delete(&which).await, Result::is_ok).await.expect("deleted");
}

#[tokio::test]
async fn the_end_of_control_moves_when_something_is_written_there_and_only_then() {
    let (hub, which) = (hub(), campaign());
    let gone = hub.control_end(&which).await.expect_err("no topic");
    assert!(matches!(gone, Error::TopicGone { .. }), "{gone}");
    let journal = hub.open(&options(&which, 1)).await.expect("opened");
    assert_eq!(hub.control_end(&which).await.expect("an end"), 0);
    journal.command(Command::Suspend { at: Timestamp::now() }).await.expect("suspended");
    // The record, and the mark of its transaction, which comes a moment later.
    let end = eventually(async || hub.control_end(&which).await.expect("an end"), |end| *end == 2).await;
    journal.command(Command::Suspend { at: Timestamp::now() }).await.expect("it stands so already");
    journal.survey().await.expect("looked");
    hub.ensure(&options(&which, 1)).await.expect("ensured");
    assert_eq!(hub.control_end(&which).await.expect("an end"), end);
}

#[tokio::test]
async fn a_kafka_that_is_gone_is_asked_once_and_then_left_alone_for_a_moment() {
    let hub = Hub::connect(Settings::plaintext("127.0.0.1:1"));
    let which = campaign();
    let first = hub.find(&which).await.expect_err("nobody is there").to_string();
    let begun = Instant::now();
    for _ in 0..100 {
        let again = hub.control_end(&which).await.expect_err("nobody is there");
        assert!(matches!(again, Error::Unreachable { .. }) && again.to_string() == first, "{again}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_kafka_does_not_answer_its_first_call_others_wait_a_moment_and_not_in_a_row() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let hub = Hub::connect(Settings::plaintext(silent.local_addr().expect("its address").to_string()));
    let begun = Instant::now();
    let asked = (0..8).map(|_| {
        let (hub, which) = (hub.clone(), campaign());
        tokio::spawn(async move {
            let error = hub.find(&which).await.expect_err("nobody answers");
            assert!(matches!(error, Error::Unreachable { .. }), "{error}");
            begun.elapsed()
        })
    });
    let mut waited = Vec::new();
    for answer in asked.collect::<Vec<_>>() {
        waited.push(answer.await.expect("an answer"));
    }
    waited.sort_unstable();
    assert!(waited[6] < Duration::from_secs(4), "{waited:?}");
    assert!(waited[7] > waited[6] + Duration::from_secs(1), "one has tried it: {waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_at_once_are_all_answered() {
    let (hub, there) = (hub(), campaign());
    hub.ensure(&options(&there, 1)).await.expect("made");
    // Each of them is three questions: several clients' worth.
    let asked = (0..900).map(|number| {
        let (hub, which) = (hub.clone(), if number % 3 == 0 { there.clone() } else { campaign() });
        tokio::spawn(async move { (number, hub.find(&which).await) })
    });
    for answer in asked.collect::<Vec<_>>() {
        let (number, answer) = answer.await.expect("an answer");
        let wanted = if number % 3 == 0 { found(1) } else { Found::default() };
        assert_eq!(answer.expect("looked"), wanted, "{number}");
    }
}
