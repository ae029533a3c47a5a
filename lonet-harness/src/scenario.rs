//! The handle of a test: what it may do with its network and its processes.
//!
//! Owns no process and no state: those are the collector's, which this asks. What a task of the
//! test learns by an answer comes before all that the task does next.

use std::io::{self, IsTerminal};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lonet::trace::{DATA_NAME, Event, EventId, TaskKey, Tracing, Waits, What};
use lonet::{Host, SubNetwork};
use serde::de::DeserializeOwned;
use tokio::sync::{OnceCell, oneshot};

use crate::Result;
use crate::collector::Mailbox;
use crate::collector::node::Launch;
use crate::collector::query::{Query, Refusal, Report, Wanted};
use crate::node::{Node, Player};
use crate::process::backtrace::Backtraces;
use crate::process::kernel_state;
use crate::process::launch::Entrance;
use crate::process::output::last_lines;
use crate::report::artifacts::Refused;
use crate::report::mismatch::{self, Surroundings};
use crate::report::verdict;
use crate::role::Role;
use crate::trace::Expected;
use crate::trace::Pattern;
use crate::trace::causality::Graph;
use crate::trace::{Mismatch, Trace};

/// A test's network, and the processes that play hosts on it. A cheap handle: clones are the same
/// scenario.
#[derive(Clone)]
pub struct Scenario {
    pub(crate) inner: Arc<Inner>,
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
    /// Whether the artifacts are wanted also if the test passes.
    pub(crate) keeps: AtomicBool,
    /// The latest expected trace that did not hold.
    pub(crate) refused: Mutex<Option<Refused>>,
    /// This process's part of the network, once it has one.
    pub(crate) subnetwork: OnceCell<SubNetwork>,
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
            entrance,
            keeps: AtomicBool::new(false),
            refused: Mutex::default(),
            subnetwork: OnceCell::new(),
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
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.ask(query(reply));
        let answer = self.tracing.reporter.operation().watch(answer).await;
        answer.map_err(|_| Over.into())
    }

    /// Asks for what is there to be said at once.
    pub(crate) fn ask_now<T>(&self, query: impl FnOnce(mpsc::Sender<T>) -> Query) -> Result<T> {
        let (reply, answer) = mpsc::channel();
        self.mailbox.ask(query(reply));
        answer.recv().map_err(|_| Over.into())
    }

    pub(crate) fn report(&self) -> Result<Report> {
        self.ask_now(|reply| Query::Report { reply })
    }

    /// The same at a deadline: with what everyone waits for, as far as they say so at once.
    pub(crate) fn report_of_waits(&self) -> Result<Report> {
        let (reply, said) = mpsc::channel();
        self.mailbox.ask(Query::Waits { reply });
        // Who does not answer is blocked in a system call, or stopped: the page says what the
        // records tell.
        let _ = said.recv_timeout(WAITS_TO_HEAR);
        self.report()
    }

    /// The same, with where each process that runs is, as a debugger sees it.
    pub(crate) fn report_of_hang(&self) -> Result<Report> {
        let mut report = self.report_of_waits()?;
        // Before a debugger holds them.
        let nodes = report.nodes.iter_mut();
        let nodes = nodes.filter(|node| node.ended.is_none() && !node.stopped);
        let silent = nodes.filter(|node| node.waits.said.is_none());
        for node in silent {
            node.kernel = node.pid.and_then(kernel_state::of);
        }
        let others = report.others.iter_mut();
        for other in others.filter(|other| other.waits.said.is_none()) {
            other.kernel = kernel_state::of(other.pid);
        }
        // A stopped one would go on after a debugger has had it.
        let running = report
            .nodes
            .iter()
            .filter(|node| node.ended.is_none() && !node.stopped);
        let running: Vec<(String, u32)> = running
            .filter_map(|node| Some((node.host.clone(), node.pid?)))
            .collect();
        report.backtraces = Backtraces::take(&running);
        Ok(report)
    }

    /// Starts a process; its pid.
    pub(crate) async fn start(&self, launch: Launch) -> Result<u32> {
        let launch = Box::new(launch);
        let pid = self.ask(|reply| Query::Start { launch, reply }).await??;
        Ok(pid)
    }

    pub(crate) async fn until(
        &self,
        text: &str,
        after: Option<EventId>,
        of: Option<u64>,
    ) -> Result<Event> {
        let pattern = Pattern::parse(text)
            .map_err(|error| format!("`{text}` is no line of a trace: {error}"))?;
        let wanted = Box::new(Wanted {
            text: text.to_owned(),
            pattern,
            after,
            of,
        });
        let event = self.ask(|reply| Query::Until { wanted, reply }).await?;
        let event = event.map_err(|refusal| match refusal {
            Refusal::Failed(failure) => crate::BoxError::from(failure),
            Refusal::Over => Over.into(),
        })?;
        self.learn(event.id());
        Ok(event)
    }

    /// Refuses a host that can't be played.
    fn check_host(&self, host: &str) -> Result<()> {
        lonet::check_name(host)
            .map_err(|cause| format!("no host can be called {host:?}: {cause}"))?;
        let own = self
            .subnetwork
            .get()
            .and_then(|subnetwork| subnetwork.host(host));
        match own {
            Some(_) => Err(format!("the test's own process plays {host} already").into()),
            None => Ok(()),
        }
    }
}

