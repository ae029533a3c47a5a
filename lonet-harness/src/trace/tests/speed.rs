//! What a rejected expectation costs: finding out that it does not hold, and the page. In steps,
//! which are the same in every run; what they take in seconds is the bench's business.

#[path = "../../../benches/matching/made.rs"]
mod made;

use super::ping_pong;
use crate::__private::measured::whole;
use crate::trace::Trace;
use crate::trace::explain::look::LOOKS;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;
use crate::trace::intern::steps;

/// Half as much again as the worst of them takes, 8.1 million; of the others none takes 1.6 million.
const MOST_STEPS: u64 = 12_000_000;

/// Whatever is wrong with it: what a reader waits for is bounded.
#[test]
fn the_work_for_a_mismatch_of_5000_events_is_bounded() {
    let mut all = Vec::new();
    for (what, trace) in made::traces(5000) {
        // Of many hosts, those that took the cube of the lines; of few, all without variables; of
        // servers, the one for which each variable is tried with each host.
        let kinds = made::wrong(&trace).into_iter();
        let told = |how: &str| match what {
            "n/2 hosts' marks" => {
                ["halves, host variables", "swapped, host variables"].contains(&how)
            }
            "n/7 servers and clients" => how == "swapped, host variables",
            _ => !how.contains("variables"),
        };
        for (how, text) in kinds.filter(|(how, _)| told(how.as_str())) {
            // Some of it holds: where processes know nothing of each other.
            let steps = steps::taken(|| {
                if let Err(mismatch) = trace.check(text.as_str()) {
                    assert!(!mismatch.to_string().is_empty());
                }
            });
            all.push((steps, format!("{what}, {how}")));
        }
    }
    all.sort();
    println!("the most work: {:#?}", &all[all.len() - 3..]);
    all.retain(|(steps, _)| *steps > MOST_STEPS);
    assert!(all.is_empty(), "{all:#?}");
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
