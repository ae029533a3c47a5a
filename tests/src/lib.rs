//! End-to-end and conformance tests of lonet; see `tests/`. Also holds the README's code to
//! account: it compiles, and what can run by itself, runs. What several test binaries need to
//! play with other processes is in the modules; it knows nothing of lonet.

pub mod child;
pub mod size;
pub mod tmp;

/// The README's code.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The code of the guide to traces.
#[cfg(doctest)]
#[doc = include_str!("../../docs/traces.md")]
pub struct Traces;
