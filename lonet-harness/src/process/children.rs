//! The children of a process that starts others: of the supervisor, or of the carrier.
//!
//! Owns the command by which a child is started, its output, group and signals, and that each is
//! reaped, orphans included. Such a process starts all of them from one thread: what ends with its
//! parent ends with the thread that started it. What follows from a child's end is the caller's
//! business.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::ticket;
use super::tree::Pipe;
use super::wire::{Ended, Program};

/// See the module.
pub(super) struct Children {
    signals: SignalFd,
    /// By pid, the processes that were started here and have not been reaped.
    running: BTreeMap<i32, u64>,
}

/// What happened to a child.
pub(super) enum Change {
    Ended(Ended),
    Stopped,
    Continued,
}

impl Children {
    /// Has this process inherit the orphans of its children. Nothing but SIGKILL ends it from then
    /// on before its time.
    pub(super) fn new() -> io::Result<Children> {
        set_child_subreaper(true)?;
        handle_sigchld()?;
        let signals =
            SignalFd::with_flags(&sigchld(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        SigSet::all().thread_set_mask()?;
        Ok(Children {
            signals,
            running: BTreeMap::new(),
        })
    }

    /// The child was started for the process of that number.
    pub(super) fn add(&mut self, child: &Child, process: u64) -> i32 {
        let pid = child.id().cast_signed();
        self.running.insert(pid, process);
        pid
    }

    /// Whether the process of that number has not been reaped.
    pub(super) fn runs(&self, process: u64) -> bool {
        self.running.values().any(|&running| running == process)
    }

    /// Whether a process that was started here has that pid.
    pub(super) fn has(&self, pid: i32) -> bool {
        self.running.contains_key(&pid)
    }

    /// The pids of all that were started here and have not been reaped.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        self.running.keys().copied()
    }

    /// Readable when a child may have changed.
    pub(super) fn changed(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// Forgets the signals that have arrived: `next` is about to look.
    pub(super) fn clear(&self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
    }

    /// The next of the children that have changed, reaped if it has ended: its pid, and the process
    /// that it was started for, if it was.
    pub(super) fn next(&mut self) -> io::Result<Option<(i32, Option<u64>, Change)>> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        loop {
            let (pid, change) = match waitpid(Pid::from_raw(-1), Some(flags)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
                Ok(WaitStatus::Exited(pid, status)) => (pid, Change::Ended(Ended::Status(status))),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    (pid, Change::Ended(Ended::Signal(signal as i32)))
                }
                Ok(WaitStatus::Stopped(pid, _)) => (pid, Change::Stopped),
                Ok(WaitStatus::Continued(pid)) => (pid, Change::Continued),
                // One ended by a signal that has no name: which one, its absence tells.
                Err(Errno::EINVAL) => {
                    let gone = self
                        .pids()
                        .find(|&pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH));
                    let Some(pid) = gone else { continue };
                    (Pid::from_raw(pid), Change::Ended(Ended::Signal(0)))
                }
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let pid = pid.as_raw();
            let process = match change {
                Change::Ended(_) => self.running.remove(&pid),
                _ => self.running.get(&pid).copied(),
            };
            return Ok(Some((pid, process, change)));
        }
    }
}

/// Starts the command in a group of its own, with no signal blocked.
///
/// # Errors
///
/// The program can't be executed, or the system refuses another process.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    // What is started inherits the mask.
    SigSet::empty().thread_set_mask()?;
    let child = command.process_group(0).spawn();
    SigSet::all().thread_set_mask()?;
    child
}

/// Has the command print to the pipe with that path, whose reader is there.
pub(super) fn prints_to(command: &mut Command, output: &OsStr) -> io::Result<()> {
    // The reader is there before this is asked for, so that a writer must not wait.
    let output = OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(output)?;
    fcntl(output.as_fd(), FcntlArg::F_SETFL(OFlag::empty()))?;
    command.stdout(output.try_clone()?).stderr(output);
    Ok(())
}

/// The pipe with that path.
pub(super) fn pipe(output: &OsStr) -> io::Result<Pipe> {
    let pipe = Path::new(output).metadata()?;
    Ok((pipe.dev(), pipe.ino()))
}

/// This binary, even if its file has been replaced meanwhile.
pub(super) fn itself() -> Command {
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command
}

pub(super) fn command(program: Program) -> Command {
    let mut command = Command::new(OsString::from(program.program));
    if let Some(arg0) = program.arg0 {
        command.arg0(OsString::from(arg0));
    }
    command.args(program.args.into_iter().map(OsString::from));
    if program.clear {
        command.env_clear();
    }
    // The supervisor's own ticket is for itself only.
    command.env_remove(ticket::VARIABLE);
    for (name, value) in program.env {
        let name = OsString::from(name);
        match value {
            Some(value) => command.env(name, OsString::from(value)),
            None => command.env_remove(name),
        };
    }
    if let Some(dir) = program.dir {
        command.current_dir(OsString::from(dir));
    }
    command
}

/// Has SIGCHLD handled, by doing nothing. Where it is ignored, which `exec` keeps, the kernel reaps
/// children itself, and nothing tells how they ended. What is started gets the default back.
fn handle_sigchld() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // A runtime without a thread of its own. The handler stays when what it feeds is gone.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _context = runtime.enter();
    signal(SignalKind::child()).map(drop)
}

fn sigchld() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set
}
