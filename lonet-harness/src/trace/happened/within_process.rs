//! What one process tells: its records in sequence → edges among them, and what is left for the
//! others to complete.
//!
//! Pure. Owns the task rule and the socket rule (TRACES 7.2, 1 and 2), the sockets of a process
//! and what was read from them. Edges here only ever lead from a lower number to a higher one, so
//! that they can't form a cycle, whatever a process reports.

use std::collections::BTreeMap;

use lonet::trace::{Record, What};

use crate::trace::happened::contradictions;
use crate::trace::happened::gathered::{Credit, End, Gathered, Write};
use crate::trace::happened::graph::Process;
use crate::trace::happened::relation::{Edge, Why};
use crate::trace::intern::hash_index::{FastMap, NONE, TOGETHER};
use crate::trace::intern::symbols::Symbol;

/// What is known of an end while its process is read.
struct Socket {
    last_write: u32,
    /// The latest that is in the trace: no note.
    last_shown_write: Option<u32>,
    last_recv: Option<u32>,
    written: u64,
    certain: u64,
    eof: bool,
}

/// What is known of one task.
#[derive(Default)]
struct Task {
    latest: Latest,
    /// The latest look at the trace, and what an unordered task did since.
    here: Option<u32>,
    unordered: Vec<u32>,
}

#[derive(Default)]
enum Latest {
    #[default]
    Nothing,
    One(u32),
    /// Accepts of one listener, directly one after the other: they don't order each other.
    Accepts(Accepts),
}

struct Accepts {
    listener: u64,
    before: Option<u32>,
    members: Vec<u32>,
    /// Looks at the trace among them: what those learned, the following accepts come after.
    heres: Vec<u32>,
}

/// The records of one process, sorted, each with its node: `first` and on.
pub(crate) struct OneProcess<'a> {
    pub(crate) index: u32,
    pub(crate) first: u32,
    pub(crate) process: &'a Process,
    pub(crate) records: &'a [Record],
}

impl OneProcess<'_> {
    /// The node of the record with that number.
    pub(crate) fn node(&self, n: u64) -> Option<u32> {
        let index = self.records.binary_search_by_key(&n, |r| r.n).ok()?;
        Some(self.first + index as u32)
    }

    /// Adds what this process tells.
    pub(crate) fn gather(&self, into: &mut Gathered) {
        Gathering {
            process: self,
            tasks: FastMap::default(),
            task_states: Vec::new(),
            first_end: into.ends.len() as u32,
            sockets: FastMap::default(),
            open: Vec::new(),
            listeners: FastMap::default(),
            released: FastMap::default(),
            unknown: BTreeMap::new(),
            keys: [NONE; TOGETHER],
            into,
        }
        .run();
    }
}

struct Gathering<'a, 'b> {
    process: &'a OneProcess<'b>,
    into: &'a mut Gathered,
    /// Where in `task_states` each task is.
    tasks: FastMap<u64, usize>,
    task_states: Vec<Task>,
    /// Which end a socket is; the ends of this process follow one another, from the first on.
    sockets: FastMap<u64, u32>,
    first_end: u32,
    open: Vec<Socket>,
    /// The record of each listener's creation.
    listeners: FastMap<u64, u32>,
    /// Which record freed a port.
    released: FastMap<(Symbol, u16), u32>,
    /// What the process tells of that nobody knows, with the first record that does, counted.
    unknown: BTreeMap<&'static str, (u64, usize)>,
    /// The connections' keys of the records that were looked up together.
    keys: [Symbol; TOGETHER],
}

impl Gathering<'_, '_> {
    fn run(mut self) {
        let mut latest = 0;
        // A record is looked at once: a million of them are more than any cache holds.
        for (index, record) in self.process.records.iter().enumerate() {
            let node = self.process.first + index as u32;
            if index % TOGETHER == 0 {
                self.look_up(index);
            }
            latest = latest.max(record.t);
            let ordered = record.k.is_some() && !record.u;
            let is_here = matches!(record.e, What::Here {});
            if let Some(k) = record.k {
                let fresh = self.task_states.len();
                let index = *self.tasks.entry(k).or_insert(fresh);
                if index == fresh {
                    self.task_states.push(Task::default());
                }
                let mut task = std::mem::take(&mut self.task_states[index]);
                self.task(&mut task, node, record);
                self.task_states[index] = task;
            }
            // What an unordered task read or awaited may belong to another of its operations.
            if ordered || is_here {
                self.causes(node, node);
            }
            self.reads_seen(record);
            self.socket(node, record);
            self.into.direct.close_node();
        }
        self.into.latest.push(latest);
        for (what, (n, times)) in std::mem::take(&mut self.unknown) {
            self.blame(format!(
                "tells of {what} that it never told before, {times} times, first in record {n}"
            ));
        }
    }

