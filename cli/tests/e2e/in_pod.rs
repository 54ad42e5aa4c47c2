//! The commands that `kubectl mailcampaign` runs in a pod without a shell.

use crate::rig::Rig;
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn e2e_a_held_pod_ends_at_once_with_0_when_it_is_told_to() {
    let rig = Rig::new();
    let mut program = rig.start(&["hold"]);
    let pid = i32::try_from(program.id()).ok().and_then(Pid::from_raw).expect("a process id");
    let mask = |name: &str| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<String>().ok());
        u64::from_str_radix(&mask.unwrap_or_default(), 16).unwrap_or(0)
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let terminate = 1 << (Signal::TERM.as_raw() - 1);
    while mask("SigCgt:") & terminate == 0 {
        assert!(Instant::now() < deadline, "it never listens for SIGTERM");
        std::thread::yield_now();
    }
    kill_process(pid, Signal::TERM).expect("the signal is sent");
    assert_eq!(program.wait().expect("it ends").code(), Some(0));
}

#[test]
fn e2e_a_file_is_poured_byte_for_byte_and_a_missing_one_is_named() {
    let rig = Rig::new();
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    rig.write("result.xlsx", &bytes);
    let poured = rig.command(&["pour", "result.xlsx"]).stderr(Stdio::inherit()).output().expect("it runs");
    assert!(poured.status.success() && poured.stdout == bytes);
    let missing = rig.run(&["pour", "nothing"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (2, ""));
    assert!(missing.stderr.starts_with("error: nothing: "), "{}", missing.stderr);
}