/// The scenario is over: nothing answers any more.
#[derive(Debug)]
pub(crate) struct Over;

impl std::fmt::Display for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the scenario is over")
    }
}

impl std::error::Error for Over {}

/// How long processes may take to say what they wait for.
const WAITS_TO_HEAR: Duration = Duration::from_millis(300);

impl Scenario {
    /// Plays a role as that host, in a process of its own, and returns when the host is up.
    ///
    /// # Errors
    ///
    /// The name is no name for a host, or a running process of the scenario has it; an argument of
    /// the role can't be written as JSON; the process can't be started, or ends before its host
    /// is up.
    ///
    /// # Cancel safety
    ///
    /// A process that was asked for is started all the same, and ends with the scenario.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// #[lonet::host]
    /// async fn doubles(_host: lonet::Host, n: u32) -> u32 {
    ///     2 * n
    /// }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let node = scenario.spawn("α", doubles(21)).await?;
    /// assert_eq!(node.join().await?, 42);
    /// # Ok(()) }
    /// ```
    pub async fn spawn<T: DeserializeOwned>(&self, host: &str, role: Role<T>) -> Result<Node<T>> {
        self.inner.check_host(host)?;
        let player = Player::role(&role)?;
        let decode = |json: &str| Role::<T>::decode(json);
        Node::start(
            self.inner.clone(),
            host,
            player,
            crate::node::Decode::Role(decode),
        )
        .await
    }

    /// Runs a program as that host. It finds its place in `LONET_NETWORK` (what `lonet::join`
    /// takes), `LONET_HOST` and `TMPDIR`; `lonet::from_env` reads them. Of the command, program,
    /// arguments, changes of the environment and working directory are honoured; its standard
    /// input is empty.
    ///
    /// Returns when the host is up. For a program that has no lonet in its executable (a shell, an
    /// interpreter, a foreign server) that is not waited for, as nothing tells whether what it runs
    /// will join: it returns once the program is started, and `until("β up")` waits. A program
    /// that has lonet in it and does not join within 2 s is not waited for any longer either.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Scenario::spawn); also when there is no such program, or it may not be
    /// executed.
    ///
    /// # Cancel safety
    ///
    /// As [`spawn`](Scenario::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// use std::process::Command;
    ///
    /// let mut command = Command::new("sh");
    /// command.args(["-c", "echo I am $LONET_HOST"]);
    /// let node = scenario.command("α", command).await?;
    /// node.until("α exit 0").await?;
    /// assert_eq!(node.log(), "I am α\n");
    /// assert!(node.join().await?.success());
    /// # Ok(()) }
    /// ```
    pub async fn command(&self, host: &str, command: Command) -> Result<Node<ExitStatus>> {
        self.inner.check_host(host)?;
        let player = Player::program(command);
        Node::start(
            self.inner.clone(),
            host,
            player,
            crate::node::Decode::status(),
        )
        .await
    }

    /// A host in the test's own process.
    ///
    /// # Errors
    ///
    /// The network's, when it can't be joined, or a running process has the name.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves no host behind; its name may stay taken for a moment.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// let _listener = alpha.listen("").await?;
    /// scenario.assert_trace("α:1 listen");
    /// # Ok(()) }
    /// ```
    pub async fn host(&self, name: &str) -> Result<Host> {
        Ok(self.subnetwork().await?.new_host(name).await?)
    }

