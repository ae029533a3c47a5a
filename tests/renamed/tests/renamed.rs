//! The attributes where `Cargo.toml` gives lonet's crates other names: nothing has to be said.

use harness::{Result, Scenario};

#[net::host]
async fn doubles(_: net::Host, n: u32) -> u32 {
    2 * n
}

#[net::test]
async fn a_renamed_harness_is_found(scenario: Scenario) -> Result<()> {
    let node = scenario.spawn("α", doubles(21)).await?;
    assert_eq!(node.await?, 42);
    Ok(())
}
