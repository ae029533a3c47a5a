//! The locks of the network's core: the standard library's. For the model (`model.rs`), those of
//! loom, which runs a test once for every order in which threads can take them.

#[cfg(not(all(test, lonet_loom)))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(all(test, lonet_loom))]
pub(super) use loom::sync::{Mutex, MutexGuard};
