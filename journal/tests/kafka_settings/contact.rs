//! The first contact, with brokers that are good or bad in one way.

use journal::Error;
use journal::kafka::{Given, Secret, Settings};
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::kafka::{Login, Security};
use testkit::{Authority, Kafka, KafkaOptions};

/// Files for settings.
pub(crate) struct Files(pub(crate) TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the fields that it is for are optional")]
    pub(crate) fn put(&self, name: &str, contents: &str) -> Option<PathBuf> {
        let path = self.0.path().join(name);
        std::fs::write(&path, contents).expect("written");
        Some(path)
    }
}

pub(crate) fn settings(given: Given) -> Settings {
    Settings::check(&given).expect("settings without mistakes").expect("a broker")
}

pub(crate) fn at(bootstrap: impl ToString) -> Given {
    Given { bootstrap: Some(bootstrap.to_string()), ..Given::default() }
}

pub(crate) fn fails(given: Given) -> Error {
    let begun = Instant::now();
    let error = settings(given).try_reach().expect_err("an error");
    assert!(begun.elapsed() < Duration::from_secs(5), "{error} took {:?}", begun.elapsed());
    error
}

#[track_caller]
pub(crate) fn assert_says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// A server that treats each connection alike; how long it lives is the process' life.
fn server(treat: fn(std::net::TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || treat(stream));
        }
    });
    address
}

/// Shows a certificate to whoever comes.
fn tls_server(config: std::sync::Arc<rustls::ServerConfig>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(config.clone()).expect("a connection");
            std::thread::spawn(move || {
                while connection.complete_io(&mut stream).is_ok_and(|(read, written)| read + written > 0) {}
            });
        }
    });
    address
}

#[test]
fn a_port_where_nobody_listens_is_told_as_refused() {
    let port = free_port();
    let error = fails(at(format!("127.0.0.1:{port}")));
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error:?}");
    assert_says(&error, &[&format!("127.0.0.1:{port} refused the connection"), "is the port right?"]);
}

#[test]
fn a_name_that_nobody_knows_is_told_as_such() {
    let error = fails(at("no-such-broker.invalid:9092"));
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_says(&error, &["the name of no-such-broker.invalid:9092 is not known", "DNS"]);
}

#[test]
fn a_server_that_never_answers_is_told_within_seconds() {
    let silent = server(|stream| {
        let _kept = stream;
        std::thread::park();
    });
    let begun = Instant::now();
    let error = settings(at(silent)).try_reach().expect_err("an error");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_says(&error, &["no answer within 10 s", "is it Kafka?"]);
}

#[test]
fn a_server_of_something_else_is_no_broker() {
    let closing = server(|mut stream| drop(stream.read(&mut [0; 64])));
    let error = fails(at(closing));
    assert_says(&error, &["closed the connection at the first request", "wants TLS"]);
}

#[test]
fn a_broker_that_is_about_to_stop_is_worth_another_try() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    // It closes a connection at the first request, as a listener with TLS would, and then it is gone.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        drop(listener);
        drop(stream.read(&mut [0; 64]));
    });
    let error = fails(at(address));
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error:?}");
    assert_says(&error, &["refused the connection"]);
}

