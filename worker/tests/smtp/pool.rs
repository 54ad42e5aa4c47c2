//! Connections: how many, how long, and what becomes of mails when one ends.

use crate::support::{SHORT, client, mail, one_connection, recipients, send, send_all, settings, wanted_code};
use campaign::HumanDuration;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use testkit::{Action, Keep, Phase as At, Sink, SinkOptions};
use worker::{
    Gate,
    smtp::{Client, Kind, Phase, Settings},
};

#[tokio::test]
async fn every_mail_arrives_once_and_the_connections_are_shared() {
    for keywords in [&["PIPELINING", "8BITMIME"][..], &[], &["PIPELINING", "CHUNKING"], &["CHUNKING"]] {
        let sink = Sink::start(SinkOptions::default().keywords(keywords));
        let client = client(settings(&sink));
        let wanted = recipients(300);
        for result in send_all(&client, &wanted).await {
            let reply = result.expect("delivered");
            assert_eq!((reply.code, reply.enhanced.as_deref()), (250, Some("2.0.0")));
            assert!(reply.text.starts_with("Ok: queued as "), "{reply:?}");
        }
        let counts = sink.per_recipient();
        assert!(counts.len() == 300 && counts.values().all(|&count| count == 1), "{keywords:?}");
        assert!(sink.connections() <= 4, "{} connections, {keywords:?}", sink.connections());
        for received in sink.received() {
            assert_eq!(received.data, mail(&received.to).data, "{keywords:?}");
        }
        sink.assert_no_violations();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mails_arrive_once_each_on_two_threads() {
    let sink = Sink::start(SinkOptions::default().keep(Keep::Recipients));
    let client = client(Settings { connections: 20, messages_per_connection: 97, ..settings(&sink) });
    for result in send_all(&client, &recipients(10_000)).await {
        result.expect("delivered");
    }
    let counts = sink.per_recipient();
    assert!(counts.len() == 10_000 && counts.values().all(|&count| count == 1));
    assert!(sink.most_connections() <= 20, "{}", sink.most_connections());
}

#[tokio::test]
async fn few_mails_open_few_connections() {
    let sink = Sink::start(SinkOptions::default());
    let client = client(Settings { connections: 20, ..settings(&sink) });
    for result in send_all(&client, &recipients(3)).await {
        result.expect("delivered");
    }
    for to in recipients(10) {
        send(&client, &to).await.expect("delivered");
    }
    assert!(sink.connections() <= 3, "{}", sink.connections());
}

#[tokio::test]
async fn mixed_refusals_reach_the_right_mails_and_keep_the_connection() {
    for keywords in [&["PIPELINING"][..], &[], &["PIPELINING", "CHUNKING"]] {
        let sink = Sink::start(SinkOptions::default().keywords(keywords).script(|moment| {
            let code = wanted_code(moment.recipient);
            match moment.phase {
                At::Rcpt if !moment.recipient.contains("late") => code,
                At::FinalDot if moment.recipient.contains("late") => code,
                _ => None,
            }
            .map_or(Action::Accept, |code| Action::Reply(code, format!("to {}", moment.recipient)))
        }));
        let client = one_connection(&sink);
        let names = ["ok", "c450", "c550", "ok", "c550.late", "c451.late", "ok", "c553", "c550"];
        let wanted: Vec<String> = (0..90).map(|number| format!("{}.{number}@example.org", names[number % 9])).collect();
        for (to, result) in wanted.iter().zip(send_all(&client, &wanted).await) {
            match (wanted_code(to), result) {
                (None, result) => assert!(result.is_ok(), "{to}: {result:?}"),
                (Some(code), result) => {
                    let failure = result.expect_err("refused");
                    assert_eq!((failure.reply().code, failure.reply().text.clone()), (code, format!("to {to}")));
                    let phase = if to.contains("late") { Phase::FinalDot } else { Phase::Rcpt };
                    assert_eq!(failure.phase(), phase, "{to}");
                }
            }
        }
        assert_eq!(sink.connections(), 1, "{keywords:?}");
        assert_eq!(sink.count(), 30);
        sink.assert_no_violations();
    }
}

#[tokio::test]
async fn a_refused_sender_or_data_keeps_the_connection() {
    for keywords in [&["PIPELINING"][..], &[]] {
        let sink = Sink::start(SinkOptions::default().keywords(keywords).script(|moment| {
            match (moment.phase, moment.message) {
                (At::Mail, 2) => Action::reply(451, "4.3.0 not now"),
                (At::Data, 4) => Action::reply(554, "5.7.1 not you"),
                _ => Action::Accept,
            }
        }));
        let client = one_connection(&sink);
        let mut phases = Vec::new();
        for to in recipients(6) {
            phases.push(send(&client, &to).await.err().map(|failure| failure.phase()));
        }
        assert_eq!(phases, [None, Some(Phase::Mail), None, Some(Phase::Data), None, None]);
        assert_eq!((sink.connections(), sink.count()), (1, 4));
        sink.assert_no_violations();
    }
}

#[tokio::test]
async fn a_server_that_takes_data_without_a_recipient_gets_nothing_to_deliver() {
    let sink = Sink::start(SinkOptions::default().script(|moment| match moment.phase {
        At::Rcpt if moment.recipient.starts_with('c') => Action::reply(550, "5.1.1 no such user"),
        At::Data => Action::reply(354, "go on"),
        // It says yes to the empty mail: that must count for nobody.
        At::FinalDot => Action::reply(250, "2.0.0 Ok"),
        _ => Action::Accept,
    }));
    let client = one_connection(&sink);
    let results =
        send_all(&client, &["a@example.org", "c1@example.org", "b@example.org", "c2@example.org"].map(str::to_owned))
            .await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false]);
    assert_eq!(results[1].as_ref().map_err(|failure| failure.reply().code), Err(550));
    assert_eq!((sink.connections(), sink.count()), (1, 2));
    sink.assert_no_violations();
}

