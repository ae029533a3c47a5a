//! The verdict of a failed test: what failed, what each process was doing, the last events, the end
//! of each log, what to do, where the rest is.
//!
//! Owns every word of it. Decides nothing: that it failed, and of what, is `run`'s to say. Reads no
//! clock: the moment comes with what there is to say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lonet::trace::{Event, EventId};

use super::words::{Teardown, seconds, whose};
use super::{advice, cycle, doing};
use crate::collector::query::{NodeReport, Report};
use crate::process::backtrace::{Backtraces, user_frames};
use crate::process::output::last_lines;
use crate::trace::Trace;
use crate::trace::happened::graph::Graph;
use crate::trace::write::columns::shortened;

/// How many events, and how many lines of each log, the page shows.
const EVENTS: usize = 20;
const LINES: usize = 20;
/// How many events of the teardown.
const TORN: usize = 5;
/// How many calls that did not return.
const CALLS: usize = 5;

/// Why a test failed.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// The body panicked; libtest has shown the message.
    Panicked(String),
    /// The same, and the message is the page of an expectation that does not hold: its first line.
    Mismatched(String),
    /// The body returned an error, of the call at that place.
    Returned(String, Option<&'static Location<'static>>),
    /// The deadline passed.
    TimedOut(Duration),
    /// A node failed, and nothing had said so.
    Node(String),
    /// An expected trace does not hold: of the attribute, or of the call at that place.
    Trace(String, Option<&'static Location<'static>>),
    /// A process sent an invalid trace.
    Reporter(String),
    /// A fault that should have acted never did.
    Fault(String),
}

impl Reason {
    /// One line, or the page that says it already.
    pub(crate) fn text(&self) -> String {
        match self {
            Reason::Panicked(message) | Reason::Mismatched(message) => {
                format!("it panicked: {}", network_last(message))
            }
            Reason::Returned(error, _) => network_last(error),
            Reason::TimedOut(after) => {
                format!("it did not end within {} s", seconds(*after))
            }
            Reason::Node(failure) => network_last(failure),
            Reason::Trace(page, _) => page.clone(),
            Reason::Reporter(problem) | Reason::Fault(problem) => problem.clone(),
        }
    }

    /// Which lines of the test it is about, unless it says so itself: of the calls that failed or did
    /// not return, or else of the test.
    fn places(&self, told: Told<'_>) -> Vec<String> {
        let calls: Vec<&Location<'_>> = match self {
            Reason::Returned(_, place) => place.iter().copied().collect(),
            Reason::TimedOut(_) => told.then.test.calls.clone(),
            Reason::Trace(_, Some(place)) => vec![place],
            _ => return Vec::new(),
        };
        if calls.is_empty() {
            return vec![format!("in the test at {}", told.test_at)];
        }
        let more = calls.len().saturating_sub(CALLS);
        let calls = calls.iter().take(CALLS).map(|place| format!("at {place}"));
        let more = (more > 0).then(|| format!("… and at {more} more"));
        calls.chain(more).collect()
    }
}

/// What there is to say of a failed test.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    /// Where the test stands.
    pub(crate) test_at: &'a str,
    /// At the moment when it failed: what each process was doing then.
    pub(crate) then: &'a Report,
    /// In the end: what happened, which processes failed, what they printed.
    pub(crate) report: &'a Report,
    pub(crate) teardown: Option<Teardown>,
}