    /// Looks up the labels and keys of this record and some after it.
    fn look_up(&mut self, from: usize) {
        let records = &self.process.records[from..];
        let records = &records[..records.len().min(TOGETHER)];
        let Gathered {
            labels,
            hosts,
            label_of,
            keys,
            ..
        } = &mut *self.into;
        labels.intern(records, hosts, label_of);
        self.keys = keys.intern_all(|index| key_of(records.get(index)?));
    }

    fn key(&self, node: u32) -> Symbol {
        self.keys[(node - self.process.first) as usize % TOGETHER]
    }

    /// The host where an event happened.
    fn host(&self, node: u32) -> Symbol {
        let Gathered {
            labels, label_of, ..
        } = &*self.into;
        labels.head(label_of[node as usize]).host
    }

    fn edge(&mut self, from: u32, to: u32, why: Why) {
        if to == self.into.direct.open_node() {
            self.into.direct.push(from, why);
        } else {
            self.into.loose.push(Edge { from, to, why });
        }
        if why == Why::Port {
            // Matching may leave this one out; what a process's start and end order must not.
            return;
        }
        if let Some(flag) = self.into.has_after.get_mut(from as usize) {
            *flag = true;
        }
        if let Some(flag) = self.into.has_before.get_mut(to as usize) {
            *flag = true;
        }
    }

    /// What the record `of` says it read and learned comes before `to`.
    fn causes(&mut self, of: u32, to: u32) {
        let record = &self.process.records[(of - self.process.first) as usize];
        for event in &record.l {
            self.into.learned.push((*event, to));
        }
        for read in &record.r {
            let Some(&end) = self.sockets.get(&read.s) else {
                self.unknown("a read from a socket", record.n);
                continue;
            };
            let created = self.into.ends[end as usize].created;
            self.edge(created, to, Why::Socket);
            self.into.credits.push(Credit {
                reader: to,
                end,
                certain: read.certain,
                all: read.all.max(read.certain),
                eof: read.certain > read.all,
            });
        }
    }

    /// How far each socket has been read by anyone, for its close.
    fn reads_seen(&mut self, record: &Record) {
        for read in &record.r {
            if let Some(&end) = self.sockets.get(&read.s) {
                let socket = self.socket_of(end);
                socket.certain = socket.certain.max(read.certain);
                socket.eof |= read.certain > read.all;
            }
        }
    }

    fn task(&mut self, task: &mut Task, node: u32, record: &Record) {
        if matches!(record.e, What::Here {}) {
            return self.here(task, node, record);
        }
        if record.u {
            task.unordered.push(node);
            return;
        }
        if let What::Accept { l, .. } = record.e {
            if let Latest::Accepts(run) = &mut task.latest
                && run.listener == l
            {
                run.members.push(node);
                let heres = run.heres.clone();
                if let Some(before) = run.before {
                    self.edge(before, node, Why::Task);
                }
                for here in heres {
                    self.causes(here, node);
                }
                return;
            }
            let before = self.close_run(task);
            if let Some(before) = before {
                self.edge(before, node, Why::Task);
            }
            task.latest = Latest::Accepts(Accepts {
                listener: l,
                before,
                members: vec![node],
                heres: Vec::new(),
            });
            return;
        }
        if let Some(before) = self.close_run(task) {
            self.edge(before, node, Why::Task);
        }
        task.latest = Latest::One(node);
    }

    /// The one node that everything the task did so far comes before.
    fn close_run(&mut self, task: &mut Task) -> Option<u32> {
        let run = match std::mem::take(&mut task.latest) {
            Latest::Nothing => return None,
            Latest::One(node) => return Some(node),
            Latest::Accepts(run) => run,
        };
        if let ([only], []) = (run.members.as_slice(), run.heres.as_slice()) {
            return Some(*only);
        }
        let joint = self.joint();
        for &member in run.members.iter().chain(&run.heres) {
            self.edge(member, joint, Why::Task);
        }
        Some(joint)
    }

