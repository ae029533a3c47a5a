//! The collector: receives the events of all processes of one scenario, and answers queries. It has
//! two threads of its own, so that a test that blocks its runtime can't stall it. A map of:
//!
//! - [`reader`]: reads from all connections, and does nothing else;
//! - [`analyst`]: owns the state of the scenario, and answers queries;
//! - [`node`]: the state of one process that the scenario started;
//! - [`waiting`]: the `until`s that no event has matched yet;
//! - [`query`]: the queries;
//! - [`failure`]: how a node failed, as data;
//! - [`fault`]: a fault, as data.
//!
//! Matches one event at a time; the caller matches whole traces.

mod analyst;
pub(crate) mod failure;
pub(crate) mod fault;
pub(crate) mod hold;
pub(crate) mod node;
pub(crate) mod query;
mod reader;
mod waiting;

pub(crate) use analyst::Analyst;
pub(crate) use reader::{Door, Mailbox, Reader};
