//! `tracing` in roles.

use lonet::Host;
use lonet_harness::{Result, Scenario};

#[lonet::before_role]
fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

#[lonet::host]
async fn logs(_host: Host) -> bool {
    tracing::info!("this line stands in the log of the host");
    tracing::enabled!(tracing::Level::INFO)
}

#[lonet::test]
async fn roles_log(scenario: Scenario) -> Result<()> {
    assert!(scenario.spawn("a", logs()).await?.join().await?);
    // Not in the test's own process.
    assert!(!tracing::enabled!(tracing::Level::INFO));
    Ok(())
}
