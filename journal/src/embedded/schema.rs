//! The file: its tables, its settings, and whether a file is one of ours.

use super::fault::Fault;
use crate::Error;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::Path;

/// "MCjl", in the header of the file (SQLite's `application_id`).
const APPLICATION: i32 = 0x4d43_6a6c;
/// In `user_version`. Version 1 did not know in which order results came; it is brought up when a run opens it.
const VERSION: i32 = 2;
const WITHOUT_ORDER: i32 = 1;
/// Bounds what SQLite keeps of the file in memory, in KiB.
const PAGE_CACHE_KIB: i32 = 3 * 1024;

/// A row of the list is in `message` or `skipped`. A message with neither `claim` nor `state` is new. `claim` holds what was begun
/// and not settled; `state` the latest settlement (`kind` 0: none), the attempts begun, and with `queued = 1` when it may be claimed.
/// `seq` grows with every settlement, so that they can be followed; a row that is queued again keeps it, for it must never go back.
const TABLES: &str = "
CREATE TABLE campaign(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE shard(
    shard INTEGER PRIMARY KEY, next_row INTEGER NOT NULL, published INTEGER NOT NULL, invalid INTEGER NOT NULL,
    duplicate INTEGER NOT NULL, suppressed INTEGER NOT NULL, done INTEGER NOT NULL) STRICT;
CREATE TABLE message(row INTEGER PRIMARY KEY, recipient TEXT NOT NULL, fields TEXT NOT NULL) STRICT;
CREATE TABLE skipped(row INTEGER PRIMARY KEY, reason INTEGER NOT NULL, why TEXT) STRICT;
CREATE TABLE claim(row INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, at INTEGER NOT NULL, first INTEGER) STRICT;
CREATE TABLE state(
    row INTEGER PRIMARY KEY, queued INTEGER NOT NULL, due INTEGER, attempts INTEGER NOT NULL, first INTEGER,
    kind INTEGER NOT NULL, attempt INTEGER, at INTEGER, code INTEGER, enhanced TEXT, text TEXT, backend TEXT,
    seq INTEGER) STRICT;
CREATE INDEX waiting ON state(due) WHERE queued = 1;
CREATE INDEX settled ON state(seq) WHERE seq IS NOT NULL;
";

/// From version 1 on: the results that are there come in the order of their times.
const UPGRADE: &str = "
ALTER TABLE state ADD COLUMN seq INTEGER;
UPDATE state SET seq = numbered.seq
    FROM (SELECT row AS settled, row_number() OVER (ORDER BY at, row) AS seq FROM state WHERE kind > 0) numbered
    WHERE row = settled;
CREATE INDEX settled ON state(seq) WHERE seq IS NOT NULL;
";

/// Opens the file for a run; makes it if it isn't there or its making was interrupted.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let is_new = !path.exists();
    let opened = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
        .and_then(|connection| {
            let empty = check(&connection, path)?;
            settle_in(&connection)?;
            if empty {
                write(&connection, TABLES)?;
            } else if version(&connection)? == WITHOUT_ORDER {
                write(&connection, UPGRADE)?;
            }
            Ok(connection)
        })
        .map_err(|fault| fault.at(path))?;
    if is_new && let Some(folder) = path.parent() {
        // The file's name is durable once its folder is.
        let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| Error::Storage { path: folder.to_owned(), source: source.into() })?;
    }
    Ok(opened)
}

/// Opens the file for reading beside a run.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, Error> {
    let opened = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
        if check(&connection, path)? {
            return Err(refused(path, "it is empty").into());
        }
        Ok(connection)
    });
    opened.map_err(|fault| fault.at(path))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(48);
    connection.pragma_update(None, "cache_size", -PAGE_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Whether the file is still empty; an error if it is anybody else's. Changes nothing.
fn check(connection: &Connection, path: &Path) -> Result<bool, Fault> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = version(connection)?;
    if application == APPLICATION && matches!(version, VERSION | WITHOUT_ORDER) {
        return Ok(false);
    }
    if application == APPLICATION {
        let why = format!("it has version {version} and this program knows version {VERSION}");
        return Err(refused(path, &why).into());
    }
    let a_table: Option<String> =
        connection.query_row("SELECT name FROM sqlite_schema LIMIT 1", [], |row| row.get(0)).optional()?;
    if application != 0 || a_table.is_some() {
        return Err(refused(path, "it is a database of another program").into());
    }
    Ok(true)
}

fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether it is known in which order results came.
pub(super) fn keeps_order(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? != WITHOUT_ORDER)
}

fn refused(path: &Path, why: &str) -> Error {
    Error::NotAJournal { path: path.to_owned(), why: why.to_owned() }
}

/// The settings of a run's connection.
fn settle_in(connection: &Connection) -> Result<(), Fault> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The thread does it, when nobody waits for a reply; see `engine`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(())
}

/// Makes or changes all tables at once: a crash leaves either nothing or all of it.
fn write(connection: &Connection, tables: &str) -> Result<(), Fault> {
    let script = format!(
        "BEGIN IMMEDIATE; {tables} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
    );
    if let Err(error) = connection.execute_batch(&script) {
        // The first error is the one to report.
        let _ = connection.execute_batch("ROLLBACK");
        return Err(error.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::Embedded;
    use crate::{Journal, Tail, TailFrom};

    /// A journal as version 1 left it, with two results and a row that waits.
    fn of_version_1(path: &Path) {
        let connection = open(path).expect("made");
        let script = format!(
            "DROP INDEX settled; ALTER TABLE state DROP COLUMN seq; PRAGMA user_version = {WITHOUT_ORDER};
             INSERT INTO message VALUES (2, 'a@example.com', '{{}}'), (3, 'b@example.com', '{{}}'), (4, 'c@example.com', '{{}}');
             INSERT INTO state(row, queued, due, attempts, kind, attempt, at, code) VALUES
                 (2, 0, NULL, 1, 1, 1, 2000, 250), (3, 0, NULL, 1, 1, 1, 1000, 250), (4, 1, 0, 0, 0, NULL, NULL, NULL);"
        );
        connection.execute_batch(&script).expect("as it was");
    }

    #[tokio::test]
    async fn a_journal_of_version_1_is_read_as_it_is_and_brought_up_by_a_run() {
        let dir = tempfile::tempdir().expect("a folder");
        of_version_1(&dir.path().join("journal.db"));
        let reading = Embedded::open_read_only(dir.path()).expect("readable");
        assert_eq!(reading.rows(0, 9).await.expect("rows").len(), 3);
        let refused = reading.tail(TailFrom::Start).await.err().expect("no order is known").to_string();
        assert!(refused.contains("go on with the campaign"), "{refused}");
        drop(reading);
        for _ in 0..2 {
            let journal = Embedded::open(dir.path()).expect("brought up");
            let mut tail = journal.tail(TailFrom::Start).await.expect("followed");
            let rows: Vec<u64> = tail.next().await.expect("two").iter().map(|settlement| settlement.row).collect();
            assert_eq!(rows, [3, 2], "in the order of their times");
        }
    }
}
