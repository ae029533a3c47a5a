//! The analyst: all that is known of one scenario, and the answers to what is asked of it.
//!
//! Owns the state. Everything comes to it in one order, through the reader's channel, on one
//! thread; so nothing here is locked, and an answer is as of one moment.

mod answers;
mod carried;
mod faults;
mod holds;
mod nodes;
mod reports;
mod violations;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use lonet::trace::{
    Answer, Ask, Doing, Event, EventId, Line, Order, PROTOCOL_VERSION, Record, Reporter, Verb, What,
};

use self::faults::{Faults, Gates, Held};
use self::holds::Holds;
use super::failure::Failure;
use super::node::Node;
use super::query::{Refusal, Wanted};
use super::reader::{Conn, Door, Input, Mailbox, next_line};
use super::waiting::{Asker, Waiting, still_counts};
use crate::process::limits;
use crate::process::wire::{Means, line};
use crate::trace::Pattern;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;

/// See the module.
pub(crate) struct Analyst {
    mailbox: Mailbox,
    /// Of the test's own process.
    reporter: Arc<Reporter>,
    directory: PathBuf,
    supervisor: Supervisor,
    /// The pid of the process that carries programs, once that runs.
    carrier: Option<u32>,
    processes: Vec<Reported>,
    events: Vec<Event>,
    /// Of the test's own events those that are about a process that it started.
    about: BTreeMap<EventId, u64>,
    nodes: BTreeMap<u64, Node>,
    conns: BTreeMap<Conn, Peer>,
    waiting: Vec<Waiting>,
    problems: Vec<String>,
    /// The first of them by which a reporter broke the protocol.
    breach: Option<String>,
    /// Why the events of a process started now would not be received.
    not_accepting: Option<String>,
    cuts: u64,
    /// What is done when a cut has come.
    on_cut: BTreeMap<u64, Vec<u64>>,
    on_waits: Vec<std::sync::mpsc::Sender<()>>,
    /// How often all were asked what they wait for.
    asked: u64,
    faults: Faults,
    holds: Holds,
    /// The sockets that user code has taken: the place of their process, their number there.
    opaque: Vec<(usize, u64)>,
}

/// What is at the other end of a connection.
#[derive(Clone, Copy)]
enum Peer {
    /// The reporter of that index in `processes`.
    Reporter(usize),
    /// A process with this pid that may show a ticket.
    Unknown(u32),
    /// The node of that number, on its control socket.
    Node(u64),
    /// What the node of that number prints.
    Output(u64),
    Supervisor,
}

enum Supervisor {
    NotStarted,
    Running {
        child: Child,
        conn: Conn,
        means: Option<Means>,
    },
    Failed(String),
}

/// The state of one reporter.
struct Reported {
    pid: u32,
    /// Of one that reports for a program: the pid of the process that it is in. `pid` is the
    /// program's once that is known.
    carried_by: Option<u32>,
    node: Option<u64>,
    greeted: bool,
    /// It sent an invalid trace, or another version of the protocol.
    refused: bool,
    connected: bool,
    /// The host that it was started to play, as it says.
    host: Option<String>,
    /// Where it takes orders, if it does.
    orders_at: Option<Conn>,
    waits: Option<Doing>,
    records: Vec<Record>,
    gates: Gates,
    /// The beginning of the line that it was writing when it died.
    partial_line: Option<Vec<u8>>,
}

impl Analyst {
    /// An analyst of the network in that directory. With `starts_processes`, the supervisor is
    /// started at once: it will be asked for.
    pub(crate) fn new(mailbox: Mailbox, reporter: Arc<Reporter>, directory: &Path) -> Analyst {
        Analyst {
            mailbox,
            reporter,
            directory: directory.to_owned(),
            supervisor: Supervisor::NotStarted,
            carrier: None,
            processes: Vec::new(),
            events: Vec::new(),
            about: BTreeMap::new(),
            nodes: BTreeMap::new(),
            conns: BTreeMap::new(),
            waiting: Vec::new(),
            problems: Vec::new(),
            breach: None,
            not_accepting: None,
            cuts: 0,
            on_cut: BTreeMap::new(),
            on_waits: Vec::new(),
            asked: 0,
            faults: Faults::default(),
            holds: Holds::default(),
            opaque: Vec::new(),
        }
    }

