//! The faults of a scenario: which stand, what every process is ordered, and what comes of it.
//!
//! Owns the state of each fault from `inject` to its end, and the numbers of the orders. All that
//! holds is sent each time, so that no change can be missed; what may only happen once all processes
//! know is a [`Step`]. A fault that an event sets off is put into force in two: the others obey first,
//! and then the process in which it happened, which lets nothing pass in between, goes on.

mod begins;
mod ends;
mod unacted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc;

use lonet::Addr;
use lonet::trace::{
    Does, Ends, Event, EventId, Obeyed, Order, Rule, Standing, TaskKey, Then, Trigger, What,
};
use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use super::Analyst;
use crate::collector::failure::Failure;
use crate::collector::fault::{Injection, Kind};
use crate::collector::query::{Effect, Healing, Launch, NeverFires};
use crate::collector::reader::Conn;
use crate::process::wire::{ToSupervisor, line};

/// So many ends of faults, and settled faults, are said again: a process that obeys late must still
/// find those that it has not seen.
const SAID_AGAIN: usize = 100;

/// How late an arrival is at most where arrivals are to be late, in microseconds.
const MOST_LATE: u64 = 3000;

/// Where the answer to an `inject` goes.
type OnInject = oneshot::Sender<Result<Vec<(Addr, Addr)>, String>>;

/// See the module.
#[derive(Default)]
pub(super) struct Faults {
    /// Of the latest orders.
    seq: u64,
    all: BTreeMap<u32, Fault>,
    healed: VecDeque<(u32, EventId)>,
    steps: Vec<Step>,
    /// What waits until its process may end.
    held: Vec<Held>,
    /// The test is over.
    over: bool,
    /// What makes arrivals late by random times.
    perturbs: Option<Rule>,
}

/// One fault.
struct Fault {
    injection: Injection,
    phase: Phase,
    /// What the network is to do for it now.
    rules: Vec<Rule>,
    /// How many events there were before it.
    after: usize,
    /// The event that set it off.
    by: Option<EventId>,
    /// The event that ends it, seen before it was in force.
    ends_by: Option<EventId>,
    /// The event of its end.
    healed: Option<Event>,
    /// It has withheld, refused or cut short something, or has acted on its process.
    acted: bool,
    /// How long it was in force, in nanoseconds: since when, until when.
    in_force: (u64, Option<u64>),
    /// Its guard is gone.
    released: bool,
    /// The connections that a reset has noted, each from one of its ends.
    noted: BTreeSet<(Addr, Addr)>,
    on_inject: Option<OnInject>,
    on_act: Option<oneshot::Sender<()>>,
    on_fired: Vec<oneshot::Sender<Result<Event, NeverFires>>>,
    on_healing: Vec<oneshot::Sender<Healing>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// An event is to set it off.
    Armed,
    /// It is being put into force.
    Coming,
    InForce,
    /// The test is about to end it.
    Healing,
    Over,
    /// It ended before anything had set it off.
    Disarmed,
}

/// What one process knows of the faults.
#[derive(Default)]
pub(super) struct Gates {
    /// Where it takes orders about the network.
    pub(super) orders_at: Option<Conn>,
    obeyed: u64,
    shut: bool,
    /// The faults that its events have set off, and that others don't obey yet.
    unsettled: BTreeSet<u32>,
    settled: VecDeque<u32>,
}

/// What is done once processes have obeyed the orders up to that number.
struct Step {
    seq: u64,
    /// Only these; otherwise all.
    of: Option<BTreeSet<usize>>,
    then: Next,
}

pub(super) enum Next {
    /// The event may come that sets this fault off.
    Armed(u32),
    /// All withhold what a reset will cut off.
    Noted(u32),
    /// All peers withhold what comes from a host that is to vanish.
    Withheld(u32),
    /// A fault is in force.
    Placed(u32),
    /// A process in which an event has set a fault off goes on.
    Settled(usize, u32),
    Signal(Held),
    Start(Box<Launch>, oneshot::Sender<Result<u32, Failure>>),
    Reply(oneshot::Sender<()>),
    /// All hold what the test holds.
    Held(oneshot::Sender<Result<(), String>>),
    End(mpsc::Sender<Vec<String>>),
}

/// What the test does to a process, and what may have to wait.
pub(super) enum Held {
    Signal {
        process: u64,
        signal: i32,
        until: Effect,
        reply: oneshot::Sender<()>,
    },
    Terminate(u64),
}

impl Fault {
    fn new(injection: Injection, after: usize) -> Fault {
        Fault {
            injection,
            phase: Phase::Coming,
            rules: Vec::new(),
            after,
            by: None,
            ends_by: None,
            healed: None,
            acted: false,
            in_force: (0, None),
            released: false,
            noted: BTreeSet::new(),
            on_inject: None,
            on_act: None,
            on_fired: Vec::new(),
            on_healing: Vec::new(),
        }
    }

