//! The account and the rows, read from the tables.

use super::codec::{SENDER_GONE, key, kind, number, settlement, skip_reason, slot, time};
use super::fault::Fault;
use super::store;
use crate::RowState;
use campaign::{Counts, Outcome, Reply, Settlement, Skipped};
use rusqlite::{Connection, Row};

/// The account. Claims that are orphans count as unknown, others as what they were before.
pub(super) fn counts(connection: &Connection, claims_are_orphans: bool) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    for (_, checkpoint) in store::shards(connection)? {
        counts.total += checkpoint.tally.total();
        counts.published += checkpoint.tally.published;
        counts.invalid += checkpoint.tally.invalid;
        counts.duplicate += checkpoint.tally.duplicate;
        counts.suppressed += checkpoint.tally.suppressed;
    }
    counts.pending = counts.published;
    // One pass with six counts: grouping would sort a million rows in memory.
    let sql = "SELECT count(*) FILTER (WHERE kind = 1), count(*) FILTER (WHERE kind = 2),
                      count(*) FILTER (WHERE kind = 3), count(*) FILTER (WHERE kind = 4),
                      count(*) FILTER (WHERE kind = 5), count(*) FILTER (WHERE kind = 6) FROM state";
    connection.prepare_cached(sql)?.query_row([], |sums| {
        for kind in kind::DELIVERED..=kind::DEAD {
            let column = usize::try_from(kind - kind::DELIVERED).unwrap_or(0);
            let how_many = number(sums.get(column)?);
            *slot(&mut counts, kind) += how_many;
            counts.pending = counts.pending.saturating_sub(how_many);
        }
        Ok(())
    })?;
    if claims_are_orphans {
        let sql = "SELECT ifnull(s.kind, 0), count(*) FROM claim c LEFT JOIN state s ON s.row = c.row GROUP BY 1";
        let mut orphans = connection.prepare_cached(sql)?;
        let mut rows = orphans.query([])?;
        while let Some(row) = rows.next()? {
            let (before, how_many) = (slot(&mut counts, row.get(0)?), number(row.get(1)?));
            *before = before.saturating_sub(how_many);
            counts.unknown += how_many;
        }
    }
    Ok(counts)
}

/// How many rows are queued in `state`.
pub(super) fn waiting(connection: &Connection) -> Result<u64, Fault> {
    let count = connection.query_row("SELECT count(*) FROM state WHERE queued = 1", [], |row| row.get(0))?;
    Ok(number(count))
}

/// At most `limit` rows from `from` on, messages and skipped ones merged by row.
pub(super) fn rows(
    connection: &Connection,
    from: u64,
    limit: usize,
    claims_are_orphans: bool,
) -> Result<Vec<RowState>, Fault> {
    let mut messages = messages(connection, from, limit, claims_are_orphans)?.into_iter().peekable();
    let mut skipped = skipped(connection, from, limit)?.into_iter().peekable();
    let mut merged = Vec::new();
    while merged.len() < limit {
        let message_first = match (messages.peek(), skipped.peek()) {
            (Some(message), Some(skipped)) => message.row() < skipped.row(),
            (message, _) => message.is_some(),
        };
        let Some(next) = (if message_first { messages.next() } else { skipped.next() }) else { break };
        merged.push(next);
    }
    Ok(merged)
}

fn messages(
    connection: &Connection,
    from: u64,
    limit: usize,
    claims_are_orphans: bool,
) -> rusqlite::Result<Vec<RowState>> {
    let sql = "SELECT m.row, max(ifnull(s.attempts, 0), ifnull(c.attempt, 0)), c.attempt, c.at,
                      s.kind, s.attempt, s.at, s.due, s.code, s.enhanced, s.text, s.backend
               FROM message m LEFT JOIN state s ON s.row = m.row LEFT JOIN claim c ON c.row = m.row
               WHERE m.row >= ?1 ORDER BY m.row LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let states = statement.query_map((key(from), limit_of(limit)), |columns| {
        let row = number(columns.get(0)?);
        let orphan = if claims_are_orphans { orphan(row, columns)? } else { None };
        let latest = match orphan {
            Some(unknown) => Some(unknown),
            None => settlement(row, columns, 4)?,
        };
        Ok(RowState::Message { row, attempts: columns.get(1)?, latest })
    })?;
    states.collect()
}

fn skipped(connection: &Connection, from: u64, limit: usize) -> rusqlite::Result<Vec<RowState>> {
    let sql = "SELECT row, reason, why FROM skipped WHERE row >= ?1 ORDER BY row LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let states = statement.query_map((key(from), limit_of(limit)), |columns| {
        let reason = skip_reason(columns.get(1)?, columns.get(2)?);
        Ok(RowState::Skipped(Skipped { row: number(columns.get(0)?), reason }))
    })?;
    states.collect()
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A claim (columns 2 and 3) whose owner is gone.
fn orphan(row: u64, columns: &Row<'_>) -> rusqlite::Result<Option<Settlement>> {
    let Some(attempt) = columns.get(2)? else { return Ok(None) };
    let at = time(columns.get(3)?);
    Ok(Some(Settlement { row, attempt, at, backend: None, outcome: sender_gone() }))
}

/// What becomes of a claim whose owner is gone.
pub(super) fn sender_gone() -> Outcome {
    Outcome::Unknown { reply: Reply { code: 0, enhanced: None, text: SENDER_GONE.to_owned() } }
}

/// All rows of `claim`, with what stands in `state` about them.
pub(super) struct Orphan {
    pub(super) row: i64,
    pub(super) attempt: u32,
    pub(super) at: i64,
    pub(super) first: Option<i64>,
    /// None: no row in `state`.
    pub(super) kind: Option<i64>,
}

/// See [`Orphan`].
pub(super) fn orphans(connection: &Connection) -> rusqlite::Result<Vec<Orphan>> {
    let sql = "SELECT c.row, c.attempt, c.at, c.first, s.kind FROM claim c LEFT JOIN state s ON s.row = c.row";
    let mut statement = connection.prepare_cached(sql)?;
    let orphans = statement.query_map([], |row| {
        Ok(Orphan { row: row.get(0)?, attempt: row.get(1)?, at: row.get(2)?, first: row.get(3)?, kind: row.get(4)? })
    })?;
    orphans.collect()
}

const _: () = assert!(kind::NONE == 0, "the SQL above says so");
