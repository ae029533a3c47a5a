//! Numbers by what they stand for, and the hash behind it.
//!
//! Owns how things are looked up by content. What the things are is `symbols`' and `labels`'
//! business; nothing is ever iterated in hash order.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// "No such": of symbols, labels, ports and nodes.
pub(crate) const NONE: u32 = u32::MAX;

/// A map that is only looked up, never iterated. Its keys come from the test's own processes, so
/// that it needs no defence against chosen ones.
pub(crate) type FastMap<K, V> = HashMap<K, V, FixedState>;

/// Hashes anything with the hash of [`FastMap`].
pub(crate) fn digest(value: impl Hash) -> u64 {
    FixedState::default().hash_one(value)
}

/// Numbers by the digest of what they stand for: eight bytes a number, where a map of the things
/// themselves would be a cache miss for each of a million.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// The upper half of each digest, and the number.
    numbers: HashTable<(u32, u32)>,
}

impl Index {
    /// The number of what has this digest and is it; or `next`, which it has from now on.
    pub(crate) fn number(&mut self, digest: u64, next: u32, is: impl Fn(u32) -> bool) -> u32 {
        let half = upper(digest);
        let found = |&(known, number): &(u32, u32)| known == half && is(number);
        let entry = self
            .numbers
            .entry(spread(half), found, |&(known, _)| spread(known));
        entry.or_insert((half, next)).get().1
    }

    pub(crate) fn find(&self, digest: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let half = upper(digest);
        let found = |&(known, number): &(u32, u32)| known == half && is(number);
        self.numbers
            .find(spread(half), found)
            .map(|&(_, number)| number)
    }
}

fn upper(digest: u64) -> u32 {
    (digest >> 32) as u32
}

/// The table takes its buckets from the lowest bits and its tags from the highest.
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_digest_has_numbers_of_its_own() {
        let words = ["a", "b"];
        let mut index = Index::default();
        for (number, word) in (0..).zip(words) {
            let is = |known: u32| words[known as usize] == word;
            assert_eq!(index.find(7, is), None);
            assert_eq!(index.number(7, number, is), number);
        }
        for (number, word) in (0..).zip(words) {
            let is = |known: u32| words[known as usize] == word;
            assert_eq!(index.number(7, 2, is), number);
            assert_eq!(index.find(7, is), Some(number));
        }
    }
}
