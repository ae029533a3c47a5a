//! One network with its collector, from start to end, and what all handles of it share.
//!
//! Owns the directory, the threads and the order in which they start and end; the numbers given to
//! processes and tickets; and that what a task learns by an answer comes before all that it does
//! next. Keeps no record: those are the collector's. What a test does meanwhile belongs to
//! `scenario`, which this does not know.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lonet::__private::NetworkDir;
use lonet::SubNetwork;
use lonet::trace::{Event, EventId, NAMES_NAME, ORDERS_NAME, SOCKET_NAME, TaskKey, Tracing, What};
use nix::sys::signal::Signal;
use tokio::sync::{OnceCell, oneshot};

use crate::collector::query::Launch;
use crate::collector::query::{Effect, End, Query, Refusal, Report, Wanted};
use crate::collector::{Analyst, Door, Mailbox, Reader};
use crate::deadline::{self, GRACE};
use crate::error::{Error, ErrorKind};
use crate::names::Names;
use crate::process::Entrance;
use crate::process::launch::Inherited;
use crate::process::limits;
use crate::process::wire::CONTROL_SOCKET;
use crate::report::artifacts::Refused;
use crate::trace::Pattern;
use crate::trace::update::learning::Learning;

/// How long processes may take to obey at the end of a test. They do at once, unless they hang.
const OBEYS: Duration = Duration::from_secs(5);

/// A network that is up, with its collector.
pub(crate) struct Session {
    inner: Arc<Inner>,
    directory: NetworkDir,
    reader: JoinHandle<()>,
    analyst: JoinHandle<()>,
}

impl Session {
    /// A fresh network, with its collector; `artifacts` is where what is kept of it goes.
    pub(crate) fn start(
        artifacts: PathBuf,
        entrance: Entrance,
        starts_processes: bool,
    ) -> Result<Session, Error> {
        limits::raise_descriptors();
        let directory = NetworkDir::random()
            .map_err(|cause| Error::new(ErrorKind::Network, cause.to_string()))?;
        let path = directory.path().to_owned();
        // Before anyone can find the socket.
        std::fs::write(directory.reach().join(ORDERS_NAME), "")?;
        let doors = vec![
            (Door::Trace, bind(&directory, SOCKET_NAME)?),
            (Door::Control, bind(&directory, CONTROL_SOCKET)?),
        ];
        let (reader, mailbox, heard) = Reader::new(doors)?;
        let reader = std::thread::Builder::new()
            .name("lonet-reader".into())
            .spawn(move || reader.run())?;
        // The first to connect, so that its events are those of process 0.
        let tracing = Tracing::without_orders(&path)?
            .ok_or_else(|| io::Error::other("the trace socket exists but can't be reached"))?;
        let analyst = Analyst::new(mailbox.clone(), tracing.reporter.clone(), &path);
        let analyst = std::thread::Builder::new()
            .name("lonet-analyst".into())
            .spawn(move || analyst.run(&heard, starts_processes))?;
        let name = directory.name().to_owned();
        let inner = Inner::new(path, name, mailbox, tracing, artifacts, entrance);
        Ok(Session {
            inner: Arc::new(inner),
            directory,
            reader,
            analyst,
        })
    }

    /// What its handles share.
    pub(crate) fn inner(&self) -> Arc<Inner> {
        self.inner.clone()
    }

    /// Stops what still runs, and ends everything. What there is to say of all.
    pub(crate) fn end(self) -> Report {
        let Session {
            inner,
            directory,
            reader,
            analyst,
        } = self;
        stop_leftovers(&inner);
        let report = inner.report();
        inner.mailbox.end();
        // Neither thread panics but by our own mistake, which has been shown then.
        let _ = reader.join();
        let _ = analyst.join();
        let keep = std::env::var_os("LONET_KEEP").is_some_and(|keep| keep == "1");
        if keep {
            let path = directory.path().display().to_string();
            match directory.keep() {
                Ok(()) => eprintln!("the network's directory is kept: {path}"),
                Err(error) => eprintln!("the network's directory is not kept: {error}"),
            }
        }
        report.unwrap_or_else(|_| Report::default())
    }
}

/// Binds a socket in a directory whose path may be longer than a socket's address can hold, and may
/// lead elsewhere by now.
fn bind(directory: &NetworkDir, name: &str) -> io::Result<UnixListener> {
    UnixListener::bind(directory.reach().join(name))
}