    fn kind(&self) -> Kind {
        self.injection.kind
    }

    /// Whether it is the test's turn: it has to say what happened, so that the fault can act.
    fn waits_for_test(&self) -> bool {
        let in_two = matches!(self.kind(), Kind::Reset | Kind::Vanish);
        in_two && self.by.is_none() && self.on_inject.is_none() && self.on_act.is_none()
    }

    /// Whether there is nothing more to ask of it.
    fn is_settled_for_good(&self) -> bool {
        let over = matches!(self.phase, Phase::Over | Phase::Disarmed);
        let blameless = self.acted || self.injection.may_not_fire || self.phase == Phase::Disarmed;
        over && self.released && blameless
    }
}

impl Analyst {
    // What the processes are ordered, and that they obey.

    /// What a process is ordered now.
    fn orders(&self, at: usize) -> Standing {
        let gates = &self.processes[at].gates;
        let rules = self.faults.all.values().flat_map(|fault| &fault.rules);
        Standing {
            seq: self.faults.seq,
            rules: rules.chain(&self.faults.perturbs).cloned().collect(),
            triggers: self.triggers(at),
            settled: gates.settled.iter().copied().collect(),
            healed: self.faults.healed.iter().copied().collect(),
            shut: gates.shut,
            holds: self.holds_of(at),
            passes: self.passes_of(at),
            data: self.holds_ask_for_data(),
        }
    }

    /// The events that are to set faults off in a process.
    fn triggers(&self, at: usize) -> Vec<Trigger> {
        let armed = self.faults.all.values();
        let armed = armed.filter(|fault| fault.phase == Phase::Armed);
        let trigger = |fault: &Fault| {
            let set_off = fault.injection.at.as_ref()?;
            let then = match fault.kind() {
                Kind::Kill => Then::Kill,
                Kind::Pause => Then::Pause,
                Kind::Vanish => Then::Vanish,
                _ => Then::Tell,
            };
            // Only what the scenario has started may end or stop.
            let is_ours = at > 0 && self.node_of_host(&set_off.shape.host).is_some();
            (then == Then::Tell || is_ours).then(|| Trigger {
                fault: fault.injection.number,
                event: set_off.shape.clone(),
                nth: set_off.nth,
                then,
            })
        };
        armed.filter_map(trigger).collect()
    }

    /// The running process that plays a host.
    pub(super) fn node_of_host(&self, host: &str) -> Option<u64> {
        let mut nodes = self.nodes.values();
        let playing = nodes.find(|node| node.host == host && node.ended.is_none());
        playing.map(|node| node.process)
    }

    /// Whether a reporter is that process, or one that it has started.
    fn belongs(&self, at: usize, process: u64) -> bool {
        let reported = &self.processes[at];
        match (reported.node, self.nodes.get(&process)) {
            (Some(node), _) => node == process,
            (None, Some(node)) => at > 0 && reported.host.as_deref() == Some(node.host.as_str()),
            (None, None) => false,
        }
    }

    fn obeys(&self, at: usize) -> bool {
        let reported = &self.processes[at];
        let takes_part = reported.connected && !reported.refused;
        at == 0 || (takes_part && reported.gates.orders_at.is_some())
    }

    /// A process is given the orders that stand.
    pub(super) fn send_orders(&mut self, at: usize) {
        if !self.obeys(at) {
            return;
        }
        let orders = Arc::new(self.orders(at));
        if at == 0 {
            // The test's own process has no thread that would read them.
            let obeyed = self.reporter.obey(orders);
            return self.note_obeyed(0, obeyed);
        }
        if let Some(conn) = self.processes[at].gates.orders_at {
            self.mailbox.write(conn, line(&Order::Network(orders)));
        }
    }

    /// From now on, what arrives is late by random times.
    pub(super) fn perturb(&mut self, seed: u64) {
        self.faults.perturbs = Some(Rule {
            // No fault has this number.
            fault: 0,
            event: None,
            from: Ends::Others,
            to: Ends::Others,
            does: Does::Jitter(MOST_LATE, seed),
            window: None,
        });
        self.order_all();
    }

    /// All processes are given new orders; their number.
    pub(super) fn order_all(&mut self) -> u64 {
        self.faults.seq += 1;
        for at in 0..self.processes.len() {
            self.send_orders(at);
        }
        self.faults.seq
    }

    pub(super) fn order_one(&mut self, at: usize) -> u64 {
        self.faults.seq += 1;
        self.send_orders(at);
        self.faults.seq
    }

    /// Once all obey the orders of that number.
    pub(super) fn then(&mut self, seq: u64, then: Next) {
        let of = None;
        self.faults.steps.push(Step { seq, of, then });
    }

