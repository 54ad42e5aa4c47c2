//! What people decide: each applies only to rows that are still in the state it is about.

use super::codec::{key, kind, nanos, number, slot};
use super::fault::Fault;
use super::ledger::Draft;
use super::store::{self, Store};
use super::worker::hold;
use crate::{Command, Error};
use rusqlite::{Connection, ToSql};

/// Queues again at once; the evidence of the attempts so far is dropped, their number is kept, and the age counts anew.
const QUEUE_AGAIN: &str = "UPDATE state SET queued = 1, due = 0, first = NULL, kind = 0, attempt = NULL, at = NULL,
                           code = NULL, enhanced = NULL, text = NULL, backend = NULL WHERE kind = ?1";

/// Carries a command out; returns how many rows it changed.
pub(super) fn carry_out(store: &mut Store, command: &Command) -> Result<u64, Error> {
    let orphaned = store.claims_are_orphans();
    let changed = store.transaction(|connection, _, draft| {
        if orphaned {
            // With no worker to take them over they are unknown rows like any other.
            hold(connection, draft)?;
        }
        match command {
            Command::ResendUnknown { rows } => {
                let changed = update(connection, QUEUE_AGAIN, rows.as_deref(), &[&kind::UNKNOWN])?;
                queued_again(draft, kind::UNKNOWN, changed);
                Ok(changed)
            }
            Command::DiscardUnknown { rows, at } => {
                draft.seq += 1;
                let (at, seq) = (nanos(*at), key(draft.seq));
                let sql = "UPDATE state SET kind = ?2, at = ?3, seq = ?4 WHERE kind = ?1";
                let changed = update(connection, sql, rows.as_deref(), &[&kind::UNKNOWN, &kind::DEAD, &at, &seq])?;
                draft.counts.unknown -= changed;
                draft.counts.dead += changed;
                Ok(changed)
            }
            Command::ReplayDead { code } => {
                let which = "AND (?2 IS NULL OR code = ?2 OR enhanced = ?2)";
                let changed = connection.execute(&format!("{QUEUE_AGAIN} {which}"), (kind::DEAD, code))?;
                queued_again(draft, kind::DEAD, changed as u64);
                Ok(changed as u64)
            }
            Command::Resume => {
                let changed = update(connection, QUEUE_AGAIN, None, &[&kind::REFUSED])?;
                queued_again(draft, kind::REFUSED, changed);
                store::forget(connection, "paused")?;
                draft.paused = false;
                Ok(changed)
            }
            Command::Suspend { at } => {
                if !draft.suspended {
                    store::set(connection, "suspended", at)?;
                    draft.suspended = true;
                }
                Ok(0)
            }
            Command::Unsuspend => {
                store::forget(connection, "suspended")?;
                draft.suspended = false;
                Ok(0)
            }
        }
    })?;
    store.refresh();
    Ok(changed)
}

fn queued_again(draft: &mut Draft, from: i64, changed: u64) {
    *slot(&mut draft.counts, from) -= changed;
    draft.counts.pending += changed;
    draft.waiting += changed;
}

/// Runs an update for all rows, or for each of the given ones.
fn update(connection: &Connection, sql: &str, rows: Option<&[u64]>, parameters: &[&dyn ToSql]) -> Result<u64, Fault> {
    let Some(rows) = rows else { return Ok(connection.execute(sql, parameters)? as u64) };
    let mut statement = connection.prepare_cached(&format!("{sql} AND row = ?{}", parameters.len() + 1))?;
    let mut changed = 0;
    for row in rows {
        let row = key(*row);
        let mut all = parameters.to_vec();
        all.push(&row);
        changed += number(i64::try_from(statement.execute(all.as_slice())?).unwrap_or(0));
    }
    Ok(changed)
}
