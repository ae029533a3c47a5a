//! The client of a network's `trace.sock`: a sink that writes lines, `until` as a request, and the
//! one place where a process obeys the collector's orders.
//!
//! Owns the connection. One a process and network, and one for each process that this one carries;
//! after a fork the child opens its own. When the collector is gone, tracing goes off and every
//! operation goes on.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{O_DIRECTORY, O_NOFOLLOW};
use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::geteuid;
use tokio::sync::oneshot;

use super::gate::Gate;
use super::ids::EventId;
use super::orders::Standing;
use super::record::{Answer, Ask, Hello, Line, Order, PROTOCOL_VERSION, Record, Waiting as Waits};
use super::reporter::{Reporter, Sink};

/// The name of the socket in a network's directory.
pub const SOCKET_NAME: &str = "trace.sock";

/// The name of the file in a network's directory that asks for `send` and `recv`.
pub const DATA_NAME: &str = "trace.data";

/// The name of the file in a network's directory with the names of hosts that come later, one a line.
pub const NAMES_NAME: &str = "trace.names";

/// How long a collector is waited for whose queue is full, in seconds. It does nothing but read, so
/// there is room again in microseconds, unless its process is stopped.
const PATIENCE: i64 = 2;

/// The name of the file in a network's directory that says that the collector gives orders about the
/// network: a process that joins waits for them.
pub const ORDERS_NAME: &str = "trace.orders";

/// How long a join waits for its orders, in seconds: those of a test's process come at once, unless it
/// is stopped.
const ORDERS_WITHIN: u64 = 10;

/// How many of its operations a process reports when it is asked what it waits for: a line has at
/// most 1 MiB.
const MOST_WAITS: usize = 1000;

/// A connection to a collector.
pub struct TraceSocket {
    dir: PathBuf,
    writer: Mutex<Writer>,
    asked: AtomicU64,
    waiting: Arc<Waiting>,
    /// What reports the operations that this process waits for, if that is answered here.
    asked_of: Mutex<Weak<Reporter>>,
    first_orders: Mutex<Option<mpsc::Sender<()>>>,
}

struct Writer {
    /// `None` once the collector is gone.
    stream: Option<UnixStream>,
    pid: u32,
    reads_orders: bool,
}

#[derive(Default)]
struct Waiting(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    gone: bool,
}

/// What a process has of a traced network.
#[derive(Clone)]
pub struct Tracing {
    /// Numbers this process's records on that network.
    pub reporter: Arc<Reporter>,
    /// Where they go.
    pub socket: Arc<TraceSocket>,
}

impl Tracing {
    /// This process's connection to the collector of the network with that directory: an open one,
    /// or a new one. `None` if the network isn't traced.
    ///
    /// # Errors
    ///
    /// The system's, when there is a socket that can't be reached for another reason than that
    /// nothing listens there any more.
    pub fn of(dir: &Path) -> io::Result<Option<Tracing>> {
        Tracing::open(dir, true)
    }

    /// The same, for the collector's own process, which takes no orders: one thread less.
    ///
    /// # Errors
    ///
    /// As [`of`](Tracing::of).
    pub fn without_orders(dir: &Path) -> io::Result<Option<Tracing>> {
        Tracing::open(dir, false)
    }

    /// A connection and a reporter of its own, for the process of that number in the scenario, which
    /// this process carries: its events, its faults and what it waits for are its own.
    ///
    /// # Errors
    ///
    /// As [`of`](Tracing::of).
    pub(crate) fn carrying(dir: &Path, process: u64) -> io::Result<Option<Tracing>> {
        Tracing::connect(dir, true, Some(process))
    }

