//! What one process reports: its records in sequence → edges among them, and what is left for the
//! others to complete.
//!
//! Pure. Owns the task rule and the socket rule, the sockets of a process
//! and what was read from them. Edges here only ever lead from a lower number to a higher one, so
//! that they can't form a cycle, whatever a process reports.

use std::collections::BTreeMap;

use lonet::trace::{EventId, ReadCredit, Record, Verb, What};

use crate::trace::ends;
use crate::trace::happened::gathered::{Credit, End, Gathered, Write};
use crate::trace::happened::process::{self, Process};
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::{FastMap, NONE, TOGETHER};
use crate::trace::intern::symbols::Symbol;

/// What is known of an end while its process is read.
struct Socket {
    /// By task, the latest write and its first byte; and whose the latest of all is.
    writes: PerTask<(u32, u64)>,
    last_write: u32,
    recvs: PerTask<u32>,
    certain: u64,
    eof: bool,
    written: u64,
    /// A reset has ended it: that tells nothing of what the other side did.
    is_reset: bool,
}

/// Something of each task that uses a socket. Mostly it is one.
struct PerTask<X> {
    first: Option<(Option<u64>, X)>,
    others: BTreeMap<Option<u64>, X>,
}

impl<X: Copy> PerTask<X> {
    fn new() -> PerTask<X> {
        PerTask {
            first: None,
            others: BTreeMap::new(),
        }
    }

    /// Sets a task's; the result is what it was.
    fn replace(&mut self, task: Option<u64>, by: X) -> Option<X> {
        match &mut self.first {
            None => {
                self.first = Some((task, by));
                None
            }
            Some((known, of)) if *known == task => Some(std::mem::replace(of, by)),
            Some(_) => self.others.insert(task, by),
        }
    }

    fn all(&self) -> Vec<(Option<u64>, X)> {
        let others = self.others.iter().map(|(&task, &of)| (task, of));
        self.first.into_iter().chain(others).collect()
    }
}

/// What is known of one task.
#[derive(Default)]
struct Task {
    /// The latest record in the task's order: all that is in order so far comes before it, other
    /// strands apart.
    latest: Option<u32>,
    /// The latest of all.
    last: Option<u32>,
    /// By listener, what comes before each strand that begins with an accept there.
    strands: BTreeMap<u64, Strand>,
    /// The latest look at the trace; since then: what nothing else of the task comes after, and
    /// what has learned something that orders nothing by task.
    here: Option<u32>,
    loose: Vec<u32>,
    learned: Vec<u32>,
}

