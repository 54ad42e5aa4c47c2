//! Every phase of a conversation with every way in which it can fail.

use crate::support::{LONG, SHORT, client, one_connection, send, settings};
use campaign::{HumanDuration, spec::SmtpTimeouts};
use testkit::{Action, Phase as At, Sink, SinkOptions};
use worker::smtp::{Class, Failure, Kind, Phase, Settings};

/// The phases as the sink and as the client name them.
const PHASES: [(At, Phase); 7] = [
    (At::Greeting, Phase::Greeting),
    (At::Ehlo, Phase::Ehlo),
    (At::Mail, Phase::Mail),
    (At::Rcpt, Phase::Rcpt),
    (At::Data, Phase::Data),
    (At::Body, Phase::Content),
    (At::FinalDot, Phase::FinalDot),
];

/// What the first mail on a fresh connection comes to when the sink does `action` at `at`.
async fn fail_at(at: At, action: Action, pipelining: bool, timeouts: SmtpTimeouts) -> (Failure, Sink) {
    let mut options = SinkOptions::default();
    if !pipelining {
        options = options.keywords(&["SIZE 1000000"]);
    }
    let sink =
        Sink::start(options.script(move |moment| if moment.phase == at { action.clone() } else { Action::Accept }));
    let client = client(Settings { timeouts, connections: 1, ..settings(&sink) });
    let failure = send(&client, "a@example.org").await.expect_err("it fails");
    (failure, sink)
}

fn long() -> SmtpTimeouts {
    let long = HumanDuration(LONG);
    SmtpTimeouts { connect: long, command: long, data: long, block: long, final_dot: long }
}

#[tokio::test]
async fn a_refusal_is_reported_with_its_phase_and_class() {
    for pipelining in [true, false] {
        for (at, phase) in PHASES {
            // A server that refuses EHLO is spoken to with HELO; the sink refuses that too.
            for (code, text) in [(450, "4.3.0 later"), (421, "4.3.2 closing"), (554, "5.3.0 no"), (550, "5.7.1 policy")]
            {
                let (failure, sink) = fail_at(at, Action::reply(code, text), pipelining, long()).await;
                let what = format!("{code} at {phase:?}, pipelining {pipelining}: {failure}");
                // An early answer to the content may be heard before the final dot is written, or after.
                let late = phase == Phase::Content && failure.phase() == Phase::FinalDot;
                assert!(failure.phase() == phase || late, "{what}");
                assert_eq!((failure.kind(), failure.reply().code), (Kind::Refused, code), "{what}");
                assert_eq!(failure.reply().enhanced.as_deref(), text.split(' ').next(), "{what}");
                assert!(!failure.outcome_is_unknown(), "{what}");
                assert_eq!(failure.begun(), phase >= Phase::Mail, "{what}");
                let class = if code < 500 { Class::Transient } else { Class::Refused };
                assert_eq!((failure.class(), failure.is_transient()), (class, code < 500), "{what}");
                assert_eq!(sink.count(), 0, "{what}");
                sink.assert_no_violations();
            }
        }
    }
}

#[tokio::test]
async fn a_lost_connection_is_transient_before_the_final_dot_and_unknown_after_it() {
    for pipelining in [true, false] {
        for (at, phase) in PHASES {
            let (failure, sink) = fail_at(at, Action::Drop, pipelining, long()).await;
            let what = format!("drop at {phase:?}, pipelining {pipelining}: {failure}");
            if at == At::Body {
                // A small mail is written as a whole: nobody here can know that the sink did not read it.
                assert!(failure.phase() == Phase::FinalDot && failure.outcome_is_unknown(), "{what}");
            } else {
                assert_eq!(failure.phase(), phase, "{what}");
                assert_eq!(failure.outcome_is_unknown(), at == At::FinalDot, "{what}");
                assert_eq!(failure.is_transient(), at != At::FinalDot, "{what}");
            }
            assert_eq!((failure.kind(), failure.reply().code), (Kind::Lost, 0), "{what}");
            assert_eq!(sink.count(), 0, "{what}");
            sink.assert_no_violations();
        }
    }
}

