//! A running process that plays a host, as the test sees it.
//!
//! Owns the operations on it and the event that each records: an interference is recorded when it is
//! confirmed, by the task that asked for it.

use std::fmt;
use std::future::IntoFuture;
use std::os::unix::process::ExitStatusExt;
use std::panic::Location;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use lonet::trace::{Event, What};
use nix::sys::signal::Signal;

use crate::collector::failure::Past;
use crate::collector::query::{Effect, End, Ending, Query};
use crate::deadline;
use crate::error::{Error, ErrorKind};
use crate::process::wire::Ended;
use crate::scenario::play::{Decode, Player, is_debugged};
use crate::session::Inner;

/// How long a process that was asked to finish may take, before it is killed.
const FINISHES: Duration = Duration::from_secs(5);

/// A process that plays a host. Dropping the handle does not stop the process. Processes that still
/// run when the test's body has returned are stopped then.
pub struct Node<T> {
    inner: Arc<Inner>,
    host: String,
    player: Player,
    decode: Decode<T>,
    /// The number of the present incarnation.
    process: AtomicU64,
    pid: AtomicU32,
}

impl<T> Node<T> {
    pub(crate) async fn start(
        inner: Arc<Inner>,
        host: &str,
        player: Player,
        decode: Decode<T>,
    ) -> Result<Node<T>, Error> {
        let node = Node {
            inner,
            host: host.to_owned(),
            player,
            decode,
            process: AtomicU64::new(0),
            pid: AtomicU32::new(0),
        };
        let process = node.inner.next_process();
        node.inner.note(What::Spawn {
            host: node.host.clone(),
            process,
        });
        node.run(process).await?;
        Ok(node)
    }

    /// Starts it as this process. If it joins the network, waits until its host is up.
    async fn run(&self, process: u64) -> Result<(), Error> {
        let launch = self.player.launch(&self.inner, &self.host, process);
        let pid = self.inner.start(launch).await?;
        self.process.store(process, Ordering::Relaxed);
        self.pid.store(pid, Ordering::Relaxed);
        if is_debugged(&self.host) {
            self.inner
                .ask(|reply| Query::Stopped { process, reply })
                .await?;
            announce_debugger(&self.host, pid);
        }
        let up = self.inner.ask(|reply| Query::Up { process, reply });
        let end = match up.await? {
            Ok(up) => {
                self.inner.learn(up);
                return Ok(());
            }
            Err(end) => end,
        };
        let how = match end.outcome {
            Ending::Failed(failure) => return Err(failure.into()),
            Ending::Killed(killed) => return Err(killed.into()),
            Ending::Exited(ended) => Past(ended).to_string(),
            Ending::Returned(_) => "returned".to_owned(),
        };
        let (host, what) = (&self.host, self.player.what());
        let message = format!("{host} ({what}) {how} before its host was up");
        Err(Error::of_node(ErrorKind::Failed, host, message))
    }

