//! `check_never_together`: which intervals could overlap, checked against every order of small runs, and
//! what a finding says.

use expect_test::{Expect, expect};
use lonet::trace::EventId;
use proptest::prelude::*;

use super::Trace;
use super::world::{TEST, World};
use crate::trace::Event;

type Kind = (&'static str, &'static str);

const ALPHA: Kind = ("α mark leader _", "α mark follows _");
const BETA: Kind = ("β mark leader _", "β mark follows _");

#[track_caller]
fn says(trace: &Trace, one: Kind, other: Kind, page: &Expect) {
    let mismatch = trace.check_never_together(one, other).unwrap_err();
    page.assert_eq(&mismatch.to_string());
}

/// α leads and ends, then β leads, which may have waited for α's end.
fn elected(waits: bool) -> Trace {
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("β"));
    w.mark(a, "leader 1");
    let end = w.mark(a, "follows 1");
    if waits {
        w.until(b, end);
    }
    w.mark(b, "leader 2");
    w.mark(b, "follows 2");
    w.join(a);
    w.join(b);
    w.trace()
}

#[test]
fn an_order_between_end_and_start_keeps_intervals_apart() {
    for (one, other) in [(ALPHA, BETA), (BETA, ALPHA)] {
        elected(true).never_together(one, other);
        let page = expect![[r#"
            possible overlap: `α mark leader 1` and `β mark leader 2`

                from `α mark leader 1` to `α mark follows 1`
                from `β mark leader 2` to `β mark follows 2`

            in this run they did not overlap, by the clock; but it allows that they do: nothing orders `α mark follows 1` before `β mark leader 2`
            a run that shows the overlap confirms it; to rule it out, let `β mark leader 2` wait for `α mark follows 1` in a way that lonet sees, such as a message
        "#]];
        // A view leaves nothing out here.
        for trace in [elected(false), elected(false).only_hosts(&["γ"])] {
            says(&trace, one, other, &page);
        }
    }
    let mismatch = elected(false).check_never_together(ALPHA, BETA);
    assert_eq!(mismatch.unwrap_err().line(), None);
}

#[test]
fn the_clock_says_whether_they_did_overlap() {
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("β"));
    w.mark(a, "leader 1");
    w.mark(b, "leader 2");
    w.mark(b, "follows 2");
    w.mark(a, "follows 1");
    w.mark(b, "leader 3");
    w.join(a);
    w.join(b);
    says(
        &w.trace(),
        BETA,
        ALPHA,
        &expect![[r#"
            overlap: `α mark leader 1` and `β mark leader 2`

                from `α mark leader 1` to `α mark follows 1`
                from `β mark leader 2` to `β mark follows 2`

            in this run they overlapped, by the clock: nothing orders `α mark follows 1` before `β mark leader 2`, or `β mark follows 2` before `α mark leader 1`
            another pair may overlap, too
        "#]],
    );
}

#[test]
fn an_interval_without_an_end_is_open() {
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("β"));
    w.mark(a, "follows 0");
    let start = w.mark(a, "leader 1");
    w.until(b, start);
    w.mark(b, "leader 2");
    w.mark(b, "follows 2");
    w.join(b);
    w.until(TEST, start);
    let trace = w.trace();
    says(
        &trace,
        ALPHA,
        BETA,
        &expect![[r#"
            overlap: `α mark leader 1` and `β mark leader 2`

                from `α mark leader 1`; no event ends it
                from `β mark leader 2` to `β mark follows 2`

            they overlap in every order that this run allows
        "#]],
    );
    // The end of a process is an end, too, if a pattern says so.
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("β"));
    w.mark(a, "leader 1");
    w.join(a);
    let ended = w.latest(TEST);
    w.until(b, ended);
    w.mark(b, "leader 2");
    w.join(b);
    let trace = w.trace();
    assert!(trace.check_never_together(ALPHA, BETA).is_err());
    trace.never_together(("α mark leader _", "α exit _"), BETA);
}

/// An end that the assertion does not see still tells what this run did.
#[test]
fn an_end_beside_the_assertion_is_shown() {
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("β"));
    let start = w.mark(a, "leader 1");
    w.mark(a, "follows 1");
    w.mark(b, "leader 2");
    w.join(b);
    w.until(TEST, start);
    let trace = w.trace();
    assert_eq!(trace.count("α mark follows _").unwrap(), 0);
    says(
        &trace,
        ALPHA,
        BETA,
        &expect![[r#"
            possible overlap: `α mark leader 1` and `β mark leader 2`

                from `α mark leader 1` to `α mark follows 1`
                from `β mark leader 2`; no event ends it

            in this run they did not overlap, by the clock; but it allows that they do: nothing orders `α mark follows 1` before `β mark leader 2`
            a run that shows the overlap confirms it; to rule it out, let `β mark leader 2` wait for `α mark follows 1` in a way that lonet sees, such as a message
        "#]],
    );
}

#[test]
fn ends_are_of_their_starts_host_and_variables_bind() {
    let any: Kind = ("_ mark leader _", "_ mark follows _");
    let mut w = World::new();
    let (a, b, c) = (w.spawn("α"), w.spawn("β"), w.spawn("γ"));
    w.mark(a, "leader 1");
    // The next end of any host, which nothing orders before β's start.
    w.mark(c, "follows 0");
    let end = w.mark(a, "follows 1");
    w.until(b, end);
    w.mark(b, "leader 2");
    w.mark(b, "follows 2");
    for task in [a, b, c] {
        w.join(task);
    }
    let trace = w.trace();
    trace.never_together(any, any);
    trace.never_together(any, BETA);
    assert!(
        trace
            .check_never_together(("_ mark leader _", "β mark follows _"), BETA)
            .is_err()
    );
    let trace = elected(false);
    assert!(trace.check_never_together(any, any).is_err());
    // Two host variables are two hosts, and a term is one term everywhere.
    let leads = (
        ("$a mark leader _", "$a mark follows _"),
        ("$b mark leader _", "$b mark follows _"),
    );
    assert!(trace.check_never_together(leads.0, leads.1).is_err());
    trace.never_together(leads.0, leads.0);
    trace.never_together(
        ("$a mark leader $t", "$a mark follows $t"),
        ("$b mark leader $t", "$b mark follows $t"),
    );
    trace.never_together(("α mark leader 7", "α mark follows _"), BETA);
    // One event begins no two intervals, but may end one and begin another.
    trace.never_together(ALPHA, ALPHA);
    trace.never_together(ALPHA, ("α mark follows _", "α exit _"));
}

/// A port is given again once it is free: a line that names the port names that order.
#[test]
fn the_order_of_a_ports_users_counts_where_a_line_names_it() {
    let mut w = World::new();
    let a = w.spawn("α");
    let (one, other) = (w.task(a), w.task(a));
    let listener = w.listen(one, 10);
    w.close_listener(one, listener);
    let listener = w.listen(other, 10);
    w.close_listener(other, listener);
    w.join(a);
    let trace = w.trace();
    let named: Kind = ("α:10 listen", "α:10 close");
    trace.never_together(named, named);
    let open: Kind = ("α:_ listen", "α:_ close");
    assert!(trace.check_never_together(open, open).is_err());
}

#[test]
fn an_invalid_pattern_is_quoted_with_what_is_wrong() {
    let trace = elected(true);
    let page = |other: Kind| {
        trace
            .check_never_together(ALPHA, other)
            .unwrap_err()
            .to_string()
    };
    let marks = page(("β mark leader _", "β marks"));
    assert!(
        marks.starts_with("invalid pattern `β marks`: line 1, column 3: `marks` is not a verb"),
        "{marks}"
    );
    let empty = page(("", "β mark follows _"));
    assert!(
        empty.starts_with("invalid pattern ``: line 1, column 1: the pattern is empty"),
        "{empty}"
    );
    let block = page(("| β mark leader _", "β mark follows _"));
    assert!(block.contains("a pattern has no blocks"), "{block}");
}

/// An interval, by the places of its events.
type Places = (usize, Option<usize>);

/// The intervals of a kind in this run, by the definition.
fn intervals(events: &[Event], (start, end): Kind) -> Vec<Places> {
    let is = |event: &Event, pattern: &str| {
        let (host, text) = pattern.split_once(" mark ").unwrap();
        (host == "_" || host == event.host()) && (text == "_" || text == event.text())
    };
    let mut intervals = Vec::new();
    for (at, event) in events.iter().enumerate().filter(|(_, e)| is(e, start)) {
        let later = events.iter().enumerate().skip(at + 1);
        let own = |e: &Event| !end.starts_with('_') || e.host() == event.host();
        let mut ends = later.filter(|(_, e)| is(e, end) && own(e));
        intervals.push((at, ends.next().map(|(at, _)| at)));
    }
    intervals
}

/// Whether any order has both intervals, and both at one time. `order` is the beginning of one.
fn overlap_in_some(before: &[Vec<bool>], a: Places, b: Places, order: &mut Vec<usize>) -> bool {
    if order.len() == before.len() {
        let place = |event| order.iter().position(|&other| other == event).unwrap();
        let placed = |(start, end): Places| (place(start), end.map_or(usize::MAX, place));
        let ((a, a_ends), (b, b_ends)) = (placed(a), placed(b));
        return a < a_ends && b < b_ends && a < b_ends && b < a_ends;
    }
    for next in 0..before.len() {
        let missing = (0..before.len()).any(|cause| before[cause][next] && !order.contains(&cause));
        if missing || order.contains(&next) {
            continue;
        }
        order.push(next);
        let found = overlap_in_some(before, a, b, order);
        order.pop();
        if found {
            return true;
        }
    }
    false
}

fn a_kind() -> impl Strategy<Value = Kind> {
    let start = prop::sample::select(vec![
        "α mark x",
        "β mark x",
        "_ mark x",
        "α mark _",
        "_ mark y",
    ]);
    let end = prop::sample::select(vec![
        "α mark y",
        "β mark y",
        "_ mark y",
        "β mark _",
        "_ mark x",
    ]);
    (start, end)
}

proptest! {
    #![proptest_config(super::cases(if cfg!(debug_assertions) { 600 } else { 4000 }))]

    #[test]
    fn a_finding_is_an_overlap_in_some_order(
        steps in prop::collection::vec((0u8..4, 0u8..2, 0usize..9), 0..7),
        seen in 0usize..12,
        one in a_kind(),
        other in a_kind(),
    ) {
        let mut w = World::new();
        let (a, b) = (w.spawn("α"), w.spawn("β"));
        let tasks = [a, w.task(a), b, w.task(b)];
        let mut marks: Vec<EventId> = Vec::new();
        for (task, text, waits) in steps {
            let task = tasks[task as usize];
            if let Some(&event) = marks.get(waits) {
                w.until(task, event);
            }
            marks.push(w.mark(task, ["x", "y"][text as usize]));
        }
        // Often it has not seen everything.
        match marks.get(seen) {
            Some(&event) => w.until(TEST, event),
            None => {
                w.join(a);
                w.join(b);
            }
        }
        let trace = w.trace();
        let events = trace.events();
        let before: Vec<Vec<bool>> = events
            .iter()
            .map(|a| {
                let known = |b: &Event| w.truth[&b.id()].contains(&a.id());
                events.iter().map(|b| a.id() != b.id() && known(b)).collect()
            })
            .collect();
        let others = intervals(events, other);
        let truth = intervals(events, one).iter().any(|&a| {
            let mut others = others.iter().filter(|b| b.0 != a.0);
            others.any(|&b| overlap_in_some(&before, a, b, &mut Vec::new()))
        });
        let checked = trace.check_never_together(one, other);
        prop_assert_eq!(checked.is_err(), truth, "{:?} {:?}\n{:?}\nof\n{}", one, other, checked, trace);
    }
}