    fn joint(&mut self) -> u32 {
        self.into.joints.push(self.process.index);
        (self.into.has_before.len() + self.into.joints.len() - 1) as u32
    }

    /// A task looks at the trace: all it did comes before, in whichever order.
    fn here(&mut self, task: &mut Task, node: u32, record: &Record) {
        if let Some(before) = task.here.replace(node) {
            self.edge(before, node, Why::Task);
        }
        for before in std::mem::take(&mut task.unordered) {
            self.edge(before, node, Why::Task);
            self.causes(before, node);
        }
        match &mut task.latest {
            Latest::Nothing => {}
            Latest::One(before) => {
                let before = *before;
                self.edge(before, node, Why::Task);
            }
            Latest::Accepts(run) => {
                let members = run.members.clone();
                if !record.r.is_empty() || !record.l.is_empty() {
                    run.heres.push(node);
                }
                for before in members {
                    self.edge(before, node, Why::Task);
                }
                return;
            }
        }
        if !record.u {
            task.latest = Latest::One(node);
        }
    }

    fn socket_of(&mut self, end: u32) -> &mut Socket {
        &mut self.open[(end - self.first_end) as usize]
    }

    /// What a record says of its socket and its port.
    fn socket(&mut self, node: u32, record: &Record) {
        match &record.e {
            What::Listen { a, s, .. } => {
                self.take_port(a, node);
                self.listeners.insert(*s, node);
            }
            What::Dial { a, .. } => self.take_port(a, node),
            What::Link { d, .. } => {
                let key = self.key(node);
                match self.dial(*d, node) {
                    Some(dial) => self.into.links.push((key, dial)),
                    None => self.unknown("the link of a dial", record.n),
                }
            }
            What::Accept { a, l, s, .. } => {
                self.take_port(a, node);
                match self.listeners.get(l) {
                    Some(&listener) => self.edge(listener, node, Why::Socket),
                    None => self.unknown("the accept of a listener", record.n),
                }
                self.open(node, *s, false);
            }
            What::Connect { d, s, .. } => {
                match self.dial(*d, node) {
                    Some(dial) => self.edge(dial, node, Why::Connection),
                    None => self.unknown("the connect of a dial", record.n),
                }
                self.open(node, *s, true);
            }
            What::Fail { a, d, .. } => {
                match self.dial(*d, node) {
                    Some(dial) => self.edge(dial, node, Why::Connection),
                    None => self.unknown("the failure of a dial", record.n),
                }
                self.free_port(a, node);
            }
            What::Close { a, p: None, s, .. } => {
                match self.listeners.get(s) {
                    Some(&listener) => self.edge(listener, node, Why::Socket),
                    None => self.unknown("the close of a listener", record.n),
                }
                self.free_port(a, node);
            }
            What::Close { a, s, w, .. } => {
                self.free_port(a, node);
                self.close(node, *s, *w, record);
            }
            What::Shutdown { s, w, .. } => {
                if let Some(end) = self.write(node, *s, *w, record.n)
                    && self.into.ends[end as usize].shutdown.is_none()
                {
                    self.into.ends[end as usize].shutdown = Some((*w, node));
                }
            }
            What::Note { s, w } | What::Send { s, w, .. } => {
                self.write(node, *s, *w, record.n);
            }
            What::Recv { s, .. } => {
                let Some(&end) = self.sockets.get(s) else {
                    return self.unknown("data from a socket", record.n);
                };
                let created = self.into.ends[end as usize].created;
                let before = self.socket_of(end).last_recv.replace(node);
                let before = before.unwrap_or(created);
                self.edge(before, node, Why::Socket);
                if record.u {
                    // Its own bytes it has read, whatever else its task does.
                    self.own_reads(node, record, *s, end);
                }
            }
            What::Opaque { s } => match self.sockets.get(s) {
                Some(&end) => self.into.ends[end as usize].opaque = true,
                None => self.unknown("a socket taken by user code", record.n),
            },
            What::Up { .. }
            | What::Down { .. }
            | What::Spawn { .. }
            | What::Restart { .. }
            | What::Exit { .. }
            | What::Kill { .. } => self.into.lives.push(node),
            _ => {}
        }
    }

