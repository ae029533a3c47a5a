//! How a process ends or stops at an event that sets a fault off.
//!
//! Owns that nothing happens in it meanwhile. Which event that is, the reporter finds out.

use std::sync::{Condvar, Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A stop of this process at an event: what its other threads do comes after it.
#[derive(Default)]
pub(super) struct Stop {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn is_over(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(super) fn wait(&self) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            let waited = self.changed.wait(over);
            over = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Ends this process, at once and for good.
pub(super) fn end_here() -> ! {
    let _ = kill(Pid::this(), Signal::SIGKILL);
    park()
}

/// Goes no further.
pub(super) fn park() -> ! {
    loop {
        std::thread::park();
    }
}
