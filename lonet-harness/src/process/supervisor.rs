//! The supervisor: the parent of all processes of a scenario, which outlives none of them.
//!
//! Owns starting, signalling and reaping, and the end: when the test's process is gone, however
//! it went, or closes the control socket, everything is killed. It is a copy of the test's binary,
//! started for this alone, and has one thread: so it may make a user namespace, and may be the
//! parent whose death the kernel signals to its children. It decides nothing: which process is
//! ended when is the scenario's business.

mod relay;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getgid, getppid, getuid};

use rustix::process::{PidfdFlags, pidfd_open};

use self::relay::Relay;
use super::children::{self, Change, Children, command, itself};
use super::limits;
use super::not_started;
use super::ticket::{self, Ticket};
use super::tree::Tree;
use super::wire::{FromSupervisor, Means, Program, ToSupervisor, send_message};
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
    children: Children,
    /// What came of a request so far.
    input: Vec<u8>,
    /// All that were started here, or by the carrier.
    trees: BTreeMap<u64, Tree>,
    init: Option<Child>,
    /// By which means all is ended, once that is decided.
    means: Option<Means>,
    /// To the carrier, and what is known of its programs.
    relay: Relay,
}

impl Supervisor {
    fn new(control: UnixStream) -> io::Result<Supervisor> {
        let children = Children::new()?;
        let test = getsockopt(&control, sockopt::PeerPidfd).ok();
        control.set_nonblocking(true)?;
        let mut supervisor = Supervisor {
            control,
            test,
            children,
            input: Vec::new(),
            trees: BTreeMap::new(),
            init: None,
            means: None,
            relay: Relay::default(),
        };
        // Otherwise what is started first decides.
        if names_threads() {
            supervisor.enclose()?;
        }
        Ok(supervisor)
    }

    /// Encloses all that will be started in a PID namespace, if it may.
    ///
    /// # Errors
    ///
    /// Nothing can be started any more: the namespace can't be left again.
    fn enclose(&mut self) -> io::Result<()> {
        let means = self.enclosed()?;
        self.means = Some(means);
        self.send(&FromSupervisor::Ready { means })
    }

    /// The carrier could not tell from within a namespace which thread a trapped call is of.
    fn do_not_enclose(&mut self) -> io::Result<()> {
        let means = Means::Subreaper;
        self.means = Some(means);
        self.send(&FromSupervisor::Ready { means })
    }

    fn enclosed(&mut self) -> io::Result<Means> {
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
            .env(ticket::VARIABLE, Ticket::Init.to_value());
        without_profile(&mut init);
        self.init = Some(children::spawn(&mut init)?);
        Ok(means)
    }

