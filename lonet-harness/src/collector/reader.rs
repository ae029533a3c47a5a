//! The reader: reads what the processes of a scenario send, as soon as they send it.
//!
//! Owns every descriptor between the test's process and the others. It reads into buffers and passes
//! on whole lines. It never matches, never waits for the rest of a line, never waits until what it
//! writes is read, and takes no lock that a reporter holds. A reporter's line has at most 1 MiB. The
//! lines of nodes and of the supervisor, which are our own, may be as long as an argument or a value.

mod reading;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{MsgFlags, getsockopt, send, sockopt};

use self::reading::{LINE, Reading, Source};
use super::query::Query;
use crate::process::output::Output;

/// A connection, by the number that the reader knows it by.
pub(crate) type Conn = u64;

/// What the reader hands on, in the order in which it came.
pub(crate) enum Input {
    /// A process has connected; its pid as seen from here.
    Opened { conn: Conn, door: Door, pid: u32 },
    /// Whole lines.
    Lines { conn: Conn, bytes: Vec<u8> },
    /// A line of a reporter is too long and is left out. This is its beginning.
    TooLong { conn: Conn, begin: Vec<u8> },
    /// A connection can't be accepted, for want of descriptors or memory.
    NotAccepted(io::Error),
    /// What a node printed, to be shown at once.
    Printed { conn: Conn, bytes: Vec<u8> },
    /// A connection's end, with the beginning of an unfinished line. That does not count as a line:
    /// a process that was killed while writing it had not yet done what it reports.
    Closed { conn: Conn, half: Vec<u8> },
    /// Everything that had been sent when the cut was ordered has been passed on.
    Cut(u64),
    /// A question, asked after such a cut.
    Query(Query),
    /// The last message.
    End,
}

/// Where processes connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Door {
    /// `trace.sock`: reporters.
    Trace,
    /// `control.sock`: nodes that show their tickets.
    Control,
}

/// A command to the reader.
enum Order {
    Attach(Conn, Source),
    Write(Conn, Vec<u8>),
    Cut(u64),
    Query(Query),
    End,
}

/// The way to the reader, from any thread.
#[derive(Clone)]
pub(crate) struct Mailbox(Arc<Shared>);

struct Shared {
    orders: Mutex<Sender<Order>>,
    wake: EventFd,
    conns: AtomicU64,
}

impl Mailbox {
    /// Has the reader read a socket, line by line.
    pub(crate) fn attach(&self, socket: UnixStream) -> Conn {
        self.attach_source(Source::Lines(socket))
    }

    /// Has the reader drain the pipe into which a node prints.
    pub(crate) fn attach_output(&self, pipe: OwnedFd, into: Arc<Mutex<Output>>) -> Conn {
        self.attach_source(Source::Output(pipe, into))
    }

    /// Writes, after everything queued there before, without waiting.
    pub(crate) fn write(&self, conn: Conn, bytes: Vec<u8>) {
        self.order(Order::Write(conn, bytes));
    }

    /// Has everything handed on that has been sent by now, and then that number.
    pub(crate) fn cut(&self, number: u64) {
        self.order(Order::Cut(number));
    }

    /// Asks the analyst, which will first receive everything that has been sent by now.
    pub(crate) fn ask(&self, query: Query) {
        self.order(Order::Query(query));
    }

    /// Ends the reader, and the analyst.
    pub(crate) fn end(&self) {
        self.order(Order::End);
    }

    fn attach_source(&self, source: Source) -> Conn {
        let conn = self.0.conns.fetch_add(1, Ordering::Relaxed);
        self.order(Order::Attach(conn, source));
        conn
    }

    fn order(&self, order: Order) {
        let orders = self.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        // After the reader's end nothing is answered any more; a question's answer is then that
        // it was dropped.
        let _ = orders.send(order);
        drop(orders);
        let _ = self.0.wake.write(1);
    }
}

/// How much is read of one source before others get their turn.
const TURN: usize = 1 << 20;

/// How much is read of one source for a cut: more than any socket holds unread, so that a process
/// that never stops talking can't hold a cut up.
const CUT: usize = 8 << 20;

/// Reads; see the module.
pub(crate) struct Reader {
    epoll: Epoll,
    mailbox: Mailbox,
    orders: Receiver<Order>,
    inputs: Sender<Input>,
    sources: BTreeMap<Conn, Reading>,
    /// The doors where a process waits that could not be taken in.
    not_accepting: Vec<Conn>,
    scratch: Vec<u8>,
}

