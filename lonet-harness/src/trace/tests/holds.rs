//! Which expectations hold, one a line.

use super::world::{TEST, World};
use super::{Trace, ping_pong};

const PING_PONG: &str = "
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        α:1  close   β:1
        α:10 close
        β:1  close   α:1
    ";

#[track_caller]
fn holds(trace: &Trace, text: &str) {
    trace.assert(text);
}

#[track_caller]
fn fails(trace: &Trace, text: &str) {
    assert!(trace.check(text).is_err(), "holds, but should not:\n{text}");
}

#[test]
fn the_first_example_holds() {
    let trace = ping_pong();
    holds(&trace, PING_PONG);
    assert_eq!(
        trace.to_string(),
        PING_PONG
            .trim_start()
            .replace("        ", "")
            .trim_end()
            .to_owned()
            + "\n"
    );
}

/// Lines of the ping-pong by index: those two swapped.
#[track_caller]
fn swapped(a: usize, b: usize) -> String {
    let mut lines: Vec<_> = PING_PONG.trim().lines().collect();
    lines.swap(a, b);
    lines.join("\n")
}

#[test]
fn only_what_is_concurrent_may_be_swapped() {
    let trace = ping_pong();
    for (a, legal) in [
        (0, false),
        (1, false),
        (2, false),
        (3, false),
        (4, false),
        (5, true),
    ] {
        let text = swapped(a, a + 1);
        match legal {
            true => holds(&trace, &text),
            false => fails(&trace, &text),
        }
    }
    // The client's close comes after the server's, which it read the end of, but not after the
    // listener's.
    fails(&trace, &swapped(4, 6));
}

#[test]
fn wildcards_and_variables() {
    let trace = ping_pong();
    holds(
        &trace,
        &PING_PONG.replace("α:1 ", "α:$p").replace(":10", ":$q"),
    );
    holds(&trace, &PING_PONG.replace('β', "$b").replace('α', "$a"));
    holds(&trace, &PING_PONG.replace('β', "_"));
    fails(&trace, &PING_PONG.replace(['β', 'α'], "$b"));
    // Different variables are different hosts.
    let named = PING_PONG.replace('β', "$b").replace('α', "$a");
    fails(&trace, &named.replace("$a:10 listen", "$c:10 listen"));
    fails(
        &trace,
        &PING_PONG.replace(":1 ", ":$p ").replace(":10", ":$p"),
    );
}

#[test]
fn contains_takes_some_of_the_events() {
    let trace = ping_pong();
    trace.assert_contains("α:10 listen\nβ:1 connect _");
    trace.assert_contains("_ close _\n_ close\n_ close _");
    trace.assert_contains("");
    assert!(trace.check_contains("β:1 connect _\nα:10 listen").is_err());
    assert!(trace.check_contains("_ close\n_ close").is_err());
    assert!(
        trace
            .check_contains("β:1 close α:1\nα:1 close β:1")
            .is_err()
    );
}

/// Of two that are alike and concurrent, either may be the one.
#[test]
fn contains_looks_at_all_that_are_alike() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    for before in ["one", "two"] {
        let task = w.task(alpha);
        w.mark(task, before);
        w.mark(task, "same");
    }
    w.join(alpha);
    let trace = w.trace();
    for before in ["one", "two"] {
        trace.assert_contains(format!("α mark same\nα mark {before}"));
    }
    let both = "α mark same\nα mark same\nα mark one";
    assert!(trace.check_contains(both).is_err());
}

#[test]
fn concurrent_equal_marks_take_a_search() {
    let mut w = World::new();
    let a = w.spawn("α");
    let b = w.task(a);
    w.mark(a, "x");
    w.mark(a, "y");
    w.mark(b, "x");
    w.mark(b, "z");
    w.join(a);
    let trace = w.trace();
    holds(&trace, "α mark x\nα mark y\nα mark x\nα mark z");
    holds(&trace, "α mark x\nα mark z\nα mark x\nα mark y");
    holds(&trace, "α mark x\nα mark x\nα mark z\nα mark y");
    fails(&trace, "α mark x\nα mark y\nα mark z\nα mark x");
    fails(&trace, "α mark x\nα mark y\nα mark x\nα mark x");
}

#[test]
fn the_assertion_looks_at_its_past_only() {
    let mut w = World::new();
    let a = w.spawn("α");
    let first = w.mark(a, "one");
    let second = w.mark(a, "two");
    w.until(TEST, first);
    let trace = w.trace();
    holds(&trace, "α mark one");
    fails(&trace, "α mark one\nα mark two");
    w.until(TEST, second);
    holds(&w.trace(), "α mark one\nα mark two");
    w.kill(a);
    holds(&w.trace(), "α mark one\nα mark two\n! kill α");
}

