//! A server that misbehaves: each way ends in the outcome that it must, and the count is exact.

use crate::rig::{Rig, campaign, number};
use testkit::{Action, Phase, Sink, SinkOptions};

/// The name in the address says how the server treats it.
fn moody() -> Sink {
    Sink::start(SinkOptions::default().script(|moment| {
        let mood = moment.recipient.split('@').next().unwrap_or_default();
        match (moment.phase, mood) {
            (Phase::Rcpt, "busy") if moment.attempt == 1 => Action::reply(450, "4.2.1 come back"),
            (Phase::Rcpt, "always-busy") => Action::reply(450, "4.2.1 come back"),
            (Phase::Rcpt, "nobody") => Action::reply(550, "5.1.1 no such user"),
            (Phase::Rcpt, "blocked") => Action::reply(550, "5.7.1 not from you"),
            (Phase::Rcpt, "closing") if moment.attempt == 1 => Action::reply(421, "4.3.2 closing"),
            (Phase::Data, "lost-before") if moment.attempt == 1 => Action::Drop,
            (Phase::FinalDot, "lost-after") => Action::RecordAndDrop,
            (Phase::FinalDot, "silent") => Action::Stall,
            (Phase::FinalDot, "too-large") => Action::reply(552, "5.3.4 too large"),
            _ => Action::Accept,
        }
    }))
}

#[test]
fn e2e_every_misbehaviour_of_a_server_ends_in_its_outcome() {
    let expected = [
        ("fine", "Delivered"),
        ("busy", "Delivered"),
        ("always-busy", "Dead"),
        ("nobody", "Rejected"),
        ("blocked", "Refused"),
        ("closing", "Delivered"),
        ("lost-before", "Delivered"),
        ("lost-after", "Unknown"),
        ("silent", "Unknown"),
    ];
    let rig = Rig::new();
    let sink = moody();
    let rows: Vec<String> = expected.iter().map(|(mood, _)| format!("{mood},{mood}@example.com\n")).collect();
    rig.write("list.csv", format!("Name,Email\n{}", rows.concat()));
    let delivery = "    onUnknown: Hold\n    retry: {maxAttempts: 3, initialBackoff: 100ms, maxBackoff: 200ms}\n";
    let text = campaign(&sink, delivery).replace("connections: 20", "connections: 3, timeouts: {finalDot: 1s}");
    rig.write("campaign.yaml", text);

    let done = rig.run(&["run", "campaign.yaml", "--send", "--json"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    let account = done.account();
    let counts = ["delivered", "dead", "rejected", "refused", "unknown", "pending", "deferred"];
    assert_eq!(counts.map(|name| number(&account, name)), [4, 1, 1, 1, 2, 0, 0]);
    let found: Vec<_> = rig.report().into_iter().map(|row| (row["Name"].clone(), row["Status"].clone())).collect();
    let wanted: Vec<_> = expected.iter().map(|&(mood, outcome)| (mood.to_owned(), outcome.to_owned())).collect();
    assert_eq!(found, wanted);
    sink.release();
}

#[test]
fn e2e_what_hold_kept_is_sent_again_only_when_a_person_says_so() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default().script(|moment| match (moment.phase, moment.attempt) {
        (Phase::FinalDot, 1) => Action::RecordAndDrop,
        _ => Action::Accept,
    }));
    rig.write("list.csv", "Name,Email\nAda,ada@example.com\nBob,bob@example.com\nCleo,cleo@example.com\n");
    rig.write("campaign.yaml", campaign(&sink, "    onUnknown: Hold\n"));
    let send = ["run", "campaign.yaml", "--send", "--json"];
    for _ in 0..2 {
        let done = rig.run(&send);
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert_eq!(number(&done.account(), "unknown"), 3);
    }
    assert_eq!(sink.count(), 3, "nobody gets a second mail under Hold");

    assert_eq!(rig.run(&["resolve", "campaign.yaml", "--resend", "--row", "3"]).code, 0);
    assert_eq!(rig.run(&["resolve", "campaign.yaml", "--discard", "--row", "4"]).code, 0);
    let account = rig.run(&send).account();
    assert_eq!(["delivered", "dead", "unknown"].map(|name| number(&account, name)), [1, 1, 1]);
    let got = sink.received();
    let of_bob: Vec<_> = got.iter().filter(|mail| mail.to == "bob@example.com").map(|mail| &mail.message_id).collect();
    assert_eq!(got.len(), 4);
    assert_eq!(of_bob[0], of_bob[1], "the second copy has the same Message-ID");
}

#[test]
fn e2e_a_blocked_sender_stops_the_run_with_the_reason() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default().script(|moment| match moment.phase {
        Phase::Mail => Action::reply(550, "5.7.1 sender is blocked"),
        _ => Action::Accept,
    }));
    rig.write_list(5_000);
    rig.write("campaign.yaml", campaign(&sink, "    maxInFlight: 100\n"));
    let done = rig.run(&["run", "campaign.yaml", "--send", "--json"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("sender is blocked"), "{}", done.stderr);
    assert!(number(&done.account(), "pending") >= 4_000, "{}", done.stdout);
    assert_eq!(sink.count(), 0);
}

#[test]
fn e2e_a_list_full_of_bad_addresses_is_paused_by_its_guard_with_the_reason() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default().script(|moment| match moment.phase {
        Phase::Rcpt => Action::reply(550, "5.1.1 no such user"),
        _ => Action::Accept,
    }));
    rig.write_list(2_000);
    let guard = "    maxInFlight: 50\n  guard: {maxRejectedPercent: 5, minSent: 20}\n";
    rig.write("campaign.yaml", campaign(&sink, guard));
    let done = rig.run(&["run", "campaign.yaml", "--send", "--json"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("more than the 5 % of guard.maxRejectedPercent"), "{}", done.stderr);
    let account = done.account();
    assert!((20..1_000).contains(&number(&account, "rejected")) && number(&account, "pending") >= 1_000, "{account}");
    let status = rig.run(&["status", "campaign.yaml"]).stdout;
    assert!(status.starts_with("e2e/test: paused\n") && status.contains("were rejected"), "{status}");
}
