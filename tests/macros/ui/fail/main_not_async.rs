#[lonet::main]
fn main(_: lonet_harness::Scenario) {}
