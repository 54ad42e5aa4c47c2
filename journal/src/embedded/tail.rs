//! Follows the settlements of an embedded journal, beside a run or in it.
//!
//! Each settlement has a number, and an index holds the numbers in order: a look for new ones is a look at the end of the index, however many rows
//! there are. Of a row only the latest settlement is kept, so earlier ones may be left out.

use super::codec::{number, settlement};
use super::engine::Engine;
use super::fault::Fault;
use super::schema;
use crate::{Error, Tail, TailFrom};
use campaign::Settlement;
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;

/// Settlements that are read at once.
const PAGE: usize = 512;
/// Between two looks while nothing happens: soon at first, then less and less often.
const POLL: std::ops::Range<Duration> = Duration::from_millis(10)..Duration::from_millis(250);

/// Follows the settlements of an embedded journal.
pub struct EmbeddedTail {
    engine: Arc<Engine>,
    after: Place,
}

/// A settlement's place in their order. One command may settle many rows under one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    seq: i64,
    row: i64,
}

impl EmbeddedTail {
    /// Follows from the first settlement on, or from now on.
    pub(super) async fn begin(engine: Arc<Engine>, from: TailFrom) -> Result<Self, Error> {
        let begin = engine.call(move |store| {
            store.reading(|connection| {
                if !schema::keeps_order(connection)? {
                    let why =
                        "an earlier version of this program wrote it; go on with the campaign, and then follow it";
                    return Err(Error::NotAJournal { path: store.path.clone(), why: why.to_owned() }.into());
                }
                match from {
                    TailFrom::Start => Ok(Place { seq: 0, row: 0 }),
                    TailFrom::Now => Ok(Place { seq: highest(connection)?, row: i64::MAX }),
                }
            })
        });
        let after = begin.await?;
        Ok(Self { engine, after })
    }
}

impl Tail for EmbeddedTail {
    async fn next(&mut self) -> Result<Vec<Settlement>, Error> {
        let mut pause = POLL.start;
        loop {
            let after = self.after;
            let page = self.engine.call(move |store| store.reading(|connection| page(connection, after))).await?;
            self.after = page.reached;
            if !page.settlements.is_empty() {
                return Ok(page.settlements);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL.end);
        }
    }
}

/// The highest number that a settlement has.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<u64> {
    highest(connection).map(number)
}

fn highest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT ifnull(max(seq), 0) FROM state WHERE seq IS NOT NULL", [], |row| row.get(0))
}

/// Some settlements in their order, and how far that went.
struct Page {
    reached: Place,
    settlements: Vec<Settlement>,
}

/// The next settlements. A row that was queued again has none, though it keeps its number.
fn page(connection: &Connection, after: Place) -> Result<Page, Fault> {
    let sql = "SELECT row, seq, kind, attempt, at, due, code, enhanced, text, backend FROM state
               WHERE seq IS NOT NULL AND (seq, row) > (?1, ?2) ORDER BY seq, row";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((after.seq, after.row))?;
    let mut page = Page { reached: after, settlements: Vec::new() };
    while page.settlements.len() < PAGE
        && let Some(columns) = rows.next()?
    {
        page.reached = Place { row: columns.get(0)?, seq: columns.get(1)? };
        page.settlements.extend(settlement(number(page.reached.row), columns, 2)?);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_settlements_are_found_by_the_index_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let connection = schema::open(&dir.path().join("journal.db")).expect("opened");
        let plan = |sql: &str| -> String {
            let sql = format!("EXPLAIN QUERY PLAN {sql}");
            let mut statement = connection.prepare(&sql).expect("good SQL");
            let steps = statement.query_map([], |row| row.get::<_, String>(3)).expect("a plan");
            steps.collect::<Result<Vec<_>, _>>().expect("a plan").join("; ")
        };
        let next = "SELECT text FROM state WHERE seq IS NOT NULL AND (seq, row) > (7, 7) ORDER BY seq, row";
        assert_eq!(plan(next), "SEARCH state USING INDEX settled (seq>?)", "found, and not sorted");
        let last = "SELECT ifnull(max(seq), 0) FROM state WHERE seq IS NOT NULL";
        assert!(plan(last).starts_with("SEARCH state USING COVERING INDEX settled"), "{}", plan(last));
    }
}
