//! Why an expectation does not hold, as data. Pure.

pub(crate) mod diagnosis;
pub(crate) mod hints;
pub(crate) mod in_order;
pub(crate) mod look;
pub(crate) mod meant;
pub(crate) mod nearest;
pub(crate) mod together;
