//! Faults, end to end: what a test injects, and what its processes then see.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod must_act;
mod order;
mod processes;
mod roles;
mod words;
