//! The ends of a fault between hosts, as its line names them: `α,β:1 _ 5000us`.
//!
//! Pure. Owns how hosts are read from that text. What a fault does to them is lonet's to know, and
//! which patterns match them is `expected`'s.

use lonet::trace::{Event, Verb};

/// What stands for all hosts that the other side does not name.
pub(crate) const ALL_OTHERS: &str = "_";

/// The words that name ends: of those behind the verb, the first two.
fn sides(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().take(2)
}

/// Whether one side is all others.
pub(crate) fn names_all_others(text: &str) -> bool {
    sides(text).any(|side| side == ALL_OTHERS)
}

/// The hosts that are named, in the order in which they stand; one that stands twice comes twice.
pub(crate) fn hosts(text: &str) -> impl Iterator<Item = &str> {
    let named = sides(text).filter(|side| *side != ALL_OTHERS);
    let ends = named.flat_map(|side| side.split(','));
    ends.map(|end| end.split_once(':').map_or(end, |(host, _)| host))
}

/// Whether what goes from there to there is the business of a fault that names these ends.
pub(crate) fn covers(text: &str, from: (&str, u32), to: (&str, u32)) -> bool {
    let mut sides = sides(text);
    let (Some(one), Some(other)) = (sides.next(), sides.next()) else {
        return false;
    };
    // All others are all hosts that the other side does not name.
    let has = |side: &str, beside: &str, (host, port): (&str, u32)| match side {
        ALL_OTHERS => !hosts(beside).any(|named| named == host),
        _ => side.split(',').any(|end| match end.split_once(':') {
            Some((named, at)) => named == host && at.parse() == Ok(port),
            None => end == host,
        }),
    };
    let between_all = (one, other) == (ALL_OTHERS, ALL_OTHERS);
    has(one, other, from) && has(other, one, to) && !(between_all && from.0 == to.0)
}

/// The hosts that an event is about: its own and the other side's; all that a fault names.
pub(crate) fn hosts_of(event: &Event) -> Vec<&str> {
    let (own, text) = (event.host(), event.text());
    if event.verb().names_ends() {
        let to = text.split_whitespace().next().unwrap_or_default();
        return hosts(own).chain(hosts(to)).collect();
    }
    let peer = event.peer().map(lonet::Addr::host);
    std::iter::once(own).chain(peer).collect()
}

/// Which of these hosts what the scenario did concerns: those between which a fault is or was. `None`:
/// it is something else.
pub(crate) fn between<'a>(event: &Event, hosts: &[&'a str]) -> Option<Vec<&'a str>> {
    let verb = event.verb();
    if !verb.names_ends() && verb != Verb::Reset {
        return None;
    }
    let to = event.text().split_whitespace().next();
    let all = verb.names_ends() && [Some(event.host()), to].contains(&Some(ALL_OTHERS));
    let named = hosts_of(event);
    let concerned = hosts
        .iter()
        .copied()
        .filter(|host| all || named.contains(host));
    Some(concerned.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_covers_what_goes_from_its_one_side_to_the_other() {
        for (text, from, to, is_covered) in [
            ("a b 3", "a:1", "b:7", true),
            ("a b 3", "b:7", "a:1", false),
            ("a,c b", "c:1", "b:7", true),
            ("a:1 b", "a:1", "b:7", true),
            ("a:1 b", "a:2", "b:7", false),
            ("a _", "a:1", "z:1", true),
            ("a _", "a:1", "a:2", false),
            ("a _", "z:1", "a:1", false),
            ("_ a,b", "z:1", "b:1", true),
            ("_ a,b", "a:1", "b:1", false),
            ("a a", "a:1", "a:2", true),
            ("_ _", "a:1", "b:1", true),
            ("_ _", "a:1", "a:2", false),
        ] {
            let at = |addr: &'static str| {
                let (host, port) = addr.split_once(':').unwrap();
                (host, port.parse().unwrap())
            };
            assert_eq!(
                covers(text, at(from), at(to)),
                is_covered,
                "{text}: {from} to {to}"
            );
        }
    }
}