/// Asks what still runs to finish, and kills what does not.
fn stop_leftovers(inner: &Inner) {
    let Ok(report) = inner.report() else { return };
    let running: Vec<u64> = report
        .nodes
        .iter()
        .filter(|n| n.ended.is_none())
        .map(|n| n.process)
        .collect();
    if running.is_empty() {
        return;
    }
    let grace = deadline::scaled(GRACE).unwrap_or(GRACE);
    for &process in &running {
        inner.mailbox.ask(Query::Terminate { process });
    }
    let left = wait(inner, &running, grace);
    for &process in &left {
        let (reply, _) = oneshot::channel();
        let signal = Signal::SIGKILL as i32;
        inner.mailbox.ask(Query::Signal {
            process,
            signal,
            until: Effect::Killed,
            reply,
        });
    }
    // Should that not do, the supervisor's end will.
    wait(inner, &left, Duration::from_secs(5));
}

/// Waits for the end of processes; those that have not ended by then.
fn wait(inner: &Inner, processes: &[u64], patience: Duration) -> Vec<u64> {
    let until = Instant::now() + patience;
    let mut ends: Vec<(u64, std::sync::mpsc::Receiver<End>)> = Vec::new();
    for &process in processes {
        let (reply, end) = std::sync::mpsc::channel();
        inner.mailbox.ask(Query::Ended { process, reply });
        ends.push((process, end));
    }
    let still = |end: &std::sync::mpsc::Receiver<End>| {
        end.recv_timeout(until.saturating_duration_since(Instant::now()))
            .is_err()
    };
    ends.into_iter()
        .filter(|(_, end)| still(end))
        .map(|(process, _)| process)
        .collect()
}

/// What all handles of one scenario share.
pub(crate) struct Inner {
    /// The network's directory; it goes with the last handle, unless it is to be kept.
    pub(crate) directory: PathBuf,
    /// The network's name, which `join` takes.
    pub(crate) name: String,
    pub(crate) full_name: String,
    pub(crate) mailbox: Mailbox,
    pub(crate) tracing: Tracing,
    pub(crate) artifacts: PathBuf,
    /// Done once the test has asked where artifacts are: it may put something there.
    pub(crate) artifacts_made: OnceLock<()>,
    /// Whether the artifacts are wanted also if the test passes.
    pub(crate) keeps: AtomicBool,
    /// The latest expected trace that did not hold.
    pub(crate) refused: Mutex<Option<Refused>>,
    /// Where an update takes note of expected traces, if the test's body runs several times.
    pub(crate) learning: OnceLock<Arc<Learning>>,
    /// The event at which a sweep or a schedule has armed a fault.
    pub(crate) swept: OnceLock<Event>,
    /// This process's part of the network, once it has one.
    pub(crate) subnetwork: OnceCell<SubNetwork>,
    /// What its processes inherit, unless a change is sent to them.
    pub(crate) inherited: Inherited,
    /// Where roles can begin other than before `main`.
    pub(crate) entrance: Entrance,
    /// Where the test has called what has not returned yet.
    calls: Mutex<Calls>,
    names: Mutex<Names>,
    processes: AtomicU64,
    faults: AtomicU32,
    nonces: AtomicU64,
}

/// Calls, in the order in which they began, each with its place.
type Calls = BTreeMap<u64, &'static Location<'static>>;

/// A call that has not returned.
struct Call<'a> {
    calls: &'a Mutex<Calls>,
    number: u64,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.remove(&self.number);
    }
}

impl Inner {
    fn new(
        directory: PathBuf,
        name: String,
        mailbox: Mailbox,
        tracing: Tracing,
        artifacts: PathBuf,
        entrance: Entrance,
    ) -> Inner {
        use std::hash::{BuildHasher, RandomState};
        Inner {
            directory,
            full_name: format!("lonet{name}"),
            name,
            mailbox,
            tracing,
            artifacts,
            artifacts_made: OnceLock::new(),
            entrance,
            keeps: AtomicBool::new(false),
            refused: Mutex::default(),
            learning: OnceLock::new(),
            swept: OnceLock::new(),
            subnetwork: OnceCell::new(),
            inherited: Inherited::now(),
            calls: Mutex::default(),
            names: Mutex::default(),
            processes: AtomicU64::new(1),
            faults: AtomicU32::new(1),
            // A ticket must not be guessable by counting.
            nonces: AtomicU64::new(RandomState::new().hash_one(std::process::id())),
        }
    }

    /// The number of the next process.
    pub(crate) fn next_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of the next fault.
    pub(crate) fn next_fault(&self) -> u32 {
        self.faults.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_nonce(&self) -> u64 {
        self.nonces
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
    }

    /// Plays a call that the test made at that place: a failure of it names the place, and so does
    /// the page of a deadline that passes meanwhile.
    pub(crate) async fn called<T>(
        &self,
        place: &'static Location<'static>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let calls = &self.calls;
        let number = {
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            let number = calls.last_key_value().map_or(0, |(last, _)| last + 1);
            calls.insert(number, place);
            number
        };
        let _pending = Call { calls, number };
        call.await.map_err(|error| error.at(place))
    }

    /// The places of the test's calls that have not returned, in the order in which they began.
    pub(crate) fn pending_calls(&self) -> Vec<&'static Location<'static>> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.values().copied().collect()
    }

