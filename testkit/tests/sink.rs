//! The sink, as a client sees it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};
use testkit::{Action, Keep, Phase, Sink, SinkOptions};

/// Sends the text as it is and reads until the server closes.
fn talk(sink: &Sink, parts: &[&str]) -> String {
    let mut stream = TcpStream::connect(sink.addr()).expect("a connection");
    let mut buffer = [0; 4096];
    let mut heard = String::new();
    let mut listen = |stream: &mut TcpStream| {
        let count = stream.read(&mut buffer).unwrap_or(0);
        heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
        count
    };
    listen(&mut stream);
    for part in parts {
        stream.write_all(part.as_bytes()).expect("written");
        listen(&mut stream);
    }
    while listen(&mut stream) > 0 {}
    heard
}

#[test]
fn a_mail_is_recorded_as_it_was_before_stuffing() {
    let sink = Sink::start(SinkOptions::default());
    let opening = "MAIL FROM:<a@example.com> BODY=8BITMIME\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";
    let content = "Message-ID: <1.2@example.com>\r\n\r\n..dot\r\n.\r\n";
    let heard = talk(&sink, &["EHLO me.example\r\n", opening, content, "QUIT\r\n"]);
    assert!(heard.contains("\r\n354 ") && heard.contains("\r\n221 "), "{heard}");
    let mails = sink.received();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].from.as_str(), mails[0].to.as_str()), ("a@example.com", "b@example.org"));
    assert_eq!((mails[0].message_id.as_str(), mails[0].helo.as_str()), ("1.2@example.com", "me.example"));
    assert_eq!(mails[0].data.as_ref(), b"Message-ID: <1.2@example.com>\r\n\r\n.dot\r\n");
    sink.assert_no_violations();
}

#[test]
fn what_a_client_does_wrong_is_listed() {
    let sink = Sink::start(SinkOptions::default().keywords(&[]));
    talk(&sink, &["EHLO me\n", "MAIL FROM:<a@example.com> SIZE=3\r\nRCPT TO:<b@example.org>\r\n", "QUIT\r\n"]);
    let violations = sink.violations();
    assert_eq!(violations.len(), 3, "{violations:#?}");
}

#[test]
fn the_script_decides_by_recipient_and_attempt() {
    let sink = Sink::start(SinkOptions::default().script(|moment| match moment {
        testkit::Moment { phase: Phase::Rcpt, recipient: "grey@example.org", attempt: 1, .. } => {
            Action::reply(450, "4.7.1 later")
        }
        testkit::Moment { phase: Phase::FinalDot, .. } => Action::RecordAndDrop,
        _ => Action::Accept,
    }));
    let opening =
        "EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<grey@example.org>\r\nRCPT TO:<grey@example.org>\r\nDATA\r\n";
    let heard = talk(&sink, &[opening, ".\r\n"]);
    assert!(heard.contains("450 4.7.1 later\r\n250 2.1.5"), "{heard}");
    assert!(heard.ends_with("354 end with a dot\r\n"), "{heard}");
    assert_eq!(sink.count(), 1);
}

#[test]
fn postfix_smtp_source_is_understood_and_breaks_no_rule() {
    let sink = Sink::start(SinkOptions::default().keep(Keep::Recipients));
    let address = sink.addr().to_string();
    let status = Command::new("smtp-source").args(["-d", "-s", "20", "-l", "4000", "-m", "2000", &address]).status();
    assert!(status.expect("smtp-source runs").success());
    sink.wait_for_blocking(2000);
    assert_eq!(sink.count(), 2000);
    assert!(sink.most_connections() > 1);
}
