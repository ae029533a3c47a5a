//! Every process of a scenario: all that is started, signalled and ended is so in this folder.
//! A map of:
//!
//! - [`ticket`]: what the environment of a re-executed copy of this binary says it is for;
//! - [`hook`]: what runs before `main` in such a copy;
//! - [`supervisor`]: the process whose children all others are, and that ends them;
//! - [`not_started`]: why a program could not be started;
//! - [`init`]: the first process of the scenario's PID namespace, where there is one;
//! - [`child`]: a role, in a process of its own;
//! - [`terminate`]: the request to finish, as the role itself sees it;
//! - [`launch`]: how the test's process starts the supervisor;
//! - [`wire`]: what these say to each other;
//! - [`output`]: what a node printed, bounded;
//! - [`backtrace`]: where a process is, as a debugger sees it;
//! - [`kernel_state`]: what it does, as the kernel sees it.
//!
//! Knows no trace: what a process reports of the network is the collector's business.

pub(crate) mod backtrace;
pub(crate) mod child;
mod hook;
mod init;
pub(crate) mod kernel_state;
pub(crate) mod launch;
mod not_started;
pub(crate) mod output;
mod supervisor;
pub(crate) mod terminate;
pub(crate) mod ticket;
pub(crate) mod wire;
