//! A real process is killed (SIGKILL) at random moments, and runs out of disk.

use campaign::Outcome;
use journal::conformance::account;
use journal::embedded::Embedded;
use journal::{Error, Journal, RowState};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const VICTIM: &str = env!("CARGO_BIN_EXE_journal-victim");
/// As in the victim: rows from 2 to below this.
const END: u64 = 12_000;
const KILLS: u64 = 25;

fn churn(dir: &Path, seed: u64, policy: &str) -> Child {
    let mut victim = Command::new(VICTIM);
    victim.arg("churn").arg(dir).arg(seed.to_string()).arg(policy).stdout(Stdio::piped());
    victim.spawn().expect("started")
}

/// Reads at most `steps` lines of the victim; whether it said that it is done.
fn follow(victim: &mut Child, steps: u64) -> bool {
    let lines = BufReader::new(victim.stdout.as_mut().expect("piped")).lines();
    lines.take(usize::try_from(steps).expect("small")).map(|line| line.expect("a line")).any(|line| line == "done")
}

/// What was sent: attempts by row, in the order of sending.
fn sent(dir: &Path) -> BTreeMap<u64, Vec<u32>> {
    let mut sent: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for line in std::fs::read_to_string(dir.join("sent")).unwrap_or_default().lines() {
        let (row, attempt) = line.split_once(' ').expect("two numbers");
        sent.entry(row.parse().expect("a row")).or_default().push(attempt.parse().expect("an attempt"));
    }
    sent
}

/// Kills and restarts, checking the account each time, and lets the last one finish. Returns how often a kill fell into the work.
async fn kill_again_and_again(dir: &Path, policy: &str) -> u64 {
    let mut kills = 0;
    for seed in 0..KILLS {
        let mut victim = churn(dir, seed, policy);
        let done = follow(&mut victim, seed * 7 % 23);
        // No order between the two: the kill falls wherever the victim is.
        victim.kill().expect("killed");
        victim.wait().expect("ended");
        if done {
            break;
        }
        kills += 1;
        let journal = Embedded::open(dir).expect("the lock died with its owner");
        account(&journal).await;
        for (row, attempts) in sent(dir) {
            let state = journal.rows(row, 1).await.expect("rows").remove(0);
            let RowState::Message { attempts: claimed, .. } = state else {
                panic!("row {row} was sent and is skipped")
            };
            assert!(
                attempts.iter().all(|attempt| *attempt <= claimed),
                "row {row} was sent before its claim was durable"
            );
        }
    }
    let mut victim = churn(dir, 1_000, policy);
    assert!(follow(&mut victim, u64::from(u32::MAX)), "the last one finishes");
    victim.wait().expect("ended");
    kills
}

/// Every row is there, with the result of its last attempt; returns how many are unknown.
async fn check_every_row(dir: &Path) -> u64 {
    let journal = Embedded::open(dir).expect("opened");
    let counts = account(&journal).await;
    assert_eq!(counts.published, END - 2, "nobody is lost");
    assert_eq!(counts.unfinished(), 0, "nobody is left");
    let sent = sent(dir);
    for state in journal.rows(0, 20_000).await.expect("rows") {
        let RowState::Message { row, attempts, latest: Some(latest) } = state else { panic!("{state:?} has no end") };
        let empty = Vec::new();
        let sent = sent.get(&row).unwrap_or(&empty);
        assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "row {row}: an attempt was sent twice: {sent:?}");
        if matches!(&latest.outcome, Outcome::Unknown { .. }) {
            assert!(sent.iter().all(|attempt| *attempt <= attempts));
        } else {
            assert_eq!((sent.last(), latest.attempt), (Some(&attempts), attempts), "row {row}");
            let text = &latest.outcome.reply().expect("a reply").text;
            assert_eq!(text, &format!("row {row}, attempt {attempts}"));
        }
    }
    counts.unknown
}

#[tokio::test]
async fn killed_at_random_moments_under_hold_nobody_is_lost_or_sent_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let kills = kill_again_and_again(dir.path(), "hold").await;
    assert!(kills > 3, "the kills fell after the end");
    check_every_row(dir.path()).await;
    for (row, attempts) in sent(dir.path()) {
        // Only a deferred attempt is followed by another: the victim's rule says which are.
        for attempt in &attempts[..attempts.len() - 1] {
            assert!((row * 31 + u64::from(*attempt) * 7) % 10 < 2, "row {row} was sent again after attempt {attempt}");
        }
    }
}

#[tokio::test]
async fn killed_at_random_moments_under_resend_everybody_gets_the_mail() {
    let dir = tempfile::tempdir().expect("a folder");
    let kills = kill_again_and_again(dir.path(), "resend").await;
    assert!(kills > 3, "the kills fell after the end");
    assert_eq!(check_every_row(dir.path()).await, 0);
}

#[tokio::test]
async fn beside_a_run_the_journal_can_be_read_but_not_taken() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut victim = churn(dir.path(), 1, "hold");
    assert!(!follow(&mut victim, 3));
    let Err(Error::InUse { owner, .. }) = Embedded::open(dir.path()) else { panic!("taken from a living run") };
    assert_eq!(owner, victim.id().to_string());
    assert!(matches!(Embedded::set_aside(dir.path()), Err(Error::InUse { .. })));
    let reader = Embedded::open_read_only(dir.path()).expect("read beside it");
    for _ in 0..20 {
        let counts = reader.counts().await.expect("counts");
        assert!(counts.balances(), "{counts:?}");
        assert_eq!(counts.unknown, 0, "what a living run has claimed is not unknown");
    }
    victim.kill().expect("killed");
    victim.wait().expect("ended");
    let left = account(&reader).await;
    let next = Embedded::open(dir.path()).expect("free again");
    assert_eq!(account(&next).await, left);
}

/// A file system of two megabytes, in a mount namespace of its own so that nothing of it is left behind.
#[test]
fn a_full_disk_stops_the_journal_and_room_lets_it_go_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let mount = r#"mount -t tmpfs -o size=2m tmpfs "$1" && exec "$2" fill "$1""#;
    let mut small = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        small.args(["--user", "--map-root-user"]);
    }
    let output = small
        .args(["--mount", "sh", "-c", mount, "sh"])
        .arg(dir.path())
        .arg(VICTIM)
        .output()
        .expect("unshare (util-linux)");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("fine\n"), "{said}{errors}");
}
