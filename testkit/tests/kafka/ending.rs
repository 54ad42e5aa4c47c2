//! Nothing is left, however the process that started a broker ends.

use crate::client::wait_until;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use testkit::{Kafka, KafkaOptions};

/// Another process with a broker, the broker's process id, and its folder.
fn process_with_a_broker() -> (Child, u32, PathBuf) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-while-open"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let stdout = child.stdout.take().expect("its output");
    let lines: Vec<String> = BufReader::new(stdout).lines().take(3).map(|line| line.expect("a line")).collect();
    let value = |name: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(name)).expect("it is printed");
        found.to_owned()
    };
    (child, value("process=").parse().expect("a number"), PathBuf::from(value("folder=")))
}

/// One that has ended has no command line, also while nobody has asked how it ended.
fn is_running(process: u32) -> bool {
    std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn a_broker_and_its_data_are_gone_when_the_process_that_started_it_is_killed() {
    let (mut child, broker, folder) = process_with_a_broker();
    assert!(is_running(broker) && folder.is_dir());
    child.kill().expect("killed");
    child.wait().expect("it ended");
    wait_until("the broker is gone", || (!is_running(broker)).then_some(()));
    wait_until("its data is gone", || (!folder.exists()).then_some(()));
}

#[test]
fn a_broker_and_its_data_are_gone_when_it_is_dropped_even_while_frozen() {
    let kafka = Kafka::start(KafkaOptions::default());
    let (broker, folder) = (kafka.process_id(0).expect("it runs"), kafka.folder().to_path_buf());
    kafka.freeze(0);
    drop(kafka);
    assert!(!is_running(broker));
    assert!(!folder.exists());
}
