//! End-to-end and conformance tests of lonet; see `tests/`. Also holds the README's code to
//! account: it compiles, and what can run by itself, runs.

/// The README's code.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The code of the guide to traces.
#[cfg(doctest)]
#[doc = include_str!("../../docs/traces.md")]
pub struct Traces;
