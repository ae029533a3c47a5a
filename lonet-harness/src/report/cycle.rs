//! A cycle of processes that wait for each other, so that none of them can ever go on.
//!
//! Owns when that is claimed: only where it is certain, as far as waits on the network tell. A process
//! has many tasks, and one of them that goes on may free all others, so it is stuck only if each of
//! its waits is for somebody who is, and if somebody owes it something: a server that reads the next
//! request of a connection on which the client is to write next waits for nothing that it is owed,
//! and may well be busy with another task. What it computes, or sleeps through, is not known here. What a
//! process waits for is found out elsewhere, and worded by `doing`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lonet::Addr;
use lonet::trace::{Pending, Record, Waits, What};

use super::doing::Sockets;
use crate::collector::query::Report;
use crate::trace::happened::process::Process;

/// Hosts of which each waits for the next, and the last for the first, if there are such: those in
/// processes of which none can go on.
pub(super) fn cycle(report: &Report) -> Option<Vec<&str>> {
    let mut waits_for: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for process in stuck(living(report)) {
        for wait in process.waits.into_iter().flatten() {
            if let Wait::Peer(own, peer) = wait {
                waits_for.entry(own).or_default().insert(peer);
            }
        }
    }
    shortest(&waits_for)
}

/// A process that has not ended.
struct Living<'a> {
    /// Its number, if the scenario started it.
    node: Option<u64>,
    /// The host that it plays.
    hosts: BTreeSet<&'a str>,
    /// All that it waits for; `None` if it did not say.
    waits: Option<Vec<Wait<'a>>>,
}

/// What could end a wait.
enum Wait<'a> {
    /// The process of the second host; the first is the one that waits.
    Peer(&'a str, &'a str),
    /// This host, which owes nothing: the last to write on the connection was it.
    Idle(&'a str),
    /// This process, by its end.
    End(u64),
    /// Any process that can dial.
    Anybody,
    /// One can't tell: an event may come of anything.
    Unknown,
}

fn living(report: &Report) -> Vec<Living<'_>> {
    let mut living = vec![Living {
        node: None,
        hosts: hosts(report.records.first(), None),
        waits: Some(of_test(report)),
    }];
    for node in report.nodes.iter().filter(|node| node.ended.is_none()) {
        let records = report
            .records
            .iter()
            .find(|process| process.node == Some(node.process));
        let said = node.waits.said.as_deref();
        living.push(Living {
            node: Some(node.process),
            hosts: hosts(records, Some(&node.host)),
            waits: said.map(|said| of_network(report, records, said)),
        });
    }
    for other in &report.others {
        let records = report.records.get(other.index);
        let said = other.waits.said.as_deref();
        living.push(Living {
            node: None,
            hosts: hosts(records, other.host.as_deref()),
            waits: said.map(|said| of_network(report, records, said)),
        });
    }
    living
}

/// The hosts that a process plays: the one it was started as, and those that joined.
fn hosts<'a>(process: Option<&'a Process>, started: Option<&'a str>) -> BTreeSet<&'a str> {
    let mut hosts = BTreeSet::new();
    for record in process.iter().flat_map(|process| &process.records) {
        match &record.what {
            What::Up { host: h } => hosts.insert(h.as_str()),
            What::Down { host: h } => hosts.remove(h.as_str()),
            _ => continue,
        };
    }
    hosts.extend(started);
    hosts
}

fn of_test(report: &Report) -> Vec<Wait<'_>> {
    let test = &report.test;
    let (requests, of_hosts): (Vec<Pending>, Vec<Pending>) = test
        .pending
        .iter()
        .partition(|pending| pending.on == Waits::Other);
    let mut waits = of_network(report, report.records.first(), &of_hosts);
    // The operations don't say what they ask for.
    if requests.len() == test.joins.len() {
        waits.extend(test.joins.iter().map(|&process| Wait::End(process)));
    } else {
        waits.push(Wait::Unknown);
    }
    waits
}

fn of_network<'a>(
    report: &'a Report,
    process: Option<&'a Process>,
    pending: &[Pending],
) -> Vec<Wait<'a>> {
    let sockets = Sockets::of(process);
    let wait = |(own, peer): (&'a Addr, &'a Addr)| Wait::Peer(own.host(), peer.host());
    let dials = sockets.dials.values().map(|&(own, peer, _)| (own, peer));
    let mut waits: Vec<Wait<'a>> = dials.map(wait).collect();
    waits.extend(pending.iter().filter_map(|pending| match pending.on {
        // The records tell of them.
        Waits::Dial => None,
        Waits::Read(s) | Waits::Write(s) => {
            let Some(&end) = sockets.ends.get(&s) else {
                return Some(Wait::Unknown);
            };
            let reads = matches!(pending.on, Waits::Read(_));
            let idle = reads && !process.is_none_or(|process| is_owed(report, process, s));
            Some(if idle {
                Wait::Idle(end.1.host())
            } else {
                wait(end)
            })
        }
        Waits::Accept(_) => Some(Wait::Anybody),
        _ => Some(Wait::Unknown),
    }));
    waits
}

