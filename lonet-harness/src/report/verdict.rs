//! The page of a failed test: what failed, what each process was doing, the last events, the end
//! of each log, where the rest is.
//!
//! Owns every word of it. Decides nothing: that it failed, and of what, is `run`'s to say. Reads no
//! clock: the moment comes with what there is to say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use lonet::trace::{Event, What};

use crate::collector::failure::Past;
use crate::collector::query::{NodeReport, Report};
use crate::process::output::last_lines;
use crate::process::wire::Ended;
use crate::trace::causality::Process;

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
///
/// `now` is CLOCK_MONOTONIC in nanoseconds, as events have it.
pub(crate) fn page(
    test: &str,
    reason: &Reason,
    report: &Report,
    now: u64,
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
    others.extend(report.problems.iter().filter(|p| !reason.text().contains(*p)).cloned());
    for other in others {
        let _ = writeln!(page, "also: {other}");
    }
    if !report.nodes.is_empty() && !shown_by_mismatch {
        let _ = writeln!(page, "\nwhat each process does:");
        for node in &report.nodes {
            let _ = writeln!(page, "  {}", sentence(node, report, now));
        }
    }
    if !shown_by_mismatch {
        events(&mut page, &report.events);
        logs(&mut page, &report.nodes);
    }
    if let Some(artifacts) = artifacts {
        let _ = writeln!(page, "\ntrace and logs are in {}", artifacts.display());
    }
    page
}

fn events(page: &mut String, events: &[Event]) {
    if events.is_empty() {
        let _ = writeln!(page, "\nnothing happened on the network");
        return;
    }
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| (event.time_ns(), event.id()));
    let skipped = events.len().saturating_sub(EVENTS);
    let what = if skipped > 0 { format!(" (of {})", events.len()) } else { String::new() };
    let _ = writeln!(page, "\nthe last events{what}:");
    for event in &events[skipped..] {
        let _ = writeln!(page, "  {event}");
    }
}

fn logs(page: &mut String, nodes: &[NodeReport]) {
    for node in nodes.iter().filter(|node| !node.log.is_empty()) {
        let all = node.log.lines().count();
        let of = if all > LINES { format!(", the last {LINES} lines of {all}") } else { String::new() };
        let _ = writeln!(page, "\nthe log of {}{of}:", node.host);
        for line in last_lines(&node.log, LINES) {
            let _ = writeln!(page, "  {} | {line}", node.host);
        }
    }
}

/// What a process does, or how it ended.
fn sentence(node: &NodeReport, report: &Report, now: u64) -> String {
    let NodeReport { host, what, .. } = node;
    let pid = node.pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
    let who = format!("{host} ({what}{pid})");
    if let Some(ended) = node.ended {
        let how = match ended {
            Ended::Status(0) => "has ended".to_owned(),
            other => Past(other).to_string(),
        };
        return match unfinished(node, report, now).is_empty() {
            true => format!("{who} {how}"),
            false => format!("{who} {how} with {}", unfinished(node, report, now).join(", ")),
        };
    }
    if node.stopped {
        return format!("{who} is paused");
    }
    if !node.up {
        return format!("{who} has not joined the network");
    }
    let waits = unfinished(node, report, now);
    if waits.is_empty() {
        return format!("{who} runs; no dial of it is pending, and it listens nowhere");
    }
    format!("{who} {}", waits.join("; "))
}

/// What a process began and has not ended, as far as its records tell.
fn unfinished(node: &NodeReport, report: &Report, now: u64) -> Vec<String> {
    let mut said = Vec::new();
    for process in report.records.iter().filter(|p| p.node == Some(node.process)) {
        said.extend(unfinished_in(process, now));
    }
    said
}

fn unfinished_in(process: &Process, now: u64) -> Vec<String> {
    let mut dials = BTreeMap::new();
    let mut listeners = BTreeMap::new();
    let mut ends = BTreeMap::new();
    for record in &process.records {
        match &record.e {
            What::Dial { a, p } => {
                dials.insert(record.n, (a, p, record.t));
            }
            What::Connect { a, p, d, s, .. } => {
                dials.remove(d);
                ends.insert(*s, (a, p, record.t));
            }
            What::Fail { d, .. } => {
                dials.remove(d);
            }
            What::Listen { a, s } => {
                listeners.insert(*s, (a, record.t, 0));
            }
            What::Accept { a, p, l, s, .. } => {
                if let Some((_, since, accepted)) = listeners.get_mut(l) {
                    *since = record.t;
                    *accepted += 1;
                }
                ends.insert(*s, (a, p, record.t));
            }
            What::Close { s, .. } => {
                listeners.remove(s);
                ends.remove(s);
            }
            _ => {}
        }
    }
    let age = |t: u64| seconds(Duration::from_nanos(now.saturating_sub(t)));
    let mut said = Vec::new();
    for (a, p, t) in dials.values() {
        said.push(format!("waits in dial {a}->{p} for {} s", age(*t)));
    }
    for (a, t, accepted) in listeners.values() {
        said.push(match accepted {
            0 => format!("listens on {a} for {} s, and has accepted nothing", age(*t)),
            n => format!("listens on {a}, and has accepted nothing more for {} s (after {n})", age(*t)),
        });
    }
    for (a, p, t) in ends.values() {
        said.push(format!("has {a}-{p} open for {} s", age(*t)));
    }
    said
}

/// With one digit after the point, as people say it.
fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

/// Tells how to attach a debugger to a node that waits for one.
pub(crate) fn announce_debugger(host: &str, pid: u32) {
    use std::io::Write as _;
    // Past libtest's capture: whoever asked for it waits for this line.
    let _ = writeln!(
        std::io::stderr(),
        "{host} is stopped and waits for a debugger: gdb -p {pid} (or, to let it go on, \
         kill -CONT {pid}); this test has no deadline"
    );
}
