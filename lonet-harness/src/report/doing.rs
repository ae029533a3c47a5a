//! What each process was doing: the sentences of a verdict.
//!
//! Owns their words; `cycle` finds cycles of waits. What is known of a process comes from its records,
//! from itself when it was asked, and, where it can't be asked, from the kernel; none of it is
//! found out here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lonet::Addr;
use lonet::trace::{Moved, Pending, Waits, What, Withheld};

use super::words::age;
use crate::collector::failure::Past;
use crate::collector::query::{NodeReport, OtherReport, Report, TestReport, WaitsFor};
use crate::process::wire::Ended;
use crate::trace::happened::process::Process;

/// A sentence for each process of which there is something to say. Of a test that `hangs` there
/// always is.
pub(super) fn sentences(report: &Report, hangs: bool) -> Vec<String> {
    let now = report.at;
    let test = of_test(&report.test, report, now);
    let test =
        test.or_else(|| hangs.then(|| "the test waits for nothing on the network".to_owned()));
    let nodes = report.nodes.iter().map(|node| of_node(node, report));
    let others = report.others.iter().map(|other| of_other(other, report));
    test.into_iter().chain(nodes).chain(others).collect()
}

/// The bytes of at most so many connections are shown.
const MOST_ENDS: usize = 20;

/// How many bytes each open connection's ends have sent and received, as their processes said when
/// they were asked. Of one that did not answer, what its records tell, if data is recorded.
pub(super) fn bytes(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, process) in report.records.iter().enumerate() {
        let node = report
            .nodes
            .iter()
            .find(|node| process.node == Some(node.process));
        let other = report.others.iter().find(|other| other.index == index);
        let moved = match (node, other) {
            (Some(node), _) => &node.waits.ends,
            (None, Some(other)) => &other.waits.ends,
            // The test's own process reports first.
            (None, None) if index == 0 => &report.test.ends,
            (None, None) => continue,
        };
        for (socket, (own, peer)) in Sockets::of(Some(process)).ends {
            let said = moved.iter().find(|end| end.socket == socket).copied();
            if let Some(moved) = said.or_else(|| recorded(process, socket)) {
                let Moved { sent, received, .. } = moved;
                lines.push(format!(
                    "bytes on {own}->{peer}: {sent} sent, {received} received"
                ));
            }
        }
    }
    let more = lines.len().saturating_sub(MOST_ENDS);
    lines.truncate(MOST_ENDS);
    lines.extend((more > 0).then(|| format!("… and on {more} more ends of connections")));
    lines
}

/// What the records of data tell of a socket.
fn recorded(process: &Process, socket: u64) -> Option<Moved> {
    let mut moved = None;
    for record in &process.records {
        let (s, sent, received) = match record.what {
            What::Send {
                socket,
                written,
                bytes,
                ..
            } => (socket, written + bytes, 0),
            What::Recv { socket, bytes, .. } => (socket, 0, bytes),
            _ => continue,
        };
        if s == socket {
            let moved = moved.get_or_insert(Moved {
                socket: s,
                sent: 0,
                received: 0,
            });
            moved.sent = moved.sent.max(sent);
            moved.received += received;
        }
    }
    moved
}

/// The test's own process, if it waits for anything.
fn of_test(test: &TestReport, report: &Report, now: u64) -> Option<String> {
    let sockets = Sockets::of(report.records.first());
    let mut waits: Vec<String> = test.asks.clone();
    // Its requests, `until` among them, have been named by what they ask for.
    let (requests, of_hosts): (Vec<Pending>, Vec<Pending>) = test
        .pending
        .iter()
        .partition(|pending| matches!(pending.on, Waits::Until | Waits::Other));
    // Of several, the times don't say whose they are.
    if let ([request], [ask]) = (&*requests, &mut *waits) {
        let _ = write!(ask, " for {} s", age(now, request.t));
    }
    let held = Held {
        by: &test.held,
        faults: &report.faults,
    };
    waits.extend(sockets.operations(&of_hosts, &[], held, now));
    (!waits.is_empty()).then(|| format!("the test waits in {}", waits.join("; ")))
}

