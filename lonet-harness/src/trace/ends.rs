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
