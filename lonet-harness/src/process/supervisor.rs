//! The supervisor: the parent of all processes of a scenario, which outlives none of them.
//!
//! Owns starting, signalling and reaping, and the end: when the test's process is gone, however
//! it went, or closes the control socket, everything is killed. It is a copy of the test's binary,
//! started for this alone, and has one thread: so it may make a user namespace, and may be the
//! parent whose death the kernel signals to its children. It decides nothing: which process is ended when is
//! the scenario's business.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getgid, getppid, getuid};

use super::limits;
use super::not_started;
use super::ticket::{self, Ticket};
use super::tree::{Pipe, Tree};
use super::wire::{Ended, FromSupervisor, Means, Program, ToSupervisor, send_message};
use super::{program, stat};

/// The variable that says, by `0`, that there is to be no PID namespace.
pub(super) const NAMESPACE: &str = "LONET_NAMESPACE";

/// Does not return where it was called for: with a control socket for standard input, by the
/// process at the other end of it.
pub(super) fn run() {
    let Ok(control) = control_socket() else {
        return;
    };
    let Some(control) = control else {
        // To go on would be to run the tests of this binary, all of them.
        std::process::exit(1);
    };
    let ended = match Supervisor::new(control) {
        Ok(mut supervisor) => {
            let ended = supervisor.serve();
            supervisor.end_all();
            ended
        }
        Err(error) => {
            let error = limits::explained_start(error);
            // Standard input still is the control socket.
            send_message(io::stdin(), &FromSupervisor::Failed { error })
        }
    };
    std::process::exit(i32::from(ended.is_err()));
}

/// `None` if the process that started this one has already ended.
///
/// # Errors
///
/// There is none: then this process was not started to be a supervisor.
fn control_socket() -> io::Result<Option<UnixStream>> {
    let stdin = io::stdin();
    let peer = getsockopt(&stdin, sockopt::PeerCredentials)?;
    if peer.pid() != getppid().as_raw() {
        return Ok(None);
    }
    Ok(Some(UnixStream::from(stdin.as_fd().try_clone_to_owned()?)))
}

struct Supervisor {
    control: UnixStream,
    /// The test's process; `None` where the kernel can't give it: then its end is known by the
    /// socket alone.
    test: Option<OwnedFd>,
    children: SignalFd,
    /// What came of a request so far.
    input: Vec<u8>,
    /// By pid, the processes that were started here and have not been reaped.
    running: BTreeMap<i32, u64>,
    /// All that were started here.
    trees: BTreeMap<u64, Tree>,
    init: Option<Child>,
}

impl Supervisor {
    fn new(control: UnixStream) -> io::Result<Supervisor> {
        set_child_subreaper(true)?;
        handle_sigchld()?;
        SigSet::empty().thread_set_mask()?;
        let children =
            SignalFd::with_flags(&sigchld(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let test = getsockopt(&control, sockopt::PeerPidfd).ok();
        control.set_nonblocking(true)?;
        let mut supervisor = Supervisor {
            control,
            test,
            children,
            input: Vec::new(),
            running: BTreeMap::new(),
            trees: BTreeMap::new(),
            init: None,
        };
        let means = supervisor.enclose()?;
        // Nothing but SIGKILL ends it before its time.
        SigSet::all().thread_block()?;
        supervisor.send(&FromSupervisor::Ready { means })?;
        Ok(supervisor)
    }

    /// Encloses all that will be started in a PID namespace, if it may.
    ///
    /// # Errors
    ///
    /// Nothing can be started any more: the namespace can't be left again.
    fn enclose(&mut self) -> io::Result<Means> {
        if std::env::var_os(NAMESPACE).is_some_and(|value| value == "0") {
            return Ok(Means::Subreaper);
        }
        let means = match unshare(CloneFlags::CLONE_NEWPID) {
            Ok(()) => Means::Namespace,
            Err(_) => {
                let (uid, gid) = (getuid(), getgid());
                if unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID).is_err() {
                    return Ok(Means::Subreaper);
                }
                // Without a mapping every file would seem to be someone else's.
                fs::write("/proc/self/setgroups", "deny")
                    .and_then(|()| fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")))
                    .and_then(|()| fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")))?;
                Means::UserNamespace
            }
        };
        let mut init = itself();
        init.stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .env(ticket::VARIABLE, Ticket::Init.to_value());
        // Two scenarios' inits have the same pid, and nothing that is worth measuring.
        if std::env::var_os("LLVM_PROFILE_FILE").is_some() {
            init.env("LLVM_PROFILE_FILE", "/dev/null");
        }
        self.init = Some(init.spawn()?);
        Ok(means)
    }

    /// Serves requests until the test's process is gone, or wants no more.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let mut fds = vec![
                PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
            ];
            if let Some(test) = &self.test {
                fds.push(PollFd::new(test.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
            if ready.get(2).copied().unwrap_or(false) {
                return Ok(());
            }
            if ready[1] {
                while let Ok(Some(_)) = self.children.read_signal() {}
                self.reap()?;
            }
            if ready[0] && !self.handle_requests()? {
                return Ok(());
            }
        }
    }

    /// Reads the requests that have arrived, and carries them out. False at the end.
    fn handle_requests(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 64 * 1024];
        match self.control.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(n) => self.input.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        }
        while let Some(end) = self.input.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            match serde_json::from_slice(&line)? {
                ToSupervisor::Start {
                    process,
                    program,
                    output,
                } => {
                    let answer = match self.start(process, program, &OsString::from(output)) {
                        Ok(pid) => FromSupervisor::Started { process, pid },
                        Err(error) => FromSupervisor::NotStarted { process, error },
                    };
                    self.send(&answer)?;
                    // A child may have ended while its signal was not blocked.
                    self.reap()?;
                }
                ToSupervisor::Signal { process, signal } => self.signal(process, signal)?,
                ToSupervisor::Descriptors { soft } => limits::set_descriptors(soft),
            }
        }
        Ok(true)
    }

