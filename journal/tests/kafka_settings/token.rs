//! Logins by a token in a file.

use crate::contact::{Files, assert_says, at, fails, settings};
use crate::{campaign, pin};
use journal::kafka::{Given, Kafka as OnKafka};
use journal::{Error, Journal, OnUnknown, Share, Worker, WorkerOptions};
use std::time::{Duration, Instant};
use testkit::kafka::{Login, Security};
use testkit::{Kafka, KafkaOptions};

fn start() -> Kafka {
    Kafka::start(KafkaOptions::default().security(Security::default().login(Login::OAuthBearerUnsecured)))
}

/// A token without a signature, which begins and ends so many seconds from now.
fn token(begins: i64, ends: i64) -> String {
    let part = |text: &str| base64_simd::URL_SAFE_NO_PAD.encode_to_string(text);
    let now = jiff::Timestamp::now().as_second();
    let claims = format!(r#"{{"sub":"alice","iat":{},"exp":{}}}"#, now + begins, now + ends);
    format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims))
}

#[test]
fn a_token_is_read_from_its_file() {
    let (files, kafka) = (Files::new(), start());
    let given = |token: &str| Given { oauth_token_file: files.put("token", token), ..at(kafka.bootstrap()) };
    settings(given(&token(0, 600))).try_reach().expect("reached");

    // The broker refuses a token that was made in the future.
    let error = fails(given(&token(3_000, 6_000)));
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert_says(&error, &["refused the login"]);

    // Gone after the check.
    let settings = settings(given(&token(0, 600)));
    std::fs::remove_file(files.0.path().join("token")).expect("removed");
    let error = settings.try_reach().expect_err("an error");
    assert_says(&error, &["--kafka-oauth-token-file: ", "/token: No such file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_runs_by_a_token_where_its_topics_are_there() {
    let (files, kafka) = (Files::new(), start());
    let by_token = Given { oauth_token_file: files.put("token", &token(0, 600)), ..at(kafka.bootstrap()) };
    let error = OnKafka::open(campaign(by_token.clone())).await.err().expect("no topics");
    assert!(matches!(error, Error::Unsuitable { .. }), "{error:?}");
    assert_says(&error, &["with OAUTHBEARER this program can't make or change topics"]);

    OnKafka::open(campaign(at(kafka.bootstrap_of_administrator()))).await.expect("topics made");
    let journal = OnKafka::open(campaign(by_token)).await.expect("opened");
    journal.pin(pin()).await.expect("pinned");
    assert_eq!(journal.pinned().await.expect("read"), Some(pin()));
    assert_eq!(journal.counts().await.expect("counted").published, 0);
    journal.publisher(0).await.expect("a publisher");

    let now = jiff::Timestamp::now();
    let mut worker = journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now }).await.expect("a worker");
    let deadline = Instant::now() + Duration::from_secs(20);
    while worker.share() != Share::WHOLE {
        assert!(Instant::now() < deadline, "it owns {:?}", worker.share());
        worker.take(1, now).await.expect("taken");
        tokio::task::yield_now().await;
    }
}
