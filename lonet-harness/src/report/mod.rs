//! Every text that a failing test shows, one file a kind:
//!
//! - [`mismatch`]: the page of an expectation that does not hold;
//! - [`sequence`]: a trace as a sequence diagram in text;
//! - [`mermaid`]: the same for pull requests.
//!
//! Decides nothing: what failed, and why, is the business of [`trace`](crate::trace).

pub mod mermaid;
pub mod mismatch;
pub mod sequence;