    /// Handles what the reader hands on until it ends; then the supervisor has ended, with all it
    /// started.
    pub(crate) fn run(mut self, inputs: &Receiver<Input>, starts_processes: bool) {
        if starts_processes {
            self.supervise();
        }
        loop {
            let input = match self.patience_ends() {
                None => inputs.recv().map_err(RecvTimeoutError::from),
                Some(at) => inputs.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match input {
                Ok(Input::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(input) => self.handle(input),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.give_up_holds();
        }
        for waiting in std::mem::take(&mut self.waiting) {
            waiting.answer(&self.mailbox, Err(Refusal::Over));
        }
        if let Supervisor::Running { mut child, .. } = self.supervisor {
            // Its control socket went with the reader.
            let _ = child.wait();
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Opened {
                conn,
                door: Door::Trace,
                pid,
            } => {
                // A process that has ended may be known only now: what it sent comes before its end.
                let node = self
                    .nodes
                    .values()
                    .find(|n| n.pid == Some(pid) && n.end.is_none());
                self.conns
                    .insert(conn, Peer::Reporter(self.processes.len()));
                self.processes.push(Reported {
                    pid,
                    carried_by: None,
                    node: node.map(|node| node.process),
                    greeted: false,
                    refused: false,
                    connected: true,
                    host: None,
                    orders_at: None,
                    waits: None,
                    records: Vec::new(),
                    gates: Gates::default(),
                    partial_line: None,
                });
            }
            Input::Opened {
                conn,
                door: Door::Control,
                pid,
            } => {
                self.conns.insert(conn, Peer::Unknown(pid));
            }
            Input::Lines { conn, bytes } => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let line = next_line(&mut rest);
                    if !line.is_empty() {
                        self.handle_line(conn, line);
                    }
                }
            }
            Input::TooLong { conn, begin } => {
                if let Some(&Peer::Reporter(process)) = self.conns.get(&conn) {
                    self.handle_long_line(process, &begin);
                }
            }
            Input::NotAccepted(error) => self.not_accepted(&limits::explained(error)),
            Input::Printed { conn, bytes } => {
                if let Some(&Peer::Output(process)) = self.conns.get(&conn) {
                    self.show(process, &bytes);
                }
            }
            Input::Closed { conn, half } => self.handle_close(conn, half),
            Input::Cut(number) => self.handle_cut(number),
            Input::Query(query) => self.answer(query),
            Input::End => {}
        }
    }

    fn handle_line(&mut self, conn: Conn, line: &[u8]) {
        match self.conns.get(&conn) {
            Some(&Peer::Reporter(process)) => self.handle_reporter_line(conn, process, line),
            Some(&Peer::Unknown(pid)) => self.handle_ticket(conn, pid, line),
            Some(&Peer::Node(process)) => self.handle_node_line(process, line),
            Some(Peer::Supervisor) => match serde_json::from_slice(line) {
                Ok(message) => self.handle_supervisor(message),
                Err(error) => self
                    .problems
                    .push(format!("the supervisor sent an invalid message: {error}")),
            },
            Some(Peer::Output(_)) | None => {}
        }
    }

    fn handle_close(&mut self, conn: Conn, half: Vec<u8>) {
        match self.conns.remove(&conn) {
            Some(Peer::Reporter(process)) => {
                let reported = &mut self.processes[process];
                reported.connected = false;
                reported.orders_at = None;
                if !half.is_empty() {
                    self.handle_partial_line(process, half);
                }
                self.waiting.retain(|waiting| !waiting.is_of(conn));
                self.have_waits();
                self.fault_gone(process);
            }
            Some(Peer::Node(process)) => {
                if let Some(node) = self.nodes.get_mut(&process) {
                    node.control = None;
                }
            }
            Some(Peer::Output(process)) => self.show_rest(process),
            Some(Peer::Supervisor) => self.supervisor_died(),
            Some(Peer::Unknown(_)) | None => {}
        }
    }

    // What reporters send.

    fn handle_reporter_line(&mut self, conn: Conn, process: usize, line: &[u8]) {
        let reported = &mut self.processes[process];
        if reported.refused {
            return;
        }
        let line = match serde_json::from_slice::<Line>(line) {
            Ok(line) => line,
            Err(error) => {
                // Without `hello`, nothing else that it sends has a meaning.
                reported.refused = !reported.greeted;
                let shown = String::from_utf8_lossy(&line[..line.len().min(200)]);
                let what = format!(
                    "sent a line to the trace socket that does not follow the trace protocol \
                     ({error}): {shown}"
                );
                return self.report_violation(process, &what);
            }
        };
        match line {
            Line::Hello(_) if reported.greeted => {
                self.report_violation(process, "sent `hello` twice on the trace socket");
            }
            Line::Hello(hello) if hello.version == PROTOCOL_VERSION => {
                reported.greeted = true;
                reported.host = hello.host;
                reported.orders_at = hello.waits.then_some(conn);
                reported.gates.orders_at = hello.gates.then_some(conn);
                if let Some(carried) = hello.carries {
                    self.carries(process, carried);
                }
                // From here on it misses no order.
                self.send_orders(process);
            }
            Line::Hello(hello) => {
                reported.refused = true;
                let what = format!(
                    "uses version {} of the trace protocol; this test uses version {PROTOCOL_VERSION}",
                    hello.version
                );
                self.report_violation(process, &what);
            }
            _ if !reported.greeted => {
                reported.refused = true;
                self.report_violation(process, "did not send `hello` first on the trace socket");
            }
            Line::Ev(record) => self.record(process, record),
            Line::Ask(ask) => self.ask(conn, ask),
            Line::Obeyed(obeyed) => self.hear_obeyed(process, obeyed),
            Line::Acted(fault) => self.hear_acted(fault),
            Line::Comes(coming) => self.hear_comes(process, coming),
            Line::Goes(op) => self.hear_goes(process, op),
            Line::Waits(waits) => {
                // The answer to an earlier question is out of date.
                if waits.id == self.asked {
                    reported.waits = Some(waits.doing);
                    self.have_waits();
                }
            }
        }
    }

    pub(super) fn report_violation(&mut self, process: usize, what: &str) {
        let name = self.name(&self.processes[process]);
        self.fail(format!("{name} {what}"));
    }

    fn fail(&mut self, problem: String) {
        // What they wait for may be what is lost.
        for waiting in std::mem::take(&mut self.waiting) {
            waiting.answer(&self.mailbox, Err(Refusal::Breach(problem.clone())));
        }
        self.breach.get_or_insert_with(|| problem.clone());
        // A process that does this once does it a thousand times.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn record(&mut self, process: usize, record: Record) {
        if let Some(what) = self.forbidden(process, &record) {
            return self.report_violation(process, &what);
        }
        let reported = &mut self.processes[process];
        let own = reported.node.and_then(|node| self.nodes.get(&node));
        if own.is_some_and(|node| node.has_vanished) {
            return;
        }
        let about = record.what.process();
        let node = reported.node.or(about);
        let event = Event::of_record(index(process), &record);
        let fires = record.fires.clone();
        if let What::Opaque { socket } = record.what {
            self.opaque.push((process, socket));
        }
        reported.records.push(record);
        let Some(event) = event else { return };
        if let Some(about) = about {
            self.about.insert(event.id(), about);
        }
        self.offer(&event, node, |_| true);
        self.note_up(&event, node);
        self.events.push(event.clone());
        for fault in fires {
            self.set_off(process, fault, &event);
        }
        if event.verb() == Verb::Up {
            self.check_gates(process, event.host());
        }
        self.heal_at(&event);
        self.note_event(process, &event);
    }

    /// Offers an event to the pending `until`s that `to` selects.
    pub(super) fn offer(
        &mut self,
        event: &Event,
        node: Option<u64>,
        to: impl Fn(&Waiting) -> bool,
    ) {
        let mut matched = Vec::new();
        for (at, waiting) in self.waiting.iter_mut().enumerate() {
            if to(waiting) && waiting.matches(event, node) {
                waiting.candidates.push(event.clone());
                if waiting.cut.is_none() {
                    matched.push(at);
                }
            }
        }
        self.order_cuts(&matched);
    }

    /// The host of a node is up, if that is what this event says.
    pub(super) fn note_up(&mut self, event: &Event, node: Option<u64>) {
        if event.verb() != Verb::Up {
            return;
        }
        // A program may have started the one that joins for it.
        let started_by = || {
            let mut programs = self.nodes.values().filter(|node| !node.is_role());
            let of_host = programs.find(|node| node.host == event.host() && node.end.is_none());
            of_host.map(|node| node.process)
        };
        if let Some(node) = node.or_else(started_by)
            && let Some(node) = self.nodes.get_mut(&node)
            && node.host == event.host()
            && node.up.is_none()
        {
            node.up = Some(event.id());
            for reply in std::mem::take(&mut node.on_up) {
                let _ = reply.send(Ok(event.id()));
            }
        }
    }

    /// What has matched is answered once all is known that came before it.
    fn order_cuts(&mut self, matched: &[usize]) {
        if matched.is_empty() {
            return;
        }
        self.cuts += 1;
        for &at in matched {
            self.waiting[at].cut = Some(self.cuts);
        }
        self.mailbox.cut(self.cuts);
    }

    fn ask(&mut self, conn: Conn, ask: Ask) {
        let asker = Asker::Reporter(conn, ask.id);
        match Pattern::parse(&ask.until) {
            Ok(pattern) => self.until(
                Wanted {
                    text: ask.until,
                    pattern,
                    after: ask.after,
                    of: None,
                },
                asker,
            ),
            Err(error) => {
                let answer = Answer {
                    id: ask.id,
                    ok: None,
                    err: Some(error.of_pattern(&ask.until)),
                };
                self.mailbox.write(conn, line(&Order::Answer(answer)));
            }
        }
    }

    fn until(&mut self, wanted: Wanted, asker: Asker) {
        if let Some(failure) = self.undelivered() {
            asker.answer(&self.mailbox, Err(Refusal::Failed(failure)));
            return;
        }
        if let Some(problem) = self.breach.clone() {
            asker.answer(&self.mailbox, Err(Refusal::Breach(problem)));
            return;
        }
        let mut waiting = Waiting::new(wanted, asker);
        let past: Vec<Event> = self
            .events
            .iter()
            .filter(|event| {
                let reported = &self.processes[place(event.id().process)];
                let counts =
                    waiting.wanted.of.is_some() || still_counts(event, self.lives(reported));
                let about = self.about.get(&event.id()).copied();
                counts && waiting.matches(event, reported.node.or(about))
            })
            .cloned()
            .collect();
        let found = !past.is_empty();
        waiting.candidates = past;
        self.waiting.push(waiting);
        if found {
            self.order_cuts(&[self.waiting.len() - 1]);
        }
    }

    fn lives(&self, reported: &Reported) -> bool {
        match reported.node.and_then(|node| self.nodes.get(&node)) {
            Some(node) => node.ended.is_none(),
            None => reported.connected,
        }
    }

    fn handle_cut(&mut self, number: u64) {
        for process in self.on_cut.remove(&number).unwrap_or_default() {
            self.conclude(process);
        }
        let due: Vec<usize> = (0..self.waiting.len())
            .filter(|&at| self.waiting[at].cut == Some(number))
            .collect();
        if due.is_empty() {
            return;
        }
        // Only `until_after` asks for causes.
        let needs_graph = due
            .iter()
            .any(|&at| self.waiting[at].wanted.after.is_some());
        let graph = needs_graph.then(|| Graph::build(self.records()));
        // From the last, so that places stay true.
        for at in due.into_iter().rev() {
            let waiting = &mut self.waiting[at];
            waiting.cut = None;
            let in_past = |event: &Event, after: EventId| {
                graph
                    .as_ref()
                    .is_some_and(|graph| graph.happens_before(event.id(), after))
            };
            if let Some(event) = waiting.choose(in_past) {
                self.waiting.remove(at).answer(&self.mailbox, Ok(event));
            }
        }
        self.waiting.retain(|waiting| !waiting.is_given_up());
    }

    /// The first failure that nothing has delivered, and nothing is about to.
    fn undelivered(&self) -> Option<Failure> {
        self.nodes
            .values()
            .filter(|node| !node.delivered)
            .find_map(Node::failure)
    }

    fn records(&self) -> Vec<Process> {
        self.processes
            .iter()
            .map(|reported| {
                let mut records = reported.records.clone();
                // Lines may come out of the order of their numbers.
                records.sort_by_key(|record| record.n);
                Process {
                    pid: reported.pid,
                    node: reported.node,
                    records,
                }
            })
            .collect()
    }
}

/// The number by which events name the process in that place.
fn index(place: usize) -> u32 {
    u32::try_from(place).expect("a scenario has fewer than 2^32 processes")
}

/// The place of a process by the number that events name it by.
fn place(index: u32) -> usize {
    index as usize
}
