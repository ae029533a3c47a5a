//! The fields of `/proc/<pid>/stat` of a process.
//!
//! Owns reading it, and whether `/proc` shows the pids of this process's own namespace. Where
//! it does not, its numbers are other processes here.

use std::fs;

/// `PF_KTHREAD` among a process's flags.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// A process, as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Of its executable, cut to 15 bytes.
    pub(super) name: String,
    /// It runs no more, and waits only to be reaped.
    pub(super) ended: bool,
    /// It is a thread of the kernel's own.
    pub(super) is_of_kernel: bool,
    pub(super) parent: i32,
    pub(super) group: i32,
    /// When it was started, in the clock's ticks since the machine was. With the pid, it is the
    /// name of this process, and of no later one.
    pub(super) started: u64,
}

/// Of that process; `None` once it is reaped.
pub(super) fn of(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// All processes, or nothing where `/proc` is missing, or that of another PID namespace.
pub(super) fn all() -> Option<Vec<i32>> {
    if !is_own() {
        return None;
    }
    let entries = fs::read_dir("/proc").ok()?;
    let pid = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Some(entries.filter_map(pid).collect())
}

/// The living children of that process; `None` where `/proc` does not tell.
pub(super) fn children(pid: i32) -> Option<Vec<i32>> {
    if is_own()
        && let Some(children) = listed_children(pid)
    {
        return Some(children);
    }
    // Kernels can be built without that list.
    let mut pids = all()?;
    pids.retain(|&child| of(child).is_some_and(|stat| stat.parent == pid));
    Some(pids)
}

/// The kernel lists them by the thread that started or inherited them.
fn listed_children(pid: i32) -> Option<Vec<i32>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let list = task.ok()?.path().join("children");
        let list = fs::read_to_string(list).ok()?;
        children.extend(
            list.split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    Some(children)
}

/// Whether `/proc` shows this process by the pid that it has for itself.
pub(super) fn is_own() -> bool {
    let own = std::process::id().to_string();
    fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == own.as_str())
}

fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.split_once('(')?;
    // The name may hold anything, also a parenthesis.
    let (name, rest) = rest.rsplit_once(')')?;
    // From the state on, which is the third.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let flags: u32 = fields.get(6)?.parse().ok()?;
    Some(Stat {
        name: name.to_owned(),
        ended: matches!(*fields.first()?, "Z" | "X"),
        is_of_kernel: flags & KERNEL_THREAD != 0,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let stat = "7 (a) (b) c) S 3 5 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 1000 10";
        let expected = Stat {
            name: "a) (b) c".into(),
            ended: false,
            is_of_kernel: false,
            parent: 3,
            group: 5,
            started: 9876,
        };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn this_process_is_described() {
        let own = of(std::process::id().cast_signed()).unwrap();
        assert_eq!(own.parent, nix::unistd::getppid().as_raw());
        assert!(is_own());
    }
}
