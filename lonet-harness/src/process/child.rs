//! A role, in a process of its own: everything there is around it.
//!
//! Owns the role's thread, its runtime, its host and its end: what it returned, or that it panicked
//! in whichever task, goes back over the control socket, and the process exits. Reports no event
//! of its own: those are the network's.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;

use lonet::trace::Tracing;
use nix::sys::signal::{SigSet, Signal, raise};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::limits;
use super::parent;
use super::wire::{CONTROL_SOCKET, FromNode, Play, ToNode, send_message, to_node};
use crate::role::{BEFORE_ROLE, RoleEntry};

/// The directory of the network on which this process plays a role.
static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// The directory of the network on which this process plays a role; `None` where it plays none.
pub(crate) fn directory() -> Option<&'static Path> {
    DIRECTORY.get().map(PathBuf::as_path)
}

/// Returns if the ticket is spent: then this is an ordinary program, below the one that spent it.
pub(super) fn run(nonce: u64, directory: &Path, in_main: bool) {
    let supervised = parent::end_with_supervisor();
    let (control, play) = match admitted(nonce, directory) {
        Ok(Some(admitted)) if supervised => admitted,
        Ok(Some(_)) => {
            eprintln!("the supervisor has died, and would not end this process");
            std::process::exit(1);
        }
        Ok(None) => return,
        Err(error) => {
            // The test is gone, and this process will be ended with all the others. To go on until
            // then would be to run the tests of this binary, all of them.
            let error = limits::explained(error);
            eprintln!("the test that this process belongs to can't be reached: {error}");
            std::process::exit(1);
        }
    };
    if !in_main {
        run_admitted(control, play, directory);
    }
    // What libtest prints until then belongs to no test.
    let aside = std::fs::File::create("/dev/null").and_then(|null| {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        nix::unistd::dup2_stdout(null)?;
        Ok(stdout)
    });
    let Ok(stdout) = aside else {
        std::process::exit(1);
    };
    let late = Late {
        control,
        play,
        directory: directory.to_owned(),
        stdout,
    };
    *LATE.lock().unwrap_or_else(PoisonError::into_inner) = Some(late);
}

/// A role that is played in `main`: where profiles are written, what writes them is not there
/// before.
struct Late {
    control: BufReader<UnixStream>,
    play: Play,
    directory: PathBuf,
    stdout: OwnedFd,
}

static LATE: Mutex<Option<Late>> = Mutex::new(None);

/// Plays the role that was left for `main`, if there is one; then it does not return.
pub(crate) fn run_late() {
    let late = LATE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(late) = late else { return };
    let _ = io::stdout().flush();
    if nix::unistd::dup2_stdout(late.stdout).is_err() {
        std::process::exit(1);
    }
    run_admitted(late.control, late.play, &late.directory);
}

fn run_admitted(control: BufReader<UnixStream>, play: Play, directory: &Path) -> ! {
    // Rust's main has not run, which would have SIGPIPE ignored. What the role starts must not
    // inherit the mask, so that it is lifted as soon as there is a handler.
    let mut sigpipe = SigSet::empty();
    sigpipe.add(Signal::SIGPIPE);
    let _ = sigpipe.thread_block();
    let _ = DIRECTORY.set(directory.to_owned());
    let answers = control.get_ref().try_clone();
    let role = std::thread::Builder::new()
        .name(play.host.clone())
        .stack_size(8 << 20)
        .spawn(move || perform(control, play, sigpipe));
    let code = match role {
        Ok(role) => role.join().unwrap_or(101),
        Err(error) => {
            let error = limits::explained_start(error);
            let why = format!("the role's thread can't be started: {error}");
            match answers {
                Ok(answers) => drop(send_message(answers, &FromNode::Failed(why))),
                Err(_) => eprintln!("{why}"),
            }
            1
        }
    };
    std::process::exit(code);
}

