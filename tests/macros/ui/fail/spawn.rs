//! What is given to `spawn` and is neither a role nor a program.
#![allow(dead_code)]

use std::process::Command;

use lonet::Host;
use lonet_harness::{Result, Scenario};

#[lonet::host]
async fn role(_: Host) {}

// Without its attribute.
async fn forgotten(_: Host) {}

async fn test(scenario: &Scenario) -> Result<()> {
    let host = scenario.host("α").await?;
    drop(scenario.spawn("β", role));
    drop(scenario.spawn("β", forgotten(host)));
    drop(scenario.spawn("β", Command::new("true")));
    Ok(())
}

fn main() {}
