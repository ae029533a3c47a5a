//! Texts and events' lines as numbers, and how both are found. Pure.

pub(crate) mod hash_index;
pub(crate) mod labels;
#[cfg(test)]
pub(crate) mod steps;
pub(crate) mod symbols;
