//! Every text that a failing test shows, one file a kind:
//!
//! - [`mismatch`]: the page of an expectation that does not hold;
//! - `hint`: its hints;
//! - `verdict`: the page of a test that failed;
//! - `doing`: what every process waited for, one sentence each;
//! - `advice`: what to do about it;
//! - `cycle`: processes that wait for each other in a cycle;
//! - [`sequence`]: a trace as a sequence diagram in text;
//! - [`mermaid`]: the same for pull requests;
//! - `drawing`: a trace as something to draw;
//! - [`html`]: the page for a browser;
//! - `update`: why an update wrote nothing; `sweep`: what a sweep came to; `search`: what a
//!   search came to; `order`: why an order of a schedule was not kept;
//! - `artifacts`: where all of it is kept;
//! - `words`: what several of these say in the same words.
//!
//! Decides nothing: what failed, and why, is the business of [`trace`](crate::trace) and of the run.

pub(crate) mod advice;
pub(crate) mod artifacts;
mod cycle;
mod doing;
mod drawing;
mod hint;
mod html;
pub(crate) mod mermaid;
pub(crate) mod mismatch;
pub(crate) mod order;
pub(crate) mod search;
pub(crate) mod sequence;
pub(crate) mod sweep;
pub(crate) mod update;
pub(crate) mod verdict;
pub(crate) mod words;
