//! What all handles of one scenario share, and how they ask the collector.
//!
//! Owns the numbers given to processes and tickets, and that what a task learns by an answer comes
//! before all that it does next. Keeps no record: those are the collector's.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use lonet::SubNetwork;
use lonet::trace::{Event, EventId, TaskKey, Tracing, What};
use tokio::sync::{OnceCell, oneshot};

use crate::collector::Mailbox;
use crate::collector::node::Launch;
use crate::collector::query::{Query, Refusal, Report, Wanted};
use crate::error::{Error, ErrorKind};
use crate::process::Entrance;
use crate::process::launch::Inherited;
use crate::report::artifacts::Refused;
use crate::trace::Pattern;
use crate::trace::update::learning::Learning;

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
    /// Done once the test has been told where artifacts are: it may put something there.
    pub(crate) artifacts_made: OnceLock<()>,
    /// Whether the artifacts are wanted also if the test passes.
    pub(crate) keeps: AtomicBool,
    /// The latest expected trace that did not hold.
    pub(crate) refused: Mutex<Option<Refused>>,
    /// Where an update takes note of expected traces, if the test's body runs several times.
    pub(crate) learning: OnceLock<Arc<Learning>>,
    /// This process's part of the network, once it has one.
    pub(crate) subnetwork: OnceCell<SubNetwork>,
    /// What its processes inherit, unless they are told of a change.
    pub(crate) inherited: Inherited,
    /// Where roles can begin other than before `main`.
    pub(crate) entrance: Entrance,
    processes: AtomicU64,
    nonces: AtomicU64,
}

impl Inner {
    pub(crate) fn new(
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
            subnetwork: OnceCell::new(),
            inherited: Inherited::now(),
            processes: AtomicU64::new(1),
            // A ticket is to be guessed by nobody who merely counts.
            nonces: AtomicU64::new(RandomState::new().hash_one(std::process::id())),
        }
    }

    /// The number of the next process.
    pub(crate) fn next_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_nonce(&self) -> u64 {
        self.nonces
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
    }

    /// The calling task did this.
    pub(crate) fn note(&self, what: What) -> EventId {
        let numbered = self.tracing.reporter.number(Some(TaskKey::current()), what);
        let id = EventId {
            process: 0,
            n: numbered.n(),
        };
        numbered.write();
        id
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

    /// Refuses a host that can't be played.
    pub(super) fn check_host(&self, host: &str) -> Result<(), Error> {
        let refused = |message| Err(Error::new(ErrorKind::Host, message));
        if let Err(cause) = lonet::check_name(host) {
            return refused(format!("no host can be called {host:?}: {cause}"));
        }
        let own = self
            .subnetwork
            .get()
            .and_then(|subnetwork| subnetwork.host(host));
        match own {
            Some(_) => refused(format!("the test's own process plays {host} already")),
            None => Ok(()),
        }
    }
}
