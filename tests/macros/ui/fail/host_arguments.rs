//! Arguments that `#[lonet::host]` does not take.

use lonet::Host;

#[lonet::host(timeout = "30s")]
async fn of_a_test(_: Host) {}

#[lonet::host(worker_threads = 1.5)]
async fn half_a_thread(_: Host) {}

#[lonet::host(worker_threads = 1, worker_threads = 2)]
async fn twice(_: Host) {}

#[lonet::host(start_paused)]
async fn paused(_: Host) {}

fn main() {
    let _: [lonet_harness::Role<()>; 4] = [of_a_test(), half_a_thread(), twice(), paused()];
}