    pub(super) fn hear_obeyed(&mut self, at: usize, obeyed: Obeyed) {
        self.note_obeyed(at, obeyed);
        self.progress();
    }

    fn note_obeyed(&mut self, at: usize, obeyed: Obeyed) {
        let gates = &mut self.processes[at].gates;
        gates.obeyed = gates.obeyed.max(obeyed.seq);
        for fault in obeyed.acted {
            self.hear_acted(fault);
        }
        for (fault, own, other) in obeyed.noted {
            if let Some(fault) = self.faults.all.get_mut(&fault) {
                fault.noted.insert((own, other));
            }
        }
    }

    pub(super) fn hear_acted(&mut self, fault: u32) {
        if let Some(fault) = self.faults.all.get_mut(&fault) {
            fault.acted = true;
        }
    }

    /// Whether these processes obey the orders of that number. Those that are gone need not, nor those
    /// that are stopped: they read their orders before they go on.
    fn all_obey(&self, step: &Step) -> bool {
        let of = |at: &usize| step.of.as_ref().is_none_or(|of| of.contains(at));
        (0..self.processes.len()).filter(of).all(|at| {
            let mut nodes = self.nodes.values();
            let stopped = nodes.any(|node| node.stopped && self.belongs(at, node.process));
            let is_waited_for = self.obeys(at) && !stopped;
            !is_waited_for || self.processes[at].gates.obeyed >= step.seq
        })
    }

    /// Does what may be done by now.
    pub(super) fn progress(&mut self) {
        loop {
            let mut steps = self.faults.steps.iter();
            let Some(due) = steps.position(|step| self.all_obey(step)) else {
                return;
            };
            let step = self.faults.steps.remove(due);
            self.go_on(step.then);
        }
    }

    fn go_on(&mut self, next: Next) {
        match next {
            Next::Armed(fault) => self.injected(fault),
            Next::Noted(fault) => self.noted(fault),
            Next::Withheld(fault) => self.withheld(fault),
            Next::Placed(fault) => self.placed(fault),
            Next::Settled(at, fault) => {
                self.processes[at].gates.unsettled.remove(&fault);
                self.let_go();
            }
            Next::Signal(held) => self.act_on(held),
            Next::Start(launch, reply) => self.start_for(launch, reply),
            Next::Reply(reply) => drop(reply.send(())),
            Next::Held(reply) => drop(reply.send(Ok(()))),
            Next::End(reply) => drop(reply.send(self.unacted())),
        }
    }

    /// Starts a process once all obey the orders of that number.
    pub(super) fn start_after(
        &mut self,
        seq: u64,
        launch: Box<Launch>,
        reply: oneshot::Sender<Result<u32, Failure>>,
    ) {
        self.then(seq, Next::Start(launch, reply));
        self.progress();
    }

    /// A fault has an event, or ends with one; it comes after all these.
    fn happens(&self, fault: u32, causes: impl IntoIterator<Item = EventId>, what: What) -> Event {
        let task = TaskKey::of_fault(fault);
        for cause in causes {
            self.reporter.learn_as(task, cause);
        }
        let numbered = self.reporter.number(Some(task), what);
        let event = numbered.event(0).expect("a fault's record has a line");
        numbered.write();
        event
    }

    // What the test does to a process meanwhile.

    /// The process waits for others to obey; whatever ends it has to wait, too.
    fn is_unsettled(&self, process: u64) -> bool {
        (0..self.processes.len())
            .filter(|&at| self.belongs(at, process))
            .any(|at| {
                let mut unsettled = self.processes[at].gates.unsettled.iter();
                let of_network = |fault: &Fault| !fault.kind().is_of_process();
                unsettled.any(|fault| self.faults.all.get(fault).is_some_and(of_network))
            })
    }

    /// Puts off what would end a process that has to wait for others, or stop one whose gate is open.
    pub(super) fn put_off(&mut self, held: Held) -> Option<Held> {
        let (process, until) = match &held {
            Held::Signal { process, until, .. } => (*process, Some(*until)),
            Held::Terminate(process) => (*process, None),
        };
        match until {
            Some(Effect::Continued) => Some(held),
            Some(Effect::Stopped) => self.shut_first(process, held),
            Some(Effect::Killed) | None if !self.faults.over && self.is_unsettled(process) => {
                self.faults.held.push(held);
                None
            }
            Some(Effect::Killed) | None => Some(held),
        }
    }

