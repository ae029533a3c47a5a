//! The locks of the network's core and of its gate: the standard library's. For the model
//! (`virtnet/model.rs`), those of loom, which runs a test once for every order in which threads can
//! take them.

#[cfg(not(all(test, lonet_loom)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool};

#[cfg(all(test, lonet_loom))]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool};