/// The page.
pub(crate) fn page(
    test: &str,
    reason: &Reason,
    told: Told<'_>,
    artifacts: Option<&Path>,
) -> String {
    let Told {
        then,
        report,
        teardown,
        ..
    } = told;
    let mut page = String::new();
    let text = reason.text();
    let (headline, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let _ = writeln!(page, "\n{test} failed: {headline}");
    for place in reason.places(told) {
        let _ = writeln!(page, "    {place}");
    }
    if !rest.is_empty() {
        let _ = writeln!(page, "{rest}");
    }
    let failures = report.nodes.iter().filter_map(|node| node.failure.as_ref());
    let failures = failures.map(|failure| network_last(&failure.to_string()));
    for other in failures.chain(report.problems.iter().cloned()) {
        if !reason.text().contains(&other) {
            let _ = writeln!(page, "also: {other}");
        }
    }
    // The page of the mismatch has shown the rest: the events as a difference, the logs, the places.
    if matches!(reason, Reason::Trace(..) | Reason::Mismatched(_)) {
        return page;
    }
    let sentences = doing::sentences(then, matches!(reason, Reason::TimedOut(_)));
    if !sentences.is_empty() {
        let _ = writeln!(page, "\nwhat each process does:");
        for sentence in sentences {
            let _ = writeln!(page, "  {sentence}");
        }
        for (event, host) in &then.missed {
            let _ = writeln!(
                page,
                "  `{event}` happened, but {host} has ended: `until` finds only marks, events of processes that still run, and what the scenario did"
            );
        }
        if matches!(reason, Reason::TimedOut(_)) {
            for line in doing::bytes(then) {
                let _ = writeln!(page, "  {line}");
            }
        }
        if let Some(cycle) = cycle::cycle(then) {
            let first = cycle[0];
            let _ = writeln!(
                page,
                "each waits for the next: {} → {first}",
                cycle.join(" → ")
            );
        }
    }
    events(&mut page, report, teardown);
    logs(&mut page, &report.nodes);
    backtraces(&mut page, &then.backtraces);
    for line in advice::advice(then, report, &reason.text()) {
        let _ = writeln!(page, "\nhint: {line}");
    }
    if let Some(artifacts) = artifacts {
        let _ = writeln!(page, "\ntrace and logs are in {}", artifacts.display());
    }
    page
}

/// The latest, by the clock; in an order that is a function of what caused what. Those of the
/// teardown stand apart, and push no others out.
fn events(page: &mut String, report: &Report, teardown: Option<Teardown>) {
    let is_torn = |event: &Event| teardown.is_some_and(|teardown| teardown.has(event));
    let mut latest: Vec<&Event> = report.events.iter().filter(|e| !is_torn(e)).collect();
    let torn = report.events.len() - latest.len();
    if report.events.is_empty() {
        let _ = writeln!(page, "\nnothing happened on the network");
        return;
    }
    let of = if latest.len() > EVENTS {
        format!(" (of {})", latest.len())
    } else {
        String::new()
    };
    latest.sort_by_key(|event| (event.time_ns(), event.id()));
    let skipped = latest.len().saturating_sub(EVENTS);
    let latest: BTreeSet<EventId> = latest[skipped..].iter().map(|event| event.id()).collect();
    let _ = writeln!(page, "\nthe last events{of}:");
    let trace = Trace::whole(Arc::new(Graph::build(report.records.clone()))).with_lifecycle();
    let events = trace.events().iter();
    for event in events.filter(|event| latest.contains(&event.id())) {
        let _ = writeln!(page, "  {}", shortened(&event.to_string()));
    }
    if let Some(Teardown { words, .. }) = teardown.filter(|_| torn > 0) {
        let _ = writeln!(page, "  # {words}");
    }
    let events = trace.events().iter();
    for event in events.filter(|event| is_torn(event)).take(TORN) {
        let _ = writeln!(page, "  {}", shortened(&event.to_string()));
    }
    if torn > TORN {
        let _ = writeln!(page, "  … and {} more", torn - TORN);
    }
}

/// The text, with the name of a random network behind what it is the network of: such a name says
/// nothing, and a line's beginning is what is read. Only of the errors of the network's operations.
fn network_last(text: &str) -> String {
    let moved = |line: &str| {
        let at = line.find(" lonetr-")?;
        let rest = &line[at + 1..];
        let end = rest.find([' ', ':']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let word = name.strip_prefix("lonetr-")?;
        let is_random = word.len() == 12 && word.bytes().all(|b| b.is_ascii_alphanumeric());
        is_random.then(|| format!("{}{rest} (network {name})", &line[..at]))
    };
    let lines = text.split('\n');
    let lines = lines.map(|line| moved(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

fn logs(page: &mut String, nodes: &[NodeReport]) {
    let logs = whose(nodes).zip(nodes);
    for (whose, node) in logs.filter(|(_, node)| !node.log.is_empty()) {
        let all = node.log.lines().count();
        let of = if all > LINES {
            format!(", the last {LINES} lines of {all}")
        } else {
            String::new()
        };
        let _ = writeln!(page, "\nthe log of {whose}{of}:");
        for line in last_lines(&node.log, LINES) {
            let _ = writeln!(page, "  {} | {}", node.host, shortened(line));
        }
    }
}

/// The frames of the user's code, as far as a debugger could tell.
fn backtraces(page: &mut String, backtraces: &Backtraces) {
    let taken = match backtraces {
        Backtraces::NotTaken => return,
        Backtraces::NoDebugger => {
            let _ = writeln!(page, "\nno backtraces: gdb is not installed");
            return;
        }
        Backtraces::Taken(taken) => taken,
    };
    let mut lines = Vec::new();
    for (host, backtrace) in taken {
        match backtrace {
            Ok(text) => {
                let frames = user_frames(text).into_iter();
                lines.extend(frames.map(|frame| format!("{host}: {frame}")));
            }
            Err(why) => lines.push(format!("{host}: no backtrace: {why}")),
        }
    }
    // A task that waits has no stack.
    let _ = match lines.is_empty() {
        true => writeln!(
            page,
            "\nno thread is in your code: its tasks wait at an `.await`; backtraces/ has all threads"
        ),
        false => writeln!(page, "\nwhere each process is, in your code:"),
    };
    for line in lines {
        let _ = writeln!(page, "  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::query::TestReport;
    use crate::trace::happened::process::Process;
    use lonet::trace::{Pending, Record, Waits, What};

    /// The page of a test that failed at that deadline, if at any.
    fn page(
        test: &str,
        reason: &Reason,
        report: &Report,
        deadline: Option<u64>,
        artifacts: Option<&Path>,
    ) -> String {
        let told = Told {
            test_at: "a.rs:1:2",
            then: report,
            report,
            teardown: deadline.map(Teardown::of_deadline),
        };
        super::page(test, reason, told, artifacts)
    }

    /// However long it took to put together: a debugger may have needed seconds.
    #[test]
    fn the_page_speaks_of_the_moment_of_the_report() {
        let second = 1_000_000_000;
        let report = Report {
            at: 3 * second,
            test: TestReport {
                asks: vec!["join α".into()],
                pending: vec![Pending {
                    t: second,
                    on: Waits::Other,
                }],
                ..TestReport::default()
            },
            ..Report::default()
        };
        let reason = Reason::TimedOut(Duration::from_secs(2));
        let page = page("slow", &reason, &report, None, None);
        assert!(
            page.contains("the test waits in join α for 2.0 s"),
            "{page}"
        );
    }

    /// The marks of one host, each with the time at which it was made.
    fn marks(times: impl Iterator<Item = u64>) -> Report {
        let records = (1..).zip(times).map(|(n, t)| Record {
            n,
            t,
            task: Some(1),
            unordered: false,
            reads: Vec::new(),
            learned: Vec::new(),
            reads_beside: Vec::new(),
            learned_beside: Vec::new(),
            fires: Vec::new(),
            reads_pending: Vec::new(),
            what: What::Mark {
                host: "α".into(),
                text: format!("t={t}"),
            },
        });
        let process = Process {
            pid: 1,
            node: None,
            records: records.collect(),
        };
        let events = process.records.iter();
        Report {
            events: events.filter_map(|r| Event::of_record(0, r)).collect(),
            records: vec![process],
            ..Report::default()
        }
    }

    #[test]
    fn the_last_events_mark_the_teardown() {
        let reason = Reason::TimedOut(Duration::from_secs(2));
        let report = marks([1, 2, 3, 4].into_iter());
        let verdict = page("hangs", &reason, &report, Some(2), None);
        let shown = "the last events:
  α mark t=1
  α mark t=2
  # deadline: what follows is teardown
  α mark t=3
  α mark t=4
";
        assert!(verdict.contains(shown), "{verdict}");
        let unmarked = page("hangs", &reason, &report, Some(4), None);
        assert!(!unmarked.contains("teardown"), "{unmarked}");
    }

    #[test]
    fn a_long_teardown_leaves_the_events_before_it() {
        let reason = Reason::TimedOut(Duration::from_secs(2));
        let verdict = page("hangs", &reason, &marks(1..=100), Some(30), None);
        let events = verdict.split("the last events (of 30):\n").nth(1).unwrap();
        let lines: Vec<&str> = events.lines().collect();
        assert_eq!((lines[0], lines[19]), ("  α mark t=11", "  α mark t=30"));
        assert_eq!(lines[20], "  # deadline: what follows is teardown");
        assert_eq!((lines[21], lines[25]), ("  α mark t=31", "  α mark t=35"));
        assert_eq!(lines[26..], ["  … and 65 more"]);
    }

    #[test]
    fn what_to_do_stands_above_the_place_which_comes_last() {
        let mut report = marks([1].into_iter());
        report.test.asks.push("until `α mark`".into());
        let reason = Reason::TimedOut(Duration::from_secs(2));
        let verdict = page("waits", &reason, &report, Some(2), Some(Path::new("/x")));
        let (_, end) = verdict.split_once("\nhint: ").unwrap();
        assert!(end.ends_with("\n\ntrace and logs are in /x\n"), "{verdict}");
    }

    #[test]
    fn a_mismatch_page_repeats_nothing() {
        let report = marks([1].into_iter());
        for reason in [
            Reason::Mismatched("trace mismatch at line 1".into()),
            Reason::Trace("trace mismatch at line 1".into(), None),
        ] {
            let verdict = page("fails", &reason, &report, None, Some(Path::new("/x")));
            assert_eq!(verdict.lines().count(), 2, "{verdict}");
        }
    }

    #[test]
    fn backtraces_without_a_frame_of_the_user_are_mentioned() {
        let parked = "Thread 1 (LWP 6):\n#0  epoll_wait () at ./sysdeps/epoll_wait.c:30\n";
        let report = Report {
            backtraces: Backtraces::Taken(vec![("α".into(), Ok(parked.into()))]),
            ..marks([1].into_iter())
        };
        let reason = Reason::TimedOut(Duration::from_secs(2));
        let verdict = page("waits", &reason, &report, Some(2), None);
        let told = "no thread is in your code: its tasks wait at an `.await`; backtraces/ has all";
        assert!(verdict.contains(told), "{verdict}");
    }

    #[test]
    fn a_random_network_stands_last() {
        let text = |error: &str| Reason::Returned(error.to_owned(), None).text();
        assert_eq!(
            text("dial lonetr-z12345678yab β:1->α:10: no such host"),
            "dial β:1->α:10: no such host (network lonetr-z12345678yab)"
        );
        assert_eq!(
            text("storing x: read lonetr-0123456789ab: broken pipe\nsecond line"),
            "storing x: read: broken pipe (network lonetr-0123456789ab)\nsecond line"
        );
        // A name that the user has given is kept.
        for named in ["dial lonetx β:1->α:10: no such host", "see lonetr-x: gone"] {
            assert_eq!(text(named), named);
        }
    }
}