    /// # Errors
    ///
    /// Why it can't be started.
    fn start(&mut self, process: u64, program: Program, output: &OsStr) -> Result<u32, String> {
        let (child, pipe) = self
            .spawn(program.clone(), output)
            .map_err(limits::explained_start)?;
        let pid = child
            .map_err(|error| not_started::why(&program, &error))?
            .id();
        let first = pid.cast_signed();
        self.running.insert(first, process);
        // One that had the same pid has left nothing, or this could not have it.
        self.trees.retain(|_, tree| tree.first != first);
        self.trees.insert(process, Tree { first, pipe });
        Ok(pid)
    }

    /// # Errors
    ///
    /// The outer ones are of the preparations, the inner ones of the program.
    fn spawn(&self, program: Program, output: &OsStr) -> io::Result<(io::Result<Child>, Pipe)> {
        // The reader is there before this is asked for, so that a writer must not wait.
        let output = OpenOptions::new()
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(output)?;
        fcntl(output.as_fd(), FcntlArg::F_SETFL(OFlag::empty()))?;
        let pipe = output.metadata()?;
        let pipe = (pipe.dev(), pipe.ino());
        // A program can't arrange its own end; what becomes it can.
        let (mut command, program) = match program.is_role {
            true => (command(program), None),
            false => {
                let (before, socket) = program::before()?;
                (before, Some((socket, program)))
            }
        };
        // Through a namespace's border a child sees no parent.
        let own = if self.init.is_some() {
            0
        } else {
            std::process::id()
        };
        let ticket = command
            .get_envs()
            .find(|(name, _)| *name == ticket::VARIABLE);
        if let Some((_, Some(ticket))) = ticket {
            let ticket = ticket::of_child(own, ticket);
            command.env(ticket::VARIABLE, ticket);
        }
        if program.is_none() {
            command.stdin(Stdio::null());
        }
        command
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        // What is started inherits the mask.
        SigSet::empty().thread_set_mask()?;
        let child = command.spawn();
        SigSet::all().thread_block()?;
        let mut child = child?;
        if let Some((socket, program)) = program {
            // It has this end of the socket, too.
            drop(command);
            if let Err(error) = program::become_it(socket, &program) {
                let _ = child.wait();
                return Ok((Err(error), pipe));
            }
        }
        Ok((Ok(child), pipe))
    }

