//! Tests of several real processes on a lonet network.

pub mod report;
pub mod trace;