impl Reader {
    /// A reader at these doors.
    pub(crate) fn new(
        doors: Vec<(Door, UnixListener)>,
    ) -> io::Result<(Reader, Mailbox, Receiver<Input>)> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        let (order, orders) = channel();
        let (send, inputs) = channel();
        let mailbox = Mailbox(Arc::new(Shared {
            orders: Mutex::new(order),
            wake,
            conns: AtomicU64::new(1),
        }));
        for (door, listener) in doors {
            mailbox.attach_source(Source::Door(door, listener));
        }
        let reader = Reader {
            epoll,
            mailbox: mailbox.clone(),
            orders,
            inputs: send,
            sources: BTreeMap::new(),
            not_accepting: Vec::new(),
            scratch: vec![0; 64 * 1024],
        };
        Ok((reader, mailbox, inputs))
    }

    /// Reads until the command to end.
    pub(crate) fn run(mut self) {
        let mut events = vec![EpollEvent::empty(); 64];
        loop {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(_) => break,
            };
            let mut woken = false;
            for event in &events[..ready] {
                match event.data() {
                    0 => woken = true,
                    conn => {
                        if event.events().contains(EpollFlags::EPOLLOUT) {
                            self.write_on(conn);
                        }
                        self.read(conn, TURN, event.events());
                    }
                }
            }
            if woken && !self.obey() {
                break;
            }
        }
        let _ = self.inputs.send(Input::End);
    }

    /// Executes the pending commands. False at the end.
    fn obey(&mut self) -> bool {
        let _ = self.mailbox.0.wake.read();
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Attach(conn, source) => self.attach(conn, source, usize::MAX),
                Order::Write(conn, bytes) => {
                    if let Some(reading) = self.sources.get_mut(&conn) {
                        match reading.unwritten.is_empty() {
                            true => reading.unwritten = bytes,
                            false => reading.unwritten.extend_from_slice(&bytes),
                        }
                        self.write_on(conn);
                    }
                }
                Order::Cut(number) => {
                    self.cut();
                    self.send(Input::Cut(number));
                }
                Order::Query(query) => {
                    self.cut();
                    self.send(Input::Query(query));
                }
                Order::End => {
                    self.cut();
                    return false;
                }
            }
        }
        true
    }

    /// Accepts pending connections, and reads every connection to the end of its data. The
    /// system is asked once which connections have data: what was written before is there, and a
    /// hundred connections may have none.
    fn cut(&mut self) {
        let newest = self.sources.keys().next_back().copied().unwrap_or(0);
        let mut events = vec![EpollEvent::empty(); self.sources.len() + 1];
        let ready = loop {
            match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
                Ok(ready) => break ready,
                Err(Errno::EINTR) => {}
                // Then the reader's own wait fails, too, and it ends.
                Err(_) => return,
            }
        };
        for door in std::mem::take(&mut self.not_accepting) {
            self.accept(door);
        }
        // 0 is the bell that calls for such orders.
        for event in events[..ready].iter().filter(|event| event.data() != 0) {
            self.read(event.data(), CUT, event.events());
        }
        // The connections accepted just now: nothing is known of their state, so that their end
        // is looked for, too.
        let new: Vec<Conn> = self
            .sources
            .range(newest + 1..)
            .map(|(&conn, _)| conn)
            .collect();
        for conn in new {
            self.read(conn, CUT, EpollFlags::EPOLLHUP);
        }
    }

    fn attach(&mut self, conn: Conn, source: Source, most: usize) {
        // A listener reports new connections once: then all are accepted. If that fails, it is tried
        // again when there is reason to, and not all the time.
        let flags = match source {
            Source::Door(..) => EpollFlags::EPOLLIN | EpollFlags::EPOLLET,
            Source::Lines(_) | Source::Output(..) => EpollFlags::EPOLLIN,
        };
        let added = source.set_nonblocking().and_then(|()| {
            let event = EpollEvent::new(flags, conn);
            source.add_to(&self.epoll, event).map_err(io::Error::from)
        });
        match added {
            Ok(()) => {
                let reading = Reading {
                    source,
                    line: Vec::new(),
                    most,
                    skips: false,
                    unwritten: Vec::new(),
                    written: 0,
                    blocked: false,
                    shown: 0,
                };
                self.sources.insert(conn, reading);
            }
            Err(_) => self.send(Input::Closed {
                conn,
                half: Vec::new(),
            }),
        }
    }

    /// Reads at most so much of one that is in that state.
    fn read(&mut self, conn: Conn, most: usize, state: EpollFlags) {
        // The other end is closed: its end is to be read, too.
        let gone = state.contains(EpollFlags::EPOLLHUP);
        let Some(reading) = self.sources.get_mut(&conn) else {
            return;
        };
        let mut left = most;
        while left > 0 {
            let got = match &mut reading.source {
                Source::Door(..) => return self.accept(conn),
                Source::Lines(socket) => (&*socket).read(&mut self.scratch),
                Source::Output(pipe, _) => {
                    nix::unistd::read(pipe.as_fd(), &mut self.scratch).map_err(io::Error::from)
                }
            };
            match got {
                // A pipe that no process has opened yet looks like one that all have closed.
                Ok(0) if matches!(reading.source, Source::Output(..)) && !gone => return,
                Ok(0) => return self.close(conn),
                Ok(n) => {
                    left = left.saturating_sub(n);
                    reading.take(conn, &self.scratch[..n], &self.inputs);
                    // There was no more.
                    if n < self.scratch.len() && !gone {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A reset is an end: what was sent before it has been read.
                Err(_) => return self.close(conn),
            }
        }
    }

    fn accept(&mut self, door: Conn) {
        loop {
            let Some(Reading {
                source: Source::Door(kind, listener),
                ..
            }) = self.sources.get(&door)
            else {
                return;
            };
            let kind = *kind;
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    self.not_accepting.push(door);
                    return self.send(Input::NotAccepted(error));
                }
            };
            let pid = getsockopt(&socket, sockopt::PeerCredentials)
                .map_or(0, |peer| peer.pid().cast_unsigned());
            let conn = self.mailbox.0.conns.fetch_add(1, Ordering::Relaxed);
            self.send(Input::Opened {
                conn,
                door: kind,
                pid,
            });
            let most = match kind {
                Door::Trace => LINE,
                Door::Control => usize::MAX,
            };
            self.attach(conn, Source::Lines(socket), most);
        }
    }

    fn write_on(&mut self, conn: Conn) {
        let Some(reading) = self.sources.get_mut(&conn) else {
            return;
        };
        let Source::Lines(socket) = &reading.source else {
            return;
        };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        while reading.written < reading.unwritten.len() {
            let rest = &reading.unwritten[reading.written..];
            match send(socket.as_raw_fd(), rest, flags) {
                Ok(n) => reading.written += n,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                // If the other end is gone, reading from it reports that.
                Err(_) => {
                    reading.written = reading.unwritten.len();
                }
            }
        }
        // Not piece by piece: each would move all that comes behind it.
        if reading.written == reading.unwritten.len() {
            reading.unwritten = Vec::new();
            reading.written = 0;
        }
        let blocked = !reading.unwritten.is_empty();
        if blocked != reading.blocked {
            reading.blocked = blocked;
            let mut flags = EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLOUT, blocked);
            let _ = self.epoll.modify(socket, &mut EpollEvent::new(flags, conn));
        }
    }

    fn close(&mut self, conn: Conn) {
        // Closing the descriptor ends its place in the epoll.
        if let Some(reading) = self.sources.remove(&conn) {
            let half = reading.line;
            self.send(Input::Closed { conn, half });
            // There is a descriptor more.
            drop(reading.source);
            for door in std::mem::take(&mut self.not_accepting) {
                self.accept(door);
            }
        }
    }

    fn send(&self, input: Input) {
        // Without an analyst there is no receiver.
        let _ = self.inputs.send(input);
    }
}