    fn signal(&self, process: u64, signal: i32) -> io::Result<()> {
        let runs = self.running.values().any(|&running| running == process);
        if let (Ok(signal), Some(tree)) = (Signal::try_from(signal), self.trees.get(&process)) {
            match signal {
                // To finish is asked of the process itself, which has those that it started finish.
                Signal::SIGTERM if runs => drop(kill(Pid::from_raw(tree.first), signal)),
                Signal::SIGTERM => {}
                signal => tree.signal(signal, runs, || self.orphans()),
            }
        }
        match runs {
            // What becomes of it is reported when it is seen.
            true => Ok(()),
            false => self.send(&FromSupervisor::Reached { process }),
        }
    }

    /// What nodes have left behind, and this process or the namespace's first one inherited.
    fn orphans(&self) -> Option<Vec<i32>> {
        let init = self.init.as_ref().map(|init| init.id().cast_signed());
        let mut orphans = stat::children(init.unwrap_or(own_pid()))?;
        orphans.retain(|pid| !self.running.contains_key(pid));
        Some(orphans)
    }

    /// Tells of every child that changed.
    fn reap(&mut self) -> io::Result<()> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        loop {
            let (pid, status) = match waitpid(Pid::from_raw(-1), Some(flags)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::Exited(pid, status)) => (pid, Ended::Status(status)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Ended::Signal(signal as i32)),
                Ok(WaitStatus::Stopped(pid, _)) => {
                    if let Some(&process) = self.running.get(&pid.as_raw()) {
                        self.send(&FromSupervisor::Stopped { process })?;
                    }
                    continue;
                }
                Ok(WaitStatus::Continued(pid)) => {
                    if let Some(&process) = self.running.get(&pid.as_raw()) {
                        self.send(&FromSupervisor::Continued { process })?;
                    }
                    continue;
                }
                // One ended by a signal that has no name: which one, its absence tells.
                Err(Errno::EINVAL) => {
                    let gone = self
                        .running
                        .keys()
                        .copied()
                        .find(|&pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH));
                    let Some(pid) = gone else { continue };
                    (Pid::from_raw(pid), Ended::Signal(0))
                }
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(process) = self.running.remove(&pid.as_raw()) {
                self.send(&FromSupervisor::Ended { process, status })?;
            }
        }
    }

    fn send(&self, message: &FromSupervisor) -> io::Result<()> {
        // Blocking for the length of the message: requests can wait, but half a line can't.
        self.control.set_nonblocking(false)?;
        let sent = send_message(&self.control, message);
        self.control.set_nonblocking(true)?;
        sent
    }

    /// Kills all that came of this scenario, and returns when it is gone.
    fn end_all(&mut self) {
        let _ = SigSet::empty().thread_set_mask();
        if let Some(init) = &mut self.init {
            // With the first process of a PID namespace, all others in it end.
            let _ = init.kill();
            loop {
                match waitpid(Pid::from_raw(-1), None) {
                    Err(Errno::ECHILD) => return,
                    _ => continue,
                }
            }
        }
        // Orphans become children of this process, a generation with each round.
        loop {
            let Some(children) = stat::children(own_pid()) else {
                return self.end_known();
            };
            for child in children {
                let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
            }
            match waitpid(Pid::from_raw(-1), None) {
                Err(Errno::ECHILD) => return,
                _ => {
                    while matches!(
                        waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)),
                        Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::EINVAL)
                    ) {}
                }
            }
        }
    }

    /// What was started here, and its groups: where nothing reports more, to wait for all could
    /// be to wait for ever.
    fn end_known(&self) {
        for &pid in self.running.keys() {
            let pid = Pid::from_raw(pid);
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
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

/// This binary, even if its file has been replaced meanwhile.
pub(super) fn itself() -> Command {
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command
}

pub(super) fn command(program: Program) -> Command {
    let mut command = Command::new(std::ffi::OsString::from(program.program));
    if let Some(arg0) = program.arg0 {
        command.arg0(std::ffi::OsString::from(arg0));
    }
    command.args(program.args.into_iter().map(std::ffi::OsString::from));
    if program.clear {
        command.env_clear();
    }
    // The supervisor's own ticket is for itself only.
    command.env_remove(ticket::VARIABLE);
    for (name, value) in program.env {
        let name = std::ffi::OsString::from(name);
        match value {
            Some(value) => command.env(name, std::ffi::OsString::from(value)),
            None => command.env_remove(name),
        };
    }
    if let Some(dir) = program.dir {
        command.current_dir(std::ffi::OsString::from(dir));
    }
    command
}
