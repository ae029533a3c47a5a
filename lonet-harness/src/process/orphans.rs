//! What is left of a scenario whose supervisor has died, and that nothing else ends any more.
//!
//! Owns finding it and ending it, in the test's process. A process counts as the scenario's
//!
//! - if it prints to a pipe in the network's directory, as what a program has started does; or
//! - if it has the mark of a program that was carried in this network; or
//! - if it is in the process group of a node that had not ended when the supervisor did; or
//! - if its environment names the scenario's network, whose name no other has, and the test's
//!   process has not started it itself.
//!
//! What stands below the test's process was started by it, unless that inherits orphans: because it
//! is the first of a PID namespace, as in a container, or asked to (child subreaper). Then it is a
//! node's that names the host of one in its environment; what a test starts by hand has another.
//!
//! A pid may be another process's by the time that one acts on it. So each process is held by a
//! pidfd first, then looked at, then signalled through the pidfd: if it ended in between, and its
//! pid went to another, the signal goes nowhere. A group's number isn't given away while it has a
//! member; one whose leader is not the node of old is a new group.
//!
//! What is left may still fork, execute and exit while it is looked for. For instance a shell that
//! was listed is gone when one looks at it, and its child came after the list was made. So a round
//! that finds nothing is the last only if it could look at all that it listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::get_child_subreaper;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::mark::Mark;
use super::stat::{self, Stat};
use super::tree::ends;

/// How long all may take to end; SIGKILL takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many rounds go on because of one process that can't be looked at: it may stay like that.
const ROUNDS: u32 = 10;

/// What the supervisor had started.
#[derive(Default)]
pub(crate) struct Nodes {
    /// When each that had not ended was started, by its pid, which is its group's number.
    pub(crate) groups: BTreeMap<i32, u64>,
    /// The hosts of all.
    pub(crate) hosts: BTreeSet<String>,
}

/// When the process of that pid was started, so that it is known again.
pub(crate) fn started(pid: u32) -> Option<u64> {
    Some(stat::of(pid.cast_signed())?.started)
}

/// Ends what is left of the network with that directory, whose name is the network's, and returns
/// when it is gone. Which processes can't be ended, as a text; none, if there are none.
pub(crate) fn end(directory: &Path, nodes: &Nodes) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    let network = directory.file_name().unwrap_or_default();
    // As links in `/proc` have it.
    let directory = &fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let scenario = Scenario {
        environment: [b"LONET_NETWORK=", network.as_bytes()].concat(),
        mark: Mark::new(network.as_bytes(), 0),
        directory,
        nodes,
        inherits: std::process::id() == 1 || get_child_subreaper().unwrap_or(false),
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
    /// One of its programs' marks.
    mark: Mark,
    directory: &'a Path,
    nodes: &'a Nodes,
    /// Whether orphans become children of this process.
    inherits: bool,
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
        if let Some(&started) = self.nodes.groups.get(&stat.group) {
            let leader = stat::of(stat.group);
            return match leader.is_none_or(|leader| leader.started == started) {
                true => Seen::Ours(stat),
                false => Seen::Anothers,
            };
        }
        match fs::read(format!("/proc/{pid}/environ")) {
            Ok(_) if self.is_printed_to(pid) || self.is_marked(pid) => Seen::Ours(stat),
            Ok(environment) if self.is_in(&environment) => {
                let inherited = self.inherits && self.is_of_node(&environment);
                match is_below(&stat) && !inherited {
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

    /// Whether it came of a program that was carried.
    fn is_marked(&self, pid: i32) -> bool {
        Mark::of(pid).is_some_and(|mark| mark.is_of_network(self.mark))
    }

    fn is_in(&self, environment: &[u8]) -> bool {
        let mut variables = environment.split(|&b| b == 0);
        variables.any(|variable| variable == self.environment)
    }

    /// Whether it is of the host of a node.
    fn is_of_node(&self, environment: &[u8]) -> bool {
        let mut variables = environment.split(|&b| b == 0);
        let host = variables.find_map(|variable| variable.strip_prefix(b"LONET_HOST="));
        let host = host.and_then(|host| str::from_utf8(host).ok());
        host.is_some_and(|host| self.nodes.hosts.contains(host))
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
