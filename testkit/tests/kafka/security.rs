//! TLS, logins and rights.

use crate::client::{config, make_topic, wait_until, write};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use std::time::Duration;
use testkit::kafka::{Login, Resource, Right, Security};
use testkit::{Authority, Kafka, KafkaOptions};

fn users(password: &str) -> Vec<(String, String)> {
    vec![("alice".to_owned(), password.to_owned()), ("bob".to_owned(), "second".to_owned())]
}

fn login<'a>(protocol: &'a str, mechanism: &'a str, user: &'a str, password: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("security.protocol", protocol),
        ("sasl.mechanisms", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ]
}

/// Whether a client gets an answer at all.
fn is_let_in(config: &ClientConfig) -> bool {
    let client: BaseConsumer = config.create().expect("a client");
    client.fetch_metadata(None, Duration::from_secs(20)).is_ok()
}

/// Whether it does not, which is known only by waiting.
fn is_kept_out(config: &ClientConfig) -> bool {
    let client: BaseConsumer = config.create().expect("a client");
    client.fetch_metadata(None, Duration::from_secs(2)).is_err()
}

#[test]
fn tls_lets_in_who_trusts_the_authority() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let kafka = Kafka::start(KafkaOptions::default().security(Security::default().tls(&authority)));
    let with = |pem| config(&kafka.bootstrap(), &[("security.protocol", "SSL"), ("ssl.ca.pem", pem)]);
    assert!(is_let_in(&with(authority.pem())));
    assert!(is_kept_out(&with(stranger.pem())));
    assert!(is_kept_out(&config(&kafka.bootstrap(), &[])));
}

#[test]
fn a_client_without_a_certificate_is_kept_out_and_one_with_it_is_known_by_its_name() {
    let authority = Authority::new();
    let security = Security::default().client_certificates(&authority).rights();
    let kafka = Kafka::start(KafkaOptions::default().security(security));
    make_topic(&config(&kafka.bootstrap_of_administrator(), &[]), "letters", 1);
    kafka.allow("CN=alice", Resource::Topic("letters"), Right::Write);
    let (certificate, key) = authority.client_pem("alice");
    let mut settings = vec![("security.protocol", "SSL"), ("ssl.ca.pem", authority.pem())];
    assert!(is_kept_out(&config(&kafka.bootstrap(), &settings)));
    settings.extend([("ssl.certificate.pem", certificate.as_str()), ("ssl.key.pem", key.as_str())]);
    write(&config(&kafka.bootstrap(), &settings), "letters", "by alice");
}

#[test]
fn plain_lets_in_who_knows_the_password() {
    let security = Security::default().login(Login::Plain(users("a \"first\" password, with \\")));
    let kafka = Kafka::start(KafkaOptions::default().security(security));
    let with = |password| config(&kafka.bootstrap(), &login("SASL_PLAINTEXT", "PLAIN", "alice", password));
    assert!(is_let_in(&with("a \"first\" password, with \\")));
    assert!(is_kept_out(&with("second")));
}

#[test]
fn scram_over_tls_lets_in_who_knows_the_password_and_gives_only_the_rights_that_were_given() {
    let authority = Authority::new();
    let security = Security::default().tls(&authority).login(Login::ScramSha512(users("first password"))).rights();
    let kafka = Kafka::start(KafkaOptions::default().security(security));
    let administrator = config(&kafka.bootstrap_of_administrator(), &[]);
    make_topic(&administrator, "letters", 1);
    make_topic(&administrator, "secrets", 1);
    kafka.allow("alice", Resource::Topic("lett*"), Right::Write);
    let with = |password| {
        let mut config = config(&kafka.bootstrap(), &login("SASL_SSL", "SCRAM-SHA-512", "alice", password));
        config.set("ssl.ca.pem", authority.pem());
        config
    };
    assert!(is_kept_out(&with("second")));
    let alice = with("first password");
    write(&alice, "letters", "by alice");
    assert_eq!(write_error(&alice, "secrets"), RDKafkaErrorCode::TopicAuthorizationFailed);
    kafka.allow("alice", Resource::Topic("secrets"), Right::Write);
    write(&alice, "secrets", "by alice");
}

/// What the broker says to a record for this topic.
fn write_error(config: &ClientConfig, topic: &str) -> RDKafkaErrorCode {
    let producer: BaseProducer = config.create().expect("a producer");
    wait_until("the topic is refused", || {
        producer.poll(Duration::from_millis(50));
        let sent = producer.send(BaseRecord::<(), str>::to(topic).payload("not this one"));
        let refused = sent.err().and_then(|(error, _)| error.rdkafka_error_code());
        let metadata = || producer.client().fetch_metadata(Some(topic), Duration::from_secs(10)).ok();
        refused.or_else(|| metadata()?.topics().first()?.error().map(Into::into))
    })
}

#[test]
fn a_token_that_says_who_it_is_for_is_taken_by_the_validator_for_tests() {
    let security = Security::default().login(Login::OAuthBearerUnsecured);
    let kafka = Kafka::start(KafkaOptions::default().security(security));
    let mut settings = vec![("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanisms", "OAUTHBEARER")];
    settings.push(("enable.sasl.oauthbearer.unsecure.jwt", "true"));
    let client = config(&kafka.bootstrap(), &settings);
    assert!(is_let_in(&{
        let mut client = client.clone();
        client.set("sasl.oauthbearer.config", "principal=alice");
        client
    }));
    assert!(is_kept_out(&{
        let mut client = client;
        client.set("sasl.oauthbearer.config", "principal=alice principalClaimName=who");
        client
    }));
}
