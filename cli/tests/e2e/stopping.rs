//! Ctrl-C and SIGTERM.

use crate::rig::{Rig, campaign, number};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Child;
use std::time::{Duration, Instant};
use testkit::{Action, Phase, Sink, SinkOptions};

const SEND: [&str; 4] = ["run", "campaign.yaml", "--send", "--json"];

fn signal(program: &Child, signal: Signal) {
    let pid = i32::try_from(program.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the signal is sent");
}

/// A sink that never answers the final dot of one of the first mails.
fn with_one_stalled() -> Sink {
    Sink::start(SinkOptions::default().script(|moment| match moment.phase {
        Phase::FinalDot if moment.recipient.starts_with("candidate0000007@") && moment.attempt == 1 => Action::Stall,
        _ => Action::Accept,
    }))
}

#[test]
fn e2e_a_signal_ends_the_run_within_ten_seconds_and_the_next_run_sends_the_rest_once() {
    for which in [Signal::TERM, Signal::INT] {
        let rig = Rig::new();
        let sink = with_one_stalled();
        rig.write_list(3_000);
        rig.write("campaign.yaml", campaign(&sink, "    rate: {perSecond: 500}\n    onUnknown: Hold\n"));
        let mut program = rig.start(&SEND);
        sink.wait_for_blocking(300);
        let asked = Instant::now();
        signal(&program, which);
        let status = program.wait().expect("it ends");
        assert_eq!(status.code(), Some(130));
        assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
        assert!(sink.count() < 3_000, "it stopped in the middle");
        sink.release();

        let done = rig.run(&SEND);
        assert_eq!(done.code, 1, "{}", done.stderr);
        let account = done.account();
        assert_eq!((number(&account, "delivered"), number(&account, "unknown")), (2_999, 1));
        let got = sink.per_recipient();
        assert!(got.values().all(|&mails| mails == 1), "somebody got two");
    }
}

#[test]
fn e2e_a_second_signal_ends_it_at_once() {
    let rig = Rig::new();
    let sink = with_one_stalled();
    rig.write_list(3_000);
    rig.write("campaign.yaml", campaign(&sink, "    rate: {perSecond: 500}\n"));
    let mut program = rig.start(&SEND);
    sink.wait_for_blocking(300);
    let asked = Instant::now();
    signal(&program, Signal::INT);
    while program.try_wait().expect("its state").is_none() {
        signal(&program, Signal::INT);
        std::thread::sleep(Duration::from_millis(20));
        assert!(asked.elapsed() < Duration::from_secs(3), "the stalled mail keeps it");
    }
    assert_eq!(program.wait().expect("it ended").code(), Some(130));
}
