//! The analyst's side of nodes: starting them, receiving their reports, and judging how they ended.
//!
//! Owns the messages to the supervisor and to roles. `answers` knows which query asked for them.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lonet::trace::{Event, EventId, What};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{Analyst, Node, Peer, Supervisor, index};
use crate::collector::failure::How;
use crate::collector::node::RoleEnd;
use crate::collector::query::Launch;
use crate::collector::query::{Effect, End, Refusal};
use crate::collector::reader::Conn;
use crate::process::launch;
use crate::process::limits;
use crate::process::orphans;
use crate::process::output::Output;
use crate::process::wire::{
    Ended, FromNode, FromSupervisor, Text, ToNode, ToSupervisor, from_node, line,
};

impl Analyst {
    pub(super) fn supervise(&mut self) {
        if let Supervisor::NotStarted = self.supervisor {
            self.supervisor = match launch::supervisor() {
                Ok((child, socket)) => {
                    let conn = self.mailbox.attach(socket);
                    self.conns.insert(conn, Peer::Supervisor);
                    if let Some(soft) = limits::raise_descriptors() {
                        let limit = ToSupervisor::Descriptors { soft };
                        self.mailbox.write(conn, line(&limit));
                    }
                    Supervisor::Running {
                        child,
                        conn,
                        means: None,
                    }
                }
                Err(error) => {
                    let error = limits::explained_start(error);
                    Supervisor::Failed(format!("the supervisor can't be started: {error}"))
                }
            };
        }
    }

    pub(super) fn start(&mut self, launch: Launch) -> Result<(), How> {
        let taken = self
            .nodes
            .values()
            .find(|n| n.host == launch.host && n.end.is_none());
        if let Some(other) = taken {
            let pid = other
                .pid
                .map_or_else(String::new, |pid| format!(" (pid {pid})"));
            return Err(How::NotStarted(format!(
                "another process of this scenario plays {}{pid}",
                launch.host
            )));
        }
        if let Some(why) = &self.not_accepting {
            return Err(How::NotStarted(why.clone()));
        }
        self.supervise();
        let conn = match &self.supervisor {
            Supervisor::Running { conn, .. } => *conn,
            Supervisor::Failed(why) => return Err(How::NotStarted(why.clone())),
            Supervisor::NotStarted => return Err(How::Unsupervised),
        };
        let process = launch.process;
        let output = Arc::new(Mutex::new(Output::default()));
        let (pipe, path) = self
            .pipe(process)
            .map_err(|error| How::NotStarted(limits::explained(error)))?;
        let printing = self.mailbox.attach_output(pipe, output.clone());
        self.conns.insert(printing, Peer::Output(process));
        let program = launch.program.clone();
        let start = ToSupervisor::Start {
            process,
            program,
            output: Text::from(path.as_os_str()),
        };
        self.mailbox.write(conn, line(&start));
        self.nodes.insert(process, Node::new(launch, output));
        Ok(())
    }

