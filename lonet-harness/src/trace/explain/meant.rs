//! Which address was probably meant by a dial that found nothing.
//!
//! Pure. Owns which names count as similar. The caller says where something listened.

use std::collections::BTreeSet;

use lonet::Addr;
use strsim::levenshtein;

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
    levenshtein(name, dialed) * 3 <= name.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_a_name_may_be_mistyped() {
        for (name, dialed, similar) in [
            ("counter", "conter", true),
            ("counter", "cuonter", true),
            ("node1", "node2", true),
            ("αβγ", "αβδ", true),
            ("ab", "ac", false),
            ("counter", "cashier", false),
        ] {
            assert_eq!(are_similar(name, dialed), similar, "{name} {dialed}");
        }
    }
}