    /// Serves requests until the test's process is gone, or wants no more.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let poll_in = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut fds = vec![
                poll_in(self.control.as_fd()),
                poll_in(self.children.changed()),
            ];
            let test = self.test.as_ref().map(AsFd::as_fd);
            let carrier = self.relay.socket();
            fds.extend([test, carrier].into_iter().flatten().map(poll_in));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
            let mut next = || ready.next().unwrap_or(false);
            let (asked, changed) = (next(), next());
            let test_ended = test.is_some() && next();
            let carrier_speaks = carrier.is_some() && next();
            drop(fds);
            if test_ended {
                return Ok(());
            }
            if carrier_speaks {
                self.handle_carrier()?;
            }
            if changed {
                self.children.clear();
                self.reap()?;
            }
            if asked && !self.handle_requests()? {
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
                    let output = OsString::from(output);
                    match (self.means, &program.carried) {
                        (Some(_), _) => {}
                        (None, Some(_)) => self.do_not_enclose()?,
                        (None, None) => self.enclose()?,
                    }
                    match program.carried {
                        Some(carried) => self.start_carried(process, &carried, &output, &line)?,
                        None => {
                            let answer = match self.start(process, program, &output) {
                                Ok(pid) => FromSupervisor::Started { process, pid },
                                Err(error) => FromSupervisor::NotStarted { process, error },
                            };
                            self.send(&answer)?;
                        }
                    }
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
        let pipe = children::pipe(output).map_err(limits::explained_start)?;
        let child = self
            .spawn(program.clone(), output)
            .map_err(limits::explained_start)?
            .map_err(|error| not_started::why(&program, &error))?;
        let first = self.children.add(&child, process);
        self.add_tree(
            process,
            Tree {
                first,
                pipe,
                carried: None,
            },
        );
        Ok(child.id())
    }

    fn add_tree(&mut self, process: u64, tree: Tree) {
        // One that had the same pid has left nothing, or this could not have it.
        self.trees.retain(|_, other| other.first != tree.first);
        self.trees.insert(process, tree);
    }

    /// # Errors
    ///
    /// The outer ones are of the preparations, the inner ones of the program.
    fn spawn(&self, program: Program, output: &OsStr) -> io::Result<io::Result<Child>> {
        // A program can't arrange its own end; what becomes it can.
        let (mut command, program) = match program.is_role {
            true => (command(program), None),
            false => {
                let (before, socket) = program::before()?;
                (before, Some((socket, program)))
            }
        };
        ticket::give(&mut command, self.seen_as_parent());
        if program.is_none() {
            command.stdin(Stdio::null());
        }
        children::prints_to(&mut command, output)?;
        let mut child = children::spawn(&mut command)?;
        if let Some((socket, program)) = program {
            // It has this end of the socket, too.
            drop(command);
            let became = program::begin(&socket, &program).and_then(|()| program::becomes(&socket));
            if let Err(error) = became {
                let _ = child.wait();
                return Ok(Err(error));
            }
        }
        Ok(Ok(child))
    }

    /// What children see as their parent's pid: through a namespace's border, none.
    fn seen_as_parent(&self) -> u32 {
        match self.init {
            Some(_) => 0,
            None => std::process::id(),
        }
    }

    fn signal(&mut self, process: u64, signal: i32) -> io::Result<()> {
        let Ok(named) = Signal::try_from(signal) else {
            return Ok(());
        };
        if self.relay.is_starting(process) {
            self.relay.signal_when_started(process, named);
            return Ok(());
        }
        let runs = self.children.runs(process) || self.relay.runs(process);
        if let Some(tree) = self.trees.get(&process) {
            match named {
                // To finish is asked of the process itself, which has those that it started finish.
                Signal::SIGTERM if runs => tree.signal_first(named),
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

    /// What nodes have left behind, and this process, the carrier or the namespace's first one
    /// inherited.
    fn orphans(&self) -> Option<Vec<i32>> {
        let init = self.init.as_ref().map(|init| init.id().cast_signed());
        let mut orphans = stat::children(init.unwrap_or(own_pid()))?;
        if let Some(carrier) = self.relay.pid() {
            orphans.retain(|&pid| pid != carrier);
            // Those of one that has died are the others'.
            orphans.extend(stat::children(carrier).unwrap_or_default());
        }
        orphans.retain(|&pid| !self.children.has(pid) && !self.relay.has(pid));
        Some(orphans)
    }

    /// Reports every child that changed.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, process, change)) = self.children.next()? {
            if let (Change::Ended(status), true) = (&change, self.relay.pid() == Some(pid)) {
                self.carrier_died(*status)?;
            }
            let Some(process) = process else { continue };
            self.send(&match change {
                Change::Ended(status) => FromSupervisor::Ended {
                    process,
                    status,
                    background: false,
                },
                Change::Stopped => FromSupervisor::Stopped { process },
                Change::Continued => FromSupervisor::Continued { process },
            })?;
        }
        Ok(())
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
        for pid in self.children.pids().chain(self.relay.pid()) {
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

/// Whether this kernel, as Linux does from 6.9 on, has pidfds of threads: by these alone a thread in a
/// PID namespace is found in `/proc`.
fn names_threads() -> bool {
    // `PIDFD_THREAD` is `O_EXCL`.
    let flags = PidfdFlags::from_bits_retain(OFlag::O_EXCL.bits().cast_unsigned());
    pidfd_open(rustix::process::getpid(), flags).is_ok()
}

/// Of scenarios in namespaces of their own, some copies have the same pid, and nothing that is worth
/// measuring.
fn without_profile(copy: &mut Command) {
    if std::env::var_os("LLVM_PROFILE_FILE").is_some() {
        copy.env("LLVM_PROFILE_FILE", "/dev/null");
    }
}