    /// Waits until the process has ended. Returns the role's result, or the program's exit status.
    /// Everything that the process did happens before what the calling task does next.
    ///
    /// # Errors
    ///
    /// The node's failure; [`ErrorKind::Killed`](crate::ErrorKind::Killed) if the scenario ended it;
    /// [`ErrorKind::Value`](crate::ErrorKind::Value) if the role's result can't be read back from
    /// JSON.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the handle is lost, but the process continues. If it fails later,
    /// the test fails.
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
    /// let node = scenario.spawn("α", doubles(1)).await?;
    /// assert_eq!(node.join().await?, 2);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn join(self) -> impl Future<Output = Result<T, Error>> {
        let place = Location::caller();
        async move {
            let inner = self.inner.clone();
            inner.called(place, self.joined()).await
        }
    }

    async fn joined(self) -> Result<T, Error> {
        let end = self.ended(true).await?;
        match (end.outcome, &self.decode) {
            (Ending::Returned(json), Decode::Role(decode)) => decode(&json).map_err(|error| {
                let message = format!("{} ({}): {error}", self.host, self.player.what());
                Error::new(ErrorKind::Value, message)
            }),
            (Ending::Exited(Ended::Status(status)), Decode::Program(make)) => {
                Ok(make(ExitStatus::from_raw(status << 8)))
            }
            (Ending::Exited(Ended::Signal(signal)), Decode::Program(make)) => {
                Ok(make(ExitStatus::from_raw(signal)))
            }
            (Ending::Killed(killed), _) => Err(killed.into()),
            (Ending::Failed(failure), _) => Err(failure.into()),
            (Ending::Returned(_), Decode::Program(_)) | (Ending::Exited(_), Decode::Role(_)) => {
                unreachable!("roles return and programs exit")
            }
        }
    }

    /// Kills the process and all that it started (SIGKILL), and waits until they are dead. Also kills
    /// what still runs after the process itself has ended. Only a background process that has left
    /// the process group, and prints elsewhere, survives until the end of the test.
    ///
    /// # Errors
    ///
    /// The scenario is over.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the process may be killed without a `kill` event.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::host]
    /// # async fn serves(host: lonet::Host) -> Result<()> {
    /// #     let _listener = host.listen(":10").await?;
    /// #     host.mark("serves");
    /// #     std::future::pending().await
    /// # }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let node = scenario.spawn("α", serves()).await?;
    /// node.until("α mark serves").await?;
    /// node.kill().await?;
    /// scenario.assert_trace(
    ///     "
    ///     α:10 listen
    ///     α    mark   serves
    ///     !    kill   α
    ///     ",
    /// );
    /// let error = node.join().await.unwrap_err();
    /// assert_eq!(error.kind(), lonet_harness::ErrorKind::Killed);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn kill(&self) -> impl Future<Output = Result<(), Error>> {
        let killing = async move {
            self.end_now().await?;
            self.inner.note(What::Kill {
                host: self.host.clone(),
                process: self.process(),
            });
            Ok(())
        };
        self.inner.called(Location::caller(), killing)
    }

    /// Asks the process to finish, and waits until it has ended. Kills it after 5 seconds.
    ///
    /// A program gets SIGTERM; processes that it has started do not. A role's host is closed and its
    /// future is dropped at once, unless the role waits for
    /// [`terminate_requested`](crate::terminate_requested). In that case `terminate_requested`
    /// completes, and the role keeps its host and its connections until it returns;
    /// [`join`](Node::join) then returns its result.
    ///
    /// # Errors
    ///
    /// The scenario is over.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the process has been asked to finish, and is killed at the end of
    /// the test at the latest.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::host]
    /// # async fn serves(host: lonet::Host) -> Result<()> {
    /// #     host.mark("serves");
    /// #     std::future::pending().await
    /// # }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let node = scenario.spawn("α", serves()).await?;
    /// node.terminate().await?;
    /// let error = node.join().await.unwrap_err();
    /// assert_eq!(error.kind(), lonet_harness::ErrorKind::Killed);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn terminate(&self) -> impl Future<Output = Result<(), Error>> {
        let terminating = async move {
            let process = self.process();
            self.inner.note(What::Terminate {
                host: self.host.clone(),
                process,
            });
            self.inner.mailbox.ask(Query::Terminate { process });
            if deadline::suspended() {
                return self.ended(false).await.map(drop);
            }
            let patience = deadline::scaled(FINISHES)?;
            match tokio::time::timeout(patience, self.ended(false)).await {
                Ok(ended) => ended.map(drop),
                Err(_) => self.end_now().await,
            }
        };
        self.inner.called(Location::caller(), terminating)
    }

    /// Stops the process and all that it started (SIGSTOP), and returns once the process has stopped.
    ///
    /// # Errors
    ///
    /// The scenario is over.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the process may be stopped without a `pause` event.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::host]
    /// # async fn serves(host: lonet::Host) -> Result<()> {
    /// #     let _listener = host.listen(":10").await?;
    /// #     host.mark("serves");
    /// #     std::future::pending().await
    /// # }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let node = scenario.spawn("α", serves()).await?;
    /// node.pause().await?; // nothing happens on α now
    /// node.resume().await?;
    /// node.until("α mark serves").await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn pause(&self) -> impl Future<Output = Result<(), Error>> {
        let pausing = async move {
            self.signal(Signal::SIGSTOP, Effect::Stopped).await?;
            self.inner.note(What::Pause {
                host: self.host.clone(),
                process: self.process(),
            });
            Ok(())
        };
        self.inner.called(Location::caller(), pausing)
    }

    /// Continues the process and all that it started after a [`pause`](Node::pause).
    ///
    /// # Errors
    ///
    /// The scenario is over.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the process may or may not continue.
    ///
    /// # Examples
    ///
    /// See [`pause`](Node::pause).
    #[track_caller]
    pub fn resume(&self) -> impl Future<Output = Result<(), Error>> {
        let resuming = async move {
            // What it does then is to come after this.
            self.inner.note(What::Resume {
                host: self.host.clone(),
                process: self.process(),
            });
            self.signal(Signal::SIGCONT, Effect::Continued).await
        };
        self.inner.called(Location::caller(), resuming)
    }

    /// Starts the same role or program again, with the same arguments and as the same host, in a new
    /// process. Ports start at 1 again. Kills what still runs of the old process, as
    /// [`kill`](Node::kill) does. Returns when [`spawn`](crate::Scenario::spawn) would.
    ///
    /// # Errors
    ///
    /// The same as for [`Scenario::spawn`](crate::Scenario::spawn).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the old process may be dead and the new one not started.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::host]
    /// # async fn serves(host: lonet::Host) -> Result<()> {
    /// #     let _listener = host.listen(":10").await?;
    /// #     host.mark("serves");
    /// #     std::future::pending().await
    /// # }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let node = scenario.spawn("α", serves()).await?;
    /// node.until("α mark serves").await?;
    /// node.restart().await?;
    /// node.until("α mark serves").await?; // the mark of the new process
    /// assert_eq!(scenario.trace().count("α:10 listen")?, 2);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn restart(&self) -> impl Future<Output = Result<(), Error>> {
        let restarting = async move {
            self.end_now().await?;
            let process = self.inner.next_process();
            self.inner.note(What::Restart {
                host: self.host.clone(),
                process,
            });
            self.run(process).await
        };
        self.inner.called(Location::caller(), restarting)
    }

    /// Waits for an event of this process that matches `pattern`, and returns the first one. Ignores
    /// events from before its latest start.
    ///
    /// # Errors
    ///
    /// The same as for [`Scenario::until`](crate::Scenario::until).
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::host]
    /// # async fn serves(host: lonet::Host) -> Result<()> {
    /// #     host.mark("serves");
    /// #     std::future::pending().await
    /// # }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let node = scenario.spawn("α", serves()).await?;
    /// let serves = node.until("_ mark serves").await?;
    /// assert_eq!(serves.host(), "α");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn until(&self, pattern: &str) -> impl Future<Output = Result<Event, Error>> {
        let waiting = self.inner.until(pattern, None, Some(self.process()));
        self.inner.called(Location::caller(), waiting)
    }

    /// The name of the host.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::host]
    /// # async fn serves(host: lonet::Host) -> Result<()> {
    /// #     host.mark("serves");
    /// #     std::future::pending().await
    /// # }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let node = scenario.spawn("α", serves()).await?;
    /// assert_eq!(node.host(), "α");
    /// # Ok(()) }
    /// ```
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The process ID, as the test's own process sees it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::host]
    /// # async fn serves(host: lonet::Host) -> Result<()> {
    /// #     host.mark("serves");
    /// #     std::future::pending().await
    /// # }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let node = scenario.spawn("α", serves()).await?;
    /// assert!(std::path::Path::new(&format!("/proc/{}", node.pid())).exists());
    /// # Ok(()) }
    /// ```
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// The output of the process so far, standard output and standard error combined: its first and
    /// its last mebibyte. Empty once the scenario is over.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// use lonet_harness::Program;
    ///
    /// let node = scenario.spawn("α", Program::new("echo").arg("hello")).await?;
    /// node.until("α exit 0").await?;
    /// assert_eq!(node.log(), "hello\n");
    /// # Ok(()) }
    /// ```
    pub fn log(&self) -> String {
        let process = self.process();
        self.inner
            .ask_now(|reply| Query::Log { process, reply })
            .unwrap_or_default()
    }

    fn process(&self) -> u64 {
        self.process.load(Ordering::Relaxed)
    }

    async fn ended(&self, deliver: bool) -> Result<End, Error> {
        ended(&self.inner, self.process(), deliver).await
    }

    async fn end_now(&self) -> Result<(), Error> {
        end_now(&self.inner, self.process()).await
    }

    async fn signal(&self, signal_: Signal, until: Effect) -> Result<(), Error> {
        signal(&self.inner, self.process(), signal_, until).await
    }
}

