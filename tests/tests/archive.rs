//! What must also hold where a test binary was not built: in an unpacked `cargo nextest archive`, with
//! the sources elsewhere. `.ci/sharded` runs this there; what is beside the tests is found by what
//! cargo and nextest say when they run, not by what they said when they compiled.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use lonet::Host;
use lonet_harness::{Program, Result, Scenario, expect_file};
use tokio::io::AsyncReadExt;

/// The file that this process runs: `current_exe` of an inode that may have been replaced.
fn executable() -> (PathBuf, u64) {
    let file = fs::metadata("/proc/self/exe").unwrap();
    (std::env::current_exe().unwrap(), file.ino())
}

#[lonet::host]
async fn tells_its_executable(_host: Host) -> (PathBuf, u64) {
    executable()
}

#[lonet::test]
async fn a_role_runs_in_the_binary_of_its_test(scenario: Scenario) -> Result<()> {
    let node = scenario.spawn("α", tells_its_executable()).await?;
    assert_eq!(node.join().await?, executable());
    // `.ci/sharded` says where that is to be.
    if let Some(unpacked) = std::env::var_os("LONET_TEST_UNPACKED") {
        assert!(executable().0.starts_with(unpacked));
    }
    Ok(())
}

#[lonet::host]
async fn hangs_up(host: Host) -> Result<()> {
    drop(host.listen(":10").await?.accept().await?);
    Ok(())
}

#[lonet::host]
async fn is_hung_up_on(host: Host) -> Result<()> {
    let mut conn = host.dial("α:10").await?;
    conn.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn hang_up(scenario: &Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", hangs_up()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", is_hung_up_on()).await?;
    alpha.join().await?;
    Ok(beta.join().await?)
}

#[lonet::test(trace_file = "archive.trace")]
async fn the_attributes_trace_is_found(scenario: Scenario) -> Result<()> {
    hang_up(&scenario).await
}

#[lonet::test]
async fn an_expected_file_is_found(scenario: Scenario) -> Result<()> {
    hang_up(&scenario).await?;
    scenario.assert_trace(expect_file!["archive.trace"]);
    Ok(())
}

#[lonet::test]
async fn a_program_of_the_package_is_found(scenario: Scenario) -> Result<()> {
    // As the guide says: nextest tells where it was unpacked.
    let program = std::env::var_os("NEXTEST_BIN_EXE_register_backup")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_register_backup").into());
    if let Some(unpacked) = std::env::var_os("LONET_TEST_UNPACKED") {
        assert!(PathBuf::from(&program).starts_with(unpacked));
    }
    let backup = scenario.spawn("b", Program::new(program).joins()).await?;
    scenario.until("b:20 listen").await?;
    let host = scenario.host("c").await?;
    let answer = lonet_tests::register::set(&host, "b:20", "x=1").await?;
    assert_eq!(answer, "ok");
    assert!(backup.join().await?.success());
    Ok(())
}
