//! Holds the documents to account: the programs that they show are this binary's, word for word,
//! and what they show as the output of a failing test is what that test prints.
//!
//! `UPDATE_EXPECT=1` rewrites the outputs in the documents; code is copied by hand.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod faults;
mod guide;
mod holds;
mod programs;
mod readme;
mod search;
mod shown;
mod traces;
mod victims;
