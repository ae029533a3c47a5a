//! Faults, end to end: what a test injects, and what its processes then see.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod bounds;
mod must_act;
mod network;
mod order;
mod processes;
mod roles;
mod words;