#[tokio::test]
async fn a_mail_that_was_taken_without_an_answer_is_unknown() {
    for action in [Action::RecordAndDrop, Action::RecordAndStall] {
        let timeouts = SmtpTimeouts { final_dot: HumanDuration(SHORT), ..long() };
        let (failure, sink) = fail_at(At::FinalDot, action, true, timeouts).await;
        assert!(failure.outcome_is_unknown() && !failure.is_transient(), "{failure}");
        assert_eq!(sink.count(), 1);
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_the_time_of_its_phase() {
    for pipelining in [true, false] {
        for (at, phase) in PHASES {
            if at == At::Body {
                continue; // A small mail is swallowed by the sockets: see the test with a large one.
            }
            let short = HumanDuration(SHORT);
            let timeouts = match phase {
                Phase::Data => SmtpTimeouts { data: short, ..long() },
                Phase::FinalDot => SmtpTimeouts { final_dot: short, ..long() },
                _ => SmtpTimeouts { command: short, ..long() },
            };
            let (failure, sink) = fail_at(at, Action::Stall, pipelining, timeouts).await;
            let what = format!("stall at {phase:?}, pipelining {pipelining}: {failure}");
            assert_eq!((failure.phase(), failure.kind()), (phase, Kind::TimedOut), "{what}");
            assert_eq!(failure.outcome_is_unknown(), phase == Phase::FinalDot, "{what}");
            assert_eq!(sink.count(), 0, "{what}");
        }
    }
}

#[tokio::test]
async fn a_large_mail_that_is_not_read_is_given_up_before_its_end_and_is_not_unknown() {
    for action in [Action::Stall, Action::Drop] {
        let stalls = action == Action::Stall;
        let sink = Sink::start(
            SinkOptions::default()
                .script(move |moment| if moment.phase == At::Body { action.clone() } else { Action::Accept }),
        );
        let timeouts = SmtpTimeouts { block: HumanDuration(SHORT), ..long() };
        let client = client(Settings { timeouts, ..settings(&sink) });
        let content = b"0123456789abcdef\r\n".repeat(2_000_000);
        let mail = crate::support::mail_with("a@example.org", content);
        let failure = client.send(mail, &worker::Gate::open()).await.expect_err("it fails");
        assert_eq!(failure.phase(), Phase::Content, "{failure}");
        assert_eq!(failure.kind(), if stalls { Kind::TimedOut } else { Kind::Lost }, "{failure}");
        assert!(failure.is_transient() && !failure.outcome_is_unknown());
        assert_eq!(sink.count(), 0);
    }
}

#[tokio::test]
async fn a_server_that_refuses_a_large_mail_while_it_is_written_is_heard() {
    let sink = Sink::start(SinkOptions::default().script(|moment| match moment.phase {
        At::Body => Action::reply(421, "4.3.0 too much for me"),
        _ => Action::Accept,
    }));
    let client = one_connection(&sink);
    let mail = crate::support::mail_with("a@example.org", b"0123456789abcdef\r\n".repeat(200_000));
    let failure = client.send(mail, &worker::Gate::open()).await.expect_err("it fails");
    assert_eq!(failure.reply().code, 421, "{failure}");
    assert!(failure.is_transient(), "{failure}");
}

#[tokio::test]
async fn junk_closes_the_connection_with_a_clear_failure() {
    let oversized = [b"250 ".as_slice(), &[b'x'; 10_000]].concat();
    for junk in
        [b"HTTP/1.1 400 Bad Request\r\n".to_vec(), b"250-a\r\n450 b\r\n".to_vec(), b"354 what\r\n".to_vec(), oversized]
    {
        for (at, phase) in PHASES.into_iter().filter(|(at, _)| !matches!(at, At::Body)) {
            if phase == Phase::Data && junk.starts_with(b"354") {
                continue; // That is what is expected there.
            }
            let (failure, sink) = fail_at(at, Action::Raw(junk.clone()), true, long()).await;
            let what = format!("{:?} at {phase:?}: {failure}", String::from_utf8_lossy(&junk[..20.min(junk.len())]));
            assert_eq!((failure.phase(), failure.kind()), (phase, Kind::Protocol), "{what}");
            assert_eq!(failure.outcome_is_unknown(), phase == Phase::FinalDot, "{what}");
            assert_eq!(sink.count(), 0, "{what}");
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_fails_every_mail_at_once_and_none_is_begun() {
    let sink = Sink::start(SinkOptions::default());
    let gone = settings(&sink);
    drop(sink);
    let client = client(gone);
    for result in crate::support::send_all(&client, &crate::support::recipients(50)).await {
        let failure = result.expect_err("nobody listens");
        assert_eq!((failure.phase(), failure.kind()), (Phase::Connect, Kind::Unreachable), "{failure}");
        assert!(failure.is_transient() && !failure.begun() && failure.is_about_the_server());
    }
    let nowhere = Settings { host: "nowhere.invalid".to_owned(), ..settings(&Sink::start(SinkOptions::default())) };
    let failure = send(&crate::support::client(nowhere), "a@example.org").await.expect_err("no such host");
    assert!(failure.to_string().contains("check smtp.host"), "{failure}");
}
