//! Every text that a failing test shows, one file a kind.
//!
//! Decides nothing: what failed is decided elsewhere.

pub(crate) mod artifacts;
pub(crate) mod verdict;
