//! Expectations that counting alone refutes: of each it must be known at once, however much could
//! be searched, and the line that is wrong must be the one that is named.

use super::World;
use crate::trace::{Mismatch, Trace};

/// So many hosts, each of which makes the same marks, and all of which are awaited.
fn alike(hosts: usize, tasks: usize, marks: &[&str]) -> Trace {
    let mut w = World::new();
    for host in 0..hosts {
        let first = w.spawn(&format!("h{host}"));
        let others: Vec<_> = (1..tasks).map(|_| w.task(first)).collect();
        for task in std::iter::once(first).chain(others) {
            for mark in marks {
                w.mark(task, mark);
            }
        }
        w.join(first);
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
    refused(&trace, &lines, Some(41), "no such event happened");
    lines[40] = lines[40].replace("mark oops", "mark a");
    refused(&trace, &lines, Some(41), "$c13 mark a");
    let mismatch = trace.check_contains("$c mark a\n$d mark oops").unwrap_err();
    assert_eq!(mismatch.line(), Some(2), "{mismatch}");
}

#[test]
fn a_line_too_few_or_too_many_among_many_that_are_alike() {
    let trace = alike(1, 200, &["x", "x"]);
    let mut lines = vec!["h0 mark x".to_owned(); 400];
    trace.assert(lines.join("\n"));
    lines.pop();
    refused(&trace, &lines, None, "h0 mark x");
    lines.extend(["h0 mark _".to_owned(), "$h mark _".to_owned()]);
    refused(&trace, &lines, Some(401), "$h mark _");
}