/// Whether the reader of that socket is owed something: it wrote last on the connection, or neither
/// has written on it yet. A task notes its first write after it has learned something.
fn is_owed(report: &Report, process: &Process, socket: u64) -> bool {
    let key = |record: &'_ Record| match &record.what {
        What::Accept {
            socket: s, key: c, ..
        }
        | What::Connect {
            socket: s, key: c, ..
        } => Some((*s, c.clone())),
        _ => None,
    };
    let own = process.records.iter().filter_map(key);
    let Some((_, connection)) = own.rev().find(|(s, _)| *s == socket) else {
        return true;
    };
    let peers = report.records.iter().flat_map(|other| {
        let ends = other.records.iter().filter_map(key);
        ends.map(move |(s, c)| (other, s, c))
    });
    let peers = peers.filter(|(other, s, c)| {
        *c == connection && (!std::ptr::eq(*other, process) || *s != socket)
    });
    let theirs = peers.filter_map(|(other, s, _)| last_write(other, s)).max();
    last_write(process, socket) >= theirs
}

/// When a process began, as far as its records tell, to write what it last wrote there.
fn last_write(process: &Process, socket: u64) -> Option<u64> {
    let writes = process.records.iter().filter(|record| match record.what {
        What::Note { socket: s, .. } | What::Send { socket: s, .. } => s == socket,
        _ => false,
    });
    writes.map(|record| record.t).max()
}

