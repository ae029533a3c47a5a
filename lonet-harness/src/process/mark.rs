//! The mark of a carried program: by it, all that came of it is found.
//!
//! Owns the mark, on the process that is about to execute the program, and how it is read. It is the
//! limit of file locks, which Linux has not enforced since 2.4: children inherit it, `exec` keeps it,
//! all may read it, and nothing sets it. So it finds a process that has left its parent, its session
//! and its output, which is how a daemon begins.

use std::fs;
use std::hash::{DefaultHasher, Hasher};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// That of a program, by the name of its network and its number in the scenario. Its highest bit but
/// one is set: no such limit was ever wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// So many bits are the program's, the others its network's.
const OF_PROGRAM: u32 = 24;

impl Mark {
    pub(super) fn new(network: &[u8], process: u64) -> Mark {
        let mut hash = DefaultHasher::new();
        hash.write(network);
        let network = hash.finish() >> (OF_PROGRAM + 2) << OF_PROGRAM;
        Mark(1 << 62 | network | process & ((1 << OF_PROGRAM) - 1))
    }

    /// Marks this process. Where it may not, as its limit is lower, it stays as it is.
    pub(super) fn set(self) {
        if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_LOCKS) {
            let _ = setrlimit(Resource::RLIMIT_LOCKS, self.0, hard);
        }
    }

    /// That of the process with this pid.
    pub(super) fn of(pid: i32) -> Option<Mark> {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let soft = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max file locks"))?
            .split_whitespace()
            .next()?;
        Some(Mark(soft.parse().ok()?))
    }

    /// Whether both are of programs of one network.
    pub(super) fn is_of_network(self, other: Mark) -> bool {
        self.0 >> OF_PROGRAM == other.0 >> OF_PROGRAM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_programs_and_networks_apart() {
        let [a1, a2, b1] = [("a", 1), ("a", 2), ("b", 1)].map(|(n, p)| Mark::new(n.as_bytes(), p));
        assert_ne!(a1, a2);
        assert!(a1.is_of_network(a2));
        assert!(!a1.is_of_network(b1));
        assert_eq!(a1.0 >> 62, 1);
    }
}
