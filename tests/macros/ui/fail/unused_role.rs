//! A role that nobody plays.
#![deny(warnings)]

use lonet::Host;

// Made, and forgotten.
#[lonet::host]
async fn dropped(_: Host) {}

fn main() {
    dropped();
}