/// Shows the ticket, and receives what to play.
fn admitted(nonce: u64, directory: &Path) -> io::Result<Option<(BufReader<UnixStream>, Play)>> {
    // A socket's address holds 108 bytes; the way through the descriptor is short.
    let opened = std::fs::File::open(directory)?;
    let path = format!("/proc/self/fd/{}/{CONTROL_SOCKET}", opened.as_raw_fd());
    let mut control = BufReader::new(UnixStream::connect(path)?);
    send_message(control.get_ref(), &FromNode::Ticket(nonce))?;
    match receive(&mut control)? {
        Some(ToNode::Play(play)) => Ok(Some((control, play))),
        Some(ToNode::Spent) => Ok(None),
        // Its supervisor has died.
        Some(_) | None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn receive(control: &mut BufReader<UnixStream>) -> io::Result<Option<ToNode>> {
    let mut line = Vec::new();
    control.read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") {
        return Ok(None);
    }
    Ok(Some(to_node(&line)?))
}

/// Plays the role to its end, on its own thread, and gives the process's exit status.
fn perform(control: BufReader<UnixStream>, play: Play, sigpipe: SigSet) -> i32 {
    if play.debug {
        let _ = raise(Signal::SIGSTOP);
    }
    let Ok(answers) = control.get_ref().try_clone() else {
        return 1;
    };
    let stop = Arc::new(Stop::default());
    let end = match prepare(control, &play, &stop, sigpipe) {
        Ok((runtime, entry)) => {
            // What the role itself does not catch is caught inside; without threads, also what leads
            // to it panics.
            let play_it = || play_role(&runtime, entry, play, &stop);
            let end = catch_unwind(AssertUnwindSafe(play_it));
            let end = end.unwrap_or_else(|_| FromNode::Panicked(stop.panicked_in_root()));
            let end = match end {
                FromNode::Failed(error) => FromNode::Failed(limits::explained(error)),
                FromNode::Panicked(what) => FromNode::Panicked(limits::explained(what)),
                end => end,
            };
            let sent = send_message(&answers, &end);
            runtime.shutdown_background();
            // If this can't be sent, the other end is gone.
            return if sent.is_ok() { exit_status(&end) } else { 1 };
        }
        Err(error) => {
            let error = limits::explained_start(error);
            FromNode::Failed(format!("its process can't be prepared: {error}"))
        }
    };
    let _ = send_message(&answers, &end);
    exit_status(&end)
}

fn exit_status(end: &FromNode) -> i32 {
    match end {
        FromNode::Returned { .. } | FromNode::Terminated => 0,
        FromNode::Panicked(_) => 101,
        FromNode::Failed(_) | FromNode::Ticket(_) => 1,
    }
}

fn prepare(
    mut control: BufReader<UnixStream>,
    play: &Play,
    stop: &Arc<Stop>,
    sigpipe: SigSet,
) -> Result<(Runtime, &'static RoleEntry), Box<dyn std::error::Error>> {
    let entry = RoleEntry::find(play.role, &play.name)?;
    let stopping = stop.clone();
    std::thread::Builder::new()
        .name("lonet-control".into())
        .spawn(move || {
            while let Ok(Some(request)) = receive(&mut control) {
                match request {
                    ToNode::Terminate if super::terminate::request() => {}
                    ToNode::Terminate => stopping.ask(Why::Terminate),
                    ToNode::Play(_) | ToNode::Spent => {}
                }
            }
        })?;
    end_at_panics(stop.clone());
    let mut builder = match entry.worker_threads {
        None => tokio::runtime::Builder::new_current_thread(),
        Some(workers) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    let runtime = builder
        .enable_all()
        .thread_name(format!("{}-worker", play.host))
        .build()?;
    take_sigpipe(&runtime, sigpipe)?;
    Ok((runtime, entry))
}

/// A panic in any task or thread ends the role. In the root future, which the calling thread plays,
/// it does once it comes out of it: there it shows whether the role has caught it itself.
fn end_at_panics(stop: Arc<Stop>) {
    let root = std::thread::current().id();
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let what = describe(info);
        if std::thread::current().id() == root && tokio::task::try_id().is_none() {
            *stop.in_root() = Some(what);
        } else {
            stop.ask(Why::Panic(what));
        }
        previous(info);
    }));
}

/// Has SIGPIPE handled, by doing nothing, and no longer blocked. Children get the default back,
/// which they would not of a blocked signal.
fn take_sigpipe(runtime: &Runtime, sigpipe: SigSet) -> io::Result<()> {
    {
        let _context = runtime.enter();
        // The handler stays when what it feeds is gone.
        let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::pipe())?;
    }
    sigpipe.thread_unblock()?;
    Ok(())
}

