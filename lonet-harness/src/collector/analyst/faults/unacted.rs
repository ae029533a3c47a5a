//! What is wrong with faults that never acted.
//!
//! Owns the words. A fault that a test asks for and that touches nothing makes the test pass for
//! nothing.

use std::collections::BTreeSet;

use lonet::trace::Event;
use strsim::levenshtein;

use super::{Analyst, Fault, Kind, Phase};
use crate::collector::fault::At;

/// So many events are named that are near to what was expected.
const NAMED: usize = 3;

impl Analyst {
    /// A sentence for each fault that should have acted and did not.
    pub(super) fn unacted(&self) -> Vec<String> {
        let faults = self.faults.all.values();
        faults.filter_map(|fault| self.blame(fault)).collect()
    }

    fn blame(&self, fault: &Fault) -> Option<String> {
        let line = fault.injection.line();
        if fault.acted || fault.injection.may_not_fire {
            return None;
        }
        match (fault.phase, &fault.injection.at) {
            (Phase::Armed, Some(at)) => Some(format!(
                "`{line}` was armed, and never triggered: {}",
                self.never(at, fault.after)
            )),
            (Phase::Over, _) if fault.kind() == Kind::Reset => {
                Some(format!("`{line}` found no connection"))
            }
            (Phase::Over, _) if fault.in_force.0 > 0 => {
                let (since, until) = fault.in_force;
                let nanos = until.unwrap_or(since).saturating_sub(since);
                Some(format!(
                    "`{line}` was in force for {}, but nothing tried to pass{}",
                    long(nanos),
                    self.unknown_hosts(fault)
                ))
            }
            // Disarmed; or put into force as the test ended.
            _ => None,
        }
    }

    /// Why the event of an armed fault did not come; of another fault, nothing.
    pub(super) fn never_set_off(&self, number: u32) -> String {
        let fault = self.faults.all.get(&number);
        let armed = fault.filter(|fault| fault.phase == Phase::Armed);
        let why = armed.and_then(|fault| {
            let at = fault.injection.at.as_ref()?;
            Some(self.never(at, fault.after))
        });
        why.unwrap_or_default()
    }

    /// Why an event did not come.
    pub(in crate::collector::analyst) fn never(&self, at: &At, after: usize) -> String {
        let (before, since) = self.events.split_at(after.min(self.events.len()));
        let matches = |event: &&Event| at.pattern.matches(event);
        let found = since.iter().filter(matches).count();
        let nth = match at.nth {
            1 => String::new(),
            nth => format!("; it waited for number {nth}"),
        };
        let mut why = format!("`{}` matched {found} {}{nth}", at.text, events(found));
        if let (0, Some(early)) = (found, before.iter().rev().find(matches)) {
            why.push_str(&format!(
                "; `{early}` had happened before `inject`, which looks at what comes after"
            ));
            return why;
        }
        let shape = &at.shape;
        if let Some(near) = self.nearest_host(&shape.host) {
            why.push_str(&format!("; there was no host {}{near}", shape.host));
            return why;
        }
        let near = |event: &&Event| event.host() == shape.host && !event.verb().is_interference();
        let of_verb = |event: &&Event| near(event) && event.verb() == shape.verb;
        let mut lines = BTreeSet::new();
        let same = since
            .iter()
            .filter(of_verb)
            .chain(since.iter().filter(near));
        let same = same.filter(|event| !matches(event));
        let lines: Vec<String> = same
            .map(|event| format!("`{event}`"))
            .filter(|line| lines.insert(line.clone()))
            .take(NAMED)
            .collect();
        if !lines.is_empty() {
            why.push_str(&format!("; nearest: {}", lines.join(", ")));
        }
        why
    }

    /// The hosts of a fault that have never been there.
    fn unknown_hosts(&self, fault: &Fault) -> String {
        let sides = [&fault.injection.from, &fault.injection.to];
        let named = sides.into_iter().flat_map(|side| side.hosts());
        let unknown = named.filter_map(|host| {
            let near = self.nearest_host(host)?;
            Some(format!("; there was no host {host}{near}"))
        });
        let unknown: BTreeSet<String> = unknown.collect();
        unknown.into_iter().collect()
    }

    /// If there has been no host of that name: which is nearest.
    fn nearest_host(&self, name: &str) -> Option<String> {
        let events = self.events.iter().filter(|event| {
            // A fault's line names ends as they were given.
            !event.verb().is_interference()
        });
        let hosts: BTreeSet<&str> = events.map(Event::host).collect();
        if hosts.contains(name) {
            return None;
        }
        let near = hosts
            .into_iter()
            .map(|host| (levenshtein(host, name), host))
            .min();
        Some(near.map_or_else(String::new, |(_, host)| format!(" (nearest: {host})")))
    }
}

fn events(number: usize) -> &'static str {
    match number {
        1 => "event",
        _ => "events",
    }
}

/// A time, as one reads it.
fn long(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{} µs", nanos / 1000),
        1_000_000..100_000_000 => format!("{} ms", nanos / 1_000_000),
        _ => format!("{}.{} s", nanos / 1_000_000_000, nanos / 100_000_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_short() {
        assert_eq!(long(1_500), "1 µs");
        assert_eq!(long(20_000_000), "20 ms");
        assert_eq!(long(1_250_000_000), "1.2 s");
    }
}
