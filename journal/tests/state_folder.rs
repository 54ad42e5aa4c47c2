//! The state folder: what may lie in it, and beginning anew.

use campaign::{Fields, Message, spec::OnUnknown};
use journal::conformance::{account, after};
use journal::embedded::Embedded;
use journal::{Entry, Error, Journal, Pin, Publisher, Tick, Worker, WorkerOptions};
use std::path::Path;

async fn pin(journal: &Embedded, destination: &str) -> Result<(), Error> {
    let uid = campaign::CampaignUid::alone("tests/folder", "", "", None);
    let contents = std::collections::BTreeMap::new();
    journal.pin(Pin { uid, contents, destination: destination.to_owned(), shards: 1 }).await
}

fn refusal(dir: &Path) -> String {
    match (Embedded::open(dir), Embedded::open_read_only(dir)) {
        (Err(Error::NotAJournal { why, .. }), Err(Error::NotAJournal { .. })) => why,
        (run, reader) => panic!("run: {:?}, reader: {:?}", run.err(), reader.err()),
    }
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("journal.db");
    std::fs::write(&file, "this is a text, and longer than the header of a database ".repeat(40)).expect("written");
    assert!(refusal(dir.path()).contains("not a database"));

    std::fs::remove_file(&file).expect("removed");
    let other = rusqlite::Connection::open(&file).expect("opened");
    other.execute_batch("CREATE TABLE people(name TEXT)").expect("made");
    drop(other);
    let before = std::fs::read(&file).expect("read");
    assert!(refusal(dir.path()).contains("another program"));
    assert_eq!(std::fs::read(&file).expect("read"), before);
}

#[tokio::test]
async fn a_journal_of_a_later_version_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(Embedded::open(dir.path()).expect("made"));
    let file = rusqlite::Connection::open(dir.path().join("journal.db")).expect("opened");
    file.pragma_update(None, "user_version", 99).expect("changed");
    drop(file);
    assert!(refusal(dir.path()).contains("version 99"));
}

#[tokio::test]
async fn a_damaged_journal_is_an_error_and_can_be_set_aside() {
    let dir = tempfile::tempdir().expect("a folder");
    pin(&Embedded::open(dir.path()).expect("made"), "outbox").await.expect("pinned");
    let file = dir.path().join("journal.db");
    let mut bytes = std::fs::read(&file).expect("read");
    bytes[4_096..].fill(0xff);
    std::fs::write(&file, &bytes).expect("written");
    refusal_or_damage(dir.path());
    let aside = Embedded::set_aside(dir.path()).expect("set aside").expect("there was one");
    assert_eq!(std::fs::read(aside).expect("read"), bytes);
    pin(&Embedded::open(dir.path()).expect("a new one"), "backends").await.expect("pinned");
}

fn refusal_or_damage(dir: &Path) {
    assert!(matches!(Embedded::open(dir), Err(Error::NotAJournal { .. })));
}

#[tokio::test]
async fn a_making_that_was_interrupted_is_made_again() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("journal.db"), "").expect("written");
    assert!(!Embedded::exists(dir.path()));
    let journal = Embedded::open(dir.path()).expect("made");
    pin(&journal, "outbox").await.expect("pinned");
    assert!(Embedded::exists(dir.path()));
}

#[tokio::test]
async fn beginning_anew_keeps_every_earlier_journal() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = dir.path().join("deep/state");
    assert!(!Embedded::exists(&state));
    assert_eq!(Embedded::set_aside(&state).expect("nothing there"), None);
    for destination in ["first", "second", "third"] {
        let journal = Embedded::open(&state).expect("made");
        assert_eq!(journal.pinned().await.expect("read"), None);
        pin(&journal, destination).await.expect("pinned");
        drop(journal);
        Embedded::set_aside(&state).expect("set aside").expect("there was one");
        assert!(!Embedded::exists(&state));
    }
    for (number, destination) in [(1, "first"), (2, "second"), (3, "third")] {
        let read = tempfile::tempdir().expect("a folder");
        std::fs::copy(state.join(format!("journal.{number}.db")), read.path().join("journal.db")).expect("copied");
        let pinned = Embedded::open_read_only(read.path()).expect("opened").pinned().await.expect("read");
        assert_eq!(pinned.expect("pinned").destination, destination);
    }
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(Embedded::open_read_only(dir.path()), Err(Error::Storage { .. })));
    pin(&Embedded::open(dir.path()).expect("made"), "outbox").await.expect("pinned");
    let reader = Embedded::open_read_only(dir.path()).expect("opened");
    assert!(matches!(pin(&reader, "outbox").await, Err(Error::OutOfTurn(_))));
    assert!(matches!(reader.publisher(0).await, Err(Error::OutOfTurn(_))));
    let options = WorkerOptions { on_unknown: OnUnknown::Resend, now: jiff::Timestamp::UNIX_EPOCH };
    assert!(matches!(reader.worker(options).await, Err(Error::OutOfTurn(_))));
    assert!(matches!(reader.command(journal::Command::Resume).await, Err(Error::OutOfTurn(_))));
    account(&reader).await;
}

#[tokio::test]
async fn a_claim_is_shown_as_unknown_once_its_owner_is_gone_and_not_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = Embedded::open(dir.path()).expect("made");
    pin(&journal, "outbox").await.expect("pinned");
    let recipient = campaign::EmailAddress::parse("person@example.com").expect("an address");
    let message = |row| Entry::Message(Message { row, recipient: recipient.clone(), fields: Fields::new() });
    let entries: Vec<Entry> = (2..5).map(message).collect();
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    let checkpoint = after(publisher.checkpoint(), &entries, true);
    publisher.publish(entries, checkpoint).await.expect("published");
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut worker = journal.worker(WorkerOptions { on_unknown: OnUnknown::Hold, now }).await.expect("a worker");
    let claims = worker.take(2, now).await.expect("taken");
    worker.commit(Tick { claims, at: now, ..Tick::default() }).await.expect("committed");

    let reader = Embedded::open_read_only(dir.path()).expect("opened");
    assert_eq!(account(&reader).await.pending, 3);
    let killed = tempfile::tempdir().expect("a folder");
    for name in ["journal.db", "journal.db-wal", "lock"] {
        std::fs::copy(dir.path().join(name), killed.path().join(name)).expect("copied");
    }
    let reader = Embedded::open_read_only(killed.path()).expect("opened");
    assert_eq!(account(&reader).await.unknown, 2);
}

#[tokio::test]
async fn a_journal_is_set_aside_whole_while_somebody_reads_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = Embedded::open(dir.path()).expect("made");
    pin(&journal, "first").await.expect("pinned");
    let reader = Embedded::open_read_only(dir.path()).expect("opened");
    account(&reader).await;
    drop(journal);
    assert!(dir.path().join("journal.db-wal").exists(), "the reader keeps it there");
    Embedded::set_aside(dir.path()).expect("set aside").expect("there was one");
    assert!(!dir.path().join("journal.db-wal").exists(), "a new journal must not find it");
    let journal = Embedded::open(dir.path()).expect("a new one");
    assert_eq!(journal.pinned().await.expect("read"), None);
    assert_eq!(reader.pinned().await.expect("read").expect("pinned").destination, "first");
}
