//! What servers offer: SIZE, 8BITMIME, SMTPUTF8, CHUNKING, or nothing at all; and content that arrives as it was.

use crate::support::{client, mail_with, one_connection, recipients, send, send_all, settings};
use proptest::prelude::*;
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
};
use testkit::{Action, Phase as At, Sink, SinkOptions};
use worker::{
    Gate,
    smtp::{Class, Kind, Phase, Settings},
};

#[tokio::test]
async fn a_mail_larger_than_the_server_takes_is_not_sent() {
    let sink = Sink::start(SinkOptions::default().keywords(&["PIPELINING", "SIZE 1000"]));
    let client = one_connection(&sink);
    let failure =
        client.send(mail_with("a@example.org", vec![b'x'; 1001]), &Gate::open()).await.expect_err("too large");
    assert_eq!((failure.kind(), failure.reply().enhanced.as_deref()), (Kind::Unsupported, Some("5.3.4")));
    assert!(!failure.begun() && !failure.is_transient() && !failure.is_about_the_server());
    client.send(mail_with("a@example.org", b"x\r\n".repeat(333)), &Gate::open()).await.expect("delivered");
    assert_eq!(sink.received()[0].parameters, ["SIZE=999"]);
    assert_eq!(sink.count_of("MAIL"), 1);
}

#[tokio::test]
async fn an_international_address_needs_smtputf8() {
    let sink = Sink::start(SinkOptions::default());
    send(&one_connection(&sink), "jos\u{e9}@b\u{fc}cher.example.org").await.expect("delivered");
    let mail = &sink.received()[0];
    assert_eq!(mail.to, "jos\u{e9}@xn--bcher-kva.example.org");
    assert!(mail.parameters.contains(&"SMTPUTF8".to_owned()));

    let sink = Sink::start(SinkOptions::default().keywords(&["PIPELINING"]));
    let client = one_connection(&sink);
    let failure = send(&client, "jos\u{e9}@example.org").await.expect_err("not offered");
    assert_eq!((failure.class(), failure.reply().enhanced.as_deref()), (Class::Rejected, Some("5.6.7")));
    assert!(!failure.begun() && !failure.is_about_the_server());
    send(&client, "plain@b\u{fc}cher.example.org").await.expect("its domain is ASCII on the wire");
    assert_eq!(sink.count_of("MAIL"), 1);
    sink.assert_no_violations();
}

#[tokio::test]
async fn content_of_eight_bits_is_declared_where_that_is_offered() {
    for (keywords, expected) in [(&["8BITMIME"][..], vec!["BODY=8BITMIME"]), (&[], vec![])] {
        let sink = Sink::start(SinkOptions::default().keywords(keywords));
        let client = one_connection(&sink);
        client.send(mail_with("a@example.org", "Gr\u{fc}\u{df}e\r\n"), &Gate::open()).await.expect("delivered");
        client.send(mail_with("a@example.org", "Hello\r\n"), &Gate::open()).await.expect("delivered");
        let received = sink.received();
        assert_eq!(received[0].parameters, expected);
        assert!(received[1].parameters.is_empty());
        sink.assert_no_violations();
    }
}

#[tokio::test]
async fn chunking_sends_the_content_in_one_piece_once_the_recipient_is_accepted() {
    for keywords in [&["CHUNKING", "PIPELINING"][..], &["CHUNKING"]] {
        let sink = Sink::start(SinkOptions::default().keywords(keywords).script(|moment| match moment.phase {
            At::Rcpt if moment.recipient.starts_with("r1@") => Action::reply(550, "5.1.1 no"),
            _ => Action::Accept,
        }));
        let results = send_all(&one_connection(&sink), &recipients(20)).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 19);
        assert_eq!((sink.count_of("BDAT"), sink.count_of("DATA"), sink.count_of("RSET")), (19, 0, 1));
        for received in sink.received() {
            assert_eq!(received.data, crate::support::mail(&received.to).data);
        }
        sink.assert_no_violations();
    }
}

