//! How much work this thread has done on traces, for tests that bound it: seconds depend on what
//! else the machine does.
//!
//! Owns the counter. A step is an event that is compared with a line, or a node that is asked what
//! comes right before or after it: what takes long takes many of them.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// One step more.
pub(crate) fn step() {
    STEPS.set(STEPS.get() + 1);
}

/// The steps that the work took.
pub(crate) fn taken(work: impl FnOnce()) -> u64 {
    let before = STEPS.get();
    work();
    STEPS.get() - before
}
