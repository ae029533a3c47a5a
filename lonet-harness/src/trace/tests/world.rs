//! A simulated execution: processes, tasks, sockets and bytes, which reports just as lonet's
//! reporter does, and knows by construction which record truly happens before which.
//!
//! Owns its own idea of causality (sets of known records, carried along by every step), so that
//! the graph can be checked against it.

mod bytes;
mod connections;
mod faults;

use std::collections::{BTreeMap, BTreeSet};

use lonet::Addr;
use lonet::trace::{EventId, ReadCredit, Record, What};

use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;

pub(super) type Known = BTreeSet<EventId>;

#[derive(Clone, Default)]
struct Task {
    knowledge: u64,
    reads: BTreeMap<u64, ReadCredit>,
    learned: Vec<EventId>,
    /// Another operation of the task is pending: what it records and learns has no place in its order.
    unordered: bool,
    reads_beside: BTreeMap<u64, ReadCredit>,
    learned_beside: Vec<EventId>,
    /// What comes before the next record that has a place; and all it has done and learned.
    known: Known,
    all: Known,
    /// By listener: what was known before the first accept there.
    strands: BTreeMap<u64, Known>,
}

struct Proc {
    node: Option<u64>,
    host: String,
    records: Vec<Record>,
    sockets: u64,
    ports: BTreeSet<u16>,
    born: Known,
    /// What the next user of a port knows of the one that freed it.
    freed: BTreeMap<u16, Known>,
    pub(super) dead: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct P(pub(super) usize);
/// A task of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct T(pub(super) usize, pub(super) u64);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listener(usize);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dial(pub(super) usize);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End(pub(super) usize);

struct ListenerState {
    process: usize,
    s: u64,
    addr: Addr,
    known: Known,
    pub(super) open: bool,
}

struct DialState {
    process: usize,
    addr: Addr,
    to: Addr,
    n: u64,
    key: String,
    known: Known,
    accepted: Option<usize>,
    done: bool,
}

struct EndState {
    process: usize,
    s: u64,
    addr: Addr,
    to: Addr,
    created: Known,
    peer: Option<usize>,
    written: u64,
    segments: Vec<(u64, Known)>,
    writing: Known,
    reading: Known,
    noted: Option<(T, u64)>,
    read: u64,
    unsettled: Option<T>,
    fin: Option<Known>,
    open: bool,
    shut: bool,
}

pub(super) struct World {
    processes: Vec<Proc>,
    tasks: BTreeMap<T, Task>,
    listeners: Vec<ListenerState>,
    dials: Vec<DialState>,
    ends: Vec<EndState>,
    pub(super) truth: BTreeMap<EventId, Known>,
    time: u64,
    nodes: u64,
}

fn addr(host: &str, port: u16) -> Addr {
    format!("{host}:{port}").parse().unwrap()
}

impl World {
    /// With the test's own process, in which `TEST` runs.
    pub(super) fn new() -> World {
        let mut world = World {
            processes: Vec::new(),
            tasks: BTreeMap::new(),
            listeners: Vec::new(),
            dials: Vec::new(),
            ends: Vec::new(),
            truth: BTreeMap::new(),
            time: 0,
            nodes: 0,
        };
        world.process("test", None);
        world
    }

    fn process(&mut self, host: &str, node: Option<u64>) -> P {
        self.processes.push(Proc {
            node,
            host: host.to_owned(),
            records: Vec::new(),
            sockets: 0,
            ports: BTreeSet::new(),
            born: Known::new(),
            freed: BTreeMap::new(),
            dead: false,
        });
        P(self.processes.len() - 1)
    }

