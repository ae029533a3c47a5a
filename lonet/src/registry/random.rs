//! Unique names: for new networks, and for what is put aside; and where a sweep
//! begins.
//!
//! Unlikely to collide, not unguessable: code that makes something with such a name makes it
//! exclusively, in a directory that others can't spoil.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process;
use std::time::SystemTime;

/// What random networks' names begin with.
const PREFIX: &str = "r-";
/// How many letters and digits a word has: 62 bits.
const LETTERS: usize = 12;

/// A fresh word of small letters and digits.
pub(super) fn word() -> String {
    // The standard library seeds this from the system, once a thread, and changes it every time.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(process::id());
    if let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        hasher.write_u128(now.as_nanos());
    }
    let mut left = hasher.finish();
    let mut word = String::with_capacity(LETTERS);
    for _ in 0..LETTERS {
        let digit = u32::try_from(left % 36).expect("a remainder of 36 fits");
        word.push(char::from_digit(digit, 36).expect("and is a digit of base 36"));
        left /= 36;
    }
    word
}

/// A number less than `end`; 0 if that is 0.
pub(super) fn below(end: usize) -> usize {
    let hash = RandomState::new().build_hasher().finish();
    usize::try_from(hash % (end.max(1) as u64)).expect("it is less than a usize")
}

/// A fresh name for a network.
pub(super) fn network_name() -> String {
    format!("{PREFIX}{}", word())
}

/// Whether a network of this name was made with [`network_name`].
pub(super) fn is_network_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|word| {
        word.len() == LETTERS
            && word
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::addr::check_name;

    #[test]
    fn names_are_legal_known_again_and_differ() {
        let names: BTreeSet<String> = (0..10_000).map(|_| network_name()).collect();
        assert_eq!(names.len(), 10_000);
        for name in names {
            assert!(is_network_name(&name));
            check_name(&name).unwrap();
        }
        for other in [
            "x",
            "r-",
            "r-abc",
            "r-ABCDEFGHIJKL",
            "r-abcdefghijklm",
            "abcdefghijkl",
        ] {
            assert!(!is_network_name(other), "{other}");
        }
    }
}
