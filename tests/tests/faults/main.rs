//! Faults, end to end: what a test injects, and what its processes then see.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod acknowledgement;
mod against_tcp;
mod bounds;
mod many;
mod must_act;
mod network;
mod order;
mod processes;
mod puppet;
mod python;
mod roles;
mod two_processes;
mod words;
