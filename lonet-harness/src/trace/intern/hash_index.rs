//! Numbers by the digest of what they stand for, and the hash behind it.
//!
//! Owns how things are looked up by content. What the things are is `symbols`' and `labels`'
//! business; nothing is ever iterated in hash order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// "No such": of symbols, labels, ports and nodes.
pub(crate) const NONE: u32 = u32::MAX;

/// A map that is only looked up, never iterated.
pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// A small multiplicative hash. Its input comes from the test's own processes, so that it needs no
/// defence against chosen keys beyond never being wrong.
#[derive(Default)]
pub(crate) struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let last = rest.iter().rev();
            self.write_u64(last.fold(0, |word, &byte| (word << 8) | u64::from(byte)));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}

/// Hashes anything with the fast hasher: for digests that only break ties.
pub(crate) fn digest(value: impl Hash) -> u64 {
    let mut hasher = FastHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Numbers by the digest of what they stand for: eight bytes a number, where a map of the things
/// themselves would be a cache miss for each of a million.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Digest and number; a power of two of them, at most three quarters full. `NONE`: no number.
    slots: Vec<(u32, u32)>,
    used: usize,
}

/// So many things are looked up together: their records fit into the nearest cache.
pub(crate) const TOGETHER: usize = 64;

/// Something that is looked up together with others.
pub(crate) struct Asked<T> {
    pub(crate) what: T,
    pub(crate) digest: u64,
    /// A number that may be its.
    pub(crate) guess: Option<u32>,
}

impl<T> Asked<T> {
    pub(crate) fn new(what: T, digest: u64) -> Asked<T> {
        Asked {
            what,
            digest,
            guess: None,
        }
    }
}

impl Index {
    /// The number of what has this digest and is it; or `next`, which it has from now on.
    #[inline]
    pub(crate) fn number(&mut self, digest: u64, next: u32, is: impl Fn(u32) -> bool) -> u32 {
        if self.used * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let short = Index::short(digest);
        match self.slot(short, is) {
            Ok(known) => known,
            Err(free) => {
                self.slots[free] = (short, next);
                self.used += 1;
                next
            }
        }
    }

    pub(crate) fn find(&self, digest: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.slot(Index::short(digest), is).ok()
    }

    /// Guesses the numbers of things that are looked up one after the other. A table of a million
    /// is larger than any cache, and one thing's search waits for its memory; here the accesses
    /// wait for nothing, so that memory answers them together, and where the searches begin is in
    /// the cache then.
    pub(crate) fn guess<T>(&self, together: &mut [Option<Asked<T>>]) {
        if self.slots.is_empty() {
            return;
        }
        for asked in together.iter_mut().flatten() {
            let short = Index::short(asked.digest);
            let (known, number) = self.slots[self.home(short)];
            asked.guess = (known == short && number != NONE).then_some(number);
        }
    }

    /// The number, or the free slot where it would be.
    #[inline]
    fn slot(&self, short: u32, is: impl Fn(u32) -> bool) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(short);
        loop {
            match self.slots[at] {
                (_, NONE) => return Err(at),
                (known, number) if known == short && is(number) => return Ok(number),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Where the search for a digest begins: by its highest bits, so that growing reads and writes
    /// the slots from front to back.
    #[inline]
    fn home(&self, short: u32) -> usize {
        let bits = self.slots.len().trailing_zeros();
        (u64::from(short) << bits >> u32::BITS) as usize
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        let slots = std::mem::replace(&mut self.slots, vec![(0, NONE); size]);
        for (short, number) in slots {
            if number != NONE
                && let Err(free) = self.slot(short, |_| false)
            {
                self.slots[free] = (short, number);
            }
        }
    }

    fn short(digest: u64) -> u32 {
        ((digest ^ (digest >> 32)) as u32).wrapping_mul(0x9e37_79b1)
    }
}
