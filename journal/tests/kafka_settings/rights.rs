//! Users who lack a right: which one is said.

use crate::contact::{assert_says, at};
use crate::{campaign, pin};
use journal::kafka::{Given, Kafka as OnKafka, Options, Secret};
use journal::{Error, Journal};
use testkit::kafka::{Login, Resource, Right, Security};
use testkit::{Kafka, KafkaOptions};

const USERS: [&str; 2] = ["alice", "bob"];

fn options(kafka: &Kafka, user: &str) -> Options {
    campaign(Given {
        user: Some(user.to_owned()),
        password: Some(Secret::from(format!("{user}'s"))),
        sasl_mechanism: Some("PLAIN".to_owned()),
        ..at(kafka.bootstrap())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_told_with_what_it_is_on() {
    let users = USERS.map(|name| (name.to_owned(), format!("{name}'s"))).to_vec();
    let security = Security::default().login(Login::Plain(users)).rights();
    let kafka = Kafka::start(KafkaOptions::default().security(security));

    // Nothing at all.
    let error = OnKafka::open(options(&kafka, "bob")).await.err().expect("denied");
    assert!(matches!(error, Error::Denied { .. }) && !error.is_transient(), "{error:?}");
    assert_says(&error, &["lacks the right to", "on the topic mailcampaign.hr.offers."]);

    // Seeing the topics, but not making them.
    kafka.allow("bob", Resource::Topic("mailcampaign.*"), Right::Describe);
    let error = OnKafka::open(options(&kafka, "bob")).await.err().expect("denied");
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert_says(&error, &["creating the topics: ", "on the topic mailcampaign.hr.offers."]);

    // Topics, but no transactions.
    kafka.allow("alice", Resource::Topic("mailcampaign.*"), Right::All);
    let journal = OnKafka::open(options(&kafka, "alice")).await.expect("opened");
    let pin = pin();
    let error = journal.pin(pin.clone()).await.expect_err("denied");
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert_says(&error, &["on the transactional id "]);

    // All but the group.
    kafka.allow("alice", Resource::TransactionalId("*"), Right::All);
    journal.pin(pin).await.expect("pinned");
    let error = journal.publisher(0).await.err().expect("denied");
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert_says(&error, &[&format!("on the group {}", journal.names().group)]);
}
