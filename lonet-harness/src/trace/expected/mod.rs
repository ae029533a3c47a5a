//! Expected traces and patterns: text → lines, and which event a line matches. Pure.

pub(crate) mod grammar;
pub(crate) mod lookup;
pub(crate) mod pattern;