    /// The test process's own part of the network.
    pub(crate) async fn subnetwork(&self) -> Result<SubNetwork> {
        let join = || lonet::join(&self.inner.name);
        Ok(self.inner.subnetwork.get_or_try_init(join).await?.clone())
    }

    /// The first event that matches a line of an expected trace: one of a process that still runs,
    /// a mark, or what the scenario did, however long ago; otherwise the next that matches. What
    /// the event comes of comes before all that the calling task does next.
    ///
    /// # Errors
    ///
    /// The pattern is no line of a trace, or a node has failed and no `join` has said so.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// #[lonet::host]
    /// async fn leads(host: lonet::Host) {
    ///     host.mark("leader term=3");
    /// }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let _node = scenario.spawn("α", leads()).await?;
    /// let elected = scenario.until("_ mark leader _").await?;
    /// assert_eq!((elected.host(), elected.text()), ("α", "leader term=3"));
    /// # Ok(()) }
    /// ```
    pub async fn until(&self, pattern: &str) -> Result<Event> {
        self.inner.until(pattern, None, None).await
    }

    /// The same, of the events that are neither `event` nor happen before it.
    ///
    /// # Errors
    ///
    /// As [`until`](Scenario::until).
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// alpha.mark("term 1");
    /// alpha.mark("term 2");
    /// let first = scenario.until("α mark term _").await?;
    /// let second = scenario.until_after(&first, "α mark term _").await?;
    /// assert_eq!(second.text(), "term 2");
    /// # Ok(()) }
    /// ```
    pub async fn until_after(&self, event: &Event, pattern: &str) -> Result<Event> {
        self.inner.until(pattern, Some(event.id()), None).await
    }

    /// What happens before this moment of the calling task: its causal past, and no more.
    ///
    /// # Panics
    ///
    /// When the scenario is over.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// alpha.mark("one");
    /// alpha.mark("two");
    /// let trace = scenario.trace();
    /// let [one, two] = trace.events() else { panic!("two marks") };
    /// assert!(trace.happens_before(one, two));
    /// # Ok(()) }
    /// ```
    pub fn trace(&self) -> Trace {
        let here = self.inner.note(What::Here {});
        let records = self
            .inner
            .ask_now(|reply| Query::Records { reply })
            .expect("a handle of a scenario is only used before it is over");
        // A trace may be kept for longer than the scenario.
        let inner = AssertUnwindSafe(Arc::downgrade(&self.inner));
        let tell = move |mismatch: &Mismatch| match inner.upgrade() {
            Some(inner) => Scenario { inner }.page_of(mismatch),
            None => mismatch.to_string(),
        };
        Trace::past(Arc::new(Graph::build(records)), here).told_by(Arc::new(tell))
    }