/// Those of which each waits for something, and only for those: the most there are.
fn stuck(living: Vec<Living<'_>>) -> Vec<Living<'_>> {
    let waits = |process: &Living| {
        process.waits.as_ref().is_some_and(|waits| {
            waits
                .iter()
                .any(|wait| matches!(wait, Wait::Peer(..) | Wait::End(_)))
        })
    };
    let mut stuck: Vec<bool> = living.iter().map(waits).collect();
    loop {
        let by_stuck = |wait: &Wait| match *wait {
            Wait::Peer(_, host) | Wait::Idle(host) => {
                let mut players = (0..living.len())
                    .filter(|&at| living[at].hosts.contains(host))
                    .peekable();
                players.peek().is_some() && players.all(|at| stuck[at])
            }
            Wait::End(node) => {
                (0..living.len()).any(|at| living[at].node == Some(node) && stuck[at])
            }
            Wait::Anybody => stuck.iter().all(|&stuck| stuck),
            Wait::Unknown => false,
        };
        let goes_on = |at: &usize| {
            let mut waits = living[*at].waits.iter().flatten();
            stuck[*at] && !waits.all(by_stuck)
        };
        let Some(free) = (0..living.len()).find(goes_on) else {
            break;
        };
        stuck[free] = false;
    }
    let both = living.into_iter().zip(stuck);
    both.filter_map(|(process, stuck)| stuck.then_some(process))
        .collect()
}

/// A shortest way from one to itself, breadth first.
fn shortest<'a>(waits_for: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    waits_for.keys().find_map(|&from| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::query::{NodeReport, WaitsFor};

    const LISTENER: u64 = 100;

    /// The test, which waits for nothing.
    fn world() -> Report {
        let mut report = Report::default();
        report.records.push(Process {
            pid: 1,
            node: None,
            records: Vec::new(),
        });
        report
    }

    /// One more process of the scenario: with a listener, an end to each of these hosts (the
    /// sockets 0, 1, …), and these waits.
    fn node(report: &mut Report, host: &str, ends: &[&str], waits: Option<&[Waits]>) -> u64 {
        let process = report.records.len() as u64;
        let address = |host: &str, port: usize| format!("{host}:{port}").parse().unwrap();
        let listener = What::Listen {
            addr: address(host, 10),
            socket: LISTENER,
            auto: false,
        };
        let accepts = ends.iter().enumerate().map(|(s, peer)| What::Accept {
            addr: address(host, s + 1),
            peer: address(peer, 1),
            listener: LISTENER,
            socket: s as u64,
            key: format!("{host} {s}"),
        });
        let what = std::iter::once(listener).chain(accepts);
        let records = what.enumerate().map(|(n, e)| Record {
            n: n as u64 + 1,
            t: 0,
            task: None,
            unordered: false,
            reads: Vec::new(),
            reads_beside: Vec::new(),
            learned_beside: Vec::new(),
            fires: Vec::new(),
            reads_pending: Vec::new(),
            learned: Vec::new(),
            what: e,
        });
        report.records.push(Process {
            pid: 1,
            node: Some(process),
            records: records.collect(),
        });
        let said = waits.map(|waits| waits.iter().map(|&on| Pending { t: 0, on }).collect());
        report.nodes.push(NodeReport {
            process,
            host: host.into(),
            what: "role".into(),
            pid: Some(1),
            up: true,
            stopped: false,
            ended: None,
            carried: false,
            background: false,
            failure: None,
            waits: WaitsFor {
                holds: Vec::new(),
                said,
                ends: Vec::new(),
                held: Vec::new(),
                untils: Vec::new(),
            },
            kernel: None,
            log: String::new(),
        });
        process
    }

    fn test_joins(report: &mut Report, process: u64) {
        report.test.joins.push(process);
        let (t, on) = (0, Waits::Other);
        report.test.pending.push(Pending { t, on });
    }

    const READS: Option<&[Waits]> = Some(&[Waits::Read(0)]);
    const SERVES: Option<&[Waits]> = Some(&[Waits::Read(0), Waits::Accept(LISTENER)]);

    #[test]
    fn a_cycle_excludes_its_waiting_readers() {
        let mut report = world();
        node(&mut report, "α", &["β"], READS);
        node(&mut report, "β", &["γ"], READS);
        node(&mut report, "γ", &["β"], READS);
        assert_eq!(cycle(&report), Some(vec!["β", "γ"]));
    }

    #[test]
    fn servers_that_somebody_else_may_dial_are_idle() {
        let mut report = world();
        let beta = node(&mut report, "β", &["γ"], SERVES);
        node(&mut report, "γ", &["β"], SERVES);
        // The test may, which waits for none.
        assert_eq!(cycle(&report), None);
        // Another process may, which computes, or did not say what it does.
        test_joins(&mut report, beta);
        for waits in [Some(&[][..]), None] {
            node(&mut report, "α", &["β"], waits);
            assert_eq!(cycle(&report), None);
            report.nodes.pop();
            report.records.pop();
        }
        // The test may, which waits for an event as well.
        let (t, on) = (0, Waits::Until);
        report.test.pending.push(Pending { t, on });
        assert_eq!(cycle(&report), None);
    }

    #[test]
    fn servers_that_no_other_process_can_dial_are_stuck() {
        let mut report = world();
        let beta = node(&mut report, "β", &["γ"], SERVES);
        node(&mut report, "γ", &["β"], SERVES);
        node(&mut report, "δ", &["β"], READS);
        test_joins(&mut report, beta);
        assert_eq!(cycle(&report), Some(vec!["β", "γ"]));
    }

    #[test]
    fn one_task_that_may_go_on_frees_the_others() {
        let mut report = world();
        let also_reads = Some(&[Waits::Read(0), Waits::Read(1)][..]);
        node(&mut report, "α", &["β", "γ"], also_reads);
        node(&mut report, "β", &["α"], READS);
        node(&mut report, "γ", &[], Some(&[]));
        assert_eq!(cycle(&report), None);
        report.nodes[2].waits.said = Some(vec![Pending {
            t: 0,
            on: Waits::Until,
        }]);
        assert_eq!(cycle(&report), None);
    }

    /// That process wrote on its first connection, which has this key, at that time.
    fn writes(report: &mut Report, host: &str, key: &str, t: Option<u64>) {
        let node = report.nodes.iter().find(|node| node.host == host).unwrap();
        let node = Some(node.process);
        let process = report.records.iter_mut().find(|p| p.node == node).unwrap();
        for record in &mut process.records {
            if let What::Accept {
                socket: 0, key: c, ..
            } = &mut record.what
            {
                key.clone_into(c);
            }
        }
        let n = process.records.len() as u64 + 1;
        let (k, u, r, l) = (None, false, Vec::new(), Vec::new());
        let e = What::Note {
            socket: 0,
            written: 0,
        };
        process.records.extend(t.map(|t| Record {
            n,
            t,
            task: k,
            unordered: u,
            reads: r,
            learned: l,
            reads_beside: Vec::new(),
            learned_beside: Vec::new(),
            fires: Vec::new(),
            reads_pending: Vec::new(),
            what: e,
        }));
    }

    #[test]
    fn a_reader_that_owes_the_answer_is_in_no_cycle() {
        let check = |of_alpha, of_beta, expected: Option<Vec<&str>>| {
            let mut report = world();
            node(&mut report, "α", &["β"], READS);
            node(&mut report, "β", &["α"], READS);
            writes(&mut report, "α", "one", of_alpha);
            writes(&mut report, "β", "one", of_beta);
            assert_eq!(cycle(&report), expected);
        };
        // The client has asked; the server, which reads the next request, has not answered.
        check(Some(5), None, None);
        check(Some(5), Some(3), None);
        check(None, Some(3), None);
        // Each waits for the other to begin.
        check(None, None, Some(vec!["α", "β"]));
    }

    #[test]
    fn the_writer_of_a_pending_read_may_be_gone() {
        let mut report = world();
        node(&mut report, "α", &["β"], READS);
        node(&mut report, "β", &["α"], READS);
        report.nodes[1].ended = Some(crate::process::wire::Ended::Status(0));
        assert_eq!(cycle(&report), None);
    }
}
