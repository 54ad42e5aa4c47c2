//! What was given up is sent again when a person says so.

use crate::rig::{Rig, campaign, number};
use testkit::{Action, Phase, Sink, SinkOptions};

const SEND: [&str; 4] = ["run", "campaign.yaml", "--send", "--json"];

/// Two mailboxes are full and one server is down, until their third attempt.
fn mended_later() -> Sink {
    Sink::start(SinkOptions::default().script(|moment| {
        let who = moment.recipient.split('@').next().unwrap_or_default();
        match (moment.phase, who) {
            (Phase::Rcpt, "full" | "fuller") if moment.attempt <= 2 => Action::reply(452, "4.2.2 mailbox full"),
            (Phase::Rcpt, "down") if moment.attempt <= 2 => Action::reply(451, "4.4.1 no answer from host"),
            (Phase::Rcpt, "nobody") => Action::reply(550, "5.1.1 no such user"),
            _ => Action::Accept,
        }
    }))
}

#[test]
fn e2e_dead_mails_are_sent_again_by_the_code_of_their_last_reply() {
    let rig = Rig::new();
    let sink = mended_later();
    let rows = ["fine", "full", "fuller", "down", "nobody"].map(|who| format!("{who},{who}@example.com\n"));
    rig.write("list.csv", format!("Name,Email\n{}", rows.concat()));
    rig.write(
        "campaign.yaml",
        campaign(&sink, "    retry: {maxAttempts: 2, initialBackoff: 100ms, maxBackoff: 100ms}\n"),
    );
    let account = rig.run(&SEND).account();
    assert_eq!(["delivered", "dead", "rejected"].map(|name| number(&account, name)), [1, 3, 1]);

    let replay = |code: &[&str]| rig.run(&[&["replay", "campaign.yaml", "--dead"], code].concat());
    let nobody = replay(&["--where", "5.1.1"]);
    assert_eq!((nobody.code, nobody.stdout.split(';').next()), (0, Some("0 queued again")), "{}", nobody.stderr);
    let full = replay(&["--where", "4.2.2"]);
    assert!(full.stdout.starts_with("2 queued again") && full.stdout.ends_with("1 still dead.\n"), "{}", full.stdout);
    assert!(replay(&["--where", "4.2.2"]).stdout.starts_with("0 queued again"), "saying it twice does nothing");

    let account = rig.run(&SEND).account();
    assert_eq!(["delivered", "dead", "rejected"].map(|name| number(&account, name)), [3, 1, 1]);
    assert!(replay(&[]).stdout.starts_with("1 queued again"));
    let account = rig.run(&SEND).account();
    assert_eq!(["delivered", "dead", "rejected"].map(|name| number(&account, name)), [4, 0, 1]);
    assert!(sink.per_recipient().values().all(|&mails| mails == 1), "somebody got two");
    let row = rig.report().into_iter().find(|row| row["Name"] == "down").expect("a row");
    assert_eq!((row["Status"].as_str(), row["Attempts"].as_str()), ("Delivered", "3"), "its attempts counted on");
}

#[test]
fn e2e_what_is_no_code_and_what_was_not_run_is_refused() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(1);
    rig.write("campaign.yaml", campaign(&sink, ""));
    let no_code = rig.run(&["replay", "campaign.yaml", "--dead", "--where", "full"]);
    assert_eq!(no_code.code, 2);
    assert!(no_code.stderr.contains("452 or like 4.2.2"), "{}", no_code.stderr);
    assert_eq!(rig.run(&["replay", "campaign.yaml"]).code, 2, "what is replayed must be said");
    let not_run = rig.run(&["replay", "campaign.yaml", "--dead"]);
    assert_eq!(not_run.code, 2);
    assert!(not_run.stderr.contains("was not run yet"), "{}", not_run.stderr);
}