    /// The calling task did this.
    pub(crate) fn note(&self, what: What) -> EventId {
        let numbered = self.tracing.reporter.number(Some(TaskKey::current()), what);
        let id = EventId::from((0, numbered.n()));
        numbered.write();
        id
    }

    /// The same, of what has a line.
    pub(crate) fn note_event(&self, what: What) -> Event {
        let numbered = self.tracing.reporter.number(Some(TaskKey::current()), what);
        let event = numbered.event(0).expect("what the test does has a line");
        numbered.write();
        event
    }

    /// Everything in that event's past comes before what the calling task does next.
    pub(crate) fn learn(&self, event: EventId) {
        self.tracing.reporter.learn(event);
    }

    /// Asks, and waits for the answer, as an operation of the calling task.
    pub(crate) async fn ask<T>(
        &self,
        query: impl FnOnce(oneshot::Sender<T>) -> Query,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.ask(query(reply));
        let answer = self.tracing.reporter.operation().watch(answer).await;
        answer.map_err(|_| Error::over())
    }

    /// Asks for what is there to be said at once.
    pub(crate) fn ask_now<T>(
        &self,
        query: impl FnOnce(mpsc::Sender<T>) -> Query,
    ) -> Result<T, Error> {
        let (reply, answer) = mpsc::channel();
        self.mailbox.ask(query(reply));
        answer.recv().map_err(|_| Error::over())
    }

    /// Ends all faults; what is wrong with those that never acted.
    pub(crate) fn end_faults(&self) -> Vec<String> {
        let (reply, answer) = mpsc::channel();
        self.mailbox.ask(Query::EndFaults { reply });
        // A process that obeys nothing any more is about to be ended.
        answer.recv_timeout(OBEYS).unwrap_or_default()
    }

    pub(crate) fn report(&self) -> Result<Report, Error> {
        self.ask_now(|reply| Query::Report { reply })
    }

    /// Starts a process; its pid.
    pub(crate) async fn start(&self, launch: Launch) -> Result<u32, Error> {
        let launch = Box::new(launch);
        let pid = self.ask(|reply| Query::Start { launch, reply }).await??;
        Ok(pid)
    }

    pub(crate) async fn until(
        &self,
        text: &str,
        after: Option<EventId>,
        of: Option<u64>,
    ) -> Result<Event, Error> {
        let pattern = Pattern::parse(text)
            .map_err(|error| Error::new(ErrorKind::Pattern, error.of_pattern(text)))?;
        let wanted = Box::new(Wanted {
            text: text.to_owned(),
            pattern,
            after,
            of,
        });
        let event = self.ask(|reply| Query::Until { wanted, reply }).await?;
        let event = event.map_err(|refusal| match refusal {
            Refusal::Failed(failure) => Error::from(failure),
            Refusal::Breach(problem) => Error::new(ErrorKind::Trace, problem),
            Refusal::Over => Error::over(),
        })?;
        self.learn(event.id());
        Ok(event)
    }

    /// The names of hosts that a program can resolve.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock_names().resolved()
    }

    /// Reserves names of hosts that come later.
    pub(crate) fn reserve(&self, reserved: &[&str]) -> Result<(), Error> {
        for name in reserved {
            legal(name)?;
        }
        let mut names = self.lock_names();
        for name in reserved {
            names.add(name)?;
        }
        names
            .reserved
            .extend(reserved.iter().map(|&name| name.to_owned()));
        let lines = names.reserved.iter().map(|name| format!("{name}\n"));
        // Renamed: a process reads either all names or those before.
        let file = self.directory.join(NAMES_NAME);
        let new = self.directory.join(format!("{NAMES_NAME}.new"));
        std::fs::write(&new, lines.collect::<String>())?;
        Ok(std::fs::rename(new, file)?)
    }

    /// Takes note of a host that is about to be there; `is_carried`: a program that resolves names.
    pub(crate) fn name(&self, host: &str, is_carried: bool) -> Result<(), Error> {
        let mut names = self.lock_names();
        if is_carried {
            names.check_all()?;
        }
        names.add(host)
    }

    fn lock_names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a host that can't be played.
    pub(crate) fn check_host(&self, host: &str) -> Result<(), Error> {
        let refused = |message| Err(Error::new(ErrorKind::Host, message));
        legal(host)?;
        let own = self
            .subnetwork
            .get()
            .and_then(|subnetwork| subnetwork.host(host));
        match own {
            Some(_) => refused(format!("the test's own process already plays {host}")),
            None => Ok(()),
        }
    }
}

fn legal(host: &str) -> Result<(), Error> {
    lonet::check_name(host).map_err(|cause| {
        let message = format!("illegal host name {host:?}: {cause}");
        Error::new(ErrorKind::Host, message)
    })
}