    fn own_reads(&mut self, node: u32, record: &Record, s: u64, end: u32) {
        for read in record.r.iter().filter(|read| read.s == s) {
            self.into.credits.push(Credit {
                reader: node,
                end,
                certain: read.certain,
                all: read.all.max(read.certain),
                eof: read.certain > read.all,
            });
        }
    }

    fn dial(&self, d: u64, before: u32) -> Option<u32> {
        let node = self.process.node(d)?;
        let record = &self.process.records[(node - self.process.first) as usize];
        (matches!(record.e, What::Dial { .. }) && node < before).then_some(node)
    }

    fn open(&mut self, node: u32, s: u64, is_dialer: bool) {
        let key = self.key(node);
        let end = self.into.ends.len() as u32;
        if self.sockets.insert(s, end).is_some() {
            self.blame(format!("gives the number {s} to two sockets"));
        }
        self.into.ends.push(End {
            process: self.process.index,
            created: node,
            is_dialer,
            key,
            shutdown: None,
            close: None,
            opaque: false,
        });
        self.open.push(Socket {
            last_write: node,
            last_shown_write: None,
            last_recv: None,
            written: 0,
            certain: 0,
            eof: false,
        });
    }

    fn write(&mut self, node: u32, s: u64, w: u64, n: u64) -> Option<u32> {
        let Some(&index) = self.sockets.get(&s) else {
            self.unknown("a write to a socket", n);
            return None;
        };
        let record = &self.process.records[(node - self.process.first) as usize];
        let socket = self.socket_of(index);
        let before = std::mem::replace(&mut socket.last_write, node);
        if !matches!(record.e, What::Note { .. }) {
            socket.last_shown_write = Some(node);
        }
        // A later write can't begin at a lower byte.
        socket.written = socket.written.max(w);
        let from = socket.written;
        if !self.into.ends[index as usize].opaque {
            self.into.writes.push(Write {
                end: index,
                node,
                from,
            });
        }
        self.edge(before, node, Why::Socket);
        Some(index)
    }

    fn close(&mut self, node: u32, s: u64, w: u64, record: &Record) {
        let Some(&index) = self.sockets.get(&s) else {
            return self.unknown("the close of a connection", record.n);
        };
        let end = &mut self.into.ends[index as usize];
        if end.close.is_some() {
            let again = record.n;
            return self.blame(format!("closes socket {s} twice, again in record {again}"));
        }
        end.close = Some((w, node));
        let created = end.created;
        let &mut Socket {
            last_write,
            last_shown_write,
            last_recv,
            certain,
            eof,
            ..
        } = self.socket_of(index);
        self.edge(created, node, Why::Socket);
        if let Some(recv) = last_recv {
            self.edge(recv, node, Why::Socket);
        }
        // A close by lonet itself may come before or after what tasks were about to read or write,
        // as time has it: only what is in the trace anyway orders it.
        if record.k.is_some() {
            if last_write != created {
                self.edge(last_write, node, Why::Socket);
            }
            if certain > 0 {
                self.into.credits.push(Credit {
                    reader: node,
                    end: index,
                    certain,
                    all: certain,
                    eof,
                });
            }
        } else if let Some(write) = last_shown_write {
            self.edge(write, node, Why::Socket);
        }
    }

    fn take_port(&mut self, addr: &lonet::Addr, node: u32) {
        let key = (self.host(node), addr.port());
        if let Some(freed) = self.released.remove(&key) {
            self.edge(freed, node, Why::Port);
        }
    }

    fn free_port(&mut self, addr: &lonet::Addr, node: u32) {
        let key = (self.host(node), addr.port());
        self.released.insert(key, node);
    }

    fn blame(&mut self, what: String) {
        let name = contradictions::name(self.process.process);
        let index = self.process.index as usize;
        self.into
            .problems
            .blame(vec![index], format!("{name} {what}"));
    }

    fn unknown(&mut self, what: &'static str, n: u64) {
        self.unknown.entry(what).or_insert((n, 0)).1 += 1;
    }
}

/// What the connection that a record tells of is known by.
fn key_of(record: &Record) -> Option<&str> {
    match &record.e {
        What::Link { c, .. } | What::Accept { c, .. } | What::Connect { c, .. } => Some(c),
        _ => None,
    }
}