    /// A named pipe, so that a program may open `/dev/stdout` as it may any file.
    fn pipe(&self, process: u64) -> std::io::Result<(OwnedFd, PathBuf)> {
        let path = self.output_path(process);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&path)?;
        Ok((pipe.into(), path))
    }

    fn output_path(&self, process: u64) -> PathBuf {
        self.directory.join(format!("output-{process}"))
    }

    pub(super) fn handle_supervisor(&mut self, message: FromSupervisor) {
        match message {
            FromSupervisor::Failed { error } => self.supervisor_failed(&error),
            FromSupervisor::Ready { means: by } => {
                if let Supervisor::Running { means, .. } = &mut self.supervisor {
                    *means = Some(by);
                }
            }
            FromSupervisor::Started { process, pid } => {
                let _ = std::fs::remove_file(self.output_path(process));
                self.identify(process, pid);
                if let Some(node) = self.nodes.get_mut(&process) {
                    node.started = orphans::started(pid);
                }
                if let Some(reply) = self.nodes.get_mut(&process).and_then(|n| n.on_start.take()) {
                    let _ = reply.send(Ok(pid));
                }
            }
            FromSupervisor::NotStarted { process, error } => self.not_started(process, error),
            FromSupervisor::Carrier { pid } => self.carrier_started(pid),
            FromSupervisor::CarrierDied { status, error } => self.carrier_died(status, error),
            FromSupervisor::Ended {
                process,
                status,
                background,
            } => {
                if let Some(node) = self.nodes.get_mut(&process) {
                    node.background = background && status == Ended::Status(0);
                }
                self.ended(process, status);
            }
            FromSupervisor::Swept { process } => self.swept(process),
            FromSupervisor::Reached { process } => self.reached(process),
            FromSupervisor::Stopped { process } => self.effect(process, Effect::Stopped),
            FromSupervisor::Continued { process } => self.effect(process, Effect::Continued),
        }
    }

    /// What it started ends with it, or is ended now; what can't be ended is named.
    pub(super) fn supervisor_died(&mut self) {
        const DIED: &str = "the supervisor has died";
        let running = std::mem::replace(&mut self.supervisor, Supervisor::Failed(DIED.into()));
        if let Supervisor::Running { mut child, .. } = running {
            // What says nothing any more is of no use, and its end is its children's.
            let _ = child.kill();
            let _ = child.wait();
        }
        // Whether these were started will never be known.
        let asked = self.nodes.values().filter(|node| node.on_start.is_some());
        for process in asked.map(|node| node.process).collect::<Vec<u64>>() {
            self.not_started(process, DIED.into());
        }
        for process in self.nodes.keys().copied().collect::<Vec<u64>>() {
            self.reached(process);
        }
        let mut lost = Vec::new();
        let mut nodes = orphans::Nodes::default();
        nodes
            .hosts
            .extend(self.nodes.values().map(|node| node.host.clone()));
        for node in self.nodes.values_mut().filter(|node| node.ended.is_none()) {
            node.unsupervised = true;
            lost.push(node.process);
            let pid = node.pid.map(u32::cast_signed);
            nodes.groups.extend(pid.zip(node.started));
        }
        if let Some(left) = orphans::end(&self.directory, &nodes) {
            let problem = format!("{DIED}; some of its processes could not be ended: {left}");
            self.problems.push(problem);
        }
        for process in lost {
            self.ended(process, Ended::Signal(Signal::SIGKILL as i32));
        }
    }

    /// It can start nothing, says why, and ends.
    fn supervisor_failed(&mut self, error: &str) {
        let why = format!("the supervisor can't start processes: {error}");
        let failed = Supervisor::Failed(why.clone());
        if let Supervisor::Running {
            mut child, conn, ..
        } = std::mem::replace(&mut self.supervisor, failed)
        {
            // Its end has been reported.
            self.conns.remove(&conn);
            let _ = child.wait();
        }
        let asked = self.nodes.values().filter(|node| node.on_start.is_some());
        for process in asked.map(|node| node.process).collect::<Vec<u64>>() {
            self.not_started(process, why.clone());
        }
    }

    /// The reader can't accept another connection: what connects now is never read. Waiting for a
    /// role that has not connected yet would never end.
    pub(super) fn not_accepted(&mut self, error: &str) {
        let why = format!("the events of its process can't be received: {error}");
        self.not_accepting.get_or_insert_with(|| why.clone());
        let signal = Signal::SIGKILL as i32;
        for node in self.nodes.values_mut() {
            let waited_for = node.is_role() && node.up.is_none() && node.ended.is_none();
            if waited_for && node.unreceived.is_none() {
                node.unreceived = Some(why.clone());
            }
        }
        let unreceived = self.nodes.values().filter(|node| node.unreceived.is_some());
        for process in unreceived.map(|node| node.process).collect::<Vec<u64>>() {
            self.tell_supervisor(&ToSupervisor::Signal { process, signal });
        }
        self.fail(format!(
            "a connection to the trace socket can't be accepted: {error}"
        ));
    }

    pub(super) fn not_started(&mut self, process: u64, error: String) {
        let _ = std::fs::remove_file(self.output_path(process));
        if let Some(mut node) = self.nodes.remove(&process)
            && let Some(reply) = node.on_start.take()
        {
            let _ = reply.send(Err(node.failed(How::NotStarted(error))));
        }
    }

    /// The process of that number has this pid: what it reports belongs to that process, also
    /// what arrived before the supervisor's message, or after the reporter disconnected. Descriptors
    /// are read in no particular order, and a role may end within a millisecond.
    pub(super) fn identify(&mut self, process: u64, pid: u32) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        node.pid = Some(pid);
        self.show_as(process);
        let mut reported_before = Vec::new();
        for (at, reported) in self.processes.iter_mut().enumerate() {
            if reported.pid == pid && reported.node.is_none() {
                reported.node = Some(process);
                let events = reported.records.iter();
                reported_before
                    .extend(events.filter_map(|record| Event::of_record(index(at), record)));
            }
        }
        for event in reported_before {
            self.offer(&event, Some(process), |waiting| {
                waiting.wanted.of == Some(process)
            });
            self.note_up(&event, Some(process));
        }
    }

    pub(super) fn effect(&mut self, process: u64, effect: Effect) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        node.stopped = effect == Effect::Stopped;
        let replies = std::mem::take(&mut node.on_effect);
        for (wanted, reply) in replies {
            if wanted == effect {
                let _ = reply.send(());
            } else {
                node.on_effect.push((wanted, reply));
            }
        }
        self.fault_effect(process, effect);
    }

    /// What a process left behind when it ended has got the signals that were sent.
    fn reached(&mut self, process: u64) {
        if let Some(node) = self.nodes.get_mut(&process) {
            for reply in std::mem::take(&mut node.on_reached) {
                let _ = reply.send(());
            }
        }
    }

    /// It has ended; what it sent before is processed first.
    pub(super) fn ended(&mut self, process: u64, status: Ended) {
        if let Some(node) = self.nodes.get_mut(&process)
            && node.ended.is_none()
        {
            node.ended = Some(status);
            node.failed_at.get_or_insert_with(lonet::trace::now);
            self.cuts += 1;
            self.on_cut.insert(self.cuts, vec![process]);
            self.mailbox.cut(self.cuts);
        }
    }

    /// It has ended, and all is known that it sent.
    pub(super) fn conclude(&mut self, process: u64) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        let Some(status) = node.ended else { return };
        let exit = What::Exit {
            host: node.host.clone(),
            process,
            text: status.words(),
        };
        let numbered = self.reporter.number(None, exit);
        let end = End {
            exit: EventId::from((index(0), numbered.n())),
            outcome: node.judge(status),
        };
        node.end = Some(end.clone());
        // Before anyone can learn of it.
        numbered.write();
        self.fault_ended(process, end.exit);
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        for (deliver, reply) in std::mem::take(&mut node.on_end) {
            node.delivered |= reply.send(end.clone()).is_ok() && deliver;
        }
        for reply in std::mem::take(&mut node.on_ended) {
            let _ = reply.send(end.clone());
        }
        for reply in std::mem::take(&mut node.on_up) {
            // What a program's early end means, is for `join` to say.
            node.delivered |= reply.send(Err(end.clone())).is_ok() && end.is_failure();
        }
        for (_, reply) in std::mem::take(&mut node.on_effect) {
            let _ = reply.send(());
        }
        if let Some(failure) = self.undelivered() {
            for waiting in std::mem::take(&mut self.waiting) {
                waiting.answer(&self.mailbox, Err(Refusal::Failed(failure.clone())));
            }
            self.fail_fired(&failure);
        }
    }

    /// No failure that may come of the body's end counts. Its end begins with the first thing that
    /// the test's process closes in the body's last poll: what the body had is dropped before it
    /// returns.
    pub(super) fn body_ended(&mut self, last_poll: u64) {
        let closes = |what: &What| matches!(what, What::Close { .. } | What::Down { .. });
        let own = self.processes.first().map(|own| own.records.iter());
        let closed = own.into_iter().flatten();
        let closed = closed.filter(|record| record.t >= last_poll && closes(&record.what));
        let end_began = closed.map(|record| record.t).min().unwrap_or(u64::MAX);
        for node in self.nodes.values_mut() {
            node.leave_over(end_began);
        }
    }

    pub(super) fn handle_ticket(&mut self, conn: Conn, pid: u32, line_: &[u8]) {
        let shown = match from_node(line_) {
            Ok(FromNode::Ticket(nonce)) => self.nodes.values_mut().find(|node| {
                node.ticket
                    .as_ref()
                    .is_some_and(|(ticket, _)| *ticket == nonce)
            }),
            _ => None,
        };
        let Some(node) = shown else {
            // A ticket that went with the supervisor looks like a spent one, but what shows it
            // must not go on to be an ordinary program: that would run the tests of this binary.
            let answer = match self.supervisor {
                Supervisor::Failed(_) => ToNode::Terminate,
                _ => ToNode::Spent,
            };
            self.mailbox.write(conn, line(&answer));
            return;
        };
        let Some((_, play)) = node.ticket.take() else {
            return;
        };
        let process = node.process;
        node.control = Some(conn);
        self.conns.insert(conn, Peer::Node(process));
        self.mailbox.write(conn, line(&ToNode::Play(play)));
        if node.asked_to_finish {
            self.mailbox.write(conn, line(&ToNode::Terminate));
        }
        self.identify(process, pid);
    }

    pub(super) fn handle_node_line(&mut self, process: u64, line: &[u8]) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        let how = match from_node(line) {
            Ok(FromNode::Returned { value }) => RoleEnd::Returned(value),
            Ok(FromNode::Failed(error)) => RoleEnd::Failed(error),
            Ok(FromNode::Panicked(what)) => RoleEnd::Panicked(what),
            Ok(FromNode::Terminated) => RoleEnd::Terminated,
            Ok(FromNode::Ticket(_)) => return,
            Err(error) => RoleEnd::Failed(format!("its process sent an invalid result: {error}")),
        };
        node.role_ended(how);
    }

    // Output.

    pub(super) fn show(&mut self, process: u64, bytes: &[u8]) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        node.unshown.extend_from_slice(bytes);
        let Some(end) = node.unshown.iter().rposition(|&b| b == b'\n') else {
            return;
        };
        let rest = node.unshown.split_off(end + 1);
        let lines = std::mem::replace(&mut node.unshown, rest);
        print(&node.host, &lines);
    }

    pub(super) fn show_rest(&mut self, process: u64) {
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        let rest = std::mem::take(&mut node.unshown);
        print(&node.host, &rest);
    }
}

/// Shows what a node printed, where libtest keeps it until the test fails, unless libtest is asked not
/// to.
fn print(host: &str, lines: &[u8]) {
    if lines.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(lines);
    let mut shown = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        shown.push_str(host);
        shown.push_str(" | ");
        shown.push_str(line);
        shown.push('\n');
    }
    eprint!("{shown}");
}
