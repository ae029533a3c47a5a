//! Roles whose `Host` is another type of that name, or hidden behind an alias.

use lonet_harness::Scenario;

mod url {
    pub struct Host;
}

#[lonet::host]
async fn other_host(_: url::Host) {}

type Play = Scenario;

#[lonet::host]
async fn alias(_: Play) {}

fn main() {}
