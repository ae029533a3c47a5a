//! A harness under another name.
#![deny(warnings)]

mod vendor {
    pub(crate) use lonet_harness as harness;
}

use vendor::harness::Scenario;

#[lonet::host(crate = "crate::vendor::harness")]
async fn role(_: lonet::Host) {}

#[lonet::test(crate = "crate::vendor::harness")]
async fn test(_: Scenario) {}

#[lonet::main(crate = "vendor::harness")]
async fn main(_: Scenario) {
    let _ = role();
}
