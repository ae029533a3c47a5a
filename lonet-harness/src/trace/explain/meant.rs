//! Which address was probably meant by a dial that found nothing.
//!
//! Pure. Owns which names count as similar; who asks knows where something listened.

use std::collections::BTreeSet;

use lonet::Addr;

/// So many addresses are named at most.
const MOST: usize = 3;

/// Where something listened instead: at the same host if that `was_there`, or else at one with a
/// similar name; at the port that was dialed, or else at any.
pub(crate) fn meant<'a>(
    listened: impl Iterator<Item = &'a Addr>,
    dialed: &Addr,
    was_there: bool,
) -> Vec<&'a Addr> {
    let may_be = |addr: &&Addr| match was_there {
        true => addr.host() == dialed.host(),
        false => are_similar(addr.host(), dialed.host()),
    };
    let mut listened: BTreeSet<&Addr> = listened.filter(may_be).collect();
    if listened.iter().any(|addr| addr.port() == dialed.port()) {
        listened.retain(|addr| addr.port() == dialed.port());
    }
    listened.into_iter().take(MOST).collect()
}

/// Whether `dialed` may be that name, mistyped: at most a third of it differs.
fn are_similar(name: &str, dialed: &str) -> bool {
    distance(name, dialed) * 3 <= name.chars().count()
}

/// How many characters must be inserted, removed or replaced to turn one word into the other (the
/// Levenshtein distance). The table of all pairs of beginnings is filled row by row; `row[i]` is the
/// distance of the beginning of `one` so far from the first `i` characters of `other`.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, a) in one.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (at, &b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_by_their_characters() {
        for (one, other, far) in [
            ("", "", 0),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("αβ", "βα", 2),
            ("conter", "counter", 1),
        ] {
            assert_eq!((distance(one, other), distance(other, one)), (far, far));
        }
    }
}