    /// Asserts that the expected trace holds of what happens before this moment.
    ///
    /// # Panics
    ///
    /// When it does not: the message says which line could not happen, and why.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("ready for anything");
    /// scenario.assert_trace("α mark ready for _");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn assert_trace(&self, expected: impl Expected) {
        if let Err(mismatch) = self.check_trace(expected) {
            panic!("{}", self.page_of(&mismatch));
        }
    }

    /// Whether the expected trace holds of what happens before this moment.
    ///
    /// # Errors
    ///
    /// What does not hold, and why.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("ready");
    /// let mismatch = scenario.check_trace("α mark done").unwrap_err();
    /// assert!(mismatch.to_string().contains("α mark done"));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn check_trace(&self, expected: impl Expected) -> Result<(), Mismatch> {
        self.trace().check(expected)
    }

    /// The page of an expectation that does not hold, with each host's last lines.
    fn page_of(&self, mismatch: &Mismatch) -> String {
        let nodes = self
            .inner
            .report()
            .map(|report| report.nodes)
            .unwrap_or_default();
        let logs = nodes
            .into_iter()
            .filter(|node| !node.log.is_empty())
            .map(|node| {
                let tail = last_lines(&node.log, verdict::LINES).join("\n");
                (node.host, tail)
            });
        let plain = Surroundings {
            logs: logs.collect(),
            artifacts: Some(self.inner.artifacts.clone()),
            colours: false,
        };
        let refused = Refused::new(mismatch, mismatch::page(mismatch, &plain));
        *self
            .inner
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(refused);
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let shown = Surroundings {
            colours: wanted && io::stderr().is_terminal(),
            ..plain
        };
        mismatch::page(mismatch, &shown)
    }

    /// Whether the artifacts are wanted also if the test passes.
    pub(crate) fn keeps_artifacts(&self) -> bool {
        let always = std::env::var_os("LONET_KEEP").is_some_and(|keep| keep == "1");
        always || self.inner.keeps.load(Ordering::Relaxed)
    }

    /// The latest expected trace that did not hold, if any.
    pub(crate) fn take_refused(&self) -> Option<Refused> {
        self.inner
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// What is to be shown of an expected trace that does not hold of what happens before this
    /// moment.
    pub(crate) fn mismatch_page(&self, expected: &str) -> Option<String> {
        self.trace()
            .check(expected)
            .err()
            .map(|mismatch| self.page_of(&mismatch))
    }

    /// Records what is sent and received, too, which [`Trace::data`] shows: of processes that join
    /// the network from now on, and of connections that the test's own process opens from now on.
    ///
    /// An event is one write or read, and says how many bytes: how the kernel cuts a stream into
    /// reads is its own affair, so expect exact numbers only of what can't be cut.
    ///
    /// # Errors
    ///
    /// The network's directory can't be written to.
    pub fn record_data(&self) -> Result<()> {
        std::fs::write(self.inner.directory.join(DATA_NAME), "")?;
        self.inner.tracing.reporter.record_data();
        Ok(())
    }

    /// Closes the test process's own part of the network.
    pub(crate) async fn leave(&self) {
        if let Some(subnetwork) = self.inner.subnetwork.get() {
            // What can't be closed ends with the runtime.
            let _ = subnetwork.close().await;
        }
    }

    /// The network's full name, for instance `lonetx`.
    pub fn network(&self) -> &str {
        &self.inner.full_name
    }

    /// A directory for that host's data. It survives restarts, and goes with the scenario.
    ///
    /// # Panics
    ///
    /// When it can't be made.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let directory = scenario.data_dir("α");
    /// std::fs::write(directory.join("log"), "entry 1")?;
    /// assert_eq!(directory, scenario.data_dir("α"));
    /// # Ok(()) }
    /// ```
    pub fn data_dir(&self, host: &str) -> PathBuf {
        if let Err(cause) = lonet::check_name(host) {
            panic!("no host can be called {host:?}: {cause}");
        }
        let directory = self.inner.directory.join("data").join(host);
        match std::fs::create_dir_all(&directory) {
            Ok(()) => directory,
            Err(error) => panic!("{} can't be made: {error}", directory.display()),
        }
    }

    /// Where the trace, the logs and the report of this test are put if it fails.
    pub fn artifacts_dir(&self) -> PathBuf {
        self.inner.artifacts.clone()
    }

    /// Has them put there also if it passes, as `LONET_KEEP=1` does for every test.
    pub fn keep_artifacts(&self) {
        self.inner.keeps.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario")
            .field("network", &self.inner.full_name)
            .finish_non_exhaustive()
    }
}

/// Inside a role: the first event that matches a line of an expected trace, as
/// [`Scenario::until`] says it.
///
/// # Errors
///
/// As [`Scenario::until`]; also where no role is played.
///
/// # Cancel safety
///
/// Safe: nothing is lost.
pub async fn until(pattern: &str) -> Result<Event> {
    let Some(directory) = crate::process::child::directory() else {
        return Err("`lonet_harness::until` is for roles; a test has `Scenario::until`".into());
    };
    let tracing = role_tracing(directory)?;
    let operation = tracing.reporter.operation().waiting(Waits::Until);
    let answer = operation.watch(tracing.socket.ask(pattern, None)).await?;
    match (answer.ok, answer.err) {
        (Some(event), _) => {
            tracing.reporter.learn(event.id());
            Ok(event)
        }
        (None, error) => Err(error.unwrap_or_else(|| "no answer".into()).into()),
    }
}

fn role_tracing(directory: &Path) -> Result<Tracing> {
    let tracing = Tracing::asked_elsewhere(directory)?;
    tracing
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the scenario is over").into())
}
