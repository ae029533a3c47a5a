//! The answers of the analyst.
//!
//! Owns each question's answer; what must happen for it is in `nodes`, the report of all
//! in `reports`, the rest in the analyst itself.

use lonet::trace::Order;
use nix::sys::signal::Signal;

use tokio::sync::oneshot;

use super::{Analyst, Asker, Failure, Held, Node, Reported, Supervisor};
use crate::collector::query::{Effect, Launch, Query};
use crate::process::wire::{ToNode, ToSupervisor, line};

impl Analyst {
    pub(super) fn answer(&mut self, query: Query) {
        match query {
            Query::Start { launch, reply } => match self.gone(&launch.host) {
                Some(seq) => self.start_after(seq, launch, reply),
                None => self.start_for(launch, reply),
            },
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
            Query::Perturb { seed } => self.perturb(seed),
            Query::Until { wanted, reply } => self.until(*wanted, Asker::Test(reply)),
            Query::Records { reply } => {
                let _ = reply.send(self.records());
            }
            Query::Log { process, reply } => {
                let log = self.nodes.get(&process).map(Node::log).unwrap_or_default();
                let _ = reply.send(log);
            }
            Query::Waits { reply } => {
                self.asked += 1;
                for reported in &mut self.processes {
                    reported.waits = None;
                    if let Some(conn) = reported.orders_at {
                        self.mailbox.write(conn, line(&Order::Waits(self.asked)));
                    }
                }
                self.on_waits.push(reply);
                self.have_waits();
            }
            Query::Report { reply } => {
                let _ = reply.send(self.report());
            }
            Query::CanInject { injection, reply } => {
                let _ = reply.send(self.check_injection(&injection));
            }
            Query::Inject { injection, reply } => self.inject(*injection, reply),
            Query::Act {
                fault,
                event,
                reply,
            } => self.act(fault, event, Some(reply)),
            Query::Fired { fault, reply } => self.fired(fault, reply),
            Query::Healing { fault, reply } => self.healing(fault, reply),
            Query::Heal {
                fault,
                event,
                reply,
            } => self.heal(fault, event, reply),
            Query::Release { fault } => self.release(fault),
            Query::Playing { host, reply } => drop(reply.send(self.node_of_host(&host))),
            Query::Hold { holding, reply } => self.hold(*holding, reply),
            Query::Reached { hold, reply } => self.hold_reached(hold, reply),
            Query::LetGo { hold, reply } => self.let_go_on(hold, reply),
            Query::Expect {
                hold,
                text,
                pattern,
                quiet,
                reply,
            } => self.expect(hold, (text, *pattern), quiet, reply),
            Query::HeldNow { hold, reply } => drop(reply.send(self.held_now(hold))),
            Query::Outcomes { reply } => drop(reply.send(self.outcomes())),
            Query::EndFaults { reply } => self.end_faults(reply),
        }
    }

    /// Starts a process, and answers when it runs.
    pub(super) fn start_for(
        &mut self,
        launch: Box<Launch>,
        reply: oneshot::Sender<Result<u32, Failure>>,
    ) {
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

    pub(super) fn signal(
        &mut self,
        process: u64,
        signal: i32,
        until: Effect,
        reply: oneshot::Sender<()>,
    ) {
        let held = Held::Signal {
            process,
            signal,
            until,
            reply,
        };
        if let Some(held) = self.put_off(held) {
            self.act_on(held);
        }
        self.progress();
    }

    pub(super) fn terminate(&mut self, process: u64) {
        if let Some(held) = self.put_off(Held::Terminate(process)) {
            self.act_on(held);
        }
    }

    pub(super) fn act_on(&mut self, held: Held) {
        match held {
            Held::Signal {
                process,
                signal,
                until,
                reply,
            } => self.signal_now(process, signal, until, reply),
            Held::Terminate(process) => self.terminate_now(process),
        }
    }

    fn signal_now(&mut self, process: u64, signal: i32, until: Effect, reply: oneshot::Sender<()>) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        if node.ended.is_some() {
            // What it has left may still run.
            match self.supervisor {
                Supervisor::Running { .. } => node.on_reached.push(reply),
                _ => drop(reply.send(())),
            }
            self.tell_supervisor(&ToSupervisor::Signal { process, signal });
            return;
        }
        node.interfered |= until == Effect::Killed;
        let there = match until {
            // A caller that wants to know waits for the end.
            Effect::Killed => true,
            // The system reports changes alone.
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

    fn terminate_now(&mut self, process: u64) {
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
            // A role that has not shown its ticket gets this when it does.
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

    /// Answers the queries for what all processes wait for, once every process that can has said it.
    pub(super) fn have_waits(&mut self) {
        let silent = |reported: &Reported| {
            let node = reported.node.and_then(|node| self.nodes.get(&node));
            // One that is stopped can't.
            let stopped = node.is_some_and(|node| node.stopped);
            reported.orders_at.is_some() && !stopped && reported.waits.is_none()
        };
        if !self.processes.iter().any(silent) {
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
}
