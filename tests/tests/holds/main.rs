//! What a test holds, end to end, in real processes.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod ends;
mod held;
mod order;
#[path = "../faults/python.rs"]
mod python;
mod words;
