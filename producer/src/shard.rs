//! Which rows of the list one of several publishers puts into the journal.

/// Rows that stay together: a shard takes every so-manieth stretch of them, and so never holds more than a chunk.
const STRETCH: u64 = 10_000;

/// One of several equal parts of a list. Every row belongs to exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

/// There is no such shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no shard {index} of {of}: they are counted from 0 to {}", of.saturating_sub(1))]
pub struct NoSuchShard {
    /// The shard that was asked for.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl Shard {
    /// The whole list.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Shard `index`, counted from 0, of so many.
    ///
    /// # Errors
    /// [`NoSuchShard`] if there are fewer.
    pub fn new(index: u32, of: u32) -> Result<Self, NoSuchShard> {
        if index < of { Ok(Self { index, of }) } else { Err(NoSuchShard { index, of }) }
    }

    /// Its number, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many there are; at least 1.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether it publishes this row.
    pub fn owns(self, row: u64) -> bool {
        row / STRETCH % u64::from(self.of) == u64::from(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_belongs_to_one_shard_and_stretches_stay_together() {
        let shards: Vec<Shard> = (0..3).map(|index| Shard::new(index, 3).expect("a shard")).collect();
        for row in [0, 1, 9_999, 10_000, 29_999, 30_000, u64::MAX] {
            assert_eq!(shards.iter().filter(|shard| shard.owns(row)).count(), 1, "{row}");
            assert!(Shard::WHOLE.owns(row));
        }
        assert!(shards[0].owns(9_999) && shards[1].owns(10_000) && shards[2].owns(29_999) && shards[0].owns(30_000));
    }

    #[test]
    fn a_shard_beyond_the_last_is_refused() {
        let error = Shard::new(3, 3).expect_err("there is none").to_string();
        assert_eq!(error, "there is no shard 3 of 3: they are counted from 0 to 2");
        assert!(Shard::new(0, 0).is_err());
    }
}
