//! The page of a failed test: what failed, what each process was doing, the last events, the end
//! of each log, where the rest is.
//!
//! Owns every word of it. Decides nothing: that it failed, and of what, is `run`'s to say. Reads no
//! clock: the moment comes with what there is to say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lonet::trace::{Event, EventId};

use super::{advice, cycle, doing};
use crate::collector::query::{NodeReport, Report};
use crate::process::backtrace::{Backtraces, user_frames};
use crate::process::output::last_lines;
use crate::trace::Trace;
use crate::trace::happened::graph::Graph;
use crate::trace::write::columns::shortened;

/// How many events, and how many lines of each log, the page shows.
const EVENTS: usize = 20;
pub(crate) const LINES: usize = 20;

/// Why a test failed.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// The body panicked; libtest has shown the message.
    Panicked(String),
    /// The body returned an error.
    Returned(String),
    /// The deadline passed.
    TimedOut(Duration),
    /// A node failed, and nothing had said so.
    Node(String),
    /// The expected trace of the attribute does not hold.
    Trace(String),
    /// A process sent what is no trace.
    Reporter(String),
}

impl Reason {
    /// One line, or the page that says it already.
    pub(crate) fn text(&self) -> String {
        match self {
            Reason::Panicked(message) => format!("it panicked: {message}"),
            Reason::Returned(error) => error.clone(),
            Reason::TimedOut(after) => {
                format!("it did not end within {} s", seconds(*after))
            }
            Reason::Node(failure) => failure.clone(),
            Reason::Trace(page) => page.clone(),
            Reason::Reporter(problem) => problem.clone(),
        }
    }
}

/// The page.
pub(crate) fn page(
    test: &str,
    reason: &Reason,
    report: &Report,
    artifacts: Option<&Path>,
) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "\n{test} failed: {}", reason.text());
    let shown_by_mismatch = matches!(reason, Reason::Trace(_));
    let mut others: Vec<String> = report
        .nodes
        .iter()
        .filter_map(|node| node.failure.as_ref().map(ToString::to_string))
        .filter(|failure| !reason.text().contains(failure))
        .collect();
    others.extend(
        report
            .problems
            .iter()
            .filter(|p| !reason.text().contains(*p))
            .cloned(),
    );
    for other in others {
        let _ = writeln!(page, "also: {other}");
    }
    let sentences = doing::sentences(report, matches!(reason, Reason::TimedOut(_)));
    if !sentences.is_empty() && !shown_by_mismatch {
        let _ = writeln!(page, "\nwhat each process does:");
        for sentence in sentences {
            let _ = writeln!(page, "  {sentence}");
        }
        for (event, host) in &report.missed {
            let _ = writeln!(
                page,
                "  `{event}` happened, but {host} has ended: `until` finds what those did that still run, marks, and what the scenario did"
            );
        }
        if matches!(reason, Reason::TimedOut(_)) {
            for line in doing::bytes(report) {
                let _ = writeln!(page, "  {line}");
            }
        }
        if let Some(cycle) = cycle::cycle(report) {
            let first = cycle[0];
            let _ = writeln!(
                page,
                "each waits for the next: {} → {first}",
                cycle.join(" → ")
            );
        }
    }
    if !shown_by_mismatch {
        events(&mut page, report);
        logs(&mut page, &report.nodes);
    }
    backtraces(&mut page, &report.backtraces);
    if let Some(artifacts) = artifacts.filter(|_| !shown_by_mismatch) {
        let _ = writeln!(page, "\ntrace and logs are in {}", artifacts.display());
    }
    if !shown_by_mismatch {
        for line in advice::advice(report, &reason.text()) {
            let _ = writeln!(page, "\nhint: {line}");
        }
    }
    page
}

/// The latest, by the clock; in an order that is a function of what caused what.
fn events(page: &mut String, report: &Report) {
    let mut latest: Vec<&Event> = report.events.iter().collect();
    if latest.is_empty() {
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
    for event in trace
        .events()
        .iter()
        .filter(|event| latest.contains(&event.id()))
    {
        let _ = writeln!(page, "  {}", shortened(&event.to_string()));
    }
}

fn logs(page: &mut String, nodes: &[NodeReport]) {
    let logs = doing::whose(nodes).zip(nodes);
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
            let _ = writeln!(page, "\nno backtraces: there is no gdb");
            return;
        }
        Backtraces::Taken(taken) => taken,
    };
    let mut lines = Vec::new();
    for (host, backtrace) in taken {
        match backtrace {
            Ok(text) => lines.extend(user_frames(text).map(|frame| format!("{host}: {frame}"))),
            Err(why) => lines.push(format!("{host}: no backtrace: {why}")),
        }
    }
    if !lines.is_empty() {
        let _ = writeln!(
            page,
            "\nwhere each process is, in code that is not a library's:"
        );
    }
    for line in lines {
        let _ = writeln!(page, "  {line}");
    }
}

/// How long ago that was, in seconds.
pub(super) fn age(now: u64, since: u64) -> String {
    seconds(Duration::from_nanos(now.saturating_sub(since)))
}

/// With one digit after the point, as people say it.
fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::query::TestReport;
    use lonet::trace::{Pending, Waits};

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
        let page = page("slow", &reason, &report, None);
        assert!(
            page.contains("the test waits in join α for 2.0 s"),
            "{page}"
        );
    }
}
