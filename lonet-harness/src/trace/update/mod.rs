//! Where an expectation is written, and how it is rewritten in place.

pub(crate) mod files;
pub(crate) mod learning;
pub(crate) mod literal;
pub(crate) mod source;
