//! The first process of a scenario's PID namespace. When it ends, the kernel ends all others.
//!
//! Owns nothing but its life: it inherits orphans and reaps them, and ends with the supervisor,
//! however that ends.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, waitid};

/// Does not return: only the supervisor gives such a ticket, and it is not passed on.
pub(super) fn run() {
    if std::process::id() != 1 {
        std::process::exit(1);
    }
    // Of this process alone it is right to end with the thread that started it: the supervisor
    // has only one.
    let _ = set_pdeathsig(Signal::SIGKILL);
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    let children = mask
        .thread_set_mask()
        .and_then(|()| SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC));
    let Ok(children) = children else {
        std::process::exit(1)
    };
    let supervisor = std::io::stdin();
    loop {
        let mut fds = [
            PollFd::new(supervisor.as_fd(), PollFlags::POLLIN),
            PollFd::new(children.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => std::process::exit(1),
        }
        // The supervisor never writes: whatever comes is its end.
        if fds[0].any().unwrap_or(true) {
            std::process::exit(0);
        }
        while let Ok(Some(_)) = children.read_signal() {}
        // By `waitid`, whose answer has no status that could not be told; the process is reaped
        // either way.
        while !matches!(
            waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG),
            Ok(nix::sys::wait::WaitStatus::StillAlive) | Err(Errno::ECHILD)
        ) {}
    }
}
