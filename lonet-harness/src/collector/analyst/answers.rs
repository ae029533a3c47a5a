//! What the analyst answers to whom.
//!
//! Owns each question's answer; what must happen for it is in `nodes`, or in the analyst itself.

use super::*;

impl Analyst {
    pub(super) fn answer(&mut self, query: Query) {
        match query {
            Query::Start { launch, reply } => {
                let process = launch.process;
                let (host, what) = (launch.host.clone(), launch.what.clone());
                match self.start(*launch) {
                    Ok(()) => {
                        if let Some(node) = self.nodes.get_mut(&process) {
                            node.on_start = Some(reply);
                        }
                    }
                    Err(how) => {
                        let place = None;
                        let _ = reply.send(Err(Failure {
                            host,
                            what,
                            place,
                            how,
                        }));
                    }
                }
            }
            Query::Up { process, reply } => {
                let Some(node) = self.nodes.get_mut(&process) else {
                    return;
                };
                match (node.up, &node.end) {
                    (Some(up), _) => {
                        let _ = reply.send(Ok(up));
                    }
                    (None, Some(end)) => {
                        node.delivered |= reply.send(Err(end.clone())).is_ok() && end.is_failure();
                    }
                    (None, None) => node.on_up.push(reply),
                }
            }
            Query::End {
                process,
                deliver,
                reply,
            } => {
                let Some(node) = self.nodes.get_mut(&process) else {
                    return;
                };
                match &node.end {
                    Some(end) => node.delivered |= reply.send(end.clone()).is_ok() && deliver,
                    None => node.on_end.push((deliver, reply)),
                }
            }
            Query::Ended { process, reply } => {
                let Some(node) = self.nodes.get_mut(&process) else {
                    return;
                };
                match &node.end {
                    Some(end) => drop(reply.send(end.clone())),
                    None => node.on_ended.push(reply),
                }
            }
            Query::Signal {
                process,
                signal,
                until,
                reply,
            } => {
                self.signal(process, signal, until, reply);
            }
            Query::Stopped { process, reply } => {
                let Some(node) = self.nodes.get_mut(&process) else {
                    return;
                };
                if node.stopped || node.end.is_some() {
                    let _ = reply.send(());
                } else {
                    node.on_effect.push((Effect::Stopped, reply));
                }
            }
            Query::Terminate { process } => self.terminate(process),
            Query::BodyEnded { last_poll, reply } => {
                self.body_ended(last_poll);
                let _ = reply.send(());
            }
            Query::Until { wanted, reply } => self.until(*wanted, Asker::Test(reply)),
            Query::Records { reply } => {
                let _ = reply.send(self.records());
            }
            Query::Log { process, reply } => {
                let log = self.nodes.get(&process).map(Node::log).unwrap_or_default();
                let _ = reply.send(log);
            }
            Query::Waits { reply } => {
                for node in self.nodes.values_mut() {
                    node.waits = None;
                    if let Some(conn) = node.control {
                        self.mailbox.write(conn, line(&ToNode::Waits));
                    }
                }
                self.asked += 1;
                let question = Question { waits: self.asked };
                for reported in &mut self.processes {
                    reported.waits = None;
                    if let Some(conn) = reported.asked_at {
                        self.mailbox.write(conn, line(&question));
                    }
                }
                self.on_waits.push(reply);
                self.have_waits();
            }
            Query::Report { reply } => {
                let _ = reply.send(self.report());
            }
        }
    }

    pub(super) fn signal(
        &mut self,
        process: u64,
        signal: i32,
        until: Effect,
        reply: tokio::sync::oneshot::Sender<()>,
    ) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        if node.ended.is_some() {
            let _ = reply.send(());
            return;
        }
        node.interfered |= until == Effect::Killed;
        let there = match until {
            // Whoever wants to know waits for the end.
            Effect::Killed => true,
            // The system tells of changes alone.
            Effect::Stopped => node.stopped,
            Effect::Continued => !node.stopped,
        };
        if there {
            let _ = reply.send(());
        } else {
            node.on_effect.push((until, reply));
        }
        self.tell_supervisor(&ToSupervisor::Signal { process, signal });
    }

    pub(super) fn terminate(&mut self, process: u64) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        if node.ended.is_some() || node.asked_to_finish {
            return;
        }
        node.asked_to_finish = true;
        let stopped = node.stopped;
        match node.control {
            Some(conn) => self.mailbox.write(conn, line(&ToNode::Terminate)),
            // A role that has not shown its ticket is told when it does.
            None if node.ticket.is_some() => {}
            None => {
                let signal = Signal::SIGTERM as i32;
                self.tell_supervisor(&ToSupervisor::Signal { process, signal });
            }
        }
        if stopped {
            let signal = Signal::SIGCONT as i32;
            self.tell_supervisor(&ToSupervisor::Signal { process, signal });
        }
    }

    /// Answers those who wait for what all wait for, once all have said it who can.
    pub(super) fn have_waits(&mut self) {
        // One that is stopped can't.
        let missing = |node: &Node| node.control.is_some() && !node.stopped && node.waits.is_none();
        let silent = |reported: &Reported| {
            let node = reported.node.and_then(|node| self.nodes.get(&node));
            let stopped = node.is_some_and(|node| node.stopped);
            reported.asked_at.is_some() && !stopped && reported.waits.is_none()
        };
        if !self.nodes.values().any(missing) && !self.processes.iter().any(silent) {
            for reply in self.on_waits.drain(..) {
                let _ = reply.send(());
            }
        }
    }

    pub(super) fn tell_supervisor(&self, message: &ToSupervisor) {
        if let Supervisor::Running { conn, .. } = self.supervisor {
            self.mailbox.write(conn, line(message));
        }
    }

    pub(super) fn report(&self) -> Report {
        Report {
            test: self.report_test(),
            nodes: self.nodes.values().map(|n| self.report_node(n)).collect(),
            others: self.report_others(),
            records: self.records(),
            events: self.events.clone(),
            problems: self.problems.clone(),
            means: match self.supervisor {
                Supervisor::Running { means, .. } => means,
                _ => None,
            },
            undelivered: self.undelivered(),
            backtraces: Backtraces::NotTaken,
        }
    }

    fn report_test(&self) -> TestReport {
        let mut asks = Vec::new();
        for node in self.nodes.values() {
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
        TestReport {
            asks,
            pending: self.reporter.waits(),
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
            // A role has said so on its control socket.
            report.waits.said = report.waits.said.or(self.processes[at].waits.clone());
        }
        report
    }

    /// Who they are is of interest only once all have been asked.
    fn report_others(&self) -> Vec<OtherReport> {
        let others = self.processes.iter().enumerate().skip(1);
        others
            .filter(|(_, other)| self.asked > 0 && other.node.is_none() && other.connected)
            .map(|(index, other)| OtherReport {
                index,
                pid: other.pid,
                host: other.host.clone(),
                waits: WaitsFor {
                    said: other.waits.clone(),
                    untils: self.untils_of(index),
                },
                kernel: None,
            })
            .collect()
    }

    /// The events that this reporter waits for.
    fn untils_of(&self, process: usize) -> Vec<String> {
        let is_its = |conn: Option<Conn>| {
            let who = conn.and_then(|conn| self.conns.get(&conn));
            matches!(who, Some(&Who::Reporter(reporter)) if reporter == process)
        };
        self.untils(is_its)
    }

    fn untils(&self, of: impl Fn(Option<Conn>) -> bool) -> Vec<String> {
        let waiting = self.waiting.iter().filter(|waiting| of(waiting.conn()));
        waiting.map(|waiting| waiting.wanted.text.clone()).collect()
    }
}
