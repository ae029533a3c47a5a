//! Tests of several real processes on a lonet network.
//!
//! A map of:
//!
//! - `role`: typed roles, their registration, how arguments and results travel;
//! - `outcome`: what a role, a test or a `main` may return, and how that becomes a result;
//! - `spec`: what the attribute of a test says, as data.

mod outcome;
mod role;
mod spec;

#[doc(hidden)]
pub mod __private;

pub use outcome::Result;
pub use role::Role;
