//! The carrier: the parent of all programs of a scenario that know nothing of lonet.
//!
//! Owns its main thread, which starts and reaps these programs and inherits their orphans, and the
//! messages to and from the supervisor. All is started from this one thread, since what ends with
//! its parent ends with the thread that started it. What a program does on the network is the
//! business of [`hosts`], on a thread of its own. No signal is sent from here: the supervisor knows
//! the pids that `/proc` shows. A map of the rest:
//!
//! - [`calls`]: which call of a program goes where;
//! - [`connect`], [`bind`], [`accept`]: its dials, its addresses and listeners, what it accepts;
//! - [`carried`]: one program on the network: its host, and its end;
//! - [`bytes`]: what its connections carry;
//! - [`waiting`]: a call that waits;
//! - [`sockets`]: what is known of its sockets: [`socket`] is one, [`port`] what several listen on;
//! - [`closed`]: which of them are closed;
//! - [`names`]: what names and addresses mean to it;
//! - [`place`]: where its sockets really are;
//! - [`filter`]: which system calls are trapped or refused;
//! - [`handover`]: how a program's filter and its listener come about;
//! - [`suitable`]: what can't be carried, known before it runs;
//! - [`support`]: whether this machine can carry programs, and what it lacks;
//! - [`trap`]: one trapped call, and how it is answered.

mod accept;
mod bind;
mod bytes;
mod calls;
mod carried;
mod closed;
mod connect;
mod filter;
pub(in crate::process) mod handover;
mod hosts;
mod names;
mod place;
mod port;
mod socket;
mod sockets;
mod suitable;
mod support;
#[cfg(test)]
mod tests;
mod trap;
mod waiting;

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::getppid;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use self::hosts::Hosts;
use super::children::{self, Change, Children};
use super::wire::{Carried, FromCarrier, Program, ToCarrier, send_message};
use super::{limits, not_started, parent, program, stat, ticket};

/// Does not return: only the supervisor gives such a ticket, and it is not passed on.
pub(super) fn run() {
    // In a PID namespace the kernel sees to it; it would not hurt there.
    if !parent::end_with_supervisor() {
        std::process::exit(1);
    }
    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else {
        std::process::exit(1);
    };
    let supervisor = Arc::new(Supervisor::new(UnixStream::from(stdin)));
    // A thread that panics carries nothing any more, and its programs would wait for ever.
    let told = supervisor.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let error = panic.to_string();
        let _ = told.send(&FromCarrier::Failed { error });
        std::process::exit(1);
    }));
    let served = Carrier::new(supervisor.clone()).and_then(|mut carrier| carrier.serve());
    if let Err(error) = &served {
        let error = limits::explained_start(error);
        let _ = supervisor.send(&FromCarrier::Failed { error });
    }
    std::process::exit(i32::from(served.is_err()));
}

/// The socket to it. Both threads write.
struct Supervisor {
    socket: UnixStream,
    writing: Mutex<()>,
}

impl Supervisor {
    fn new(socket: UnixStream) -> Supervisor {
        let writing = Mutex::default();
        Supervisor { socket, writing }
    }

    fn send(&self, message: &FromCarrier) -> io::Result<()> {
        let _whole = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        send_message(&self.socket, message)
    }
}

struct Carrier {
    supervisor: Arc<Supervisor>,
    children: Children,
    hosts: Hosts,
    /// Why this machine can't carry programs, if it can't.
    supported: Result<(), String>,
    /// The soft limit of descriptors that programs get: the carrier itself needs more.
    descriptors: Option<u64>,
    /// What came of a request so far.
    input: Vec<u8>,
}

impl Carrier {
    fn new(supervisor: Arc<Supervisor>) -> io::Result<Carrier> {
        // Before there is another thread, which inherits the mask.
        let children = Children::new()?;
        Ok(Carrier {
            supervisor,
            children,
            supported: support::support(),
            descriptors: limits::raise_descriptors(),
            hosts: Hosts::start()?,
            input: Vec::new(),
        })
    }

    /// Serves requests until the supervisor is gone.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let mut fds = [
                PollFd::new(self.supervisor.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.children.changed(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [asked, changed] = fds.map(|fd| fd.any().unwrap_or(true));
            if changed {
                self.children.clear();
                self.reap()?;
            }
            if asked && !self.handle_requests()? {
                return Ok(());
            }
        }
    }

