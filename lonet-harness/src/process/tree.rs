//! The processes of a node: the one that was started, and what came of it.
//!
//! Owns finding them and sending them a signal, for the supervisor, below which they all are. A
//! process belongs to a node
//!
//! - if it is the first, or if its parent belongs to the node; or
//! - if its parent has ended, and it still is in the first one's process group, or still prints
//!   where the node does, or has the mark of a program that is carried.
//!
//! What gave up all three can't be told from what other nodes left; it ends with the scenario.
//!
//! A process that is listed may fork before the signal reaches it, and its child loses its parent
//! when that dies. So all are stopped first, until nothing new is found, and killed only then.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use super::mark::Mark;
use super::stat;

/// How long what was killed may take to end; it takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pipe, by device and inode.
pub(super) type Pipe = (u64, u64);

/// A node, as the supervisor knows it.
pub(super) struct Tree {
    /// The process that was started, whose pid is its group's number.
    pub(super) first: i32,
    /// Where the node prints.
    pub(super) pipe: Pipe,
    /// Of a program that is carried.
    pub(super) carried: Option<CarriedTree>,
}

/// What else is known of a program that is carried. The supervisor does not reap its first process,
/// so its pid may be another's at any moment.
pub(super) struct CarriedTree {
    /// When the first process was started.
    pub(super) started: u64,
    pub(super) mark: Mark,
}

/// A process that was found, held so that its pid can't become another's meanwhile; not where the
/// kernel can't do that.
type Held = BTreeMap<(i32, u64), Option<OwnedFd>>;

impl Tree {
    /// Sends the signal to all; returns once what was killed is gone. `runs`: the first has not been
    /// reaped. `orphans` lists the processes of the scenario whose parent has ended.
    pub(super) fn signal(
        &self,
        signal: Signal,
        runs: bool,
        orphans: impl Fn() -> Option<Vec<i32>>,
    ) {
        let kills = signal == Signal::SIGKILL;
        let at_once = if kills { Signal::SIGSTOP } else { signal };
        let mut held = Held::new();
        loop {
            let Some(orphans) = orphans().filter(|_| stat::is_own()) else {
                if self.carried.is_some() {
                    // Whose pids these are by now, nothing shows.
                    return;
                }
                // Nothing shows what there is; the group is the first one's while that is there.
                let first = Pid::from_raw(self.first);
                if runs && killpg(first, signal).is_err() {
                    let _ = kill(first, signal);
                }
                return;
            };
            let mut is_last = true;
            for found in self.members(runs, &orphans) {
                if let Entry::Vacant(new) = held.entry(found) {
                    is_last = false;
                    send(found, new.insert(hold(found.0)), at_once);
                }
            }
            if is_last {
                break;
            }
        }
        if !kills {
            return;
        }
        for (&found, fd) in &held {
            send(found, fd, signal);
        }
        let until = Instant::now() + PATIENCE;
        for held in held.values().flatten() {
            ends(held, until);
        }
    }

    /// The pids of all, each with the time when it was started; a parent stands before its children.
    fn members(&self, runs: bool, orphans: &[i32]) -> Vec<(i32, u64)> {
        let left = orphans.iter().copied().filter(|&pid| self.is_of(pid));
        let first = (runs && self.has_first()).then_some(self.first);
        let mut todo: Vec<i32> = left.chain(first).collect();
        let mut members = Vec::new();
        while let Some(pid) = todo.pop() {
            let Some(stat) = stat::of(pid) else {
                continue;
            };
            members.push((pid, stat.started));
            todo.extend(stat::children(pid).unwrap_or_default());
        }
        members
    }

    /// Sends the signal to the first process alone.
    pub(super) fn signal_first(&self, signal: Signal) {
        let held = hold(self.first);
        if self.carried.is_none() {
            // The supervisor reaps it, so the pid is its own.
            let _ = kill(Pid::from_raw(self.first), signal);
        } else if let Some(stat) = stat::of(self.first).filter(|_| self.has_first()) {
            send((self.first, stat.started), &held, signal);
        }
    }

    /// Whether one that still runs is left of it.
    pub(super) fn is_left(&self, orphans: &[i32]) -> bool {
        let members = self.members(false, orphans).into_iter();
        members
            .filter_map(|(pid, _)| stat::of(pid))
            .any(|stat| !stat.ended)
    }

    /// Whether the first process still has its pid.
    fn has_first(&self) -> bool {
        let started = self.carried.as_ref().map(|carried| carried.started);
        started.is_none_or(|started| stat::of(self.first).is_some_and(|s| s.started == started))
    }

    /// Whether an orphan came of this node.
    fn is_of(&self, pid: i32) -> bool {
        let prints = |fd: u32| {
            let to = fs::metadata(format!("/proc/{pid}/fd/{fd}"));
            to.is_ok_and(|to| (to.dev(), to.ino()) == self.pipe)
        };
        let marked = || {
            let carried = self.carried.as_ref();
            carried.is_some_and(|carried| Mark::of(pid) == Some(carried.mark))
        };
        let in_group = stat::of(pid).is_some_and(|stat| stat.group == self.first);
        in_group || prints(1) || prints(2) || marked()
    }
}

fn hold(pid: i32) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Sends it to the process that was found, and to no other that has its pid now.
fn send((pid, started): (i32, u64), held: &Option<OwnedFd>, signal: Signal) {
    if stat::of(pid).is_none_or(|stat| stat.started != started) {
        return;
    }
    let sent = held.as_ref().map(|held| {
        let signal = rustix::process::Signal::from_named_raw(signal as i32);
        signal.is_some_and(|signal| pidfd_send_signal(held, signal).is_ok())
    });
    if sent.is_none() {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Whether it ends by then.
pub(super) fn ends(held: &OwnedFd, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let patience = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
    let mut fds = [PollFd::new(held.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, patience).is_ok_and(|ended| ended > 0)
}
