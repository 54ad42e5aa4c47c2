//! Which addresses were seen: millions of them in little memory.
//!
//! An address is kept as a hash of 128 bits, made with keys that are drawn anew for each set: two different addresses of a list fall on one
//! hash by chance once in 10²⁶ lists of a million, and nobody can make some that do. 16 bytes an address, and a sixteenth on top: the hashes
//! lie sorted in one block that grows by what is needed; the latest wait in a small set until they are worth merging.

use campaign::EmailAddress;
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

/// Fewer recent ones than this are never merged.
const FEWEST_MERGED: usize = 4096;
/// The recent ones are merged when they are this part of all.
const MERGED_PART: usize = 16;

/// A set of addresses in their normalised form.
#[derive(Debug, Default)]
pub struct AddressSet {
    keys: [RandomState; 2],
    sorted: Vec<u128>,
    recent: HashSet<u128>,
}

impl AddressSet {
    /// Adds one; false if it was there.
    pub fn insert(&mut self, address: &EmailAddress) -> bool {
        let hash = self.hash(address);
        let is_new = !is_in(&self.sorted, hash) && self.recent.insert(hash);
        if self.recent.len() >= FEWEST_MERGED.max(self.sorted.len() / MERGED_PART) {
            self.merge();
        }
        is_new
    }

    /// Whether it is there.
    pub fn contains(&self, address: &EmailAddress) -> bool {
        let hash = self.hash(address);
        is_in(&self.sorted, hash) || self.recent.contains(&hash)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sorted.len() + self.recent.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hash(&self, address: &EmailAddress) -> u128 {
        let normalised = address.normalised();
        let [high, low] = &self.keys;
        u128::from(high.hash_one(&normalised)) << 64 | u128::from(low.hash_one(&normalised))
    }

    /// Merges the recent ones into the sorted ones from the back, in place.
    fn merge(&mut self) {
        let mut recent: Vec<u128> = self.recent.drain().collect();
        recent.sort_unstable();
        let mut old = self.sorted.len();
        self.sorted.reserve_exact(recent.len());
        self.sorted.resize(old + recent.len(), 0);
        let mut free = self.sorted.len();
        while let Some(&hash) = recent.last() {
            free -= 1;
            if old > 0 && self.sorted[old - 1] > hash {
                old -= 1;
                self.sorted[free] = self.sorted[old];
            } else {
                self.sorted[free] = hash;
                recent.pop();
            }
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
        assert!(set.sorted.is_sorted() && set.sorted.len() > 90_000);
        assert!(set.sorted.capacity() <= set.sorted.len() + set.sorted.len() / MERGED_PART + FEWEST_MERGED);
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
