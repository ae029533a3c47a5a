//! A process's end with its parent, the supervisor, where no PID namespace sees to that.
//!
//! Owns what a role, and whatever becomes a program, does about it first of all. It holds for the
//! process itself and through `exec`, but for nothing that it starts: that is `orphans`' business.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use super::ticket;

/// Has the kernel kill this process when the supervisor ends. False if this is not, or no longer,
/// the supervisor's child.
///
/// The kernel sends that signal when the *thread* ends that forked; the supervisor has one alone.
pub(super) fn end_with_supervisor() -> bool {
    let parent = ticket::parent();
    let is_child = || parent == Some(getppid().as_raw());
    // A grandchild has inherited the ticket. It must not end with the thread that started it.
    // And a supervisor that died before the request was made sends nothing any more.
    is_child() && set_pdeathsig(Signal::SIGKILL).is_ok() && is_child()
}
