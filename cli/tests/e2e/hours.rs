//! When a campaign may be sent: its start, its window, and whether it is suspended.

use crate::rig::{Rig, campaign, number};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use testkit::{Sink, SinkOptions};

const SEND: [&str; 4] = ["run", "campaign.yaml", "--send", "--json"];

#[test]
fn e2e_a_run_before_its_start_says_so_and_sends_when_it_has_come() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(20);
    // Time enough for two programs to start on a busy machine; whole seconds, as the report has them.
    let start = Timestamp::from_second(Timestamp::now().as_second() + 10).expect("a time");
    rig.write("campaign.yaml", campaign(&sink, &format!("  startAt: {start}\n")));
    let mut run = rig.start(&SEND);
    let text = loop {
        let status = rig.run(&["status", "campaign.yaml"]);
        if status.stdout.contains("20 rows") {
            break status.stdout;
        }
        assert!(Timestamp::now() < start, "{status:?}");
    };
    assert!(text.starts_with("e2e/test: waiting for startAt, begins ") && text.contains(" UTC\n"), "{text}");
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    assert!(Timestamp::now() >= start);
    assert_eq!(sink.count(), 20);
    assert!(rig.report().iter().all(|row| row["Time"].parse::<Timestamp>().is_ok_and(|time| time >= start)));
}

#[test]
fn e2e_a_closed_window_holds_up_a_run_but_no_rehearsal_and_a_suspended_campaign_is_not_sent() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(20);
    let another_day = (Timestamp::now() + 48.hours()).to_zoned(TimeZone::UTC).strftime("%a").to_string();
    let window = format!("    window: {{timeZone: UTC, days: [{another_day}], from: \"00:00\", to: \"24:00\"}}\n");
    rig.write("campaign.yaml", campaign(&sink, &window));
    let rehearsal = rig.run(&["run", "campaign.yaml", "--json"]);
    assert_eq!((rehearsal.code, number(&rehearsal.account(), "delivered")), (0, 20), "{}", rehearsal.stderr);
    assert_eq!(rig.run(&["status", "campaign.yaml"]).stdout.lines().next(), Some("e2e/test: finished"));

    let mut command = rig.command(&SEND);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(run.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let opens = format!("waiting for the window, opens {another_day} ");
    let said = lines.find(|line| line.contains(&opens)).expect("it says what it waits for");
    assert!(said.ends_with(" 00:00 UTC"), "{said}");
    let status = rig.run(&["status", "campaign.yaml", "-o", "json"]).account();
    assert!(status["waiting"].as_str().is_some_and(|waiting| waiting.starts_with(&opens)), "{status}");
    assert_eq!((number(&status, "pending"), sink.count()), (20, 0));
    let pid = i32::try_from(run.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::INT).expect("the signal is sent");
    assert_eq!(run.wait().expect("it ends").code(), Some(130));

    rig.write("campaign.yaml", campaign(&sink, "  suspend: true\n"));
    let suspended = rig.run(&SEND);
    assert!(suspended.code == 1 && suspended.stderr.contains("Set spec.suspend to false"), "{suspended:?}");
    rig.write("campaign.yaml", campaign(&sink, ""));
    assert_eq!((rig.run(&SEND).code, sink.count()), (0, 20));
}