#[test]
fn tls_to_a_server_without_it_is_told_as_such() {
    let closing = server(|mut stream| drop(stream.read(&mut [0; 64])));
    let error = fails(Given { tls: true, ..at(closing) });
    assert!(matches!(error, Error::Unsuitable { .. }) && !error.is_transient(), "{error:?}");
    assert_says(&error, &["speaks no TLS on that port", "no --kafka-tls"]);
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_apart() {
    let (files, authority, stranger) = (Files::new(), Authority::new(), Authority::new());
    let trusting = |trusted: &Authority, address: String| {
        let name = if std::ptr::eq(trusted, &raw const authority) { "ours" } else { "strange" };
        Given { ca: files.put(name, trusted.pem()), ..at(address) }
    };
    for (given, says) in [
        (trusting(&stranger, tls_server(authority.server(&["127.0.0.1"]))), "authority that is not trusted: give"),
        (trusting(&authority, tls_server(authority.expired_server(&["127.0.0.1"]))), "has expired"),
        (
            trusting(&authority, tls_server(authority.server(&["kafka.example.com"]))),
            "is not for the name 127.0.0.1, but for kafka.example.com: reach",
        ),
        (Given { tls: true, ..at(tls_server(authority.server(&["127.0.0.1"]))) }, "not trusted: give that authority's"),
    ] {
        let error = fails(given);
        assert!(matches!(error, Error::Unsuitable { .. }) && !error.is_transient(), "{error:?}");
        assert_says(&error, &["TLS: the certificate of 127.0.0.1:", says]);
    }
}

#[test]
fn a_plain_broker_is_reached_plainly_and_only_so() {
    let kafka = Kafka::shared();
    settings(at(kafka.bootstrap())).try_reach().expect("reached");
    // One of two that is down is no matter.
    settings(at(format!("127.0.0.1:{},{}", free_port(), kafka.bootstrap()))).try_reach().expect("reached");
    assert_says(&fails(Given { tls: true, ..at(kafka.bootstrap()) }), &["speaks no TLS on that port"]);
    let files = Files::new();
    let user = Given { user: Some("alice".to_owned()), password_file: files.put("p", "x\n"), ..at(kafka.bootstrap()) };
    let error = fails(user);
    assert!(matches!(error, Error::Unsuitable { .. }), "{error:?}");
    assert_says(&error, &["does not offer that SASL mechanism"]);
}

#[test]
fn a_broker_with_tls_and_passwords_is_reached_with_both() {
    let (files, authority) = (Files::new(), Authority::new());
    let users = Login::ScramSha512(vec![("alice".to_owned(), "first password".to_owned())]);
    let kafka = Kafka::start(KafkaOptions::default().security(Security::default().tls(&authority).login(users)));
    let ca = files.put("ca.pem", authority.pem());
    let alice = |password: &str| Given {
        ca: ca.clone(),
        user: Some("alice".to_owned()),
        password: Some(Secret::from(password.to_owned())),
        ..at(kafka.bootstrap())
    };
    settings(alice("first password")).try_reach().expect("reached");

    let error = fails(alice("hush"));
    assert!(matches!(error, Error::Denied { .. }) && !error.is_transient(), "{error:?}");
    assert_says(&error, &["refused the login: check --kafka-user, its password"]);
    assert!(!format!("{error} {error:?}").contains("hush"));

    let other = Given { sasl_mechanism: Some("plain".to_owned()), ..alice("first password") };
    assert_says(&fails(other), &["does not offer that SASL mechanism; it offers SCRAM-SHA-512:"]);
    assert_says(&fails(at(kafka.bootstrap())), &["it wants TLS"]);
    assert_says(&fails(Given { ca: ca.clone(), ..at(kafka.bootstrap()) }), &["it wants a login"]);
}

#[test]
fn a_broker_that_wants_certificates_is_reached_with_one() {
    let (files, authority, stranger) = (Files::new(), Authority::new(), Authority::new());
    let kafka = Kafka::start(KafkaOptions::default().security(Security::default().client_certificates(&authority)));
    let ca = files.put("ca.pem", authority.pem());
    let with = |by: &Authority, name: &str| {
        let (cert, key) = by.client_pem("alice");
        Given {
            ca: ca.clone(),
            cert: files.put(&format!("{name}.pem"), &cert),
            key: files.put(&format!("{name}.key"), &key),
            ..at(kafka.bootstrap())
        }
    };
    settings(with(&authority, "good")).try_reach().expect("reached");
    for given in [Given { ca: ca.clone(), ..at(kafka.bootstrap()) }, with(&stranger, "strange")] {
        let error = fails(given);
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        assert_says(&error, &["did not accept this client", "--kafka-cert and --kafka-key"]);
    }
}
