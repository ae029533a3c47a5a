//! Expectations that counting alone refutes: of each it must be known at once, however much could
//! be searched, and the line that is wrong must be the one that is named.

use super::World;
use crate::trace::check::outcome::Outcome;
use crate::trace::check::search;
use crate::trace::{Expectation, Mismatch, Trace};

/// So many hosts, each of which makes the same marks, and all of which are awaited.
fn alike(hosts: usize, tasks: usize, marks: &[&str]) -> Trace {
    let mut w = World::new();
    let hosts: Vec<_> = (0..hosts)
        .map(|host| w.spawn(&format!("h{host}")))
        .collect();
    for &first in &hosts {
        let others: Vec<_> = (1..tasks).map(|_| w.task(first)).collect();
        for task in std::iter::once(first).chain(others) {
            for mark in marks {
                w.mark(task, mark);
            }
        }
    }
    for host in hosts {
        w.join(host);
    }
    w.trace()
}

/// A variable for each host, and its marks.
fn by_variables(hosts: usize, marks: &[&str]) -> Vec<String> {
    let lines = |host| {
        marks
            .iter()
            .map(move |mark| format!("$c{host} mark {mark}"))
    };
    (0..hosts).flat_map(lines).collect()
}

#[track_caller]
fn refused(trace: &Trace, lines: &[String], line: Option<usize>, says: &str) -> Mismatch {
    let mismatch = trace.check(lines.join("\n")).unwrap_err();
    assert_eq!(mismatch.line(), line, "{mismatch}");
    let page = mismatch.to_string();
    assert!(page.contains(says), "{says:?} is not in\n{page}");
    mismatch
}

#[test]
fn a_wrong_word_among_many_that_are_alike() {
    const MARKS: &[&str] = &["a", "b", "c"];
    let trace = alike(20, 1, MARKS);
    let mut lines = by_variables(20, MARKS);
    trace.assert(lines.join("\n"));
    lines[40] = lines[40].replace("mark b", "mark oops");
    refused(&trace, &lines, Some(41), "did not happen");
    lines[40] = lines[40].replace("mark oops", "mark a");
    refused(&trace, &lines, Some(41), "$c13 mark a");
    let mismatch = trace.check_contains("$c mark a\n$d mark oops").unwrap_err();
    assert_eq!(mismatch.line(), Some(2), "{mismatch}");
}

#[test]
fn one_missing_or_extra_line_among_equal_lines() {
    let trace = alike(1, 200, &["x", "x"]);
    let mut lines = vec!["h0 mark x".to_owned(); 400];
    trace.assert(lines.join("\n"));
    lines.pop();
    refused(&trace, &lines, None, "h0 mark x");
    lines.extend(["h0 mark _".to_owned(), "$h mark _".to_owned()]);
    refused(&trace, &lines, Some(401), "$h mark _");
}

#[test]
fn an_effect_above_its_cause_among_many_that_are_alike() {
    const MARKS: &[&str] = &["a", "b", "c"];
    let trace = alike(20, 1, MARKS);
    let lines = |mark: &&str| {
        (0..20)
            .map(move |host| format!("$c{host} mark {mark}\n"))
            .collect()
    };
    let [a, b, c]: [String; 3] = [lines(&"a"), lines(&"b"), lines(&"c")];
    trace.assert(format!("{a}{b}{c}"));
    let b = b.replace("$c3 mark b", "$c3 mark c");
    let c = c.replace("$c3 mark c", "$c3 mark b");
    let lines: Vec<_> = [a, b, c]
        .iter()
        .flat_map(|part| part.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    refused(
        &trace,
        &lines,
        Some(24),
        "`$c3 mark c` (h3 mark c) stands above `h3 mark b`",
    );
}

/// The first line takes the wrong event, and the second finds that out. Where the looks are used up
/// by then, nothing is known: the other event was not tried.
#[test]
fn a_search_without_looks_left_is_undecided() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let other = w.task(alpha);
    for (task, text) in [(alpha, "a"), (alpha, "b"), (other, "c")] {
        w.mark(task, text);
    }
    w.join(alpha);
    let trace = w.trace();
    let found = |text: &str, looks: usize| {
        let of = Expectation::parse(text).unwrap();
        let mut looks = looks;
        search::within(&trace.cut.graph, trace.cut.scope(), &of, 1000, &mut looks)
    };
    let all = "α mark _\nα mark a …\nα mark b";
    assert!(matches!(found(all, 1000), Outcome::Holds(_)));
    // One for the first line, two more for the second.
    for looks in [1, 2] {
        assert!(matches!(found(all, looks), Outcome::Undecided(told) if told.len() == 1));
    }
    // A line too few: that it does not hold is certain, how far it goes is not.
    let few = "α mark _\nα mark a …";
    assert!(matches!(found(few, 1000), Outcome::Fails(told) if told.len() == 2));
    assert!(matches!(found(few, 1), Outcome::Fails(told) if told.len() == 1));
}