#[tokio::test]
async fn a_server_that_takes_data_after_refusing_the_sender_gets_nothing_to_deliver() {
    let sink = Sink::start(SinkOptions::default().script(|moment| match (moment.phase, moment.connection) {
        (At::Mail, 1) => Action::reply(550, "5.7.1 no"),
        (At::Data, 1) => Action::reply(354, "go on"),
        (At::FinalDot, 1) => Action::RecordAndDrop,
        _ => Action::Accept,
    }));
    let client = one_connection(&sink);
    let failure = send(&client, "a@example.org").await.expect_err("refused");
    assert_eq!((failure.phase(), failure.reply().code), (Phase::Mail, 550));
    send(&client, "b@example.org").await.expect("delivered");
    assert!(sink.received().iter().all(|mail| mail.to == "b@example.org"));
}

#[tokio::test]
async fn a_connection_is_left_after_its_mails_with_a_quit() {
    let sink = Sink::start(SinkOptions::default());
    let client = client(Settings { connections: 1, messages_per_connection: 7, ..settings(&sink) });
    for result in send_all(&client, &recipients(21)).await {
        result.expect("delivered");
    }
    client.close(crate::support::LONG).await;
    assert_eq!((sink.connections(), sink.count(), sink.count_of("QUIT")), (3, 21, 3));
    let of_each = (1..=3).map(|number| sink.received().iter().filter(|mail| mail.connection == number).count());
    assert_eq!(of_each.collect::<Vec<_>>(), [7, 7, 7]);
    assert_eq!(sink.most_connections(), 1);
    sink.assert_no_violations();
}

#[tokio::test]
async fn a_mail_whose_connection_was_closed_meanwhile_is_sent_over_another() {
    // After every third mail the server goes away without a word, or says 421 to the next one.
    for action in [Action::Drop, Action::reply(421, "4.3.2 enough")] {
        for keywords in [&["PIPELINING"][..], &[]] {
            let action = action.clone();
            let sink = Sink::start(SinkOptions::default().keywords(keywords).script(move |moment| {
                let enough = moment.phase == At::Mail && moment.message == 4;
                if enough { action.clone() } else { Action::Accept }
            }));
            let client = one_connection(&sink);
            for result in send_all(&client, &recipients(12)).await {
                result.expect("delivered");
            }
            assert_eq!((sink.connections(), sink.count()), (4, 12));
            sink.assert_no_violations();
        }
    }
}