/// The first line, without its end; the rest stays. The standard library, which is optimised where
/// this is not, looks for the end: a line may have megabytes.
pub(super) fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let lines = *rest;
    let length = rest.skip_until(b'\n').expect("a slice can always be read");
    let line = &lines[..length];
    line.strip_suffix(b"\n").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Of a process that is over before anybody has looked: a cut takes in all of it.
    #[test]
    fn a_cut_reads_connections_that_wait_to_be_accepted() {
        let path = std::env::temp_dir().join(format!("lonet-door-{}", std::process::id()));
        let doors = vec![(Door::Trace, UnixListener::bind(&path).unwrap())];
        let (mut reader, mailbox, inputs) = Reader::new(doors).unwrap();
        let mut process = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        process.write_all(b"one\ntwo\nhal").unwrap();
        drop(process);
        mailbox.cut(7);
        assert!(reader.obey());
        let inputs: Vec<String> = inputs
            .try_iter()
            .map(|input| match input {
                Input::Opened { pid, .. } => format!("opened {}", pid == std::process::id()),
                Input::Lines { bytes, .. } => String::from_utf8(bytes).unwrap(),
                Input::Closed { half, .. } => format!("half {}", half.len()),
                Input::Cut(number) => format!("cut {number}"),
                _ => "other".to_owned(),
            })
            .collect();
        assert_eq!(inputs, ["opened true", "one\ntwo\n", "half 3", "cut 7"]);
    }

    /// A connection that closes frees a descriptor: a connection that could not be accepted for want
    /// of one is accepted now, though no new one arrives.
    #[test]
    fn a_closed_connection_lets_a_pending_one_in() {
        let path = std::env::temp_dir().join(format!("lonet-waits-{}", std::process::id()));
        let doors = vec![(Door::Trace, UnixListener::bind(&path).unwrap())];
        let (mut reader, mailbox, inputs) = Reader::new(doors).unwrap();
        let (mine, _other) = UnixStream::pair().unwrap();
        let leaves = mailbox.attach(mine);
        assert!(reader.obey());
        let door = *reader.sources.keys().next().unwrap();
        let _process = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        reader.not_accepting.push(door);
        reader.close(leaves);
        let inputs: Vec<_> = inputs.try_iter().collect();
        assert!(
            matches!(
                inputs[..],
                [Input::Closed { conn, .. }, Input::Opened { door: Door::Trace, .. }] if conn == leaves
            ),
            "{}",
            inputs.len()
        );
        assert!(reader.not_accepting.is_empty());
    }
}
