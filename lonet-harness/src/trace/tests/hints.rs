//! Which hint a page gives, and which it must not.

use std::sync::Arc;

use lonet::trace::What;

use super::Trace;
use super::world::{TEST, World};
use crate::trace::happened::graph::Graph;

#[track_caller]
fn hints(trace: &Trace, expected: &str) -> Vec<String> {
    let page = trace.check(expected).unwrap_err().to_string();
    let hints = page.lines().filter_map(|line| line.strip_prefix("hint: "));
    hints.map(str::to_owned).collect()
}

/// One connection: nothing that its port could have raced with.
#[test]
fn another_port_is_not_a_race() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen(alpha, 10);
    let dial = w.dial(beta, "α:10");
    w.accept(alpha, listener, dial);
    w.connect(beta, dial);
    w.join(beta);
    w.join(alpha);
    let expected = "α:10 listen\nβ:1 dial α:10\nα:2 accept β:1\nβ:1 connect α:2";
    assert_eq!(
        hints(&w.trace(), expected),
        ["the expectation holds with α:1 instead of α:2"]
    );
}

/// That one of the ports raced doesn't make the other one right.
#[test]
fn a_race_is_claimed_only_of_all_that_differs() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let (one, two) = (w.task(alpha), w.task(alpha));
    w.listen_any(one);
    w.listen_any(two);
    let dial = w.dial(beta, "γ:10");
    w.fail(beta, dial, "no such host");
    w.join(beta);
    w.join(alpha);
    let trace = w.trace();
    let said = |beta: &str| {
        format!("α:1 listen\nα:3 listen\n{beta} dial γ:10\n{beta} fail γ:10 no such host")
    };
    assert_eq!(
        hints(&trace, &said("β:1")),
        [
            "same order, ports swapped (α:3 → α:2): these two raced; bind them (`$p`) or order them with `until`"
        ]
    );
    assert_eq!(
        hints(&trace, &said("β:2")),
        ["the expectation holds with α:2 instead of α:3, β:1 instead of β:2"]
    );
}

/// The refusal has its line further down: it is what was wanted.
#[test]
fn a_refusal_that_is_expected_is_not_hinted_at() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let dial = w.dial(beta, "α:10");
    w.fail(beta, dial, "connection refused");
    w.mark(alpha, "x");
    w.join(beta);
    w.join(alpha);
    let trace = w.trace();
    let wrong = "β:1 dial α:10\nα mark y\nβ:1 fail α:10 connection refused\nα mark x";
    let found = hints(&trace, wrong);
    assert!(
        !found.iter().any(|hint| hint.contains("listened")),
        "{found:?}"
    );
    let unexpected = hints(&trace, "β:1 dial α:10\nα mark y\nα mark x");
    assert!(
        unexpected.iter().any(|hint| hint.contains("listened")),
        "{unexpected:?}"
    );
}

#[test]
fn a_death_that_the_scenario_wanted_is_not_hinted_at() {
    let death = "α's process was killed by signal 9";
    let hinted = |kills: bool, exits: bool| {
        let mut w = World::new();
        let alpha = w.spawn("α");
        w.mark(alpha, "one");
        if exits {
            let exit = w.exit(alpha, "signal 9");
            w.until(TEST, exit);
        }
        if kills {
            w.kill(alpha);
        }
        let found = hints(&w.trace(), "α mark one\nα mark two");
        found.iter().any(|hint| hint.contains(death))
    };
    assert!(hinted(false, true));
    assert!(!hinted(true, true));
    assert!(!hinted(true, false));
}

/// It stands too low, but it has its line.
#[test]
fn a_refusal_that_has_a_line_is_not_hinted_at() {
    let mut w = World::new();
    let beta = w.spawn("β");
    let dial = w.dial(beta, "α:10");
    w.fail(beta, dial, "connection refused");
    w.mark(beta, "on my own");
    w.join(beta);
    let swapped = "β:1 dial α:10\nβ mark on my own\nβ:1 fail α:10 connection refused";
    let block = "`β:1 fail α:10 connection refused` happened before `β mark on my own` in this run; if both orders are right, put `| ` before both";
    assert_eq!(hints(&w.trace(), swapped), [block]);
}

#[test]
fn a_host_that_came_too_late_is_waited_for() {
    let hinted = |listens: bool| {
        let mut w = World::new();
        let beta = w.spawn("β");
        let dial = w.dial(beta, "α:10");
        w.fail(beta, dial, "no such host");
        let alpha = w.spawn("α");
        if listens {
            w.listen(alpha, 10);
        }
        w.join(beta);
        w.join(alpha);
        hints(&w.trace(), "β:1 dial α:10\nβ:1 connect α:1")
    };
    let found = hinted(true);
    assert!(
        found.iter().any(|hint| hint.contains("α:10 listen")),
        "{found:?}"
    );
    let found = hinted(false);
    assert!(
        !found.iter().any(|hint| hint.contains("listen")),
        "{found:?}"
    );
}

#[test]
fn records_that_contradict_each_other_are_hinted_at() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    w.mark(alpha, "one");
    let mut processes = w.reported();
    let mut record = processes[1].records[1].clone();
    record.n += 1;
    record.what = What::Note {
        socket: 9,
        written: 0,
    };
    processes[1].records.push(record);
    let trace = Trace::whole(Arc::new(Graph::build(processes)));
    assert_eq!(
        hints(&trace, "α mark one\nα mark one"),
        [
            "inconsistent records: process 4001 (α) refers to a write to a socket that it has not reported, 1 times, first in record 3"
        ]
    );
}