/// Waits for a process's end, which then happens before what the calling task does next.
async fn ended(inner: &Inner, process: u64, deliver: bool) -> Result<End, Error> {
    let end = inner.ask(|reply| Query::End {
        process,
        deliver,
        reply,
    });
    let end = end.await?;
    inner.learn(end.exit);
    Ok(end)
}

/// Kills a process, and waits for its end.
pub(super) async fn end_now(inner: &Inner, process: u64) -> Result<(), Error> {
    signal(inner, process, Signal::SIGKILL, Effect::Killed).await?;
    ended(inner, process, false).await.map(drop)
}

/// Sends a process a signal, and waits for what that does.
pub(super) async fn signal(
    inner: &Inner,
    process: u64,
    signal: Signal,
    until: Effect,
) -> Result<(), Error> {
    let signal = signal as i32;
    let sent = inner.ask(|reply| Query::Signal {
        process,
        signal,
        until,
        reply,
    });
    sent.await
}

/// Awaiting a node is the same as [`join`](Node::join).
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
/// let node = scenario.spawn("α", doubles(1)).await?;
/// assert_eq!(node.await?, 2);
/// # Ok(()) }
/// ```
impl<T: 'static> IntoFuture for Node<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.join())
    }
}

impl<T> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("host", &self.host)
            .field("what", &self.player.what())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

/// Prints how to attach a debugger to a node that waits for one: a command to paste. gdb still sees
/// the signal that stopped the process as pending, and would stop it once more.
fn announce_debugger(host: &str, pid: u32) {
    use std::io::Write as _;
    // Past libtest's capture: the user waits for this line.
    let _ = writeln!(
        std::io::stderr(),
        "{host} is stopped and waits for a debugger; this test has no deadline\n    \
         gdb -ex 'handle SIGSTOP nostop noprint nopass' -p {pid}\n\
         or, to let it go on without one: kill -CONT {pid}"
    );
}
