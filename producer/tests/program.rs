//! The program `mailcampaign-producer` from outside: what a Job sees of it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let campaign = "apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {name: test, namespace: e2e}
spec:
  recipients: {source: {configMap: {name: test, key: list.csv}}}
  message: {from: people@example.com, subject: Hello, text: {inline: \"Dear {{ Name }}\"}}
  delivery: {backends: [{name: relay, smtp: {host: 127.0.0.1, tls: None}}]}
";
    std::fs::write(folder.path().join("campaign.yaml"), campaign).expect("written");
    std::fs::write(folder.path().join("list.csv"), "Email,Name\nann@example.org,Ann\n").expect("written");
    folder
}

type Variables<'a> = &'a [(&'a str, &'a str)];

/// Runs it in a folder, with nothing of this test's own environment but `variables`.
fn run(folder: &Path, arguments: &[&str], variables: Variables<'_>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailcampaign-producer"));
    command.current_dir(folder).args(arguments).env_clear().envs(variables.iter().copied());
    let Output { status, stderr, .. } = command.output().expect("it starts");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

#[test]
fn what_a_person_must_change_is_not_tried_again() {
    let folder = folder();
    let nobody = "127.0.0.1:1";
    let wrong: [(&[&str], Variables<'_>, &str); 6] = [
        (&["--campaign", "campaign.yaml"], &[], "no Kafka is named"),
        (&["--campaign", "nowhere.yaml", "--kafka", nobody], &[], "nowhere.yaml"),
        (&["--campaign", "campaign.yaml", "--kafka", nobody, "--shard", "2", "--shards", "2"], &[], "no shard 2 of 2"),
        (&["--campaign", "campaign.yaml", "--kafka", nobody], &[("JOB_COMPLETION_INDEX", "1")], "no shard 1 of 1"),
        (&["--campaign", "campaign.yaml", "--kafka", nobody, "--listen", "8080"], &[], "--listen"),
        (&["--kafka", nobody], &[], "--campaign"),
    ];
    for (arguments, variables, named) in wrong {
        let (code, stderr) = run(folder.path(), arguments, variables);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named), "{arguments:?}: {stderr}");
    }
    std::fs::remove_file(folder.path().join("list.csv")).expect("gone");
    let (code, stderr) = run(folder.path(), &["--campaign", "campaign.yaml", "--kafka", nobody], &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("list.csv"), "{stderr}");
}

#[test]
fn without_a_broker_it_is_tried_again() {
    let folder = folder();
    // A port that was free just now, and where nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let broker = ("KAFKA_BOOTSTRAP_SERVERS", free.to_string());
    let (code, stderr) = run(folder.path(), &["--campaign", "campaign.yaml"], &[(broker.0, &broker.1)]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("refused the connection"), "{stderr}");
}