    /// The scenario starts a host; its root task is the result.
    pub(super) fn spawn(&mut self, host: &str) -> T {
        self.nodes += 1;
        let i = self.nodes;
        let spawned = self.record(
            Some(TEST),
            What::Spawn {
                host: host.into(),
                process: i,
            },
            &Known::new(),
        );
        let P(process) = self.process(host, Some(i));
        let mut born = self.truth[&spawned].clone();
        born.insert(spawned);
        let root = T(process, 0);
        let state = self.tasks.entry(root).or_default();
        (state.known, state.all) = (born.clone(), born.clone());
        let up = self.record(Some(root), What::Up { host: host.into() }, &Known::new());
        born.insert(up);
        self.processes[process].born = born;
        root
    }

    /// A process that nobody started for the test, or a host of the test's own process.
    pub(super) fn foreign(&mut self, host: &str) -> T {
        let P(process) = self.process(host, None);
        T(process, 0)
    }

    /// Another task of the process. What started it orders nothing that is traced.
    pub(super) fn task(&mut self, of: T) -> T {
        let T(process, _) = of;
        let number = 1 + self.tasks.keys().filter(|t| t.0 == process).count() as u64;
        let task = T(process, number);
        let known = self.processes[process].born.clone();
        self.tasks.entry(task).or_default().known = known;
        task
    }

    /// Another operation of the task is pending from here on, or no more.
    pub(super) fn unordered(&mut self, task: T, is_pending: bool) {
        self.tasks.entry(task).or_default().unordered = is_pending;
    }

    pub(super) fn is_unordered(&self, task: T) -> bool {
        self.tasks.get(&task).is_some_and(|state| state.unordered)
    }

    /// Makes a record: `more` is what it comes after besides what its task knows.
    fn record(&mut self, task: Option<T>, e: What, more: &Known) -> EventId {
        let process = task.map_or(0, |t| t.0);
        self.record_in(process, task, e, more)
    }

    fn record_in(&mut self, process: usize, task: Option<T>, e: What, more: &Known) -> EventId {
        self.time += 1;
        let n = self.processes[process].records.len() as u64 + 1;
        let id = EventId::from((process as u32, n));
        let mut known = more.clone();
        known.extend(self.processes[process].born.iter().copied());
        let mut record = Record {
            n,
            t: self.time,
            task: None,
            unordered: false,
            reads: Vec::new(),
            learned: Vec::new(),
            reads_beside: Vec::new(),
            learned_beside: Vec::new(),
            fires: Vec::new(),
            reads_pending: Vec::new(),
            what: e,
        };
        if let Some(task) = task {
            let state = self.tasks.entry(task).or_default();
            state.knowledge += 1;
            record.task = Some(task.1 + 100);
            record.unordered = state.unordered;
            if let What::Accept { listener: l, .. } = record.what {
                let before = state.strands.entry(l).or_insert(state.known.clone());
                state.known.clone_from(before);
            }
            let is_here = matches!(record.what, What::Here {});
            let mut beside = std::mem::take(&mut state.reads_beside);
            record.learned_beside = std::mem::take(&mut state.learned_beside);
            if is_here || record.unordered {
                beside.extend(&state.reads);
                record.learned_beside.extend(&state.learned);
            }
            if is_here {
                known.extend(state.all.iter().copied());
            } else if record.unordered {
                if matches!(record.what, What::Accept { .. }) {
                    state.reads.clear();
                    state.learned.clear();
                }
            } else {
                known.extend(state.known.iter().copied());
                record.reads = std::mem::take(&mut state.reads).into_values().collect();
                record.learned = std::mem::take(&mut state.learned);
                state.known = known.clone();
                state.known.insert(id);
            }
            record.reads_beside = beside.into_values().collect();
            state.all.extend(known.iter().copied());
            state.all.insert(id);
        }
        self.processes[process].records.push(record);
        self.truth.insert(id, known);
        id
    }

    fn with(&self, id: EventId) -> Known {
        let mut known = self.truth[&id].clone();
        known.insert(id);
        known
    }

    fn free(&mut self, process: usize, port: u16, by: EventId) {
        let known = self.with(by);
        self.processes[process].ports.remove(&port);
        self.processes[process].freed.insert(port, known);
    }