#[tokio::test]
async fn a_server_from_before_1995_is_spoken_to_with_helo() {
    let sink = Sink::start(SinkOptions::default().without_ehlo());
    for result in send_all(&one_connection(&sink), &recipients(5)).await {
        result.expect("delivered");
    }
    assert_eq!((sink.count_of("HELO"), sink.connections()), (1, 1));
    assert_eq!(sink.received()[0].helo, "client.example.com");
    sink.assert_no_violations();
}

#[test]
fn any_content_arrives_as_it_was() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for keywords in [&["PIPELINING", "8BITMIME"][..], &["PIPELINING", "8BITMIME", "CHUNKING"]] {
        let sink = Sink::start(SinkOptions::default().keywords(keywords));
        let client = one_connection(&sink);
        proptest!(ProptestConfig::with_cases(200), |(lines in proptest::collection::vec("\\.{0,3}[ -~äあ]{0,40}\\.{0,2}", 0..120))| {
            let content = lines.iter().fold(String::new(), |all, line| all + line + "\r\n") + "end\r\n";
            runtime.block_on(client.send(mail_with("a@example.org", content.clone()), &Gate::open())).expect("delivered");
            let received = sink.received().pop().expect("a mail");
            prop_assert_eq!(&received.data, content.as_bytes());
        });
        sink.assert_no_violations();
    }
}

#[tokio::test]
async fn bare_line_ends_never_reach_the_server() {
    let sink = Sink::start(SinkOptions::default());
    let client = one_connection(&sink);
    client
        .send(mail_with("a@example.org", "a\n.\nMAIL FROM:<x@example.com>\rb"), &Gate::open())
        .await
        .expect("delivered");
    assert_eq!(sink.received()[0].data.as_ref(), b"a\r\n.\r\nMAIL FROM:<x@example.com>\r\nb\r\n");
    assert_eq!(sink.count_of("MAIL"), 1);
    sink.assert_no_violations();
}

/// Postfix's own test server.
struct PostfixSink(Child, u16);

impl PostfixSink {
    fn start(options: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut command = Command::new("smtp-sink");
        // As root it wants to be somebody else; others can't switch.
        if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            command.args(["-u", "postfix"]);
        }
        let child = command.args(options).args([&format!("127.0.0.1:{port}"), "1000"]).stdout(Stdio::null()).spawn();
        let sink = Self(child.expect("smtp-sink runs: install postfix"), port);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        sink
    }

    fn settings(&self) -> Settings {
        let sink = Sink::start(SinkOptions::default());
        Settings { port: self.1, ..settings(&sink) }
    }
}

impl Drop for PostfixSink {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn postfix_smtp_sink_is_understood_in_all_its_moods() {
    for (options, expected) in [
        (&[][..], None),
        (&["-p"], None),
        (&["-e"], None),
        (&["-8"], None),
        (&["-f", "CONNECT"], Some((Phase::Greeting, Kind::Refused, 500))),
        (&["-r", "MAIL"], Some((Phase::Mail, Kind::Refused, 450))),
        (&["-f", "RCPT"], Some((Phase::Rcpt, Kind::Refused, 500))),
        (&["-r", "DATA"], Some((Phase::Data, Kind::Refused, 450))),
        (&["-f", "."], Some((Phase::FinalDot, Kind::Refused, 500))),
        (&["-q", "RCPT"], Some((Phase::Rcpt, Kind::Lost, 0))),
        (&["-q", "."], Some((Phase::FinalDot, Kind::Lost, 0))),
        (&["-Q", "."], Some((Phase::FinalDot, Kind::Refused, 421))),
        (&["-W", "DATA:1"], None),
    ] {
        let sink = PostfixSink::start(options);
        let client = client(sink.settings());
        let slow = options.contains(&"-W");
        let count = if expected.is_none() && !slow { 40 } else { 1 };
        for result in send_all(&Arc::clone(&client), &recipients(count)).await {
            let found = result.err().map(|failure| (failure.phase(), failure.kind(), failure.reply().code));
            assert_eq!(found, expected, "smtp-sink {options:?}");
        }
    }
}
