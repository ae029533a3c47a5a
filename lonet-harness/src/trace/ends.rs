//! The ends of a fault between hosts, as its line names them: `α,β:1 _ 5000us`.
//!
//! Pure. Owns how hosts are read from that text. What a fault does to them is lonet's to know, and
//! which patterns match them is `expected`'s.

use lonet::trace::Event;

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

/// The hosts that an event is about: its own and the other side's; all that a fault names.
pub(crate) fn hosts_of(event: &Event) -> Vec<&str> {
    if event.verb().names_ends() {
        return sides(event.host())
            .take(1)
            .chain(sides(event.text()).take(1))
            .flat_map(hosts)
            .collect();
    }
    let peer = event.peer().map(lonet::Addr::host);
    std::iter::once(event.host()).chain(peer).collect()
}

/// Whether the event is about all hosts, or all but some.
pub(crate) fn is_about_all(event: &Event) -> bool {
    let other = event.text().split_whitespace().next();
    event.verb().names_ends() && (event.host() == ALL_OTHERS || other == Some(ALL_OTHERS))
}
