//! What the tests of the SMTP client share.

use bytes::Bytes;
use campaign::{
    EmailAddress, HumanDuration, Reply,
    spec::{SmtpTimeouts, Tls},
};
use std::{sync::Arc, time::Duration};
use testkit::Sink;
use worker::{
    Gate,
    smtp::{Client, Failure, Mail, Settings},
};

/// Far beyond what loopback needs.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// A limit that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(60);

pub(crate) fn settings(sink: &Sink) -> Settings {
    let long = HumanDuration(LONG);
    Settings {
        host: "127.0.0.1".to_owned(),
        port: sink.port(),
        tls: Tls::None,
        credentials: None,
        helo: "client.example.com".to_owned(),
        connections: 4,
        messages_per_connection: 1000,
        timeouts: SmtpTimeouts { connect: long, command: long, data: long, block: long, final_dot: long },
        extra_roots: Vec::new(),
    }
}

pub(crate) fn client(settings: Settings) -> Arc<Client> {
    Arc::new(Client::new(settings).expect("a client"))
}

/// A client with one connection, so that the order of things is known.
pub(crate) fn one_connection(sink: &Sink) -> Arc<Client> {
    client(Settings { connections: 1, ..settings(sink) })
}

pub(crate) fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("an address")
}

pub(crate) fn mail_with(to: &str, content: impl Into<Vec<u8>>) -> Mail {
    Mail { from: address("people@example.com"), to: address(to), data: Bytes::from(content.into()) }
}

pub(crate) fn mail(to: &str) -> Mail {
    let content = format!("Message-ID: <{to}.1@example.com>\r\nSubject: Hello\r\n\r\nDear {to},\r\n.signed\r\n");
    mail_with(to, content)
}

pub(crate) async fn send(client: &Client, to: &str) -> Result<Reply, Failure> {
    client.send(mail(to), &Gate::open()).await
}

/// Sends one mail to each, all at a time; the results in the same order.
pub(crate) async fn send_all(client: &Arc<Client>, recipients: &[String]) -> Vec<Result<Reply, Failure>> {
    let tasks: Vec<_> = recipients
        .iter()
        .map(|to| {
            let (client, mail) = (Arc::clone(client), mail(to));
            tokio::spawn(async move { client.send(mail, &Gate::open()).await })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("no panic"));
    }
    results
}

pub(crate) fn recipients(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("r{number}@example.org")).collect()
}

/// The code that the sink gives to this recipient, by its name: `c450.…`.
pub(crate) fn wanted_code(recipient: &str) -> Option<u16> {
    recipient.strip_prefix('c')?.get(..3)?.parse().ok()
}
