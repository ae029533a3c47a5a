//! A simulated execution: processes, tasks, sockets and bytes, which reports just as lonet's
//! reporter does, and knows by construction which record truly happens before which.
//!
//! Owns its own idea of causality (sets of known records, carried along by every step), so that
//! the graph can be checked against it.

mod bytes;

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

    fn socket(&mut self, process: usize) -> u64 {
        self.processes[process].sockets += 1;
        self.processes[process].sockets
    }

    fn lowest(&mut self, process: usize) -> u16 {
        let ports = &mut self.processes[process].ports;
        let port = (1..).find(|port| !ports.contains(port)).unwrap();
        ports.insert(port);
        port
    }

    fn freed(&self, process: usize, port: u16) -> Known {
        let freed = self.processes[process].freed.get(&port);
        freed.cloned().unwrap_or_default()
    }

    fn free(&mut self, process: usize, port: u16, by: EventId) {
        let known = self.with(by);
        self.processes[process].ports.remove(&port);
        self.processes[process].freed.insert(port, known);
    }

    pub(super) fn listen(&mut self, task: T, port: u16) -> Listener {
        assert!(self.processes[task.0].ports.insert(port));
        self.listen_at(task, port, false)
    }

    /// At the lowest free port.
    pub(super) fn listen_any(&mut self, task: T) -> Listener {
        let port = self.lowest(task.0);
        self.listen_at(task, port, true)
    }

    fn listen_at(&mut self, task: T, port: u16, auto: bool) -> Listener {
        let T(process, _) = task;
        let a = addr(&self.processes[process].host, port);
        let s = self.socket(process);
        // Of an automatic port another would have done.
        let freed = match auto {
            true => Known::new(),
            false => self.freed(process, port),
        };
        let what = What::Listen {
            addr: a.clone(),
            socket: s,
            auto,
        };
        let id = self.record(Some(task), what, &freed);
        self.listeners.push(ListenerState {
            process,
            s,
            addr: a,
            known: self.with(id),
            open: true,
        });
        Listener(self.listeners.len() - 1)
    }

    pub(super) fn address(&self, listener: Listener) -> String {
        self.listeners[listener.0].addr.to_string()
    }

    pub(super) fn close_listener(&mut self, task: T, listener: Listener) {
        self.close_listener_by(Some(task), listener);
    }

    /// With no task: lonet itself closes.
    pub(super) fn close_listener_by(&mut self, task: Option<T>, listener: Listener) {
        let state = &mut self.listeners[listener.0];
        state.open = false;
        let (a, s, known, process) = (
            state.addr.clone(),
            state.s,
            state.known.clone(),
            state.process,
        );
        let port = a.port();
        let what = What::Close {
            addr: a,
            peer: None,
            socket: s,
            written: 0,
        };
        let id = self.record_in(process, task, what, &known);
        self.free(process, port, id);
    }

    /// lonet itself says that the host is closed.
    pub(super) fn down(&mut self, of: T) {
        let h = self.processes[of.0].host.clone();
        let everything = self.everything(of.0);
        self.record_in(of.0, None, What::Down { host: h }, &everything);
    }

    pub(super) fn dial(&mut self, task: T, to: &str) -> Dial {
        let T(process, _) = task;
        let port = self.lowest(process);
        let a = addr(&self.processes[process].host, port);
        let p: Addr = to.parse().unwrap();
        let what = What::Dial {
            addr: a.clone(),
            peer: p.clone(),
        };
        let id = self.record(Some(task), what, &Known::new());
        let key = format!("c{}", self.dials.len());
        self.record(
            Some(task),
            What::Link {
                dial: id.n,
                key: key.clone(),
            },
            &Known::new(),
        );
        self.dials.push(DialState {
            process,
            addr: a,
            to: p,
            n: id.n,
            key,
            known: self.with(id),
            accepted: None,
            done: false,
        });
        Dial(self.dials.len() - 1)
    }

    pub(super) fn fail(&mut self, task: T, dial: Dial, cause: &str) {
        let state = &mut self.dials[dial.0];
        state.done = true;
        let what = What::Fail {
            addr: state.addr.clone(),
            peer: state.to.clone(),
            dial: state.n,
            text: cause.to_owned(),
        };
        let (known, process, port) = (state.known.clone(), state.process, state.addr.port());
        let id = self.record(Some(task), what, &known);
        self.free(process, port, id);
    }

    pub(super) fn accept(&mut self, task: T, listener: Listener, dial: Dial) -> End {
        let T(process, _) = task;
        let port = self.lowest(process);
        let a = addr(&self.processes[process].host, port);
        let s = self.socket(process);
        let mut more = self.listeners[listener.0].known.clone();
        more.extend(self.dials[dial.0].known.iter().copied());
        let p = self.dials[dial.0].addr.clone();
        let what = What::Accept {
            addr: a.clone(),
            peer: p.clone(),
            listener: self.listeners[listener.0].s,
            socket: s,
            key: self.dials[dial.0].key.clone(),
        };
        let id = self.record(Some(task), what, &more);
        let end = self.end(process, s, a, p, id);
        self.dials[dial.0].accepted = Some(end.0);
        end
    }

    pub(super) fn connect(&mut self, task: T, dial: Dial) -> End {
        let T(process, _) = task;
        let state = &mut self.dials[dial.0];
        state.done = true;
        let accepted = state.accepted.unwrap();
        let (a, p, d) = (
            state.addr.clone(),
            self.ends[accepted].addr.clone(),
            state.n,
        );
        let c = state.key.clone();
        let mut more = state.known.clone();
        more.extend(self.ends[accepted].created.iter().copied());
        let s = self.socket(process);
        let what = What::Connect {
            addr: a.clone(),
            peer: p.clone(),
            dial: d,
            socket: s,
            key: c,
        };
        let id = self.record(Some(task), what, &more);
        let end = self.end(process, s, a, p, id);
        self.ends[end.0].peer = Some(accepted);
        self.ends[accepted].peer = Some(end.0);
        end
    }

    fn end(&mut self, process: usize, s: u64, addr: Addr, to: Addr, created: EventId) -> End {
        self.ends.push(EndState {
            process,
            s,
            addr,
            to,
            created: self.with(created),
            peer: None,
            written: 0,
            segments: Vec::new(),
            writing: Known::new(),
            reading: Known::new(),
            noted: None,
            read: 0,
            unsettled: None,
            fin: None,
            open: true,
            shut: false,
        });
        End(self.ends.len() - 1)
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
