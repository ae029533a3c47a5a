//! How a process ends or stops at an event that sets a fault off.
//!
//! Owns that nothing happens in it meanwhile. Which event that is, the reporter finds out.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::gate::Gate;

/// A stop of this process at an event: what its other threads do comes after it.
pub(super) struct Stop {
    gate: Arc<Gate>,
    over: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn at(gate: &Arc<Gate>) -> Arc<Stop> {
        Arc::new(Stop {
            gate: gate.clone(),
            over: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// What arrives from here on arrives under the faults that will be ordered until the process goes
    /// on. Before anybody learns that it stops. With no lock held.
    pub(super) fn begins(&self) {
        self.gate.note_stop();
    }

    /// Stops this thread until the process is resumed. The test's process stops it meanwhile, once: one
    /// that stopped itself, too, might do so after it was resumed.
    pub(super) fn here(&self) {
        self.gate.wait_until_open();
        self.is_over();
    }

    fn is_over(&self) {
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
