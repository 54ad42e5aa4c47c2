//! Whether a chunk of the list follows on what is published. Pure.

use crate::{Checkpoint, Error, Tally};

/// Checks the rows of a chunk and the checkpoint behind them against what was published `before`.
///
/// # Errors
/// [`Error::OutOfTurn`] with what is wrong.
pub(crate) fn check(
    before: &Checkpoint,
    rows: impl Iterator<Item = u64>,
    tally: &Tally,
    checkpoint: &Checkpoint,
) -> Result<(), Error> {
    let out_of_turn = |what: &str| Err(Error::OutOfTurn(format!("a chunk of the list {what}")));
    if before.done {
        return out_of_turn("comes after its end");
    }
    let mut next = before.next_row;
    for row in rows {
        if row < next {
            return out_of_turn(&format!("has row {row} where {next} or a later one was next"));
        }
        next = row.saturating_add(1);
    }
    if checkpoint.next_row < next || i64::try_from(next).is_err() {
        return out_of_turn(&format!("ends at row {next} and its checkpoint at {}", checkpoint.next_row));
    }
    if checkpoint.tally != sum(&before.tally, tally) {
        return out_of_turn("has a checkpoint that doesn't count its rows");
    }
    Ok(())
}

/// Both together.
pub(crate) fn sum(one: &Tally, other: &Tally) -> Tally {
    Tally {
        published: one.published + other.published,
        invalid: one.invalid + other.invalid,
        duplicate: one.duplicate + other.duplicate,
        suppressed: one.suppressed + other.suppressed,
    }
}
