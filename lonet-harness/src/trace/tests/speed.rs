//! What a rejected expectation costs: finding out that it does not hold, and the page. Time is this
//! thread's own, so that other programs' work is not in it.

#[path = "../../../benches/matching/made.rs"]
mod made;

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::ping_pong;
use crate::__private::measured::whole;
use crate::trace::Trace;
use crate::trace::explain::look::LOOKS;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;

fn cpu_time() -> Duration {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    clock_gettime(clock)
        .expect("every thread has this clock")
        .into()
}

fn took(work: impl FnOnce()) -> Duration {
    let start = cpu_time();
    work();
    cpu_time() - start
}

/// Whatever is wrong with it: what a reader waits for is bounded.
#[test]
fn a_mismatch_of_5000_events_is_told_within_two_seconds() {
    let mut slow = Vec::new();
    for (what, trace) in made::traces(5000) {
        // Of many hosts, those that took the cube of the lines; of few, all without variables.
        let kinds = made::wrong(&trace).into_iter();
        let told = |how: &str| match what {
            "n/2 hosts' marks" => {
                ["halves, host variables", "swapped, host variables"].contains(&how)
            }
            "n/7 servers and clients" => false,
            _ => !how.contains("variables"),
        };
        for (how, text) in kinds.filter(|(how, _)| told(how.as_str())) {
            // Some of it holds: where processes know nothing of each other.
            let whole = took(|| {
                if let Err(mismatch) = trace.check(text.as_str()) {
                    assert!(!mismatch.to_string().is_empty());
                }
            });
            if whole > Duration::from_secs(2) {
                slow.push(format!("{what}, {how}: {whole:?}"));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

/// A test may check a thousand times until it holds: nothing of the page is worked out before
/// somebody reads it.
#[test]
fn a_rejected_check_costs_no_page() {
    let trace = ping_pong();
    let lines: Vec<String> = trace.events().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 7);
    let before = LOOKS.get();
    let mismatch = trace.check(lines[1..].join("\n").as_str()).unwrap_err();
    assert_eq!(LOOKS.get(), before);
    assert!(!mismatch.to_string().is_empty());
    assert!(LOOKS.get() > before);
}