    /// Reads requests that have arrived, and carries them out. False at the end.
    fn handle_requests(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 64 * 1024];
        match (&self.supervisor.socket).read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(n) => self.input.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        }
        while let Some(end) = self.input.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            match serde_json::from_slice(&line)? {
                ToCarrier::Start {
                    process,
                    program,
                    output,
                } => {
                    self.start(process, program, &OsString::from(output))?;
                    // A child may have ended while its signal was not blocked.
                    self.reap()?;
                }
                ToCarrier::Swept { process, status } => {
                    let supervisor = self.supervisor.clone();
                    self.hosts.end(process, move || {
                        // If this fails, the supervisor is gone, and this process about to be.
                        let _ = supervisor.send(&FromCarrier::Ended { process, status });
                    });
                }
            }
        }
        Ok(true)
    }

    /// Starts a program, and answers.
    fn start(&mut self, process: u64, mut program: Program, output: &OsString) -> io::Result<()> {
        if let Err(error) = self.join(process, &mut program) {
            let answer = FromCarrier::NotStarted { process, error };
            return self.supervisor.send(&answer);
        }
        match self.start_joined(process, &program, output) {
            Ok((pid, started)) => self.supervisor.send(&FromCarrier::Started {
                process,
                pid,
                started,
            }),
            Err(error) => {
                let supervisor = self.supervisor.clone();
                // Then its name is free again.
                self.hosts.abandon(process, move || {
                    let _ = supervisor.send(&FromCarrier::NotStarted { process, error });
                });
                Ok(())
            }
        }
    }

    /// Has the program's host be up, if the program can be carried.
    fn join(&self, process: u64, program: &mut Program) -> Result<(), String> {
        self.supported.clone()?;
        suitable::check(program)?;
        let carried = program.carried.as_deref_mut();
        let Carried {
            network,
            host,
            names,
            descriptors,
            ..
        } = carried.expect("only programs that are carried are sent here");
        *descriptors = self.descriptors;
        let names = std::mem::take(names);
        self.hosts.join(process, network, host, names)
    }

    /// Its pid as `/proc` shows it, and when it was started.
    ///
    /// # Errors
    ///
    /// Why it can't be started.
    fn start_joined(
        &mut self,
        process: u64,
        program: &Program,
        output: &OsString,
    ) -> Result<(u32, u64), String> {
        let (mut child, socket) = spawn(output).map_err(limits::explained_start)?;
        let began = support::reaches(child.id())
            .and_then(|()| {
                let became = self.become_it(process, program, &socket);
                became.map_err(|error| not_started::why(program, &error))
            })
            .and_then(|()| identity(&child).map_err(limits::explained));
        match began {
            Ok(identity) => {
                self.children.add(&child, process);
                Ok(identity)
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Has the copy execute the program, whose calls are served from before that on.
    fn become_it(&self, process: u64, program: &Program, socket: &UnixStream) -> io::Result<()> {
        program::begin(socket, program)?;
        match handover::receive_listener(socket.as_fd()) {
            Ok(Some(listener)) => self.hosts.serve(process, listener),
            // It ends without: the rest says why.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Ok(None) => {
                return Err(io::Error::other(
                    "its process ended before the program began",
                ));
            }
            Err(error) => return Err(error),
        }
        program::becomes(socket)
    }

    /// Reports every program that changed.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((_, process, change)) = self.children.next()? {
            // One that it inherited is gone, and that is all.
            let Some(process) = process else { continue };
            self.supervisor.send(&match change {
                Change::Ended(status) => FromCarrier::First { process, status },
                Change::Stopped => FromCarrier::Stopped { process },
                Change::Continued => FromCarrier::Continued { process },
            })?;
        }
        Ok(())
    }
}

/// A copy of this binary that is about to become a program, and the socket that says which.
fn spawn(output: &OsString) -> io::Result<(Child, UnixStream)> {
    let (mut before, socket) = program::before()?;
    ticket::give(&mut before, std::process::id());
    children::prints_to(&mut before, output)?;
    // Not reaped by another before it is known here: this is the only thread that reaps.
    Ok((children::spawn(&mut before)?, socket))
}

/// The pid of a child as `/proc` shows it, which is not the one it has here if this is a PID
/// namespace of the scenario's own; and when it was started.
fn identity(child: &Child) -> io::Result<(u32, u64)> {
    let pid = match outer_pid(child) {
        Some(pid) => pid,
        // The supervisor is visible from here, so both are in one namespace.
        None if getppid().as_raw() != 0 => child.id(),
        None => return Err(io::Error::other("/proc does not show its pid")),
    };
    let stat = stat::of(pid.cast_signed());
    let stat = stat.ok_or_else(|| io::Error::other("/proc does not show its process"))?;
    Ok((pid, stat.started))
}

fn outer_pid(child: &Child) -> Option<u32> {
    let pid = Pid::from_raw(child.id().cast_signed())?;
    let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let info = format!("/proc/self/fdinfo/{}", held.as_raw_fd());
    let info = std::fs::read_to_string(info).ok()?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    pid.trim().parse().ok()
}
