//! TLS and logging in.

use crate::support::{client, recipients, send, send_all, settings};
use campaign::{HumanDuration, spec::Tls};
use std::{
    io::{Read, Write},
    net::TcpListener,
};
use testkit::{Action, Authority, Phase as At, Sink, SinkOptions, SinkTls};
use worker::smtp::{Class, Credentials, Failure, Kind, Phase, Settings, certificates_from_pem};

fn trusting(sink: &Sink, authority: &Authority, tls: Tls) -> Settings {
    let extra_roots = certificates_from_pem(authority.pem().as_bytes()).expect("a certificate");
    Settings { tls, extra_roots, ..settings(sink) }
}

#[tokio::test]
async fn mails_go_through_starttls_and_tls_and_the_connection_is_kept() {
    let authority = Authority::new();
    let server = authority.server(&["127.0.0.1"]);
    for (tls, offered) in [(Tls::StartTls, SinkTls::StartTls(server.clone())), (Tls::Tls, SinkTls::Implicit(server))] {
        let sink = Sink::start(SinkOptions::default().tls(offered));
        let client = client(Settings { connections: 1, ..trusting(&sink, &authority, tls) });
        for result in send_all(&client, &recipients(50)).await {
            result.expect("delivered");
        }
        let large = b"0123456789abcdef.\r\n".repeat(50_000);
        client
            .send(crate::support::mail_with("large@example.org", large.clone()), &worker::Gate::open())
            .await
            .expect("delivered");
        let received = sink.received();
        assert!(received.len() == 51 && received.iter().all(|mail| mail.encrypted));
        assert_eq!(received[50].data, large);
        assert_eq!(sink.connections(), 1);
        client.close(crate::support::LONG).await;
        assert_eq!(sink.count_of("QUIT"), 1);
        sink.assert_no_violations();
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_good_is_refused_with_what_to_change() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (server, hint) in [
        (authority.expired_server(&["127.0.0.1"]), "has expired"),
        (authority.server(&["other.example.com"]), "smtp.host"),
        (stranger.server(&["127.0.0.1"]), "smtp.ca"),
    ] {
        for (tls, offered) in
            [(Tls::StartTls, SinkTls::StartTls(server.clone())), (Tls::Tls, SinkTls::Implicit(server.clone()))]
        {
            let sink = Sink::start(SinkOptions::default().tls(offered));
            let failure =
                send(&client(trusting(&sink, &authority, tls)), "a@example.org").await.expect_err("not trusted");
            assert_eq!(failure.kind(), Kind::Tls, "{failure}");
            assert!(failure.to_string().contains(hint), "{failure}");
            assert!(!failure.begun() && failure.is_about_the_server());
            assert_eq!(sink.count_of("MAIL"), 0);
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_never_gets_a_mail_that_wants_it() {
    let authority = Authority::new();
    let sink = Sink::start(SinkOptions::default());
    let failure =
        send(&client(trusting(&sink, &authority, Tls::StartTls)), "a@example.org").await.expect_err("no STARTTLS");
    assert_eq!(
        (failure.phase(), failure.kind(), failure.class()),
        (Phase::StartTls, Kind::Unsupported, Class::Refused)
    );
    assert!(failure.to_string().contains("set smtp.tls"), "{failure}");

    let failure = send(&client(trusting(&sink, &authority, Tls::Tls)), "a@example.org").await.expect_err("no TLS");
    assert_eq!(failure.kind(), Kind::Tls, "{failure}");
    assert!(failure.to_string().contains("check smtp.port and smtp.tls"), "{failure}");
    assert_eq!((sink.count(), sink.count_of("MAIL")), (0, 0));
}

#[tokio::test]
async fn a_refused_starttls_is_reported() {
    let authority = Authority::new();
    let options = SinkOptions::default().tls(SinkTls::StartTls(authority.server(&["127.0.0.1"])));
    let sink = Sink::start(options.script(|moment| match moment.phase {
        At::StartTls => Action::reply(454, "4.7.0 not now"),
        _ => Action::Accept,
    }));
    let failure =
        send(&client(trusting(&sink, &authority, Tls::StartTls)), "a@example.org").await.expect_err("refused");
    assert_eq!((failure.phase(), failure.reply().code, failure.is_transient()), (Phase::StartTls, 454, true));
}

#[test]
fn what_follows_the_reply_to_starttls_before_tls_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut buffer = [0; 1000];
        stream.write_all(b"220 hello\r\n").expect("written");
        let _ = stream.read(&mut buffer).expect("EHLO");
        stream.write_all(b"250-hello\r\n250 STARTTLS\r\n").expect("written");
        let _ = stream.read(&mut buffer).expect("STARTTLS");
        stream.write_all(b"220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n").expect("written");
        stream.read(&mut buffer).unwrap_or(0)
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sink = Sink::start(SinkOptions::default());
    let settings = Settings { port, tls: Tls::StartTls, ..settings(&sink) };
    let failure: Failure = runtime.block_on(send(&client(settings), "a@example.org")).expect_err("an attack");
    assert_eq!((failure.phase(), failure.kind()), (Phase::StartTls, Kind::Protocol), "{failure}");
    assert_eq!(server.join().expect("no panic"), 0, "the client says nothing more");
}

#[tokio::test]
async fn a_server_that_waits_for_tls_gives_a_hint() {
    let authority = Authority::new();
    let sink = Sink::start(SinkOptions::default().tls(SinkTls::Implicit(authority.server(&["127.0.0.1"]))));
    let mut settings = trusting(&sink, &authority, Tls::StartTls);
    settings.timeouts.command = HumanDuration(crate::support::SHORT);
    let failure = send(&client(settings), "a@example.org").await.expect_err("no greeting");
    assert_eq!((failure.phase(), failure.kind()), (Phase::Greeting, Kind::TimedOut));
    assert!(failure.to_string().contains("set smtp.tls to Tls"), "{failure}");
}

#[tokio::test]
async fn the_client_logs_in_by_what_the_server_offers() {
    let long = "x".repeat(600);
    for (offered, password) in [
        ("AUTH PLAIN LOGIN", "pass word"),
        ("AUTH LOGIN", "p\u{e4}ss"),
        ("AUTH=PLAIN", "s"),
        ("AUTH PLAIN", long.as_str()),
    ] {
        let sink = Sink::start(SinkOptions::default().keyword(offered).user("relay", password));
        let credentials = Some(Credentials::password("relay", password));
        send(&client(Settings { credentials, ..settings(&sink) }), "a@example.org").await.expect("delivered");
        assert_eq!(sink.received()[0].user.as_deref(), Some("relay"));
        sink.assert_no_violations();
    }
    let sink = Sink::start(SinkOptions::default().keyword("AUTH XOAUTH2").user("relay", "token"));
    let credentials = Some(Credentials::token("relay", "token"));
    send(&client(Settings { credentials, ..settings(&sink) }), "a@example.org").await.expect("delivered");
}

#[tokio::test]
async fn credentials_that_are_refused_fail_every_mail_as_the_senders_fault() {
    let sink = Sink::start(SinkOptions::default().user("relay", "right"));
    let client = client(Settings { credentials: Some(Credentials::password("relay", "wrong")), ..settings(&sink) });
    for result in send_all(&client, &recipients(10)).await {
        let failure = result.expect_err("refused");
        assert_eq!((failure.phase(), failure.reply().code), (Phase::Auth, 535));
        assert_eq!((failure.class(), failure.begun()), (Class::Refused, false));
    }
    assert_eq!(sink.count_of("MAIL"), 0);
}

#[tokio::test]
async fn a_server_without_a_fitting_mechanism_is_told_apart_from_wrong_credentials() {
    for (keyword, hint) in [("HELP", "offers no AUTH"), ("AUTH GSSAPI", "by GSSAPI only")] {
        let sink = Sink::start(SinkOptions::default().keyword(keyword));
        let credentials = Some(Credentials::password("relay", "secret"));
        let failure =
            send(&client(Settings { credentials, ..settings(&sink) }), "a@example.org").await.expect_err("no AUTH");
        assert_eq!(
            (failure.phase(), failure.kind(), failure.class()),
            (Phase::Auth, Kind::Unsupported, Class::Refused)
        );
        assert!(failure.to_string().contains(hint), "{failure}");
    }
}

#[test]
fn a_password_is_in_no_debug_text_and_one_that_would_travel_in_the_clear_is_noticed() {
    let sink = Sink::start(SinkOptions::default());
    let mut settings = Settings { credentials: Some(Credentials::password("relay", "hunter2")), ..settings(&sink) };
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(!settings.sends_password_in_clear());
    settings.host = "relay.example.com".to_owned();
    assert!(settings.sends_password_in_clear());
    settings.tls = Tls::Tls;
    assert!(!settings.sends_password_in_clear());
}

#[test]
fn what_is_no_certificate_is_refused() {
    assert!(certificates_from_pem(b"no certificate").is_err());
    assert!(certificates_from_pem(b"").is_err());
}
