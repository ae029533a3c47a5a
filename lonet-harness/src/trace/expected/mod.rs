//! Expected traces and patterns: text → lines, which event a line matches, and what a process looks
//! for. Pure.

pub(crate) mod grammar;
pub(crate) mod lookup;
pub(crate) mod pattern;
pub(crate) mod shape;
