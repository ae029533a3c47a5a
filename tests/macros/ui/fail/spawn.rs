//! What is given to `spawn` and is neither a role nor a program: each said once.
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
    scenario.spawn("β", role).await?.join().await?;
    scenario.spawn("β", forgotten(host)).await?.join().await?;
    scenario.spawn("β", Command::new("true")).await?.join().await?;
    Ok(())
}

fn main() {}