    fn open(dir: &Path, answers: bool) -> io::Result<Option<Tracing>> {
        let open = opened(dir);
        // Held while connecting, which may take a while: a concurrent join of the same network gets
        // the same reporter, and a join of another network does not wait.
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(reporter), Some(socket)) = (open.0.upgrade(), open.1.upgrade()) {
            return Ok(Some(Tracing { reporter, socket }));
        }
        let tracing = Tracing::connect(dir, answers, None)?;
        if let Some(Tracing { reporter, socket }) = &tracing {
            *open = (Arc::downgrade(reporter), Arc::downgrade(socket));
        }
        Ok(tracing)
    }

    /// Connects, says who reports, and waits for the orders that stand.
    fn connect(dir: &Path, answers: bool, carries: Option<u64>) -> io::Result<Option<Tracing>> {
        let Some(socket) = TraceSocket::connect(dir)? else {
            return Ok(None);
        };
        let socket = Arc::new(socket);
        let reporter = match carries {
            None => Reporter::behind(Gate::new(), socket.clone()),
            Some(_) => Reporter::carrying(socket.clone()),
        };
        let teller = Arc::downgrade(&socket);
        reporter.gate().tell_by(move |line| {
            if let Some(socket) = teller.upgrade() {
                socket.write(&mut socket.lock(), &line);
            }
        });
        if dir.join(DATA_NAME).exists() {
            reporter.record_data();
        }
        if answers {
            *socket.asked_of() = Arc::downgrade(&reporter);
            let first = socket.first_orders();
            // A process that can't have a thread says that it obeys nothing.
            let obeys = socket.read_orders(&mut socket.lock()).is_ok();
            let gates = obeys && dir.join(ORDERS_NAME).exists();
            socket.write(&mut socket.lock(), &hello(obeys, gates, carries));
            if gates {
                // What this process does from here on is under the faults that stand.
                first.recv_timeout(Duration::from_secs(ORDERS_WITHIN)).map_err(|_| {
                    io::Error::other(format!(
                        "the process that collects the trace at {} has sent no orders for {ORDERS_WITHIN} s",
                        dir.join(SOCKET_NAME).display()
                    ))
                })?;
            }
        } else {
            socket.write(&mut socket.lock(), &hello(false, false, carries));
        }
        Ok(Some(Tracing { reporter, socket }))
    }
}

/// What this process has of a network's trace.
type Opened = Arc<Mutex<(Weak<Reporter>, Weak<TraceSocket>)>>;

/// What this process has of the trace of the network with that directory.
fn opened(dir: &Path) -> Opened {
    static OPENED: Mutex<BTreeMap<PathBuf, Opened>> = Mutex::new(BTreeMap::new());
    let mut networks = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    // Of others, only what is open, or being opened.
    networks.retain(|other, open| {
        other == dir
            || Arc::strong_count(open) > 1
            || open.try_lock().is_ok_and(|open| open.0.strong_count() > 0)
    });
    networks.entry(dir.to_owned()).or_default().clone()
}

impl TraceSocket {
    fn connect(dir: &Path) -> io::Result<Option<TraceSocket>> {
        let Some(stream) = dial(dir)? else {
            return Ok(None);
        };
        let writer = Writer {
            stream: Some(stream),
            pid: std::process::id(),
            reads_orders: false,
        };
        let socket = TraceSocket {
            dir: dir.to_owned(),
            writer: Mutex::new(writer),
            asked: AtomicU64::new(0),
            waiting: Arc::default(),
            asked_of: Mutex::default(),
            first_orders: Mutex::default(),
        };
        Ok(Some(socket))
    }

