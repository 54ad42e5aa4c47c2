//! What a worker may claim: due rows first, then new ones in the order of the list.

use super::codec::{Read, key, nanos, number};
use super::fault::Fault;
use super::ledger::{Ledger, MOST_WAITING, Taken};
use super::store::Store;
use crate::Error;
use jiff::Timestamp;
use rusqlite::Connection;

/// Hands out at most `max` rows that may be claimed at `now`.
pub(super) fn take(store: &mut Store, epoch: u64, max: usize, now: Timestamp) -> Result<Vec<Read>, Error> {
    store.ledger.owner(epoch)?;
    if store.ledger.paused || store.ledger.suspended || max == 0 {
        return Ok(Vec::new());
    }
    let mut batch = Batch { max, cursor: store.ledger.cursor, rows: Vec::new() };
    let filled = batch.fill(&store.connection, &store.ledger, now);
    filled.map_err(|fault| fault.at(&store.path))?;

    store.ledger.cursor = batch.cursor;
    let owner = store.ledger.owner.as_mut().ok_or(Error::Fenced)?;
    let rows = batch.rows.into_iter().map(|(read, taken)| {
        owner.taken.insert(read.row, taken);
        read
    });
    let rows = rows.collect();
    store.refresh();
    Ok(rows)
}

/// A batch that is being put together; nothing is handed out before it is whole.
struct Batch {
    max: usize,
    cursor: u64,
    rows: Vec<(Read, Taken)>,
}

impl Batch {
    fn fill(&mut self, connection: &Connection, ledger: &Ledger, now: Timestamp) -> Result<(), Fault> {
        if ledger.waiting > 0 {
            self.add_due(connection, ledger, now)?;
        }
        if ledger.waiting >= MOST_WAITING {
            return Ok(());
        }
        while self.rows.len() < self.max && self.cursor <= ledger.seen_until {
            self.add_overlooked(connection, ledger)?;
        }
        if self.rows.len() < self.max {
            self.add_new(connection)?;
        }
        Ok(())
    }

    fn room(&self) -> i64 {
        i64::try_from(self.max - self.rows.len()).unwrap_or(i64::MAX)
    }

    fn add_due(&mut self, connection: &Connection, ledger: &Ledger, now: Timestamp) -> Result<(), Fault> {
        // The index alone says which; a row in the worker's hands costs no look at its message.
        let mut due =
            connection.prepare_cached("SELECT row FROM state WHERE queued = 1 AND due <= ?1 ORDER BY due, row")?;
        let mut read = connection.prepare_cached(
            "SELECT m.recipient, m.fields, s.attempts, s.first, s.kind
             FROM state s JOIN message m ON m.row = s.row WHERE s.row = ?1",
        )?;
        let mut rows = due.query([nanos(now)])?;
        while self.rows.len() < self.max {
            let Some(row) = rows.next()? else { break };
            let key: i64 = row.get(0)?;
            let row = number(key);
            if ledger.owner.as_ref().is_some_and(|owner| owner.taken.contains_key(&row)) {
                continue;
            }
            self.rows.push(read.query_row([key], |columns| {
                let (attempts, first) = (columns.get(2)?, columns.get(3)?);
                let (recipient, fields) = (columns.get(0)?, columns.get(1)?);
                let taken = Taken { attempts, first, has_state: true, kind: columns.get(4)? };
                Ok((Read { row, recipient, fields, attempt: attempts + 1, first }, taken))
            })?);
        }
        Ok(())
    }

    /// New rows among those that an earlier worker has been through, or that were published behind the cursor.
    fn add_overlooked(&mut self, connection: &Connection, ledger: &Ledger) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT m.row, m.recipient, m.fields FROM message m
             WHERE m.row >= ?1 AND m.row <= ?2 AND NOT EXISTS (SELECT 1 FROM state s WHERE s.row = m.row)
             ORDER BY m.row LIMIT ?3",
        )?;
        let room = self.room();
        let mut rows = statement.query((key(self.cursor), key(ledger.seen_until), room))?;
        let mut found = 0;
        while let Some(columns) = rows.next()? {
            found += 1;
            let row = number(columns.get(0)?);
            self.cursor = row + 1;
            let in_hand =
                |owner: &super::ledger::Owner| owner.taken.contains_key(&row) || owner.begun.contains_key(&row);
            if !ledger.owner.as_ref().is_some_and(in_hand) {
                self.push_new(row, columns.get(1)?, columns.get(2)?);
            }
        }
        if found < room {
            self.cursor = ledger.seen_until + 1;
        }
        Ok(())
    }

    fn add_new(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection
            .prepare_cached("SELECT row, recipient, fields FROM message WHERE row >= ?1 ORDER BY row LIMIT ?2")?;
        let mut rows = statement.query((key(self.cursor), self.room()))?;
        while let Some(columns) = rows.next()? {
            let row = number(columns.get(0)?);
            self.cursor = row + 1;
            self.push_new(row, columns.get(1)?, columns.get(2)?);
        }
        Ok(())
    }

    fn push_new(&mut self, row: u64, recipient: String, fields: String) {
        let taken = Taken { attempts: 0, first: None, has_state: false, kind: 0 };
        self.rows.push((Read { row, recipient, fields, attempt: 1, first: None }, taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::ledger::Owner;

    #[test]
    fn with_too_many_rows_waiting_no_new_ones_are_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(dir.path(), dir.path().join("journal.db")).expect("opened");
        let rows = "INSERT INTO message VALUES(2, 'a@example.com', '{}'), (3, 'b@example.com', '{}');
                    INSERT INTO state(row, queued, due, attempts, kind) VALUES(2, 1, 0, 0, 0);";
        store.connection.execute_batch(rows).expect("written");
        store.ledger.owner = Some(Owner::default());
        store.ledger.cursor = 3;
        let mut take = |waiting, max| {
            store.ledger.waiting = waiting;
            let rows = take(&mut store, 0, max, Timestamp::UNIX_EPOCH).expect("taken");
            rows.iter().map(|read| read.row).collect::<Vec<_>>()
        };
        assert_eq!(take(MOST_WAITING, 9), [2], "what is due goes on");
        assert_eq!(take(MOST_WAITING - 1, 9), [3]);
    }
}