#[test]
fn a_look_from_an_unordered_task_misses_nothing() {
    let mut w = World::new();
    let a = w.spawn("α");
    let one = w.mark(a, "one");
    w.unordered(TEST, true);
    w.until(TEST, one);
    let _kill = w.kill(a);
    holds(&w.trace(), "α mark one\n! kill α");
    holds(&w.trace(), "α mark one\n! kill α");
}

#[test]
fn views() {
    let trace = ping_pong();
    holds(
        &trace.clone().only_hosts(&["β"]),
        "β:1 dial α:10\nβ:1 connect α:1\nβ:1 close α:1",
    );
    holds(
        &trace.clone().only_verbs(&[crate::trace::Verb::Listen]),
        "α:10 listen",
    );
    let text = trace.with_lifecycle().to_string();
    holds(&ping_pong().with_lifecycle(), &text);
    assert!(
        text.contains("! spawn α") || text.contains("!    spawn   α"),
        "{text}"
    );
    assert!(text.contains("exit"), "{text}");
}

#[test]
fn a_trace_is_saved_and_loaded() {
    let trace = ping_pong().only_hosts(&["α"]);
    let saved = trace.to_jsonl();
    let loaded = Trace::from_jsonl(&saved).unwrap();
    assert_eq!(loaded.to_string(), trace.to_string());
    assert_eq!(loaded.to_jsonl(), saved);
    let error =
        Trace::from_jsonl("{\"trace\":{\"version\":1,\"verbs\":[]}}\nnonsense").unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Trace);
    let said = "not a saved trace: line 2: expected value, at column 1";
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_truncated_saved_trace_is_refused() {
    let saved = ping_pong().to_jsonl();
    let lines: Vec<&str> = saved.lines().collect();
    for kept in 0..lines.len() {
        let cut = lines[..kept].join("\n");
        let error = Trace::from_jsonl(&cut).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("not a saved trace: line 1: "), "{said}");
    }
    // Of another hand, without that number.
    let (first, rest) = saved.split_once('\n').unwrap();
    let counted = format!(",\"records\":{}", ping_pong().cut.graph.len());
    let first = first.replace(&counted, "");
    let error = Trace::from_jsonl(&format!("{first}\n")).unwrap_err();
    assert!(error.to_string().ends_with("is missing"), "{error}");
    Trace::from_jsonl(&format!("{first}\n{rest}")).unwrap();
    let twice = Trace::from_jsonl(&format!("{saved}{saved}")).unwrap_err();
    let line = format!("not a saved trace: line {}: ", lines.len() + 1);
    assert!(twice.to_string().starts_with(&line), "{twice}");
}

#[test]
fn counting_and_finding() {
    let trace = ping_pong();
    assert_eq!(trace.count("_ close _").unwrap(), 2);
    let dial = trace.find("_ dial _").unwrap().unwrap();
    let connect = trace.find("_ connect _").unwrap().unwrap();
    assert!(trace.happens_before(dial, connect));
    assert!(!trace.happens_before(connect, dial));
    assert!(!trace.happens_before(dial, dial));
    let closes = trace.find_all("_ close").unwrap();
    let close = trace.find("β:1 close _").unwrap().unwrap();
    assert!(trace.concurrent(closes[0], close));
    assert!(trace.find("nonsense").is_err());
}

/// Nothing is known of it, so nothing is said.
#[test]
fn an_event_reported_later_is_not_concurrent() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    w.mark(alpha, "one");
    let before = Trace::whole(std::sync::Arc::new(w.graph()));
    let beta = w.spawn("β");
    w.mark(beta, "two");
    let after = Trace::whole(std::sync::Arc::new(w.graph()));
    let (one, two) = (&after.events()[0], &after.events()[1]);
    assert!(after.concurrent(one, two));
    assert!(!before.concurrent(one, two) && !before.concurrent(two, one));
    assert!(!before.happens_before(one, two) && !before.happens_before(two, one));
}

#[test]
fn a_missing_file_makes_the_expectation_unusable() {
    let missing = expect_test::expect_file!["no/such.trace"];
    let mismatch = ping_pong().check_contains(&missing).unwrap_err();
    let page = mismatch.to_string();
    assert!(page.ends_with("no/such.trace does not exist\n"), "{page}");
    assert!(
        page.starts_with("the expected trace can't be used: /"),
        "{page}"
    );
}