/// What comes before each strand of a listener: what the task did before its first accept there,
/// and what that accept had learned.
#[derive(Clone, Copy)]
struct Strand {
    before: Option<u32>,
    first: Option<u32>,
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
            limits: Vec::new(),
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
    /// The limits that the process has learned of, by record.
    limits: Vec<u32>,
    /// Unknown things that the process refers to, with the first record that does, counted.
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
            self.cut_by_faults(record);
            if let Some(k) = record.task {
                let fresh = self.task_states.len();
                let index = *self.tasks.entry(k).or_insert(fresh);
                if index == fresh {
                    self.task_states.push(Task::default());
                }
                let mut task = std::mem::take(&mut self.task_states[index]);
                self.task(&mut task, node, record);
                self.task_states[index] = task;
            }
            self.reads_seen(record);
            self.socket(node, record);
            self.into.direct.close_node();
        }
        self.into.latest.push(latest);
        for (what, (n, times)) in std::mem::take(&mut self.unknown) {
            self.blame(format!(
                "refers to {what} that it has not reported, {times} times, first in record {n}"
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
        debug_assert_eq!(
            to,
            self.into.direct.open_node(),
            "a node's causes are read with it"
        );
        self.into.direct.push(from, why);
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

    /// An edge that counts in this run.
    fn edge_in_run(&mut self, from: u32, to: u32) {
        self.into.in_run.push((to, from));
    }

    /// What the record `of` says that its task had learned alone comes before `to`; for certain, or
    /// in this run.
    fn causes(&mut self, of: u32, to: u32, is_certain: bool) {
        let record = &self.process.records[(of - self.process.first) as usize];
        self.learned(record.n, &record.reads, &record.learned, to, is_certain);
    }

    /// The same of what it had learned beside other operations.
    fn causes_beside(&mut self, of: u32, to: u32, is_certain: bool) {
        let record = &self.process.records[(of - self.process.first) as usize];
        self.learned(
            record.n,
            &record.reads_beside,
            &record.learned_beside,
            to,
            is_certain,
        );
    }

    fn learned(
        &mut self,
        n: u64,
        reads: &[ReadCredit],
        events: &[EventId],
        to: u32,
        is_certain: bool,
    ) {
        for &event in events {
            self.into.learned.push((event, to, is_certain));
        }
        for read in reads {
            let Some(&end) = self.sockets.get(&read.socket) else {
                self.unknown("a read from a socket", n);
                continue;
            };
            let created = self.into.ends[end as usize].created;
            match is_certain {
                true => self.edge(created, to, Why::Socket),
                false => self.edge_in_run(created, to),
            }
            self.credit(to, end, read, is_certain);
        }
    }

    /// What has learned of a fault that ends connections may find that they have ended. Were it the
    /// other side after all, an order is missing.
    fn cut_by_faults(&mut self, record: &Record) {
        for event in record.learned.iter().chain(&record.learned_beside) {
            let Some(&fault) = self.into.cuts.get(event) else {
                continue;
            };
            let head = *self.into.labels.head(self.into.label_of[fault as usize]);
            if head.verb == Verb::Limit {
                self.limits.push(fault);
                continue;
            }
            let (one, other) = (head.subject(), head.peer());
            for end in self.first_end..self.into.ends.len() as u32 {
                let own = self.addresses(end);
                self.socket_of(end).is_reset |= own == (one, other) || own == (other, one);
            }
        }
    }

    /// The addresses of an end and of the other.
    fn addresses(&self, end: u32) -> ((Symbol, u32), (Symbol, u32)) {
        let created = self.into.ends[end as usize].created;
        let head = self.into.labels.head(self.into.label_of[created as usize]);
        (head.subject(), head.peer())
    }

    /// Whether the end of what this end reads may be the doing of a fault.
    fn is_cut(&mut self, end: u32) -> bool {
        let (own, peer) = self.addresses(end);
        let Gathered {
            labels,
            label_of,
            hosts,
            ..
        } = &*self.into;
        let is_limited = self.limits.iter().any(|&limit| {
            let limit = labels.label(label_of[limit as usize]);
            let at = |(host, port): (Symbol, u32)| (hosts.text(host), port);
            ends::covers(limit.text, at(peer), at(own))
        });
        is_limited || self.socket_of(end).is_reset
    }

    /// What of a read the other side has written; and whether it was read to the end.
    fn of_peer(&mut self, end: u32, read: &ReadCredit) -> (u64, bool) {
        match read.certain > read.all {
            true if self.is_cut(end) => (read.all, false),
            eof => (read.certain, eof),
        }
    }

    fn credit(&mut self, reader: u32, end: u32, read: &ReadCredit, is_certain: bool) {
        let (certain, eof) = self.of_peer(end, read);
        self.into.credits.push(Credit {
            reader,
            end,
            is_certain,
            certain,
            all: read.all.max(certain),
            eof,
        });
    }

    /// How far each socket has been read by anyone, for its close.
    fn reads_seen(&mut self, record: &Record) {
        for read in record.reads.iter().chain(&record.reads_beside) {
            if let Some(&end) = self.sockets.get(&read.socket) {
                let (certain, eof) = self.of_peer(end, read);
                let socket = self.socket_of(end);
                socket.certain = socket.certain.max(certain);
                socket.eof |= eof;
            }
        }
    }

    /// What a record comes after as its task's.
    fn task(&mut self, task: &mut Task, node: u32, record: &Record) {
        if matches!(record.what, What::Here {}) {
            return self.here(task, node);
        }
        let mut before = task.latest;
        let mut begins_strand = false;
        if let What::Accept { listener: l, .. } = record.what {
            match task.strands.get(&l).copied() {
                Some(strand) => {
                    begins_strand = true;
                    task.loose.extend(task.latest);
                    before = strand.before;
                    if let Some(first) = strand.first.filter(|_| !record.unordered) {
                        self.causes(first, node, true);
                    }
                }
                None => {
                    let first = (!record.unordered).then_some(node);
                    task.strands.insert(l, Strand { before, first });
                }
            }
        }
        let certain = before.filter(|_| !record.unordered);
        if let Some(before) = certain {
            self.edge(before, node, Why::Task);
        }
        if let Some(last) = task.last.replace(node)
            && certain != Some(last)
        {
            self.edge_in_run(last, node);
        }
        // What the task has learned before it accepts belongs to the strand before.
        let is_certain = !record.unordered && !begins_strand;
        self.causes(node, node, is_certain);
        self.causes_beside(node, node, false);
        if !record.reads_beside.is_empty() || !record.learned_beside.is_empty() || !is_certain {
            task.learned.push(node);
        }
        if record.unordered {
            task.loose.push(node);
            task.latest = before;
        } else {
            task.latest = Some(node);
        }
    }

    /// A task looks at the trace: all it did and learned comes before, in whichever order. The look
    /// itself orders nothing.
    fn here(&mut self, task: &mut Task, node: u32) {
        let before = task.here.replace(node);
        let loose = std::mem::take(&mut task.loose);
        for before in before.into_iter().chain(task.latest).chain(loose) {
            self.edge(before, node, Why::Task);
        }
        let learned = std::mem::take(&mut task.learned);
        for of in learned.into_iter().chain([node]) {
            self.causes(of, node, true);
            self.causes_beside(of, node, true);
        }
    }

    fn socket_of(&mut self, end: u32) -> &mut Socket {
        &mut self.open[(end - self.first_end) as usize]
    }

    /// What a record says of its socket and its port.
    fn socket(&mut self, node: u32, record: &Record) {
        match &record.what {
            What::Listen {
                addr: a,
                socket: s,
                auto,
            } => {
                self.take_port(a, node, !auto);
                self.listeners.insert(*s, node);
            }
            What::Dial { addr: a, .. } => self.take_port(a, node, false),
            What::Link { dial: d, .. } => {
                let key = self.key(node);
                match self.dial(*d, node) {
                    Some(dial) => self.into.links.push((key, dial)),
                    None => self.unknown("the link of a dial", record.n),
                }
            }
            What::Accept {
                addr: a,
                listener: l,
                socket: s,
                ..
            } => {
                self.take_port(a, node, false);
                match self.listeners.get(l) {
                    Some(&listener) => self.edge(listener, node, Why::Socket),
                    None => self.unknown("the accept of a listener", record.n),
                }
                self.open(node, *s, false);
            }
            What::Connect {
                dial: d, socket: s, ..
            } => {
                match self.dial(*d, node) {
                    Some(dial) => self.edge(dial, node, Why::Connection),
                    None => self.unknown("the connect of a dial", record.n),
                }
                self.open(node, *s, true);
            }
            What::Fail {
                addr: a, dial: d, ..
            } => {
                match self.dial(*d, node) {
                    Some(dial) => self.edge(dial, node, Why::Connection),
                    None => self.unknown("the failure of a dial", record.n),
                }
                self.free_port(a, node);
            }
            What::Close {
                addr: a,
                peer: None,
                socket: s,
                ..
            } => {
                match self.listeners.get(s) {
                    Some(&listener) => self.edge(listener, node, Why::Socket),
                    None => self.unknown("the close of a listener", record.n),
                }
                self.free_port(a, node);
            }
            What::Close {
                addr: a,
                socket: s,
                written: w,
                ..
            } => {
                self.free_port(a, node);
                self.close(node, *s, *w, record);
            }
            What::Shutdown {
                socket: s,
                written: w,
                ..
            } => {
                if let Some(end) = self.write(node, *s, *w, record) {
                    self.ended_writes(node, end, *w, record.task);
                    let shutdown = &mut self.into.ends[end as usize].shutdown;
                    *shutdown = shutdown.or(Some((*w, node)));
                }
            }
            What::Note {
                socket: s,
                written: w,
            }
            | What::Send {
                socket: s,
                written: w,
                ..
            } => {
                self.write(node, *s, *w, record);
            }
            What::Recv { socket: s, .. } => {
                let Some(&end) = self.sockets.get(s) else {
                    return self.unknown("data from a socket", record.n);
                };
                let created = self.into.ends[end as usize].created;
                let before = self.socket_of(end).recvs.replace(record.task, node);
                let before = before.unwrap_or(created);
                self.edge(before, node, Why::Socket);
                // Its own bytes it has read, whatever else its task does.
                for read in record.reads_beside.iter().filter(|read| read.socket == *s) {
                    self.credit(node, end, read, true);
                }
            }
            What::Opaque { socket: s } => match self.sockets.get(s) {
                Some(&end) => self.into.ends[end as usize].opaque = true,
                None => self.unknown("a socket taken by user code", record.n),
            },
            What::Up { .. }
            | What::Down { .. }
            | What::Spawn { .. }
            | What::Restart { .. }
            | What::Exit { .. }
            | What::Kill { .. }
            | What::Vanish { .. } => self.into.lives.push(node),
            What::Reset { .. }
            | What::Fault {
                verb: Verb::Limit, ..
            } => {
                let event = (self.process.index, record.n).into();
                self.into.cuts.insert(event, node);
            }
            // All other faults order by their task, and by what has learned of them, as marks do.
            _ => {}
        }
    }

    fn dial(&self, d: u64, before: u32) -> Option<u32> {
        let node = self.process.node(d)?;
        let record = &self.process.records[(node - self.process.first) as usize];
        (matches!(record.what, What::Dial { .. }) && node < before).then_some(node)
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
            is_shared: false,
        });
        self.open.push(Socket {
            writes: PerTask::new(),
            last_write: node,
            recvs: PerTask::new(),
            certain: 0,
            eof: false,
            written: 0,
            is_reset: false,
        });
    }

    fn write(&mut self, node: u32, s: u64, w: u64, record: &Record) -> Option<u32> {
        let Some(&index) = self.sockets.get(&s) else {
            self.unknown("a write to a socket", record.n);
            return None;
        };
        let created = self.into.ends[index as usize].created;
        let socket = self.socket_of(index);
        // A later write can't begin at a lower byte.
        socket.written = socket.written.max(w);
        let from = socket.written;
        let last = std::mem::replace(&mut socket.last_write, node);
        let before = socket.writes.replace(record.task, (node, from));
        let is_shared = !socket.writes.others.is_empty();
        let before = before.map_or(created, |(before, _)| before);
        self.edge(before, node, Why::Socket);
        if before != last {
            self.edge_in_run(last, node);
        }
        let end = &mut self.into.ends[index as usize];
        end.is_shared = is_shared && !matches!(record.what, What::Shutdown { .. }) || end.is_shared;
        if !end.opaque {
            self.into.writes.push(Write {
                end: index,
                node,
                from,
            });
        }
        Some(index)
    }

    /// So many bytes were written before this record says that there will be no more: what other
    /// tasks wrote comes before it, if anything came of it. Where lonet itself closes, a task had
    /// written or not, as time has it: only what is in the trace anyway orders that.
    fn ended_writes(&mut self, node: u32, end: u32, w: u64, task: Option<u64>) {
        for (of, (write, from)) in self.socket_of(end).writes.all() {
            let record = &self.process.records[(write - self.process.first) as usize];
            let counts = match task {
                None => !matches!(record.what, What::Note { .. }),
                Some(_) => from < w || of == task,
            };
            if write != node && counts {
                self.edge(write, node, Why::Socket);
            }
        }
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
        let shutdown = end.shutdown;
        self.edge(created, node, Why::Socket);
        if let Some((_, shutdown)) = shutdown {
            self.edge(shutdown, node, Why::Socket);
        }
        for (_, recv) in self.socket_of(index).recvs.all() {
            self.edge(recv, node, Why::Socket);
        }
        self.ended_writes(node, index, w, record.task);
        // A close by lonet itself may come before or after what tasks were about to read, as time
        // has it: only what is in the trace anyway orders it.
        let &mut Socket { certain, eof, .. } = self.socket_of(index);
        if record.task.is_some() && certain > 0 {
            self.into.credits.push(Credit {
                reader: node,
                end: index,
                is_certain: true,
                certain,
                all: certain,
                eof,
            });
        }
    }

    /// A port is given. If it was not requested, another run may give another port.
    fn take_port(&mut self, addr: &lonet::Addr, node: u32, is_asked_for: bool) {
        let key = (self.host(node), addr.port());
        match self.released.remove(&key) {
            Some(freed) if is_asked_for => self.edge(freed, node, Why::Port),
            Some(freed) => self.edge_in_run(freed, node),
            None => {}
        }
    }

    fn free_port(&mut self, addr: &lonet::Addr, node: u32) {
        let key = (self.host(node), addr.port());
        self.released.insert(key, node);
    }

    fn blame(&mut self, what: String) {
        let name = process::name(self.process.process);
        let index = self.process.index as usize;
        self.into
            .problems
            .blame(vec![index], format!("{name} {what}"));
    }

    fn unknown(&mut self, what: &'static str, n: u64) {
        self.unknown.entry(what).or_insert((n, 0)).1 += 1;
    }
}

/// The key of the connection that a record reports.
fn key_of(record: &Record) -> Option<&str> {
    match &record.what {
        What::Link { key: c, .. } | What::Accept { key: c, .. } | What::Connect { key: c, .. } => {
            Some(c)
        }
        _ => None,
    }
}