    /// lonet itself says that the host is closed.
    pub(super) fn down(&mut self, of: T) {
        let h = self.processes[of.0].host.clone();
        let everything = self.everything(of.0);
        self.record_in(of.0, None, What::Down { host: h }, &everything);
    }

    pub(super) fn mark(&mut self, task: T, text: &str) -> EventId {
        let h = self.processes[task.0].host.clone();
        self.record(
            Some(task),
            What::Mark {
                host: h,
                text: text.to_owned(),
            },
            &Known::new(),
        )
    }

    /// The task waits for an event.
    pub(super) fn until(&mut self, task: T, event: EventId) {
        let known = self.with(event);
        let state = self.tasks.entry(task).or_default();
        state.knowledge += 1;
        state.all.extend(known.iter().copied());
        if state.unordered {
            state.learned_beside.push(event);
        } else {
            state.learned.push(event);
            state.known.extend(known);
        }
    }

    /// The latest record of a process.
    pub(super) fn latest(&self, of: T) -> EventId {
        EventId::from((of.0 as u32, self.processes[of.0].records.len() as u64))
    }

    fn everything(&self, process: usize) -> Known {
        let mut all = self.processes[process].born.clone();
        for record in &self.processes[process].records {
            all.extend(self.with((process as u32, record.n).into()));
        }
        all
    }

    /// The scenario kills a process; the kill is recorded once it is dead.
    pub(super) fn kill(&mut self, of: T) -> EventId {
        let (h, i) = self.node(of);
        let everything = self.everything(of.0);
        let id = self.record(
            Some(TEST),
            What::Kill {
                host: h,
                process: i,
            },
            &everything,
        );
        self.processes[of.0].dead = true;
        for index in 0..self.ends.len() {
            if self.ends[index].process == of.0 && self.ends[index].fin.is_none() {
                self.ends[index].fin = Some(self.with(id));
            }
        }
        id
    }

    /// A process ends, which no task records.
    pub(super) fn exit(&mut self, of: T, status: &str) -> EventId {
        let (h, i) = self.node(of);
        let everything = self.everything(of.0);
        let x = status.to_owned();
        self.processes[of.0].dead = true;
        self.record_in(
            0,
            None,
            What::Exit {
                host: h,
                process: i,
                text: x,
            },
            &everything,
        )
    }

    pub(super) fn join(&mut self, of: T) {
        let exit = self.exit(of, "0");
        self.until(TEST, exit);
    }

    fn node(&self, of: T) -> (String, u64) {
        let process = &self.processes[of.0];
        (process.host.clone(), process.node.unwrap())
    }

    pub(super) fn here(&mut self) -> EventId {
        self.record(Some(TEST), What::Here {}, &Known::new())
    }

    pub(super) fn is_dead(&self, of: T) -> bool {
        self.processes[of.0].dead
    }

    pub(super) fn end_is_open(&self, end: End) -> bool {
        let state = &self.ends[end.0];
        state.open && !self.processes[state.process].dead
    }

    pub(super) fn may_write(&self, end: End) -> bool {
        self.end_is_open(end) && !self.ends[end.0].shut
    }

    pub(super) fn listener_is_open(&self, listener: Listener) -> bool {
        self.listeners[listener.0].open
    }

    pub(super) fn reported(&self) -> Vec<Process> {
        let process = |(index, process): (usize, &Proc)| Process {
            pid: 4000 + index as u32,
            node: process.node,
            records: process.records.clone(),
        };
        self.processes.iter().enumerate().map(process).collect()
    }

    pub(super) fn graph(&self) -> Graph {
        let graph = Graph::build(self.reported());
        assert_eq!(graph.problems(), &[] as &[String]);
        graph
    }

    /// What the test's task sees now.
    pub(super) fn trace(&mut self) -> crate::trace::Trace {
        let here = self.here();
        crate::trace::Trace::past(std::sync::Arc::new(self.graph()), here)
    }
}

/// The body of the test.
pub(super) const TEST: T = T(0, 0);
