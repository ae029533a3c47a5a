//! `#[lonet::main]` on a function that is not async.

#[lonet::main]
fn main(_: lonet_harness::Scenario) {}