fn play_role(runtime: &Runtime, entry: &RoleEntry, play: Play, stop: &Stop) -> FromNode {
    let before = {
        let _context = runtime.enter();
        catch_unwind(|| BEFORE_ROLE.iter().for_each(|run| run()))
    };
    if before.is_err() {
        return FromNode::Panicked(stop.panicked_in_root());
    }
    // Kept to the end, so that orders come here before the role has its host, and when it has closed
    // it.
    let tracing = directory().map(Tracing::of);
    // What the role itself gets when it asks for its place.
    let host = match runtime.block_on(lonet::from_env()) {
        Ok(host) => host,
        Err(error) => return FromNode::Failed(error.to_string()),
    };
    let (played, play_it) = (host.clone(), entry.play);
    let mut role: Pin<Box<dyn Future<Output = _>>> =
        Box::pin(async move { play_it(played, play.arguments).await });
    let returned = runtime.block_on(async {
        let returned = tokio::select! {
            biased;
            () = stop.asked() => None,
            returned = caught(role.as_mut(), stop) => returned,
        };
        // What it has just spawned begins, so that its panic is seen.
        tokio::task::yield_now().await;
        returned
    });
    let end = match (stop.why(), returned) {
        (Some(Why::Panic(what)), _) => FromNode::Panicked(what),
        (Some(Why::Terminate), None) => FromNode::Terminated,
        (_, Some(Ok(value))) => FromNode::Returned { value },
        (_, Some(Err(error))) => FromNode::Failed(error),
        (None, None) => FromNode::Panicked(stop.panicked_in_root()),
    };
    // Tasks that the role left are not played on: one that goes on accepting whatever the error
    // would go round for ever once the host is closed.
    let leaving = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(leaving) => leaving,
        Err(error) => return FromNode::Failed(format!("its host can't be closed: {error}")),
    };
    if let FromNode::Terminated = end {
        // First the host, so that no task causes what it closes, then the values of the role.
        let _ = leaving.block_on(host.close());
    }
    // What the role holds is dropped inside its runtime; that may panic as anything else may.
    let dropped = {
        let _context = runtime.enter();
        catch_unwind(AssertUnwindSafe(|| drop(role)))
    };
    leaving.block_on(async {
        let _ = host.close().await;
        let _ = lonet::__private::subnetwork_of(&host).close().await;
    });
    // The kernel would close at once what a fault still keeps from others.
    if let Some(Ok(Some(tracing))) = tracing {
        tracing.reporter.gate().wait_until_open();
    }
    match (end, stop.why()) {
        (FromNode::Returned { .. }, Some(Why::Panic(what))) => FromNode::Panicked(what),
        (FromNode::Returned { .. }, _) if dropped.is_err() => {
            FromNode::Panicked(stop.panicked_in_root())
        }
        // One that was ended has ended well, whatever panicked of that.
        (end, _) => end,
    }
}

/// `None` if it panicked. A panic that does not come out of the future is the role's own affair.
async fn caught<F: Future + ?Sized>(mut future: Pin<&mut F>, stop: &Stop) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        let poll = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        if poll.is_ok() {
            *stop.in_root() = None;
        }
        match poll {
            Ok(Poll::Ready(value)) => Poll::Ready(Some(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// Why a role must end before it returns.
#[derive(Clone, Debug, PartialEq)]
enum Why {
    /// It was asked to.
    Terminate,
    /// One of its tasks panicked.
    Panic(String),
}

/// Says a role that it must end. The first reason counts.
#[derive(Default)]
struct Stop {
    why: Mutex<Option<Why>>,
    changed: Notify,
    /// The latest panic in the root future, which may yet be caught.
    in_root: Mutex<Option<String>>,
}

impl Stop {
    fn ask(&self, why: Why) {
        self.lock().get_or_insert(why);
        self.changed.notify_one();
    }

    fn why(&self) -> Option<Why> {
        self.lock().clone()
    }

    fn in_root(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.in_root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the panic said that has come out of the root future.
    fn panicked_in_root(&self) -> String {
        let what = self.in_root().take();
        // A payload that is resumed passes by the hook.
        what.unwrap_or_else(|| "panicked".into())
    }

    async fn asked(&self) {
        while self.why().is_none() {
            // A notification without a receiver is kept.
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Why>> {
        // The panic hook comes here: a poisoned lock must not make it panic again.
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let what = payload.downcast_ref::<&str>().copied();
    let what = what.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = what.unwrap_or("with a value that is not a string");
    match info.location() {
        Some(place) => format!("panicked at {place}: {what}"),
        None => format!("panicked: {what}"),
    }
}
