//! The kernel's view of a process that does not answer: in which state its main thread is, and
//! in which system call.
//!
//! Owns reading it from `/proc`, and its words. Where the kernel hides something (another user's
//! process, a hardened system), the words leave it out.

use std::fs;

/// What the main thread of a process does, as a part of a sentence; `None` once it is gone.
pub(crate) fn of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    // From the state, which is the third field, to the twentieth.
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let which = match threads {
        0 | 1 => "it".to_owned(),
        threads => format!("of its {threads} threads, the first"),
    };
    let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    Some(format!(
        "{which} {}",
        words(state, &read("wchan"), &read("syscall"))
    ))
}

/// Whether a process runs on: it has neither ended nor begun to. What it had open is closed after it
/// has begun to.
pub(crate) fn lives(pid: u32) -> bool {
    /// PF_EXITING of `linux/sched.h`.
    const EXITING: u32 = 4;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let flags = stat.rsplit_once(')').and_then(|(_, fields)| {
        // The ninth field; the state is the third.
        fields.split_whitespace().nth(6)?.parse::<u32>().ok()
    });
    flags.is_some_and(|flags| flags & EXITING == 0)
}

fn words(state: &str, wchan: &str, syscall: &str) -> String {
    let does = match state {
        "R" => return "runs".to_owned(),
        "S" => "sleeps",
        "D" => "sleeps, and can't be interrupted",
        "T" => return "is stopped".to_owned(),
        "t" => return "is held by a debugger".to_owned(),
        "Z" | "X" => return "has ended".to_owned(),
        _ => return format!("is in state {state}"),
    };
    let mut text = does.to_owned();
    let number = syscall.split_whitespace().next();
    if let Some(number) = number.and_then(|number| number.parse().ok()) {
        text.push_str(" in the system call ");
        match name(number) {
            Some(name) => text.push_str(name),
            None => text.push_str(&number.to_string()),
        }
    }
    let wchan = wchan.trim();
    if !matches!(wchan, "" | "0") {
        text.push_str(&format!(" (kernel: {wchan})"));
    }
    text
}

/// The names of those in which a process may wait.
fn name(number: u32) -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    const NAMES: &[(u32, &str)] = &[
        (0, "read"),
        (1, "write"),
        (7, "poll"),
        (23, "select"),
        (34, "pause"),
        (35, "nanosleep"),
        (42, "connect"),
        (43, "accept"),
        (44, "sendto"),
        (45, "recvfrom"),
        (46, "sendmsg"),
        (47, "recvmsg"),
        (61, "wait4"),
        (72, "fcntl"),
        (73, "flock"),
        (128, "rt_sigtimedwait"),
        (130, "rt_sigsuspend"),
        (202, "futex"),
        (230, "clock_nanosleep"),
        (232, "epoll_wait"),
        (247, "waitid"),
        (257, "openat"),
        (270, "pselect6"),
        (271, "ppoll"),
        (281, "epoll_pwait"),
        (288, "accept4"),
        (426, "io_uring_enter"),
        (441, "epoll_pwait2"),
    ];
    #[cfg(target_arch = "aarch64")]
    const NAMES: &[(u32, &str)] = &[
        (22, "epoll_pwait"),
        (25, "fcntl"),
        (32, "flock"),
        (56, "openat"),
        (63, "read"),
        (64, "write"),
        (72, "pselect6"),
        (73, "ppoll"),
        (95, "waitid"),
        (98, "futex"),
        (101, "nanosleep"),
        (115, "clock_nanosleep"),
        (133, "rt_sigsuspend"),
        (137, "rt_sigtimedwait"),
        (202, "accept"),
        (203, "connect"),
        (206, "sendto"),
        (207, "recvfrom"),
        (211, "sendmsg"),
        (212, "recvmsg"),
        (242, "accept4"),
        (260, "wait4"),
        (426, "io_uring_enter"),
        (441, "epoll_pwait2"),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    const NAMES: &[(u32, &str)] = &[];
    NAMES
        .binary_search_by_key(&number, |&(number, _)| number)
        .ok()
        .map(|at| NAMES[at].1)
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};

    use super::*;

    #[test]
    fn what_has_ended_does_not_live() {
        assert!(lives(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(pid), flags).unwrap();
        // It waits to be reaped.
        assert!(!lives(child.id()));
        child.wait().unwrap();
        assert!(!lives(child.id()));
    }

    #[test]
    fn a_state_is_said_in_words() {
        assert_eq!(words("R", "0", "running"), "runs");
        assert_eq!(words("T", "do_signal_stop", ""), "is stopped");
        // All that a hardened system lets one see.
        assert_eq!(words("S", "0", ""), "sleeps");
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            words(
                "S",
                "do_wait\n",
                "61 0xffff 0x7f 0x0 0x0 0x0 0x0 0x7f 0x7f\n"
            ),
            "sleeps in the system call wait4 (kernel: do_wait)"
        );
        assert_eq!(
            words("D", "0", "100000 0x0"),
            "sleeps, and can't be interrupted in the system call 100000"
        );
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let own = of(std::process::id());
        assert!(own.is_some());
        assert_eq!(of(u32::MAX), None);
    }
}
