//! The socket rule: what a record comes after because of its socket, its listener or its port.
//!
//! Pure. Owns what is known of each end while its process is read.

use std::collections::BTreeMap;

use lonet::trace::{Record, Verb, What};

use super::Gathering;
use crate::trace::happened::gathered::{Credit, End, Gathered, Write};
use crate::trace::happened::relation::Why;
use crate::trace::intern::symbols::Symbol;

/// What is known of an end while its process is read.
pub(super) struct Socket {
    /// By task, the latest write and its first byte; and whose the latest of all is.
    writes: PerTask<(u32, u64)>,
    last_write: u32,
    recvs: PerTask<u32>,
    certain: u64,
    eof: bool,
    written: u64,
    /// A reset has ended it: that tells nothing of what the other side did.
    pub(super) is_reset: bool,
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

impl Gathering<'_, '_> {
    /// How far each socket has been read by anyone, for its close.
    pub(super) fn reads_seen(&mut self, record: &Record) {
        for read in record.reads.iter().chain(&record.reads_beside) {
            if let Some(&end) = self.sockets.get(&read.socket) {
                let (certain, eof) = self.of_peer(end, read);
                let socket = self.socket_of(end);
                socket.certain = socket.certain.max(certain);
                socket.eof |= eof;
            }
        }
    }

    pub(super) fn socket_of(&mut self, end: u32) -> &mut Socket {
        &mut self.open[(end - self.first_end) as usize]
    }

    /// What a record says of its socket and its port.
    pub(super) fn socket(&mut self, node: u32, record: &Record) {
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
            What::Link { dial: d, key } => {
                let key = self.into.keys.intern(key);
                match self.dial(*d, node) {
                    Some(dial) => self.into.links.push((key, dial)),
                    None => self.unknown("the link of a dial", record.n),
                }
            }
            What::Accept {
                addr: a,
                listener: l,
                socket: s,
                key,
                ..
            } => {
                self.take_port(a, node, false);
                match self.listeners.get(l) {
                    Some(&listener) => self.edge(listener, node, Why::Socket),
                    None => self.unknown("the accept of a listener", record.n),
                }
                self.open(node, *s, key, false);
            }
            What::Connect {
                dial: d,
                socket: s,
                key,
                ..
            } => {
                match self.dial(*d, node) {
                    Some(dial) => self.edge(dial, node, Why::Connection),
                    None => self.unknown("the connect of a dial", record.n),
                }
                self.open(node, *s, key, true);
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

    fn open(&mut self, node: u32, s: u64, key: &str, is_dialer: bool) {
        let key = self.into.keys.intern(key);
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

    /// The host where an event happened.
    fn host(&self, node: u32) -> Symbol {
        let Gathered {
            labels, label_of, ..
        } = &*self.into;
        labels.head(label_of[node as usize]).host
    }
}
