//! [`Scenario`]: a test's handle to its network and its processes.
//!
//! Owns no process and no state: it asks the collector, which has both.

use std::panic::{AssertUnwindSafe, Location};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lonet::trace::{DATA_NAME, Event, What};
use lonet::{Host, SubNetwork};

use crate::Error;
use crate::collector::query::Query;
use crate::report::artifacts;
use crate::scenario::node::Node;
use crate::scenario::play::Play;
use crate::session::Inner;
use crate::trace::happened::graph::Graph;
use crate::trace::{Expected, Mismatch, Trace};

/// A node that is being started.
type Spawning<T> = Pin<Box<dyn Future<Output = Result<Node<T>, Error>> + Send>>;

/// A test's network and the processes that play hosts on it. A cheap handle: clones refer to the
/// same scenario.
#[derive(Clone)]
pub struct Scenario {
    pub(crate) inner: Arc<Inner>,
}

impl Scenario {
    /// Starts a process that runs a [`Role`](crate::Role) or a [`Program`](crate::Program) as a host
    /// with this name.
    ///
    /// Returns when the host is up. For a program that does not [join](crate::Program::joins) the
    /// network, returns when the program has started.
    ///
    /// # Errors
    ///
    /// The name is invalid, or a running process of the scenario has it; an argument of the role
    /// can't be written as JSON; the program does not exist, is not executable, or can't be
    /// [carried](crate::Program); the process ends before its host is up. In a scenario with a
    /// [`Program`](crate::Program), also: two names differ only by case, or one is `localhost`.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the process may start nevertheless; it ends with the scenario.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// use lonet_harness::Program;
    ///
    /// #[lonet::host]
    /// async fn doubles(_host: lonet::Host, n: u32) -> u32 {
    ///     2 * n
    /// }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let role = scenario.spawn("α", doubles(21)).await?;
    /// assert_eq!(role.await?, 42);
    ///
    /// let program = scenario.spawn("β", Program::new("true")).await?;
    /// assert!(program.await?.success());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn<P: Play>(&self, host: &str, what: P) -> Spawning<P::Output> {
        let place = Location::caller();
        let inner = self.inner.clone();
        let host = host.to_owned();
        let parts = what.parts();
        // Boxed: an `impl Future` is of the type of `what`, too, and rustc would say of it in each place
        // that it can't be spawned.
        Box::pin(async move {
            let spawning = async {
                inner.check_host(&host)?;
                let (player, decode) = parts?;
                inner.name(&host, player.is_carried())?;
                Node::start(inner.clone(), &host, player, decode).await
            };
            inner.called(place, spawning).await
        })
    }

    /// Starts a host in the test's own process.
    ///
    /// All hosts of the test's own process close when the body has ended, before the values of its
    /// tasks are dropped. If the first of them was started on a runtime other than the body's, they
    /// also close when that runtime ends.
    ///
    /// # Errors
    ///
    /// The name is invalid, a running process has it, or the network can't be joined.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no host is left; its name may stay taken for a moment.
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
    #[track_caller]
    pub fn host(&self, name: &str) -> impl Future<Output = Result<Host, Error>> {
        let joining = async move {
            self.inner.name(name, false)?;
            Ok(self.subnetwork().await?.new_host(name).await?)
        };
        self.inner.called(Location::caller(), joining)
    }

    /// Reserves names of hosts that come later. Until such a host is up, a dial to it is refused, as
    /// if the host were there and nothing listened; without this, it fails with "no such host".
    ///
    /// Call it before you spawn a [`Program`](crate::Program) that is to reach hosts spawned after it:
    /// many programs resolve the names of their peers once, when they start.
    ///
    /// # Errors
    ///
    /// A name is invalid; it is `localhost`, or differs from another host's only by case, in a
    /// scenario with a [`Program`](crate::Program); the network's directory can't be written to.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.names(&["n1", "n2"])?;
    /// let n1 = scenario.host("n1").await?;
    /// let refused = n1.dial("n2:80").await.unwrap_err();
    /// assert!(matches!(refused.cause(), lonet::Cause::ConnectionRefused));
    /// # Ok(()) }
    /// ```
    pub fn names(&self, names: &[&str]) -> Result<(), Error> {
        self.inner.reserve(names)
    }

    /// Waits for an event that matches `pattern`, one line of an expected trace, and returns it.
    ///
    /// If such an event has already happened, returns the first one at once. Past events of a
    /// process that has ended do not count, except marks. If none has happened, waits for the next.
    ///
    /// The event, and everything that happened before it, happens before what the calling task does
    /// next.
    ///
    /// # Errors
    ///
    /// The pattern is invalid, or a node has failed and no `join` has returned that failure.
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
    #[track_caller]
    pub fn until(&self, pattern: &str) -> impl Future<Output = Result<Event, Error>> {
        let waiting = self.inner.until(pattern, None, None);
        self.inner.called(Location::caller(), waiting)
    }

    /// The same as [`until`](Scenario::until), but ignores `event` and all events that happened
    /// before it.
    ///
    /// # Errors
    ///
    /// The same as for [`until`](Scenario::until).
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
    #[track_caller]
    pub fn until_after(
        &self,
        event: &Event,
        pattern: &str,
    ) -> impl Future<Output = Result<Event, Error>> {
        let waiting = self.inner.until(pattern, Some(event.id()), None);
        self.inner.called(Location::caller(), waiting)
    }

    /// The causal past of the calling task: the events that happened before this moment. Events that
    /// are concurrent with this moment are not included.
    ///
    /// # Panics
    ///
    /// If the scenario is over.
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
        Trace::past(Arc::new(Graph::build(records)), here)
            .told_by(Arc::new(tell))
            .learned_by(self.inner.learning.get().cloned())
    }

    /// Asserts that the events that happened before this moment match the expected trace.
    ///
    /// # Panics
    ///
    /// If they do not: the message says at which line, and why.
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

    /// Checks that the events that happened before this moment match the expected trace.
    ///
    /// # Errors
    ///
    /// The first mismatch, and why.
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

    /// Asserts that these events happened in this order; see [`Trace::assert_order`].
    ///
    /// # Panics
    ///
    /// If they did not: the message says which two did not, or which line matches no event or
    /// several.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// let stores = alpha.clone();
    /// tokio::spawn(async move { stores.mark("stored") }).await?;
    /// alpha.mark("acknowledged");
    /// scenario.until("α mark stored").await?;
    /// scenario.assert_order("α mark stored\nα mark acknowledged");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn assert_order(&self, lines: &str) {
        if let Err(mismatch) = self.check_order(lines) {
            panic!("{}", self.page_of(&mismatch));
        }
    }

    /// Checks that these events happened in this order; see [`Trace::check_order`].
    ///
    /// # Errors
    ///
    /// The two lines that are out of order, or the line that matches no event or several.
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
    /// assert!(scenario.check_order("α mark two\n α mark one").is_err());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn check_order(&self, lines: &str) -> Result<(), Mismatch> {
        self.trace().check_order(lines)
    }

    /// Also records `send` and `recv` events, which [`Trace::with_data`] shows. This applies to
    /// processes that join the network after this call, and to connections that the test's own
    /// process opens after it.
    ///
    /// Each event is one write or one read, with its number of bytes. The kernel may split or merge
    /// the data of a stream, so expect exact numbers only where it can't.
    ///
    /// # Errors
    ///
    /// The network's directory can't be written to.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// use tokio::io::AsyncWriteExt;
    ///
    /// scenario.record_data()?;
    /// let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    /// let listener = alpha.listen(":10").await?;
    /// let (dialed, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
    /// let _accepted = accepted?;
    /// dialed?.write_all(b"hello").await?;
    /// assert_eq!(scenario.trace().with_data().count("β:1 send α:1 5")?, 1);
    /// # Ok(()) }
    /// ```
    pub fn record_data(&self) -> Result<(), Error> {
        std::fs::write(self.inner.directory.join(DATA_NAME), "")?;
        self.inner.tracing.reporter.record_data();
        Ok(())
    }

    /// The network's full name, for instance `lonetx`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// println!("{}", scenario.network());
    /// # Ok(()) }
    /// ```
    pub fn network(&self) -> &str {
        &self.inner.full_name
    }

    /// A directory for the data of a host. It survives restarts and is removed with the scenario.
    ///
    /// # Panics
    ///
    /// If the name is invalid, or the directory can't be created.
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
            panic!("illegal host name {host:?}: {cause}");
        }
        let directory = self.inner.directory.join("data").join(host);
        match std::fs::create_dir_all(&directory) {
            Ok(()) => directory,
            Err(error) => panic!("{} can't be created: {error}", directory.display()),
        }
    }

    /// The directory for the trace, the logs and the report of this test if it fails. The test may
    /// add its own files. The directory is empty when a test first calls this.
    ///
    /// # Panics
    ///
    /// If the directory can't be created.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// std::fs::write(scenario.artifacts_dir().join("settings"), "quorum = 2")?;
    /// # std::fs::remove_dir_all(scenario.artifacts_dir())?;
    /// # Ok(()) }
    /// ```
    pub fn artifacts_dir(&self) -> PathBuf {
        let place = &self.inner.artifacts;
        self.inner.artifacts_made.get_or_init(|| {
            if let Err(error) = artifacts::make(place) {
                panic!("{} can't be created: {error}", place.display());
            }
        });
        place.clone()
    }

    /// The event at which a fault is armed, if this run is a point of a sweep or replays a schedule
    /// (`#[lonet::test(sweep = "…")]`, `schedule = "…"`); `None` in any other run, the baseline of a
    /// sweep included.
    ///
    /// It is the event as it is expected, known before it happens: host, verb and, as far as it is the
    /// same in every run, the rest of its line. A port that may differ from run to run is 0, and the
    /// number of bytes of a `send` is left out. Its id and its time mean nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// if scenario.swept().is_none() {
    ///     scenario.assert_trace("");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn swept(&self) -> Option<Event> {
        self.inner.swept.get().cloned()
    }

    /// Writes the [artifacts](Scenario::artifacts_dir) even if the test passes, as `LONET_KEEP=1`
    /// does for every test.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// if std::env::var_os("KEEP_TRACES").is_some() {
    ///     scenario.keep_artifacts();
    /// }
    /// # Ok(()) }
    /// ```
    pub fn keep_artifacts(&self) {
        self.inner.keeps.store(true, Ordering::Relaxed);
    }
}

impl Scenario {
    /// The test process's own part of the network.
    pub(crate) async fn subnetwork(&self) -> Result<SubNetwork, Error> {
        let join = || lonet::join(&self.inner.name);
        Ok(self.inner.subnetwork.get_or_try_init(join).await?.clone())
    }

    /// Closes the test process's own part of the network.
    pub(crate) async fn leave(&self) {
        if let Some(subnetwork) = self.inner.subnetwork.get() {
            // What can't be closed ends with the runtime.
            let _ = subnetwork.close().await;
        }
    }

    /// Whether the test may have put something beside its artifacts.
    pub(crate) fn adds_artifacts(&self) -> bool {
        self.inner.artifacts_made.get().is_some()
    }

    /// Whether the artifacts are wanted also if the test passes.
    pub(crate) fn keeps_artifacts(&self) -> bool {
        let always = std::env::var_os("LONET_KEEP").is_some_and(|keep| keep == "1");
        always || self.inner.keeps.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario")
            .field("network", &self.inner.full_name)
            .finish_non_exhaustive()
    }
}
