//! `#[lonet::main]` on a function of another name.

use lonet_harness::Scenario;

#[lonet::main(timeout = "1s")]
async fn run(_: Scenario) {}

fn main() {
    run();
}
