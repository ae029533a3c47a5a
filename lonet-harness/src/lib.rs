//! Tests of several real processes on a lonet network.
//!
//! A map of, starting at `scenario`:
//!
//! - `scenario`, `node`: the handles of a test;
//! - `role`: typed roles, their registration, how arguments and results travel;
//! - `outcome`: what a role, a test or a `main` may return, and how that becomes a result;
//! - `spec`: what the attribute of a test says, as data;
//! - `run`: one test from its start to its verdict; with `session` (network and collector),
//!   `watchdog` (the clock) and `deadline` (the numbers);
//! - `process`: every process: supervisor, its init, the re-executed child, output;
//! - `collector`: what processes tell, and the answers to what is asked;
//! - `trace`: causality, the grammar of expected traces, matching;
//! - `report`: every text that a failing test shows.

mod collector;
mod deadline;
mod node;
mod outcome;
mod process;
pub mod report;
mod role;
mod run;
mod scenario;
mod session;
mod spec;
pub mod trace;
mod watchdog;

#[doc(hidden)]
pub mod __private;

pub use collector::failure::{Failure, Killed};
pub use node::Node;
pub use outcome::Result;
pub use role::Role;
pub use run::run;
pub use scenario::{Scenario, until};
pub use trace::{Event, Mismatch, Trace, Verb};

pub(crate) use outcome::BoxError;
