//! Which addresses were seen: millions of them in little memory.
//!
//! An address is kept as a hash of 128 bits, made with keys that are drawn anew for each set: two different addresses of a list fall on one
//! hash by chance once in 10²⁶ lists of a million, and nobody can make some that do. 16 bytes an address, and a sixteenth on top: the hashes
//! lie sorted in blocks that grow by what is needed, one a time, so that growing needs no second copy of all; the latest wait in a small set
//! until they are worth merging.

use campaign::EmailAddress;
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

/// Fewer recent ones than this are never merged.
const FEWEST_MERGED: usize = 4096;
/// The recent ones are merged when they are this part of all.
const MERGED_PART: usize = 16;

/// Blocks of sorted hashes: by their highest bits.
const BLOCK_BITS: u32 = 6;

/// A set of addresses in their normalised form.
#[derive(Debug, Default)]
pub struct AddressSet {
    keys: [RandomState; 2],
    blocks: Vec<Vec<u128>>,
    /// Hashes in the blocks.
    merged: usize,
    recent: HashSet<u128>,
}

impl AddressSet {
    /// Adds one; false if it was there.
    pub fn insert(&mut self, address: &EmailAddress) -> bool {
        let hash = self.hash(address);
        let is_new = !self.is_merged(hash) && self.recent.insert(hash);
        if self.recent.len() >= FEWEST_MERGED.max(self.merged / MERGED_PART) {
            self.merge();
        }
        is_new
    }

    /// The same room, with nothing in it.
    #[must_use]
    pub(crate) fn emptied(mut self) -> Self {
        self.blocks.iter_mut().for_each(Vec::clear);
        self.recent.clear();
        self.merged = 0;
        self
    }

    /// Whether it is there.
    pub fn contains(&self, address: &EmailAddress) -> bool {
        let hash = self.hash(address);
        self.is_merged(hash) || self.recent.contains(&hash)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.merged + self.recent.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_merged(&self, hash: u128) -> bool {
        self.blocks.get(block_of(hash)).is_some_and(|block| is_in(block, hash))
    }

    fn hash(&self, address: &EmailAddress) -> u128 {
        let normalised = address.normalised();
        let [high, low] = &self.keys;
        u128::from(high.hash_one(&normalised)) << 64 | u128::from(low.hash_one(&normalised))
    }

    fn merge(&mut self) {
        let mut recent: Vec<u128> = self.recent.drain().collect();
        recent.sort_unstable();
        self.merged += recent.len();
        self.blocks.resize_with(1 << BLOCK_BITS, Vec::new);
        for part in recent.chunk_by(|one, next| block_of(*one) == block_of(*next)) {
            merge_into(&mut self.blocks[block_of(part[0])], part);
        }
    }
}

/// Which block a hash belongs to.
fn block_of(hash: u128) -> usize {
    // The highest bits of 128 fit.
    usize::try_from(hash >> (u128::BITS - BLOCK_BITS)).unwrap_or_default()
}

/// Merges sorted hashes into sorted ones from the back, in place.
fn merge_into(sorted: &mut Vec<u128>, mut added: &[u128]) {
    let mut old = sorted.len();
    sorted.reserve_exact(added.len());
    sorted.resize(old + added.len(), 0);
    let mut free = sorted.len();
    while let [rest @ .., hash] = added {
        free -= 1;
        if old > 0 && sorted[old - 1] > *hash {
            old -= 1;
            sorted[free] = sorted[old];
        } else {
            sorted[free] = *hash;
            added = rest;
        }
    }
}

/// Looks a hash up by interpolation: they are spread evenly, so the place of one can be guessed well.
fn is_in(sorted: &[u128], hash: u128) -> bool {
    const FEW: usize = 32;
    let mut rest = sorted;
    while rest.len() > FEW {
        let (lowest, highest) = (rest[0], rest[rest.len() - 1]);
        if hash <= lowest || hash >= highest {
            return hash == lowest || hash == highest;
        }
        let part = (hash - lowest) as f64 / (highest - lowest) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
        let guess = (part * rest.len() as f64) as usize;
        // A window around the guess of twice the usual error; if the hash is not within, what is beside it remains.
        let error = rest.len().isqrt().max(8);
        let (from, to) = (guess.saturating_sub(error), (guess + error).min(rest.len() - 1));
        rest = if hash < rest[from] {
            &rest[..from]
        } else if hash > rest[to] {
            &rest[to + 1..]
        } else {
            &rest[from..=to]
        };
    }
    rest.contains(&hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u64) -> EmailAddress {
        EmailAddress::parse(&format!("someone{number}@example.org")).expect("an address")
    }

    #[test]
    fn every_address_is_new_once_however_many_there_are() {
        let mut set = AddressSet::default();
        for number in 0..100_000 {
            assert!(set.insert(&address(number)), "{number}");
            assert!(!set.insert(&address(number / 2)), "{number}");
        }
        assert_eq!(set.len(), 100_000);
        assert!((0..100_000).all(|number| set.contains(&address(number))));
        assert!((100_000..110_000).all(|number| !set.contains(&address(number))));
        assert!(set.blocks.iter().all(|block| block.is_sorted()) && set.merged > 90_000);
        let room: usize = set.blocks.iter().map(Vec::capacity).sum();
        assert!(room <= set.merged + set.merged / MERGED_PART + FEWEST_MERGED);
    }

    #[test]
    fn an_emptied_set_knows_nothing_and_keeps_its_room() {
        let mut set = AddressSet::default();
        assert!((0..20_000).all(|number| set.insert(&address(number))));
        let room = |set: &AddressSet| set.blocks.iter().map(Vec::capacity).sum::<usize>();
        let before = room(&set);
        let mut set = set.emptied();
        assert!(set.is_empty() && room(&set) == before && before > 0);
        assert!((0..20_000).all(|number| set.insert(&address(number))));
    }

    #[test]
    fn the_same_address_in_other_case_is_the_same() {
        let mut set = AddressSet::default();
        assert!(set.is_empty() && set.insert(&EmailAddress::parse("Ann@Example.ORG").expect("an address")));
        assert!(set.contains(&EmailAddress::parse("ann@example.org").expect("an address")));
    }

    #[test]
    fn a_hash_is_found_in_any_block_even_an_uneven_one() {
        let mut uneven: Vec<u128> = (0..5000).map(|i| i * 3).chain((0..5000).map(|i| u128::MAX - i * 7)).collect();
        uneven.sort_unstable();
        for hash in &uneven {
            assert!(is_in(&uneven, *hash));
            assert_eq!(is_in(&uneven, hash - hash % 2 + 1), uneven.contains(&(hash - hash % 2 + 1)));
        }
    }
}