    /// Where it is said that the first orders are in force.
    fn first_orders(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel();
        let first = self.first_orders.lock();
        *first.unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Asks the collector for the first event that matches `pattern`, and waits for its answer.
    ///
    /// # Errors
    ///
    /// `NotConnected` when the collector is gone. That no event matched is an [`Answer`].
    ///
    /// # Cancel safety
    ///
    /// Safe: an answer without a receiver is dropped.
    pub async fn ask(
        self: &Arc<Self>,
        pattern: &str,
        after: Option<EventId>,
    ) -> io::Result<Answer> {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the collector is gone");
        let id = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = oneshot::channel();
        {
            let mut writer = self.lock();
            self.read_orders(&mut writer)?;
            let mut answers = self.waiting.lock();
            if answers.gone {
                return Err(gone());
            }
            answers.waiting.insert(id, sender);
            drop(answers);
            let ask = Ask {
                id,
                until: pattern.to_owned(),
                after,
            };
            self.write(&mut writer, &Line::Ask(ask));
        }
        receiver.await.map_err(|_| gone())
    }

    /// Starts the thread that reads orders, unless it runs.
    fn read_orders(self: &Arc<Self>, writer: &mut Writer) -> io::Result<()> {
        if writer.reads_orders {
            return Ok(());
        }
        let Some(stream) = &writer.stream else {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the collector is gone",
            ));
        };
        let stream = stream.try_clone()?;
        let waiting = self.waiting.clone();
        // Not to keep open what only this thread would still have.
        let socket = Arc::downgrade(self);
        thread::Builder::new()
            .name("lonet-orders".into())
            .spawn(move || {
                for line in BufReader::new(stream).lines() {
                    let Ok(line) = line else { break };
                    match serde_json::from_str(&line) {
                        Ok(Order::Waits(id)) => {
                            if let Some(socket) = socket.upgrade() {
                                socket.say_waits(id);
                            }
                        }
                        Ok(Order::Network(orders)) => {
                            if let Some(socket) = socket.upgrade() {
                                socket.obey(orders);
                            }
                        }
                        Ok(Order::Answer(answer)) => {
                            if let Some(sender) = waiting.lock().waiting.remove(&answer.id) {
                                // The task that asked may have given up.
                                let _ = sender.send(answer);
                            }
                        }
                        // Of a collector that can more than this reporter.
                        Err(_) => {}
                    }
                }
                // No more orders will come.
                if let Some(reporter) = socket
                    .upgrade()
                    .and_then(|socket| socket.asked_of().upgrade())
                {
                    reporter.gate().open();
                }
                let mut answers = waiting.lock();
                answers.gone = true;
                answers.waiting.clear();
            })?;
        writer.reads_orders = true;
        Ok(())
    }

    /// Answers what this process waits for.
    fn say_waits(&self, id: u64) {
        let Some(reporter) = self.asked_of().upgrade() else {
            return;
        };
        let mut doing = reporter.doing();
        doing.ops.truncate(MOST_WAITS);
        doing.ends.truncate(MOST_WAITS);
        self.write(&mut self.lock(), &Line::Waits(Waits { id, doing }));
    }

    /// Obeys, and says so.
    fn obey(&self, orders: Arc<Standing>) {
        let Some(reporter) = self.asked_of().upgrade() else {
            return;
        };
        let obeyed = reporter.obey(orders);
        self.write(&mut self.lock(), &Line::Obeyed(obeyed));
        let first = self.first_orders.lock();
        if let Some(first) = first.unwrap_or_else(PoisonError::into_inner).take() {
            // A join that waits no more has failed.
            let _ = first.send(());
        }
    }

    fn asked_of(&self) -> MutexGuard<'_, Weak<Reporter>> {
        self.asked_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line as a whole, or turns tracing off.
    fn write(&self, writer: &mut Writer, line: &Line) {
        if writer.pid != std::process::id() {
            writer.pid = std::process::id();
            writer.reads_orders = false;
            writer.stream = dial(&self.dir).ok().flatten();
            // Of the parent's threads the child has none.
            self.put(writer, &hello(false, false, None));
        }
        self.put(writer, line);
    }

    fn put(&self, writer: &mut Writer, line: &Line) {
        let Some(stream) = &writer.stream else { return };
        let Ok(mut bytes) = serde_json::to_vec(line) else {
            return;
        };
        bytes.push(b'\n');
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match send(stream.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::EINTR) => {}
                Err(_) => {
                    writer.stream = None;
                    return;
                }
            }
        }
    }
}

impl Sink for TraceSocket {
    fn record(&self, record: Record) {
        let mut writer = self.lock();
        if writer.stream.is_some() {
            self.write(&mut writer, &Line::Ev(record));
        }
    }
}

impl Drop for TraceSocket {
    fn drop(&mut self) {
        // Ends the thread that reads orders, which has a descriptor of its own.
        if let Some(stream) = &self.lock().stream {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to the directory's socket. `None`: there is none, or nothing listens on it.
fn dial(dir: &Path) -> io::Result<Option<UnixStream>> {
    let absent = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
        _ => Err(error),
    };
    // A socket's address holds 108 bytes; the way through the descriptor is short.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW);
    let directory = match options.open(dir) {
        Ok(directory) => directory,
        Err(error) => return absent(error),
    };
    // Its path may lead elsewhere by now, if the directory that it lies in is another user's.
    if directory.metadata()?.uid() != geteuid().as_raw() {
        let what = format!("{} now belongs to another user", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
    let addr = UnixAddr::new(path.as_str())?;
    let fd = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // A connect waits for room in the listener's queue, and has no bound but this one.
    setsockopt(&fd, SendTimeout, &TimeVal::seconds(PATIENCE))?;
    loop {
        match connect(fd.as_raw_fd(), &addr) {
            Ok(()) => break,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let what = format!(
                    "{} has accepted no connection for {PATIENCE} s; the process that collects the trace is stopped or hangs",
                    dir.join(SOCKET_NAME).display()
                );
                return Err(io::Error::other(what));
            }
            Err(error) => return absent(error.into()),
        }
    }
    // None for what is written.
    setsockopt(&fd, SendTimeout, &TimeVal::seconds(0))?;
    Ok(Some(UnixStream::from(fd)))
}

fn hello(waits: bool, gates: bool, carries: Option<u64>) -> Line {
    use std::hash::{BuildHasher, RandomState};
    Line::Hello(Hello {
        version: PROTOCOL_VERSION,
        // Only ever compared; 53 bits for readers of other languages.
        nonce: RandomState::new().hash_one(std::process::id()) >> 11,
        host: std::env::var("LONET_HOST")
            .ok()
            .filter(|host| !host.is_empty()),
        waits,
        gates,
        carries,
    })
}