/// What a node does, or how it ended.
fn of_node(node: &NodeReport, report: &Report) -> String {
    let NodeReport { host, what, .. } = node;
    let pid = node
        .pid
        .map_or_else(String::new, |pid| format!(", pid {pid}"));
    let who = format!("{host} ({what}{pid})");
    if node.background {
        return format!(
            "{who} went to the background: its first process ended while others still ran, and its \
             host with it; keep it in the foreground (nginx: `daemon off`, redis: `--daemonize no`)"
        );
    }
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
    // A process has one reporter on the scenario's network.
    let records = report
        .records
        .iter()
        .find(|process| process.node == Some(node.process));
    let kernel = node.kernel.as_deref();
    if !node.up {
        let mut text = format!("{who} has not joined the network");
        if let Some(kernel) = kernel {
            let _ = write!(text, ": {kernel}");
        }
        return text;
    }
    let does = does(&Sockets::of(records), &node.waits, kernel, report);
    format!("{who} {does}")
}

/// A process that reports, and that the scenario did not start itself.
fn of_other(other: &OtherReport, report: &Report) -> String {
    let sockets = Sockets::of(report.records.get(other.index));
    let plays = match &other.host {
        Some(host) => format!("a process started by {host}"),
        None => "an unknown process".to_owned(),
    };
    let does = does(&sockets, &other.waits, other.kernel.as_deref(), report);
    format!("{plays} (pid {}) {does}", other.pid)
}

/// What a process does that has joined the network.
fn does(sockets: &Sockets<'_>, waits: &WaitsFor, kernel: Option<&str>, report: &Report) -> String {
    let does = does_itself(sockets, waits, kernel, report);
    match waits.holds.is_empty() {
        true => does,
        false => format!("{does}; {}", waits.holds.join("; ")),
    }
}

/// The same, without what the test holds there.
fn does_itself(
    sockets: &Sockets<'_>,
    waits: &WaitsFor,
    kernel: Option<&str>,
    report: &Report,
) -> String {
    let said = waits.said.as_deref();
    let held = Held {
        by: &waits.held,
        faults: &report.faults,
    };
    let operations = sockets.operations(said.unwrap_or_default(), &waits.untils, held, report.at);
    if said.is_some() {
        if !operations.is_empty() {
            return format!("waits in {}", operations.join("; waits in "));
        }
        let mut text = "runs, and waits for nothing on the network".to_owned();
        for listener in sockets.listeners.values() {
            let _ = write!(text, "; no task accepts at {listener}");
        }
        if let Some(kernel) = kernel {
            let _ = write!(text, "; {kernel}");
        }
        return text;
    }
    // It could not be asked: what its records and the kernel tell.
    let mut open: Vec<String> = operations
        .iter()
        .map(|operation| format!("waits in {operation}"))
        .collect();
    let listeners = sockets.listeners.values();
    open.extend(listeners.map(|a| format!("listens on {a}")));
    let ends = sockets.ends.values();
    open.extend(ends.map(|(a, p)| format!("has {a}-{p} open")));
    if open.is_empty() {
        open.push("runs".to_owned());
    }
    open.extend(kernel.map(str::to_owned));
    open.join("; ")
}

/// What faults withhold from a process's operations.
#[derive(Clone, Copy)]
struct Held<'a> {
    by: &'a [(Withheld, u32)],
    faults: &'a BTreeMap<u32, (String, u64)>,
}

impl Held<'_> {
    /// How long an operation that began then has been pending, and what withholds its end.
    fn told(self, what: Withheld, since: u64, now: u64) -> String {
        let mut by = self.by.iter().filter(|(held, _)| *held == what);
        match by.find_map(|(_, fault)| self.faults.get(fault)) {
            Some((line, begun)) => {
                let age = age(now, since.max(*begun));
                format!(": withheld by `{line}` for {age} s")
            }
            None => format!(" for {} s", age(now, since)),
        }
    }
}

/// What a process has open and has begun, as its records tell.
#[derive(Default)]
pub(super) struct Sockets<'a> {
    pub(super) dials: BTreeMap<u64, (&'a Addr, &'a Addr, u64)>,
    listeners: BTreeMap<u64, &'a Addr>,
    pub(super) ends: BTreeMap<u64, (&'a Addr, &'a Addr)>,
}