#[tokio::test]
async fn a_mail_whose_opening_travelled_with_a_lost_one_is_sent_over_another_connection() {
    let lost = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&lost);
    let sink = Sink::start(SinkOptions::default().script(move |moment| {
        let loses = moment.phase == At::FinalDot && moment.message == 5;
        if loses {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        if loses { Action::RecordAndDrop } else { Action::Accept }
    }));
    let client = one_connection(&sink);
    let results = send_all(&client, &recipients(40)).await;
    let unknown =
        results.iter().filter(|result| result.as_ref().is_err_and(worker::smtp::Failure::outcome_is_unknown)).count();
    let delivered = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(unknown as u64, lost.load(Ordering::SeqCst));
    assert_eq!((unknown, delivered + unknown), (8, 40), "every fifth is lost");
    assert!(sink.per_recipient().values().all(|&count| count == 1));
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closes_costs_no_mail() {
    let sink = Sink::start(SinkOptions::default());
    let settings = settings(&sink);
    let client = client(settings.clone());
    send(&client, "a@example.org").await.expect("delivered");
    let port = sink.port();
    drop(sink);
    let sink = Sink::start(SinkOptions::default().listen(&format!("127.0.0.1:{port}")));
    send(&client, "b@example.org").await.expect("delivered");
    assert_eq!(sink.count(), 1);
}

#[tokio::test]
async fn a_server_that_takes_only_two_connections_gets_every_mail_over_two() {
    let open = Arc::new(AtomicU64::new(0));
    let sink = Sink::start(SinkOptions::default().script(move |moment| match moment.phase {
        At::Greeting if open.fetch_add(1, Ordering::SeqCst) >= 2 => Action::reply(421, "4.7.0 too many connections"),
        _ => Action::Accept,
    }));
    let client = client(Settings { connections: 20, ..settings(&sink) });
    for result in send_all(&client, &recipients(200)).await {
        result.expect("delivered");
    }
    assert_eq!(sink.count(), 200);
    assert!(sink.connections() <= 20);
}

#[tokio::test]
async fn a_server_that_closes_every_connection_at_the_greeting_fails_the_mails_unbegun() {
    let sink = Sink::start(SinkOptions::default().script(|_| Action::reply(421, "4.3.2 closed")));
    let client = client(settings(&sink));
    for result in send_all(&client, &recipients(40)).await {
        let failure = result.expect_err("closed");
        assert_eq!((failure.phase(), failure.reply().code, failure.begun()), (Phase::Greeting, 421, false));
    }
}

#[tokio::test]
async fn nobody_waits_behind_a_stalled_mail() {
    let sink = Sink::start(SinkOptions::default().script(|moment| {
        if moment.phase == At::FinalDot && moment.recipient.starts_with("r0@") { Action::Stall } else { Action::Accept }
    }));
    let client = client(Settings { connections: 2, ..settings(&sink) });
    let stalled = tokio::spawn({
        let client = Arc::clone(&client);
        async move { send(&client, "r0@example.org").await }
    });
    // One of these may have its opening written behind the stalled mail; it is taken back.
    for result in send_all(&client, &recipients(50)[1..]).await {
        result.expect("delivered");
    }
    assert!(!stalled.is_finished());
    sink.release();
    stalled.await.expect("no panic").expect("delivered in the end");
    assert_eq!(sink.count(), 50);
}

#[tokio::test]
async fn a_closed_client_gives_back_what_was_not_begun_and_ends_the_rest_in_time() {
    let sink = Sink::start(SinkOptions::default().script(|moment| match (moment.connection, moment.phase) {
        (1, At::FinalDot) => Action::RecordAndStall,
        (2, At::Rcpt) => Action::Stall,
        _ => Action::Accept,
    }));
    let client = client(Settings { connections: 2, ..settings(&sink) });
    let sends: Vec<_> = recipients(6)
        .into_iter()
        .map(|to| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { send(&client, &to).await })
        })
        .collect();
    sink.wait_for(1).await;
    while !sink.commands().iter().any(|(connection, line)| *connection == 2 && line.starts_with("RCPT")) {
        tokio::task::yield_now().await;
    }
    client.close(SHORT).await;
    let mut seen = Vec::new();
    for send in sends {
        let failure = send.await.expect("no panic").expect_err("stopped");
        assert_eq!(failure.kind(), Kind::Stopped, "{failure}");
        seen.push((failure.begun(), failure.outcome_is_unknown()));
    }
    assert_eq!(
        seen.iter().filter(|&&(_, unknown)| unknown).count(),
        1,
        "the one whose final dot was written: {seen:?}"
    );
    // One was at RCPT, and the opening of one more may have travelled with the content of the first.
    assert!(seen.iter().filter(|&&(begun, _)| !begun).count() >= 3, "{seen:?}");
    assert_eq!(client.connections(), 0);
    let late = send(&client, "late@example.org").await.expect_err("closed");
    assert!(!late.begun());
}

#[tokio::test]
async fn a_client_that_is_dropped_closes_its_connections() {
    let sink = Sink::start(SinkOptions::default());
    let client = one_connection(&sink);
    send(&client, "a@example.org").await.expect("delivered");
    drop(client);
    while sink.open_connections() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(sink.count_of("QUIT"), 1);
}

#[test]
fn a_runtime_that_ends_in_the_middle_hangs_nobody() {
    let sink = Sink::start(SinkOptions::default().script(|moment| match moment.phase {
        At::FinalDot => Action::Stall,
        _ => Action::Accept,
    }));
    let mut settings = settings(&sink);
    settings.timeouts.final_dot = HumanDuration(crate::support::LONG);
    let client: Arc<Client> = client(settings);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for to in recipients(30) {
        let client = Arc::clone(&client);
        runtime.spawn(async move { client.send(mail(&to), &Gate::open()).await });
    }
    while sink.count_of(".") < 4 {
        std::thread::yield_now();
    }
    runtime.shutdown_timeout(crate::support::LONG);
    assert_eq!(client.connections(), 0);
}
