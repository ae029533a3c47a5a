//! Whether an expectation holds. Pure.

pub(crate) mod alone;
pub(crate) mod blocks;
pub(crate) mod counting;
pub(crate) mod decide;
pub(crate) mod outcome;
pub(crate) mod search;
