//! What is left of a scenario whose supervisor has died, and that nothing else ends any more.
//!
//! Owns finding it and ending it, in the test's process. A process counts as the scenario's
//!
//! - if its environment names the scenario's network, whose name no other has, or it prints to a
//!   pipe in the network's directory, as what a program has started does; unless the test's
//!   process has started it itself; or
//! - if it is in the process group of a node that had not ended when the supervisor did.
//!
//! A pid may be another process's by the time that one acts on it. So each process is held by a
//! pidfd first, then looked at, then signalled through the pidfd: if it ended in between, and its
//! pid went to another, the signal goes nowhere. A group's number isn't given away while it has a
//! member; one whose leader is not the node of old is a new group.
//!
//! What is left may still fork, execute and exit while it is looked for. For instance a shell that
//! was listed is gone when one looks at it, and its child came after the list was made. So a round
//! that finds nothing is the last only if it could look at all that it listed.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::stat::{self, Stat};
use super::tree::ends;

/// How long all may take to end; SIGKILL takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many rounds go on because of one process that can't be looked at: it may stay like that.
const ROUNDS: u32 = 10;

/// When each node was started, by its pid, which is its group's number.
pub(crate) type Groups = BTreeMap<i32, u64>;

/// When the process of that pid was started, so that it is known again.
pub(crate) fn started(pid: u32) -> Option<u64> {
    Some(stat::of(pid.cast_signed())?.started)
}

/// Ends what is left of the network with that directory, whose name is the network's, and returns
/// when it is gone. Which processes can't be ended, as a text; none, if there are none.
pub(crate) fn end(directory: &Path, groups: &Groups) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    let network = directory.file_name().unwrap_or_default();
    // As links in `/proc` have it.
    let directory = &fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let scenario = Scenario {
        environment: [b"LONET_NETWORK=", network.as_bytes()].concat(),
        directory,
        groups,
    };
    let mut stubborn = BTreeMap::new();
    let mut unknown: BTreeMap<i32, u32> = BTreeMap::new();
    loop {
        let mut is_last = true;
        let Some(processes) = stat::all() else {
            return Some("/proc does not show its processes".into());
        };
        // What they start meanwhile is found in the next round.
        let mut ending: Vec<(i32, Stat, OwnedFd)> = Vec::new();
        for pid in processes {
            match scenario.look_at(pid) {
                Seen::Ours(_) if !stubborn.contains_key(&pid) => {}
                Seen::Ours(_) | Seen::Anothers => continue,
                seen @ (Seen::Ended | Seen::Unknown) => {
                    let most = if let Seen::Ended = seen { 1 } else { ROUNDS };
                    let rounds = unknown.entry(pid).or_default();
                    *rounds += 1;
                    is_last &= *rounds > most;
                    continue;
                }
            }
            is_last = false;
            let held = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
            let Some(Ok(held)) = held else { continue };
            let Seen::Ours(stat) = scenario.look_at(pid) else {
                continue;
            };
            match pidfd_send_signal(&held, Signal::KILL) {
                Ok(()) => ending.push((pid, stat, held)),
                // It ended by itself.
                Err(rustix::io::Errno::SRCH) => {}
                Err(_) => drop(stubborn.insert(pid, stat)),
            }
        }
        for (pid, stat, held) in ending {
            if !ends(&held, until) {
                stubborn.insert(pid, stat);
            }
        }
        if is_last || Instant::now() > until {
            break;
        }
    }
    let named = stubborn.iter();
    let named = named.map(|(pid, stat)| format!("{} (pid {pid})", stat.name));
    let named = named.collect::<Vec<String>>().join(", ");
    (!named.is_empty()).then_some(named)
}

struct Scenario<'a> {
    environment: Vec<u8>,
    directory: &'a Path,
    groups: &'a Groups,
}

enum Seen {
    Ours(Stat),
    Anothers,
    /// It starts nothing any more, but what it has started may not have been listed.
    Ended,
    /// It has no environment, which may be because it is about to execute a program.
    Unknown,
}

impl Scenario<'_> {
    fn look_at(&self, pid: i32) -> Seen {
        let stat = match stat::of(pid) {
            _ if pid == std::process::id().cast_signed() => return Seen::Anothers,
            Some(stat) if stat.is_of_kernel => return Seen::Anothers,
            Some(stat) if !stat.ended => stat,
            _ => return Seen::Ended,
        };
        if let Some(&started) = self.groups.get(&stat.group) {
            let leader = stat::of(stat.group);
            return match leader.is_none_or(|leader| leader.started == started) {
                true => Seen::Ours(stat),
                false => Seen::Anothers,
            };
        }
        match fs::read(format!("/proc/{pid}/environ")) {
            Ok(environment) if self.is_in(&environment) || self.is_printed_to(pid) => {
                match is_below(&stat) {
                    true => Seen::Anothers,
                    false => Seen::Ours(stat),
                }
            }
            Ok(environment) if environment.is_empty() => Seen::Unknown,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Seen::Ended,
            Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Seen::Ended,
            // One that hides its environment has changed its user, or never was ours.
            _ => Seen::Anothers,
        }
    }

    /// Whether it prints where this scenario's nodes do.
    fn is_printed_to(&self, pid: i32) -> bool {
        let prints = |fd| fs::read_link(format!("/proc/{pid}/fd/{fd}"));
        [1, 2]
            .map(prints)
            .iter()
            .any(|to| to.as_ref().is_ok_and(|to| to.starts_with(self.directory)))
    }

    fn is_in(&self, environment: &[u8]) -> bool {
        let mut variables = environment.split(|&b| b == 0);
        variables.any(|variable| variable == self.environment)
    }
}

/// Whether this process is above that one.
fn is_below(stat: &Stat) -> bool {
    let own = std::process::id().cast_signed();
    let mut parent = stat.parent;
    // A chain that changes while it is followed could go in a circle.
    for _ in 0..1000 {
        if parent == own {
            return true;
        }
        match stat::of(parent) {
            Some(above) => parent = above.parent,
            None => return false,
        }
    }
    false
}
