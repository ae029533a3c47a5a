//! `check_order`: what is demanded of an order, and what its failure says.

use super::Trace;
use super::world::{TEST, World};

#[track_caller]
fn says(trace: &Trace, lines: &str, what: &[&str]) {
    let page = trace.check_order(lines).unwrap_err().to_string();
    for what in what {
        assert!(page.contains(what), "{what:?} is not in\n{page}");
    }
}

/// Two tasks of α that nothing orders, and β, which hears of the first.
fn stored() -> Trace {
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("β"));
    let other = w.task(a);
    let stored = w.mark(a, "stored x=1");
    w.mark(other, "acknowledged x=1");
    w.until(b, stored);
    w.mark(b, "copied x=1");
    w.join(a);
    w.join(b);
    w.trace()
}

#[test]
fn causes_and_else_the_clock_decide() {
    let trace = stored();
    let [stored, acknowledged] = [0, 1].map(|at| trace.find_all("α mark _ _").unwrap()[at].clone());
    assert!(trace.concurrent(&stored, &acknowledged));
    trace.assert_order("α mark stored x=1\nα mark acknowledged x=1");
    trace.assert_order("α mark stored x=1\nβ mark copied x=1");
    trace.assert_order("! spawn α\nα up\n# a comment\nα mark stored x=$x\nβ mark copied x=$x");
    trace.assert_order("");
    says(
        &trace,
        "α mark acknowledged x=1\nα mark stored x=1",
        &[
            "not in this order: line 2 did not happen after line 1\n",
            "by the clock, `α mark stored x=1` happened before `α mark acknowledged x=1`; no cause orders them",
        ],
    );
    says(
        &trace,
        "β mark copied x=1\nα mark stored x=1",
        &[
            "`α mark stored x=1` happens before `β mark copied x=1`:",
            "→ β mark copied x=1    (it had waited for that)",
        ],
    );
    says(
        &trace,
        "α mark stored x=1\nα mark stored _",
        &["both lines match the same event: `α mark stored x=1`"],
    );
    // All views: a view leaves nothing out here.
    trace
        .only_hosts(&["α"])
        .assert_order("α up\nβ mark copied x=1");
}

/// Three events whose lines stand in the order of the clock, not of their neighbours alone.
#[test]
fn each_line_means_one_event() {
    let mut w = World::new();
    let a = w.spawn("α");
    w.mark(a, "entry 1");
    let seen = w.mark(a, "entry 2");
    w.mark(a, "entry 3");
    w.until(TEST, seen);
    let trace = w.trace();
    says(
        &trace,
        "α mark entry 1\nα mark entry _",
        &[
            "line 2 matches 2 events and must match exactly one",
            "    α mark entry 1\n    α mark entry 2\n",
        ],
    );
    says(
        &trace,
        "α mark entry 1\nα mark entry 4",
        &[
            "line 2 matches no event",
            "similar events before the assertion:\n    α mark entry 1\n",
        ],
    );
    says(
        &trace,
        "α mark entry 1\nα exit _",
        &["no similar event happened before the assertion"],
    );
    // What is concurrent with the assertion is none of its past.
    says(
        &trace,
        "α mark entry 1\nα mark entry 3",
        &[
            "line 2 matches no event",
            "`α mark entry 3` happened concurrently with the assertion",
        ],
    );
    says(
        &trace,
        "| α mark entry 1\n| α mark entry 2",
        &["an order has no blocks"],
    );
    says(
        &trace,
        "α marks",
        &["line 1, column 3: `marks` is not a verb"],
    );
}
