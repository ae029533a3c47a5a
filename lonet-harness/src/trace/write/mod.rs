//! The text of a trace, and an old text brought up to date. Pure.

pub(crate) mod columns;
pub(crate) mod order;
pub(crate) mod text;
pub(crate) mod turns;
pub(crate) mod variables;
