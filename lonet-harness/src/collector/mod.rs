//! The collector: what the processes of one scenario tell, and the answers to what is asked.
//! Two threads of its own, so that a test that blocks its runtime can't stall it. A map of:
//!
//! - [`reader`]: reads all there is, and does nothing else;
//! - [`analyst`]: owns all that is known of the scenario, and answers;
//! - [`node`]: what is known of one process that the scenario started;
//! - [`waiting`]: the `until`s that nothing has matched yet;
//! - [`query`]: what can be asked;
//! - [`failure`]: how a node failed, as data.
//!
//! Matches one event at a time; whole traces are matched by who asked for them.

mod analyst;
pub(crate) mod failure;
pub(crate) mod node;
pub(crate) mod query;
mod reader;
mod waiting;

pub(crate) use analyst::Analyst;
pub(crate) use reader::{Door, Mailbox, Reader};
