//! Whether this machine lets the carrier do its work, and what helps where it does not.
//!
//! Owns what can be tried before a program runs. A machine can still refuse later: then it is the
//! trapped call that fails.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::libc;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::filter;

/// `CAP_SYS_PTRACE`, as `/proc` shows it.
const SYS_PTRACE: u64 = 1 << 19;

/// Tries in this process, the carrier, what carrying a program needs.
///
/// # Errors
///
/// The sentence that says what is missing, and what helps.
pub(super) fn support() -> Result<(), String> {
    if filter::ARCHITECTURE == 0 {
        return Err("lonet can carry programs on x86_64 and aarch64 only".into());
    }
    installs()?;
    duplicates(getpid(), None)?;
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    yama(scope.as_deref(), &status)
}

/// Really installs the filter, in a thread that ends thereby: it holds for that thread only.
fn installs() -> Result<(), String> {
    let thread = std::thread::Builder::new().name("lonet-seccomp".into());
    let install = || lonet_seccomp::install(&filter::program()).map(drop);
    let installed = thread.spawn(install).map(std::thread::JoinHandle::join);
    match installed {
        Ok(Ok(installed)) => installed.map_err(|error| not_installed(&error)),
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => Err(error.to_string()),
    }
}

/// Why a filter could not be installed.
pub(super) fn not_installed(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EBUSY) => "the system calls of this test are supervised by a program that it \
             runs under (a container runtime, a sandbox), and Linux allows one supervisor only; \
             run the test outside of it"
            .into(),
        Some(libc::EINVAL) => {
            let found = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            format!(
                "carrying a program needs Linux 5.19 or newer; this is {}",
                found.trim()
            )
        }
        _ => format!(
            "carrying a program needs seccomp filters with user notification, and seccomp(2) \
             fails: {error}; a container's seccomp profile can forbid it, and a kernel be built \
             without"
        ),
    }
}

/// Tries that with a child of this process, a copy of this binary that is no program yet. A
/// security module can forbid what [`support`] found allowed.
///
/// # Errors
///
/// As [`support`].
pub(super) fn reaches(child: u32) -> Result<(), String> {
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    duplicates(child.expect("a child has a pid"), Some(0))
}

/// Whether that descriptor of the process can be duplicated; its pidfd if none is given. A process
/// may always do so with its own, unless the call is forbidden altogether.
fn duplicates(process: Pid, fd: Option<RawFd>) -> Result<(), String> {
    let tried = pidfd_open(process, PidfdFlags::empty()).and_then(|pidfd| {
        let fd = fd.unwrap_or(pidfd.as_raw_fd());
        pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty())
    });
    tried.map(drop).map_err(|error| {
        format!(
            "lonet can't reach the sockets of the programs it carries: pidfd_getfd: {error}; in \
             Docker, start the container with `--cap-add=SYS_PTRACE`"
        )
    })
}

/// Yama restricts which processes another one may look into.
fn yama(scope: Option<&str>, status: &str) -> Result<(), String> {
    let capable = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set & SYS_PTRACE != 0);
    match scope.and_then(|scope| scope.trim().parse().ok()) {
        Some(2) if !capable => Err("lonet can't reach the sockets of the programs it carries: \
             Yama allows that to processes with CAP_SYS_PTRACE only; run the test as root, or \
             `sysctl kernel.yama.ptrace_scope=1`"
            .into()),
        Some(scope) if scope > 2 => Err("lonet can't reach the sockets of the programs it \
             carries: Yama forbids that to all (kernel.yama.ptrace_scope is 3), until the machine \
             is restarted with another value"
            .into()),
        _ => Ok(()),
    }
}

/// Whether a test that needs this is to be skipped; says why.
#[cfg(test)]
pub(super) fn is_missing() -> bool {
    support()
        .inspect_err(|why| eprintln!("skipped: {why}"))
        .is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_leaves_this_thread_without_a_filter() {
        if is_missing() {
            return;
        }
        let filters = || {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("Seccomp:"));
            line.unwrap().to_owned()
        };
        let before = filters();
        assert_eq!(installs(), Ok(()));
        assert_eq!(filters(), before);
    }

    #[test]
    fn a_child_is_reached_while_it_lives() {
        if is_missing() {
            return;
        }
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let alive = reaches(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(alive, Ok(()));
        let error = reaches(child.id()).unwrap_err();
        assert!(error.contains("No such process"), "{error}");
    }

    #[test]
    fn yama_wants_a_capability() {
        let with = "Name:\tx\nCapEff:\t0000000000080000\n";
        let without = "Name:\tx\nCapEff:\tfffffffffff7ffff\n";
        for (scope, status, allowed) in [
            (None, without, true),
            (Some("0\n"), without, true),
            (Some("1\n"), without, true),
            (Some("2\n"), without, false),
            (Some("2\n"), "", false),
            (Some("2\n"), with, true),
            (Some("3\n"), with, false),
        ] {
            assert_eq!(yama(scope, status).is_ok(), allowed, "{scope:?} {status}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let of = |errno| not_installed(&io::Error::from_raw_os_error(errno));
        assert!(of(libc::EBUSY).contains("run the test outside of it"));
        assert!(of(libc::EINVAL).contains("needs Linux 5.19 or newer; this is "));
        assert!(of(libc::EPERM).contains("container's seccomp profile"));
    }
}