    /// Nothing is to pass the gate of a process while it is stopped, and it reads its orders first
    /// when it goes on.
    fn shut_first(&mut self, process: u64, held: Held) -> Option<Held> {
        let running = |node: &super::Node| node.ended.is_none() && !node.stopped;
        if !self.nodes.get(&process).is_some_and(running) {
            return Some(held);
        }
        let own = |at: &usize| {
            self.belongs(*at, process) && self.obeys(*at) && !self.processes[*at].gates.shut
        };
        let own: BTreeSet<usize> = (0..self.processes.len()).filter(own).collect();
        if own.is_empty() {
            return Some(held);
        }
        let seq = self.faults.seq + 1;
        for &at in &own {
            self.processes[at].gates.shut = true;
            self.order_one(at);
        }
        let (of, then) = (Some(own), Next::Signal(held));
        self.faults.steps.push(Step { seq, of, then });
        None
    }

    /// Does what had to wait, where that may end now.
    fn let_go(&mut self) {
        for held in std::mem::take(&mut self.faults.held) {
            match held {
                Held::Signal {
                    process,
                    signal,
                    until,
                    reply,
                } => self.signal(process, signal, until, reply),
                Held::Terminate(process) => self.terminate(process),
            }
        }
    }

    /// A process has stopped, or goes on.
    pub(super) fn fault_effect(&mut self, process: u64, effect: Effect) {
        if effect == Effect::Continued {
            for at in 1..self.processes.len() {
                if self.processes[at].gates.shut && self.belongs(at, process) {
                    self.processes[at].gates.shut = false;
                    self.order_one(at);
                }
            }
        }
        let pauses = |fault: &&Fault| {
            fault.kind() == Kind::Pause && fault.injection.process == Some(process)
        };
        let pauses = self.faults.all.values().filter(pauses);
        let pauses: Vec<(u32, Phase)> = pauses
            .map(|fault| (fault.injection.number, fault.phase))
            .collect();
        for (number, phase) in pauses {
            match (effect, phase) {
                (Effect::Stopped, Phase::Coming) => self.paused(number),
                (Effect::Continued, Phase::Coming | Phase::InForce | Phase::Healing) => {
                    self.goes_on(number);
                }
                _ => {}
            }
        }
        // Who is stopped is not waited for.
        self.progress();
    }

    /// A process has disconnected: no step waits for it any more.
    pub(super) fn fault_gone(&mut self, at: usize) {
        let gates = &mut self.processes[at].gates;
        gates.orders_at = None;
        gates.unsettled.clear();
        self.hold_gone(at);
        self.let_go();
        self.progress();
    }

    /// A process has ended, with that event.
    pub(super) fn fault_ended(&mut self, process: u64, exit: EventId) {
        let of_it = |fault: &&Fault| fault.injection.process == Some(process);
        let of_it = self.faults.all.values().filter(of_it);
        let of_it: Vec<(u32, Kind, Phase)> = of_it
            .map(|fault| (fault.injection.number, fault.kind(), fault.phase))
            .collect();
        for (number, kind, phase) in of_it {
            match (kind, phase) {
                (Kind::Kill | Kind::Vanish, Phase::Coming) => self.died(number, exit),
                (Kind::Pause, Phase::Coming | Phase::InForce | Phase::Healing) => {
                    self.end(number);
                }
                _ => {}
            }
        }
        self.progress();
    }

    /// The test is over.
    pub(super) fn is_over(&self) -> bool {
        self.faults.over
    }

    /// A node has failed, and no answer is to be waited for that it may have prevented.
    pub(super) fn fail_fired(&mut self, failure: &Failure) {
        self.fail_holds(failure);
        for fault in self.faults.all.values_mut() {
            for reply in fault.on_fired.drain(..) {
                let _ = reply.send(Err(NeverFires::Failed(failure.clone())));
            }
        }
    }

    /// What is asked about faults, and has no answer yet.
    pub(super) fn fault_asks(&self) -> Vec<String> {
        let mut asks = Vec::new();
        for fault in self.faults.all.values() {
            let line = fault.injection.line();
            if fault
                .on_inject
                .as_ref()
                .is_some_and(|reply| !reply.is_closed())
            {
                asks.push(format!("inject `{line}`"));
            }
            if fault.on_fired.iter().any(|reply| !reply.is_closed()) {
                // Of an event that is misspelled, the nearest is the answer.
                let why = self.never_set_off(fault.injection.number);
                let why = (!why.is_empty()).then(|| format!(" ({why})"));
                asks.push(format!("fired `{line}`{}", why.unwrap_or_default()));
            }
        }
        asks
    }

    /// The faults in force: their lines, and since when.
    pub(super) fn faults_in_force(&self) -> BTreeMap<u32, (String, u64)> {
        let faults = self.faults.all.values();
        let stand = faults.filter(|fault| !fault.rules.is_empty());
        let told = stand.map(|fault| {
            let since = fault.injection.event.as_ref().map_or(0, Event::time_ns);
            (fault.injection.number, (fault.injection.line(), since))
        });
        told.collect()
    }

    fn tell(&self, process: u64, signal: Signal) {
        let signal = signal as i32;
        self.tell_supervisor(&ToSupervisor::Signal { process, signal });
    }
}
