//! The supervisor's side of the carrier.
//!
//! Owns starting it at the first program that is carried, passing requests and answers on, and the
//! end of these programs: the carrier reaps a program's first process, then all else that came of
//! the program is killed here, then the carrier closes its host. What the carrier's death means for
//! the test is the collector's business.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;

use super::{Supervisor, names_threads, without_profile};
use crate::process::children::itself;
use crate::process::tree::{CarriedTree, Pipe, Tree};
use crate::process::wire::{
    Carried, Ended, FromCarrier, FromSupervisor, ToCarrier, send_line, send_message,
};
use crate::process::{children, limits, mark::Mark, stat, ticket, ticket::Ticket};

/// What is known of the carrier and its programs.
#[derive(Default)]
pub(super) struct Relay {
    carrier: Option<Carrier>,
    /// Why the carrier failed, as it says.
    failed: Option<String>,
    /// That the carrier has died, in words: it is not started again.
    died: Option<String>,
    /// Programs that the carrier was asked to start and has not answered for.
    starting: BTreeMap<u64, Starting>,
    /// By number, the pids of those whose first process has not been reaped.
    running: BTreeMap<u64, i32>,
    /// Those whose first process has, and whose host is being closed: how it ended, and whether it
    /// had left others that ran.
    ending: BTreeMap<u64, (Ended, bool)>,
}

struct Carrier {
    child: Child,
    socket: UnixStream,
    /// What came of an answer so far.
    input: Vec<u8>,
}

struct Starting {
    pipe: Pipe,
    mark: Mark,
    /// What was to be sent before there was a process.
    signals: Vec<Signal>,
}

impl Relay {
    /// Readable when the carrier has said something, or has died.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.carrier.as_ref()?.socket.as_fd())
    }

    pub(super) fn pid(&self) -> Option<i32> {
        Some(self.carrier.as_ref()?.child.id().cast_signed())
    }

    pub(super) fn is_starting(&self, process: u64) -> bool {
        self.starting.contains_key(&process)
    }

    /// Whether the first process of that program has not been reaped.
    pub(super) fn runs(&self, process: u64) -> bool {
        self.running.contains_key(&process)
    }

    /// Whether the first process of a program has that pid.
    pub(super) fn has(&self, pid: i32) -> bool {
        self.running.values().any(|&first| first == pid)
    }

    pub(super) fn signal_when_started(&mut self, process: u64, signal: Signal) {
        if let Some(starting) = self.starting.get_mut(&process) {
            starting.signals.push(signal);
        }
    }
}

impl Supervisor {
    /// Has the carrier start a program, by the line that asks for it.
    pub(super) fn start_carried(
        &mut self,
        process: u64,
        carried: &Carried,
        output: &OsStr,
        line: &[u8],
    ) -> io::Result<()> {
        match self.prepare_carried(carried, output) {
            Ok(starting) => {
                self.relay.starting.insert(process, starting);
                if let Some(carrier) = &self.relay.carrier {
                    // If this fails, the carrier is about to be reaped.
                    let _ = send_line(&carrier.socket, line);
                }
                Ok(())
            }
            Err(error) => self.send(&FromSupervisor::NotStarted { process, error }),
        }
    }

    fn prepare_carried(&mut self, carried: &Carried, output: &OsStr) -> Result<Starting, String> {
        if let Some(died) = &self.relay.died {
            return Err(died.clone());
        }
        if !stat::is_own() {
            return Err(
                "its traffic can't be carried: /proc is missing, or shows other processes".into(),
            );
        }
        if self.init.is_some() && !names_threads() {
            return Err(
                "on this kernel (Linux before 6.9), lonet can't carry a program that is started after \
                 a role: spawn a `Program` first, or set LONET_NAMESPACE=0"
                    .into(),
            );
        }
        let pipe = children::pipe(output).map_err(limits::explained)?;
        self.start_carrier().map_err(limits::explained_start)?;
        Ok(Starting {
            pipe,
            mark: carried.mark(),
            signals: Vec::new(),
        })
    }

    fn start_carrier(&mut self) -> io::Result<()> {
        if self.relay.carrier.is_some() {
            return Ok(());
        }
        let (socket, theirs) = UnixStream::pair()?;
        let mut carrier = itself();
        carrier
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env(ticket::VARIABLE, Ticket::Carrier.to_value());
        ticket::give(&mut carrier, self.seen_as_parent());
        without_profile(&mut carrier);
        let child = children::spawn(&mut carrier)?;
        let pid = child.id();
        self.relay.carrier = Some(Carrier {
            child,
            socket,
            input: Vec::new(),
        });
        self.send(&FromSupervisor::Carrier { pid })
    }

