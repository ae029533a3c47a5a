//! What a check finds, and which edges it counts.
//!
//! Pure. Owns nothing but that: `decide`, `search` and `alone` check.

use crate::trace::expected::grammar::{Port, Shape};
use crate::trace::happened::relation::Why;

/// Whether it holds.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It does; by line, the node of its event. (Empty when only asked whether.)
    Holds(Vec<u32>),
    /// It doesn't: the longest beginning that could happen, by line.
    Fails(Vec<u32>),
    /// The search was given up.
    Undecided(Vec<u32>),
}

/// Whether an edge counts when the line of its effect leaves the port open, or shows none: a port
/// that is free again sooner or later is given again sooner or later, as time has it. A line that
/// names the port says which run it means.
pub(crate) fn counts(why: Why, names_port: bool) -> bool {
    why != Why::Port || names_port
}

/// Whether the shape names the subject's port.
pub(crate) fn names_port(shape: &Shape) -> bool {
    matches!(shape.port, Some(Port::Is(_)))
}
