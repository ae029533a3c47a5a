//! Words that several texts share: how old something is, which process is meant, where the teardown
//! begins.
//!
//! Pure. Every text of a failing test may use them; they know none of those texts.

use std::fmt::Display;
use std::time::Duration;

use lonet::trace::Event;

use crate::collector::query::NodeReport;

/// What parts a failure from what ending the test causes.
#[derive(Clone, Copy)]
pub(crate) struct Teardown {
    /// What happened later than this belongs to it (CLOCK_MONOTONIC in nanoseconds).
    pub(crate) after: u64,
    pub(super) words: &'static str,
}

impl Teardown {
    /// Of a test whose deadline passed.
    pub(crate) fn of_deadline(after: u64) -> Teardown {
        let words = "deadline: what follows is teardown";
        Teardown { after, words }
    }

    /// Of a test whose body failed.
    pub(crate) fn of_body(after: u64) -> Teardown {
        let words = "the test's body has failed: what follows is teardown";
        Teardown { after, words }
    }

    /// Whether an event belongs to it.
    pub(super) fn has(self, event: &Event) -> bool {
        event.time_ns() > self.after
    }
}

/// How long ago that was, in seconds.
pub(super) fn age(now: u64, since: u64) -> String {
    seconds(Duration::from_nanos(now.saturating_sub(since)))
}

/// With one digit after the point, as people say it.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

/// Asks whether one of these addresses was meant.
pub(super) fn is_meant(addrs: &[impl Display]) -> Option<String> {
    let addrs: Vec<String> = addrs.iter().map(|addr| format!("`{addr}`")).collect();
    (!addrs.is_empty()).then(|| format!("is {} meant?", addrs.join(" or ")))
}

/// Which process each is: its host, and which of those that have played that host, if several have.
pub(crate) fn whose(nodes: &[NodeReport]) -> impl Iterator<Item = String> {
    nodes
        .iter()
        .enumerate()
        .map(|(at, NodeReport { host, .. })| {
            let of_host = |nodes: &[NodeReport]| nodes.iter().filter(|n| n.host == *host).count();
            match of_host(nodes) {
                1 => host.clone(),
                all => format!("{host}, process {} of {all}", of_host(&nodes[..=at])),
            }
        })
}