    /// Reads what the carrier has said, and carries it out.
    pub(super) fn handle_carrier(&mut self) -> io::Result<()> {
        let Some(carrier) = &mut self.relay.carrier else {
            return Ok(());
        };
        let mut chunk = [0; 64 * 1024];
        match carrier.socket.read(&mut chunk) {
            Ok(n) if n > 0 => carrier.input.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            _ => {
                // It ends, or says nothing any more; either way it is reaped now.
                let _ = carrier.child.kill();
                let status = carrier.child.wait()?;
                return self.carrier_died(Ended::from(status));
            }
        }
        self.handle_answers()
    }

    fn handle_answers(&mut self) -> io::Result<()> {
        while let Some(line) = self.relay.carrier.as_mut().and_then(Carrier::line) {
            self.handle_answer(serde_json::from_slice(&line)?)?;
        }
        Ok(())
    }

    fn handle_answer(&mut self, answer: FromCarrier) -> io::Result<()> {
        match answer {
            FromCarrier::Failed { error } => {
                self.relay.failed = Some(error);
                Ok(())
            }
            FromCarrier::Started {
                process,
                pid,
                started,
            } => self.carried_started(process, pid, started),
            FromCarrier::NotStarted { process, error } => {
                self.relay.starting.remove(&process);
                self.send(&FromSupervisor::NotStarted { process, error })
            }
            FromCarrier::First { process, status } => self.carried_ends(process, status),
            FromCarrier::Ended { process, .. } => {
                let Some((status, background)) = self.relay.ending.remove(&process) else {
                    return Ok(());
                };
                self.send(&FromSupervisor::Ended {
                    process,
                    status,
                    background,
                })
            }
            FromCarrier::Stopped { process } => self.send(&FromSupervisor::Stopped { process }),
            FromCarrier::Continued { process } => self.send(&FromSupervisor::Continued { process }),
        }
    }

    fn carried_started(&mut self, process: u64, pid: u32, started: u64) -> io::Result<()> {
        let Some(Starting {
            pipe,
            mark,
            signals,
        }) = self.relay.starting.remove(&process)
        else {
            return Ok(());
        };
        let first = pid.cast_signed();
        self.relay.running.insert(process, first);
        let carried = Some(CarriedTree { started, mark });
        self.add_tree(
            process,
            Tree {
                first,
                pipe,
                carried,
            },
        );
        self.send(&FromSupervisor::Started { process, pid })?;
        for signal in signals {
            self.signal(process, signal as i32)?;
        }
        Ok(())
    }

    /// A program's first process has been reaped: all else that came of it is killed.
    fn carried_ends(&mut self, process: u64, status: Ended) -> io::Result<()> {
        self.relay.running.remove(&process);
        let left = self.sweep(process);
        self.relay.ending.insert(process, (status, left));
        self.send(&FromSupervisor::Swept { process })?;
        if let Some(carrier) = &self.relay.carrier {
            // If this fails, the carrier is about to be reaped.
            let _ = send_message(&carrier.socket, &ToCarrier::Swept { process, status });
        }
        Ok(())
    }

    /// Kills all that is left of a program, and returns when it is gone. Whether something ran.
    fn sweep(&self, process: u64) -> bool {
        let Some(tree) = self.trees.get(&process) else {
            return false;
        };
        let runs = self.relay.runs(process);
        let left = self.orphans().is_some_and(|left| tree.is_left(&left));
        tree.signal(Signal::SIGKILL, runs, || self.orphans());
        left
    }

    /// With it, all end that it carried.
    pub(super) fn carrier_died(&mut self, status: Ended) -> io::Result<()> {
        // What it had said comes before its death.
        if let Some(carrier) = &mut self.relay.carrier {
            carrier.socket.set_nonblocking(true)?;
            let _ = carrier.socket.read_to_end(&mut carrier.input);
        }
        self.handle_answers()?;
        self.relay.carrier = None;
        let error = self.relay.failed.take();
        let died = "the process that carries programs has died";
        let died = match &error {
            Some(error) => format!("{died}: {error}"),
            None => died.to_owned(),
        };
        self.relay.died = Some(died.clone());
        self.send(&FromSupervisor::CarrierDied { status, error })?;
        for process in std::mem::take(&mut self.relay.starting).into_keys() {
            let error = died.clone();
            self.send(&FromSupervisor::NotStarted { process, error })?;
        }
        let running: BTreeSet<u64> = self.relay.running.keys().copied().collect();
        for &process in &running {
            self.sweep(process);
        }
        let killed = |process| (process, Ended::Signal(Signal::SIGKILL as i32));
        let ended = std::mem::take(&mut self.relay.running)
            .into_keys()
            .map(killed);
        let ending = std::mem::take(&mut self.relay.ending).into_iter();
        let ending = ending.map(|(process, (status, _))| (process, status));
        for (process, status) in ended.chain(ending) {
            self.send(&FromSupervisor::Ended {
                process,
                status,
                background: false,
            })?;
        }
        Ok(())
    }
}

impl Carrier {
    /// The next line that has arrived whole.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.input.iter().position(|&b| b == b'\n')?;
        Some(self.input.drain(..=end).collect())
    }
}
