//! The page of a failed test: what failed, what each process was doing, the last events, the end
//! of each log, where the rest is.
//!
//! Owns every word of it. Decides nothing: that it failed, and of what, is `run`'s to say. Reads no
//! clock: the moment comes with what there is to say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lonet::Addr;
use lonet::trace::{Event, EventId, Waits, What};

use crate::collector::failure::Past;
use crate::collector::query::{NodeReport, Report};
use crate::process::backtrace::{Backtraces, user_frames};
use crate::process::output::last_lines;
use crate::process::wire::Ended;
use crate::trace::Trace;
use crate::trace::causality::{Graph, Process};

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
    if !report.nodes.is_empty() && !shown_by_mismatch {
        let _ = writeln!(page, "\nwhat each process does:");
        for node in &report.nodes {
            let _ = writeln!(page, "  {}", sentence(node, report, now));
        }
        if let Some(cycle) = cycle(report) {
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
    let trace = Trace::whole(Arc::new(Graph::build(report.records.clone()))).lifecycle();
    for event in trace
        .events()
        .iter()
        .filter(|event| latest.contains(&event.id()))
    {
        let _ = writeln!(page, "  {event}");
    }
}

fn logs(page: &mut String, nodes: &[NodeReport]) {
    for node in nodes.iter().filter(|node| !node.log.is_empty()) {
        let all = node.log.lines().count();
        let of = if all > LINES {
            format!(", the last {LINES} lines of {all}")
        } else {
            String::new()
        };
        let _ = writeln!(page, "\nthe log of {}{of}:", node.host);
        for line in last_lines(&node.log, LINES) {
            let _ = writeln!(page, "  {} | {line}", node.host);
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

/// What a process does, or how it ended.
fn sentence(node: &NodeReport, report: &Report, now: u64) -> String {
    let NodeReport { host, what, .. } = node;
    let pid = node
        .pid
        .map_or_else(String::new, |pid| format!(", pid {pid}"));
    let who = format!("{host} ({what}{pid})");
    let sockets = Sockets::of(node, report);
    if let Some(ended) = node.ended {
        let how = match ended {
            Ended::Status(0) => "has ended".to_owned(),
            other => Past(other).to_string(),
        };
        return format!("{who} {how}");
    }
    if node.stopped {
        return format!("{who} is paused");
    }
    if !node.up {
        return format!("{who} has not joined the network");
    }
    let mut waits = Vec::new();
    for &(what, since) in node.waits.iter().flatten() {
        let age = age(now, since);
        match sockets.waits(what) {
            Some(text) => waits.push(format!("waits in {text} for {age} s")),
            // Dials are told of by their records.
            None => continue,
        }
    }
    for (a, p, t) in sockets.dials.values() {
        waits.push(format!("waits in dial {a}->{p} for {} s", age(now, *t)));
    }
    if !waits.is_empty() {
        return format!("{who} {}", waits.join("; "));
    }
    if node.waits.is_some() {
        let mut text = format!("{who} runs, and waits for nothing on the network");
        for listener in sockets.listeners.values() {
            let _ = write!(text, "; nobody accepts at {listener}");
        }
        return text;
    }
    // It could not be asked.
    let mut open: Vec<String> = Vec::new();
    open.extend(
        sockets
            .listeners
            .values()
            .map(|a| format!("listens on {a}")),
    );
    open.extend(
        sockets
            .ends
            .values()
            .map(|(a, p)| format!("has {a}-{p} open")),
    );
    match open.is_empty() {
        true => format!("{who} runs"),
        false => format!("{who} {}", open.join("; ")),
    }
}

/// What a process has open and has begun, as its records tell.
#[derive(Default)]
struct Sockets<'a> {
    dials: BTreeMap<(u32, u64), (&'a Addr, &'a Addr, u64)>,
    listeners: BTreeMap<u64, &'a Addr>,
    ends: BTreeMap<u64, (&'a Addr, &'a Addr)>,
}

impl<'a> Sockets<'a> {
    fn of(node: &NodeReport, report: &'a Report) -> Sockets<'a> {
        let mut sockets = Sockets::default();
        // A process has one reporter on the scenario's network.
        for process in report
            .records
            .iter()
            .filter(|p| p.node == Some(node.process))
        {
            sockets.take(process);
        }
        sockets
    }

    fn take(&mut self, process: &'a Process) {
        let pid = process.pid;
        for record in &process.records {
            match &record.e {
                What::Dial { a, p } => {
                    self.dials.insert((pid, record.n), (a, p, record.t));
                }
                What::Connect { a, p, d, s, .. } => {
                    self.dials.remove(&(pid, *d));
                    self.ends.insert(*s, (a, p));
                }
                What::Fail { d, .. } => {
                    self.dials.remove(&(pid, *d));
                }
                What::Listen { a, s } => {
                    self.listeners.insert(*s, a);
                }
                What::Accept { a, p, s, .. } => {
                    self.ends.insert(*s, (a, p));
                }
                What::Close { s, .. } => {
                    self.listeners.remove(s);
                    self.ends.remove(s);
                }
                _ => {}
            }
        }
    }

    /// The operation, with the addresses that an error of it would name.
    fn waits(&self, what: Waits) -> Option<String> {
        match what {
            Waits::Accept(s) => Some(format!("accept {}", self.listeners.get(&s)?)),
            Waits::Read(s) => self.ends.get(&s).map(|(a, p)| format!("read {p}->{a}")),
            Waits::Write(s) => self.ends.get(&s).map(|(a, p)| format!("write {a}->{p}")),
            Waits::Until => Some("until".to_owned()),
            _ => None,
        }
    }

    /// Whom these operations wait for.
    fn waits_for(&self, waits: &[(Waits, u64)]) -> BTreeSet<&'a str> {
        let of_waits = waits.iter().filter_map(|(what, _)| match what {
            Waits::Read(s) | Waits::Write(s) => Some(self.ends.get(s)?.1.host()),
            _ => None,
        });
        of_waits
            .chain(self.dials.values().map(|(_, p, _)| p.host()))
            .collect()
    }
}

/// Hosts of which each waits for the next, and the last for the first, if there are such.
fn cycle(report: &Report) -> Option<Vec<&str>> {
    let mut waits_for: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in report.nodes.iter().filter(|node| node.ended.is_none()) {
        let waits = node.waits.as_deref().unwrap_or_default();
        let whom = Sockets::of(node, report).waits_for(waits);
        waits_for.entry(&node.host).or_default().extend(whom);
    }
    waits_for.keys().find_map(|&from| {
        // The shortest way back, breadth first.
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut reached = VecDeque::from([from]);
        while let Some(at) = reached.pop_front() {
            for &to in waits_for.get(at).into_iter().flatten() {
                if to == from {
                    let mut way = vec![at];
                    while let Some(&before) = came_from.get(way[way.len() - 1]) {
                        way.push(before);
                    }
                    way.reverse();
                    return Some(way);
                }
                if !came_from.contains_key(to) {
                    came_from.insert(to, at);
                    reached.push_back(to);
                }
            }
        }
        None
    })
}

fn age(now: u64, since: u64) -> String {
    seconds(Duration::from_nanos(now.saturating_sub(since)))
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
