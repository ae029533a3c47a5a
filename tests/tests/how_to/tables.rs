//! Table tests: one body, several cases.

use lonet::Host;
use lonet_harness::{Result, Scenario};
use rstest::rstest;

#[lonet::host]
async fn doubles(_host: Host, n: u32) -> u32 {
    2 * n
}

#[rstest]
#[case(1, 2)]
#[case(21, 42)]
fn doubling(#[case] n: u32, #[case] expected: u32) -> Result<(), lonet_harness::Error> {
    lonet_harness::run(
        format!("doubling_{n}"),
        async |scenario: Scenario| -> Result<()> {
            let node = scenario.spawn("a", doubles(n)).await?;
            assert_eq!(node.join().await?, expected);
            Ok(())
        },
    )
}
