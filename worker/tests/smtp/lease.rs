//! The lease: a mail that was held up beyond it is not sent, whatever the server does and whatever travels with it.

use crate::support::{LONG, client, mail, one_connection, settings};
use campaign::HumanDuration;
use journal::{Lease, boottime};
use std::{sync::Arc, time::Duration};
use testkit::{Action, Authority, Moment, Phase as At, Sink, SinkOptions, SinkTls};
use worker::{
    Gate,
    smtp::{Failure, Kind, Settings},
};

/// Long enough to begin a mail on a busy machine.
const SOON: Duration = Duration::from_secs(1);

/// Holds a conversation up until the lease has run out.
fn outlast(lease: &Lease) {
    while lease.may_finish() {
        std::thread::yield_now();
    }
}

fn was_not_sent(failure: &Failure) {
    assert_eq!((failure.kind(), failure.outcome_is_unknown()), (Kind::Stopped, false), "{failure}");
    assert!(failure.begun(), "{failure}");
}

#[tokio::test]
async fn a_mail_that_a_server_holds_up_beyond_its_lease_is_not_sent_in_any_dialect() {
    let authority = Authority::new();
    for (keywords, last, tls) in [
        (&["PIPELINING"][..], At::Data, false),
        (&["PIPELINING"], At::Data, true),
        (&[], At::Data, false),
        (&[], At::Rcpt, false),
        (&["PIPELINING", "CHUNKING"], At::Rcpt, false),
        (&["CHUNKING"], At::Rcpt, true),
    ] {
        let lease = Lease::until(boottime() + SOON);
        let held = lease.clone();
        let script = move |moment: &Moment<'_>| {
            if moment.phase == last {
                outlast(&held);
            }
            Action::Accept
        };
        let implicit = if tls { SinkTls::Implicit(authority.server(&["127.0.0.1"])) } else { SinkTls::None };
        let sink = Sink::start(SinkOptions::default().keywords(keywords).tls(implicit).script(script));
        let mut settings = Settings { connections: 1, extra_roots: vec![authority.root()], ..settings(&sink) };
        if tls {
            settings.tls = campaign::spec::Tls::Tls;
        }
        let client = client(settings);
        let failure = client.send(mail("a@example.org"), &Gate::open().with(&lease)).await.expect_err("too late");
        was_not_sent(&failure);
        client.close(LONG).await;
        assert_eq!((sink.count(), sink.count_of(".")), (0, 0), "{keywords:?} {last:?} {tls}");
    }
}

#[tokio::test]
async fn who_waits_for_a_server_gives_up_when_told_to_look_at_the_lease() {
    let script = |moment: &Moment<'_>| if moment.phase == At::Rcpt { Action::Stall } else { Action::Accept };
    let sink = Sink::start(SinkOptions::default().script(script));
    let (gate, lease) = (Gate::open(), Lease::until(boottime() + SOON));
    let client = one_connection(&sink);
    let sent = tokio::spawn({
        let (client, gate) = (Arc::clone(&client), gate.with(&lease));
        async move { client.send(mail("a@example.org"), &gate).await }
    });
    while sink.count_of("RCPT") == 0 || lease.may_finish() {
        tokio::task::yield_now().await;
    }
    gate.look_again();
    let sent = tokio::time::timeout(LONG, sent).await.expect("it gives up");
    was_not_sent(&sent.expect("no panic").expect_err("too late"));
    sink.release();
    client.close(LONG).await;
    assert_eq!((sink.count(), sink.count_of(".")), (0, 0));
}

/// Sends to `first`, `second` and `third` over one connection, each under its own lease; the opening of each travels with the content of the one before.
async fn three_in_a_row(sink: &Sink, leases: [&Lease; 3]) -> Vec<Result<campaign::Reply, Failure>> {
    let mut settings = Settings { connections: 1, ..settings(sink) };
    // So that nothing goes to another connection for want of patience.
    settings.timeouts.final_dot = HumanDuration(LONG * 20);
    let client = client(settings);
    let sends: Vec<_> = ["first", "second", "third"]
        .into_iter()
        .zip(leases)
        .map(|(name, lease)| {
            let (client, gate) = (Arc::clone(&client), Gate::open().with(lease));
            tokio::spawn(async move { client.send(mail(&format!("{name}@example.org")), &gate).await })
        })
        .collect();
    let mut results = Vec::new();
    for send in sends {
        results.push(send.await.expect("no panic"));
    }
    client.close(LONG).await;
    results
}

#[tokio::test]
async fn each_mail_of_a_pipeline_obeys_its_own_lease() {
    for late in ["first", "second", "third"] {
        let (good, short) = (Lease::until(boottime() + LONG), Lease::until(boottime() + SOON));
        let held = short.clone();
        let sink = Sink::start(SinkOptions::default().script(move |moment| {
            if moment.phase == At::Data && moment.recipient.starts_with(late) {
                outlast(&held);
            }
            Action::Accept
        }));
        let leases = ["first", "second", "third"].map(|name| if name == late { &short } else { &good });
        for (name, result) in ["first", "second", "third"].into_iter().zip(three_in_a_row(&sink, leases).await) {
            match result {
                Ok(_) => assert_ne!(name, late),
                Err(failure) => {
                    assert_eq!(name, late, "{failure}");
                    was_not_sent(&failure);
                }
            }
        }
        let got = sink.per_recipient();
        assert!(got.len() == 2 && got.values().all(|count| *count == 1), "{late}: {got:?}");
        assert!(!got.contains_key(&format!("{late}@example.org")), "{got:?}");
        sink.assert_no_violations();
    }
}

#[tokio::test]
async fn a_lease_that_is_given_away_closes_step_by_step_like_the_gate() {
    for (stall, gives_up) in [(Action::Stall, false), (Action::RecordAndStall, true)] {
        let phase = if gives_up { At::FinalDot } else { At::Rcpt };
        let script = move |moment: &Moment<'_>| if moment.phase == phase { stall.clone() } else { Action::Accept };
        let sink = Sink::start(SinkOptions::default().script(script));
        let (client, lease) = (one_connection(&sink), Lease::forever());
        let sent = tokio::spawn({
            let (client, gate) = (Arc::clone(&client), Gate::open().with(&lease));
            async move { client.send(mail("a@example.org"), &gate).await }
        });
        while sink.count_of(if gives_up { "." } else { "RCPT" }) == 0 {
            tokio::task::yield_now().await;
        }
        lease.close_finish();
        if gives_up {
            lease.close_reply();
        }
        let failure = sent.await.expect("no panic").expect_err("given away");
        assert_eq!(failure.outcome_is_unknown(), gives_up, "{failure}");
    }
}
