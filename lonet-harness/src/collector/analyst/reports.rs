//! The report of a scenario, for a page.
//!
//! Owns putting it together; wording it is `report`'s business.

use std::collections::BTreeSet;

use super::{Analyst, Node, Peer, Supervisor};
use crate::collector::query::{NodeReport, OtherReport, Report, TestReport, WaitsFor};
use crate::collector::reader::Conn;
use crate::process::backtrace::Backtraces;

impl Analyst {
    pub(super) fn report(&self) -> Report {
        Report {
            at: lonet::trace::now(),
            test: self.report_test(),
            nodes: self.nodes.values().map(|n| self.report_node(n)).collect(),
            others: self.report_others(),
            records: self.records(),
            missed: self.missed(),
            events: self.events.clone(),
            problems: self.all_problems(),
            means: match self.supervisor {
                Supervisor::Running { means, .. } => means,
                _ => None,
            },
            undelivered: self.undelivered(),
            faults: self.faults_in_force(),
            backtraces: Backtraces::NotTaken,
        }
    }

    fn report_test(&self) -> TestReport {
        let mut asks = Vec::new();
        let mut joins = Vec::new();
        for node in self.nodes.values() {
            let joining = node.on_end.iter().filter(|&&(joins, _)| joins);
            joins.extend(joining.map(|_| node.process));
            let asked = |what: &str| format!("{what} {}", node.host);
            let spawned = node.on_up.iter().map(|_| asked("spawn"));
            let joined = node.on_end.iter().map(|&(joins, _)| match joins {
                true => asked("join"),
                false => asked("the end of"),
            });
            asks.extend(spawned.chain(joined));
        }
        let untils = self.untils(|conn| conn.is_none());
        asks.extend(untils.into_iter().map(|text| format!("until `{text}`")));
        asks.extend(self.fault_asks());
        asks.extend(self.hold_asks());
        let doing = self.reporter.doing();
        TestReport {
            asks,
            joins,
            pending: doing.ops,
            ends: doing.ends,
            held: doing.held,
            calls: Vec::new(),
        }
    }

    fn report_node(&self, node: &Node) -> NodeReport {
        let mut report = node.report();
        let reported = self
            .processes
            .iter()
            .position(|reported| reported.node == Some(node.process));
        if let Some(at) = reported {
            report.waits.untils = self.untils_of(at);
            report.waits.holds = self.held_in(at);
            if let Some(doing) = &self.processes[at].waits {
                report.waits.said = Some(doing.ops.clone());
                report.waits.ends.clone_from(&doing.ends);
                report.waits.held.clone_from(&doing.held);
            }
        }
        report
    }

    /// Their identity matters only once all have been asked.
    fn report_others(&self) -> Vec<OtherReport> {
        let others = self.processes.iter().enumerate().skip(1);
        others
            .filter(|(_, other)| self.asked > 0 && other.node.is_none() && other.connected)
            .map(|(index, other)| OtherReport {
                index,
                pid: other.pid,
                host: other.host.clone(),
                waits: WaitsFor {
                    holds: self.held_in(index),
                    said: other.waits.as_ref().map(|doing| doing.ops.clone()),
                    ends: other
                        .waits
                        .as_ref()
                        .map_or_else(Vec::new, |doing| doing.ends.clone()),
                    held: other
                        .waits
                        .as_ref()
                        .map_or_else(Vec::new, |doing| doing.held.clone()),
                    untils: self.untils_of(index),
                },
                kernel: None,
            })
            .collect()
    }

    /// What pending `until`s would have found, had its process not ended.
    fn missed(&self) -> Vec<(String, String)> {
        let asked = self
            .waiting
            .iter()
            .map(|waiting| (waiting, &waiting.wanted));
        let asked = asked.filter(|(_, wanted)| wanted.of.is_none() && wanted.after.is_none());
        let missed = asked.filter_map(|(waiting, _)| {
            let mut past = self.events.iter();
            past.find(|event| waiting.matches(event, None))
        });
        let missed: BTreeSet<_> = missed
            .map(|event| (event.to_string(), event.host().to_owned()))
            .collect();
        missed.into_iter().collect()
    }

    /// The events that this reporter waits for.
    fn untils_of(&self, process: usize) -> Vec<String> {
        let is_its = |conn: Option<Conn>| {
            let peer = conn.and_then(|conn| self.conns.get(&conn));
            matches!(peer, Some(&Peer::Reporter(reporter)) if reporter == process)
        };
        self.untils(is_its)
    }

    fn untils(&self, of: impl Fn(Option<Conn>) -> bool) -> Vec<String> {
        let waiting = self.waiting.iter().filter(|waiting| of(waiting.conn()));
        // One that was given up is forgotten only when it would have been answered.
        let waiting = waiting.filter(|waiting| !waiting.is_given_up());
        waiting.map(|waiting| waiting.wanted.text.clone()).collect()
    }
}
