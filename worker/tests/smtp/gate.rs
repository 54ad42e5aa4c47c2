//! The gate: what is not finished when it closes is not sent.

use crate::support::{client, mail, mail_with, one_connection, settings};
use std::sync::Arc;
use testkit::{Action, Authority, Phase as At, Sink, SinkOptions, SinkTls};
use worker::{
    Gate,
    smtp::{Kind, Phase, Settings},
};

#[tokio::test]
async fn a_closed_gate_lets_no_mail_begin() {
    let sink = Sink::start(SinkOptions::default());
    let gate = Gate::open();
    gate.close_begin();
    let failure = one_connection(&sink).send(mail("a@example.org"), &gate).await.expect_err("closed");
    assert_eq!((failure.phase(), failure.kind(), failure.begun()), (Phase::Queue, Kind::Stopped, false));
    assert_eq!(sink.count_of("MAIL"), 0);
}

#[tokio::test]
async fn a_gate_that_closes_before_the_final_dot_cuts_the_connection_and_the_mail_is_not_sent() {
    for chunking in [false, true] {
        let gate = Gate::open();
        let closing = gate.clone();
        let mut options = SinkOptions::default().script(move |moment| {
            if moment.phase == At::Rcpt {
                closing.close_begin();
                closing.close_finish();
            }
            Action::Accept
        });
        if chunking {
            options = options.keyword("CHUNKING");
        }
        let sink = Sink::start(options);
        let client = one_connection(&sink);
        let failure = client.send(mail("a@example.org"), &gate).await.expect_err("closed");
        assert!(failure.begun() && !failure.outcome_is_unknown(), "{failure}");
        assert_eq!(failure.kind(), Kind::Stopped, "{failure}");
        // The connection has noticed too, when it is gone.
        client.close(crate::support::LONG).await;
        assert_eq!((sink.count(), sink.count_of(".")), (0, 0));
    }
}

#[tokio::test]
async fn a_large_mail_is_cut_in_the_middle_in_the_clear_and_through_tls() {
    let authority = Authority::new();
    for tls in [None, Some(authority.server(&["127.0.0.1"]))] {
        let gate = Gate::open();
        let closing = gate.clone();
        let script = move |moment: &testkit::Moment<'_>| {
            if moment.phase == At::Body {
                closing.close_finish();
            }
            Action::Accept
        };
        let encrypted = tls.is_some();
        let mut options = SinkOptions::default().script(script);
        options = options.tls(tls.map_or(SinkTls::None, SinkTls::Implicit));
        let sink = Sink::start(options);
        let mut settings = Settings { connections: 1, extra_roots: vec![authority.root()], ..settings(&sink) };
        if encrypted {
            settings.tls = campaign::spec::Tls::Tls;
        }
        let client = client(settings);
        let large = mail_with("a@example.org", b"0123456789abcdef\r\n".repeat(2_000_000));
        let failure = client.send(large, &gate).await.expect_err("closed");
        assert_eq!((failure.kind(), failure.outcome_is_unknown()), (Kind::Stopped, false), "{failure}");
        client.close(crate::support::LONG).await;
        assert_eq!((sink.count(), sink.count_of(".")), (0, 0));
    }
}

#[tokio::test]
async fn a_reply_is_awaited_until_the_gate_gives_it_up() {
    for gives_up in [false, true] {
        let sink = Sink::start(SinkOptions::default().script(|moment| match moment.phase {
            At::FinalDot => Action::RecordAndStall,
            _ => Action::Accept,
        }));
        let gate = Gate::open();
        let client = one_connection(&sink);
        let sent = tokio::spawn({
            let (client, gate) = (Arc::clone(&client), gate.clone());
            async move { client.send(mail("a@example.org"), &gate).await }
        });
        sink.wait_for(1).await;
        gate.close_finish();
        if gives_up {
            gate.close_reply();
            let failure = sent.await.expect("no panic").expect_err("given up");
            assert!(failure.outcome_is_unknown(), "{failure}");
        } else {
            sink.release();
            sent.await.expect("no panic").expect("delivered");
        }
    }
}

#[tokio::test]
async fn mails_that_wait_for_a_connection_are_given_back_when_the_gate_closes() {
    let sink = Sink::start(SinkOptions::default().script(|moment| match moment.phase {
        At::Greeting => Action::Stall,
        _ => Action::Accept,
    }));
    let gate = Gate::open();
    let client = one_connection(&sink);
    let sends: Vec<_> = crate::support::recipients(5)
        .into_iter()
        .map(|to| {
            let (client, gate) = (Arc::clone(&client), gate.clone());
            tokio::spawn(async move { client.send(mail(&to), &gate).await })
        })
        .collect();
    while sink.connections() == 0 {
        tokio::task::yield_now().await;
    }
    gate.close_finish();
    for send in sends {
        let failure = send.await.expect("no panic").expect_err("closed");
        assert_eq!((failure.phase(), failure.begun()), (Phase::Queue, false));
    }
    sink.release();
    client.close(crate::support::LONG).await;
    assert_eq!(sink.count_of("MAIL"), 0);
}
