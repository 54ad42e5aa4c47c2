//! `status` and `tail`, beside a run and after it.

use crate::rig::{Rig, campaign, number};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use testkit::{Sink, SinkOptions};

const SEND: [&str; 4] = ["run", "campaign.yaml", "--send", "--json"];

/// A program whose lines are read as they come.
struct Reading {
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Reading {
    fn start(rig: &Rig, arguments: &[&str]) -> Self {
        let mut command = rig.command(arguments);
        let mut program = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        let stdout = program.stdout.take().expect("a pipe");
        Self { program, lines: BufReader::new(stdout).lines() }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("another line").expect("it can be read")
    }

    fn object(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Ctrl-C; the exit code.
    fn interrupt(mut self) -> Option<i32> {
        let pid = i32::try_from(self.program.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::INT).expect("the signal is sent");
        self.program.wait().expect("it ends").code()
    }
}

/// A run that takes some seconds.
fn slow(rig: &Rig, sink: &Sink, rows: u64) -> Child {
    rig.write_list(rows);
    rig.write("campaign.yaml", campaign(sink, "    rate: {perSecond: 400}\n"));
    let run = rig.start(&SEND);
    sink.wait_for_blocking(20);
    run
}

#[test]
fn e2e_status_tells_counts_backlog_rate_and_time_left_beside_a_run_and_after_it() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    let mut run = slow(&rig, &sink, 2_000);
    let during = rig.run(&["status", "campaign.yaml", "-o", "json"]);
    assert_eq!(during.code, 0, "{}", during.stderr);
    let seen = during.account();
    assert_eq!(number(&seen, "backlog"), number(&seen, "pending") + number(&seen, "deferred"));
    assert!(number(&seen, "backlog") > 0 && seen["finished"] == false && seen["listPublished"] == true, "{seen}");
    let rate = seen["perSecond"].as_f64().expect("a rate");
    assert!((40.0..=800.0).contains(&rate), "{seen}");
    assert!(number(&seen, "secondsLeft") > 0 && seen["paused"].is_null(), "{seen}");
    let text = rig.run(&["status", "campaign.yaml"]).stdout;
    assert!(text.starts_with("e2e/test: under way\n2000 rows: 2000 mails\n") && text.contains("to go, "), "{text}");

    // It goes on until the campaign is finished.
    let mut watching = Reading::start(&rig, &["status", "campaign.yaml", "--watch", "-o", "json"]);
    let first = watching.object();
    let mut last = first.clone();
    while last["finished"] == false {
        last = watching.object();
    }
    assert_eq!(watching.program.wait().expect("it ends").code(), Some(0));
    assert!(number(&first, "delivered") < number(&last, "delivered"));
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    assert_eq!(["delivered", "backlog", "secondsLeft"].map(|name| number(&last, name)), [2_000, 0, 0]);
    let text = rig.run(&["status", "campaign.yaml"]).stdout;
    assert_eq!(text, "e2e/test: finished\n2000 rows: 2000 mails\n2000 delivered\n");
    let line = rig.run(&["status", "campaign.yaml", "--watch"]).stdout;
    assert_eq!(line, "2000/2000  2000 delivered  finished\n", "a line each time where there is no terminal");
}

#[test]
fn e2e_tail_prints_each_outcome_as_it_happens_until_ctrl_c() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    let mut run = slow(&rig, &sink, 1_500);
    // So that the first rows are settled for sure.
    sink.wait_for_blocking(300);
    let mut new = Reading::start(&rig, &["tail", "campaign.yaml"]);
    let mut all = Reading::start(&rig, &["tail", "campaign.yaml", "--from-start", "-o", "json"]);
    let mut rows = HashSet::new();
    for _ in 0..1_500 {
        let settlement = all.object();
        assert_eq!((settlement["outcome"].as_str(), settlement["attempt"].as_u64()), (Some("delivered"), Some(1)));
        assert_eq!(settlement["backend"].as_str(), Some("sink"));
        assert!(rows.insert(number(&settlement, "row")), "{settlement} came twice");
    }
    assert_eq!((rows.iter().min(), rows.iter().max()), (Some(&2), Some(&1_501)));
    let line = new.line();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((words[1], words[3], words[4]), ("row", "delivered", "250"), "{line}");
    assert_ne!(words[2], "2", "what was settled before is not told");
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    assert_eq!((new.interrupt(), all.interrupt()), (Some(130), Some(130)));
}

#[test]
fn e2e_tail_ends_quietly_when_nobody_reads_it_any_more() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    let mut run = slow(&rig, &sink, 1_500);
    let mut tail = Reading::start(&rig, &["tail", "campaign.yaml", "--from-start"]);
    tail.line();
    let Reading { mut program, lines } = tail;
    drop(lines);
    assert_eq!(program.wait().expect("it ends").code(), Some(0));
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
}

#[test]
fn e2e_a_campaign_that_was_not_run_has_neither() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(1);
    rig.write("campaign.yaml", campaign(&sink, ""));
    for command in ["status", "tail"] {
        let done = rig.run(&[command, "campaign.yaml"]);
        assert_eq!(done.code, 2, "{command}");
        assert!(done.stderr.contains("was not run yet"), "{command}: {}", done.stderr);
    }
}

#[test]
fn e2e_flags_of_one_journal_are_refused_with_the_other() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(1);
    rig.write("campaign.yaml", campaign(&sink, ""));
    let nobody = "127.0.0.1:1";
    let wrong: [(&[&str], &str); 3] = [
        (&["run", "campaign.yaml", "--workers", "2"], "--workers"),
        (&["run", "campaign.yaml", "--kafka", nobody, "--restart"], "--run LABEL"),
        (&["status", "campaign.yaml", "--kafka", nobody, "--state", "here"], "--state"),
    ];
    for (arguments, named) in wrong {
        let done = rig.run(arguments);
        assert_eq!(done.code, 2, "{arguments:?}");
        assert!(done.stderr.contains(named), "{}", done.stderr);
    }
    assert_eq!(sink.count(), 0);
}