impl<'a> Sockets<'a> {
    pub(super) fn of(process: Option<&'a Process>) -> Sockets<'a> {
        let mut sockets = Sockets::default();
        for record in process.iter().flat_map(|process| &process.records) {
            match &record.what {
                What::Dial { addr: a, peer: p } => {
                    sockets.dials.insert(record.n, (a, p, record.t));
                }
                What::Connect {
                    addr: a,
                    peer: p,
                    dial: d,
                    socket: s,
                    ..
                } => {
                    sockets.dials.remove(d);
                    sockets.ends.insert(*s, (a, p));
                }
                What::Fail { dial: d, .. } => {
                    sockets.dials.remove(d);
                }
                What::Listen {
                    addr: a, socket: s, ..
                } => {
                    sockets.listeners.insert(*s, a);
                }
                What::Accept {
                    addr: a,
                    peer: p,
                    socket: s,
                    ..
                } => {
                    sockets.ends.insert(*s, (a, p));
                }
                What::Close { socket: s, .. } => {
                    sockets.listeners.remove(s);
                    sockets.ends.remove(s);
                }
                _ => {}
            }
        }
        sockets
    }

    /// The operations, each with the addresses that an error of it would name, and how long it has
    /// been pending. Dials come from their records alone.
    fn operations(
        &self,
        pending: &[Pending],
        untils: &[String],
        held: Held<'_>,
        now: u64,
    ) -> Vec<String> {
        let mut untils = untils.iter();
        let named = pending.iter().filter_map(|pending| {
            let what = match pending.on {
                Waits::Accept(s) => format!("accept {}", self.listeners.get(&s)?),
                Waits::Read(s) => {
                    let (a, p) = self.ends.get(&s)?;
                    let told = held.told(Withheld::End(s), pending.t, now);
                    return Some(format!("read {p}->{a}{told}"));
                }
                Waits::Write(s) => self.ends.get(&s).map(|(a, p)| format!("write {a}->{p}"))?,
                // Both are in the order in which they began.
                Waits::Until => match untils.next() {
                    Some(pattern) => format!("until `{pattern}`"),
                    None => "until".to_owned(),
                },
                _ => return None,
            };
            Some(format!("{what} for {} s", age(now, pending.t)))
        });
        let mut operations: Vec<String> = named.collect();
        let dials = self.dials.iter();
        operations.extend(dials.map(|(n, (a, p, t))| {
            let told = held.told(Withheld::Dial(*n), *t, now);
            format!("dial {a}->{p}{told}")
        }));
        operations.extend(untils.map(|pattern| format!("until `{pattern}`")));
        operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonet::trace::Record;

    fn record(n: u64, what: What) -> Record {
        Record {
            n,
            t: 1_000_000_000,
            task: Some(1),
            unordered: false,
            reads: Vec::new(),
            learned: Vec::new(),
            reads_beside: Vec::new(),
            learned_beside: Vec::new(),
            reads_pending: Vec::new(),
            fires: Vec::new(),
            what,
        }
    }

    #[test]
    fn what_a_fault_withholds_is_said_with_the_fault() {
        let addr = |text: &str| text.parse::<Addr>().expect("an address");
        let connect = What::Connect {
            addr: addr("β:1"),
            peer: addr("α:1"),
            dial: 7,
            socket: 3,
            key: String::new(),
        };
        let dial = What::Dial {
            addr: addr("β:2"),
            peer: addr("α:10"),
        };
        let process = Process {
            pid: 1,
            node: None,
            records: vec![record(1, connect), record(2, dial)],
        };
        let pending = Pending {
            on: Waits::Read(3),
            t: 1_500_000_000,
        };
        let mut report = Report {
            at: 5_000_000_000,
            records: vec![process],
            test: TestReport {
                pending: vec![pending],
                held: vec![(Withheld::End(3), 1), (Withheld::Dial(2), 1)],
                ..TestReport::default()
            },
            ..Report::default()
        };
        report
            .faults
            .insert(1, ("! partition α β".to_owned(), 2_900_000_000));
        assert_eq!(
            sentences(&report, true),
            [
                "the test waits in read α:1->β:1: withheld by `! partition α β` for 2.1 s; dial \
                 β:2->α:10: withheld by `! partition α β` for 2.1 s"
            ]
        );
        // Without the fault it is the operation alone.
        report.faults.clear();
        assert_eq!(
            sentences(&report, true),
            ["the test waits in read α:1->β:1 for 3.5 s; dial β:2->α:10 for 4.0 s"]
        );
    }
}
