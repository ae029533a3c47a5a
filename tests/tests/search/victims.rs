//! Tests that run only by name, from the tests beside them.

use lonet_harness::{Result, Scenario};

use crate::replica::Acknowledges;
use crate::scene::a_read_after_a_write;

mod searched {
    use super::*;

    #[lonet::test(search = "10s")]
    #[ignore = "fails"]
    async fn sent(scenario: Scenario) -> Result<()> {
        a_read_after_a_write(&scenario, Acknowledges::Sent).await
    }

    #[lonet::test(search = "10s")]
    #[ignore = "searches"]
    async fn stored(scenario: Scenario) -> Result<()> {
        a_read_after_a_write(&scenario, Acknowledges::Stored).await
    }

    #[lonet::host]
    async fn says_when(host: lonet::Host) {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        host.mark(format!("at {}", now.as_nanos()));
    }

    #[lonet::test(search = "10s")]
    #[ignore = "searches"]
    async fn differs(scenario: Scenario) -> Result<()> {
        scenario.spawn("p", says_when()).await?.join().await?;
        Ok(())
    }
}

mod scheduled {
    use super::*;

    #[lonet::test(schedule = "b:2 recv r:1 before b:1 recv p:1")]
    #[ignore = "fails"]
    async fn sent(scenario: Scenario) -> Result<()> {
        a_read_after_a_write(&scenario, Acknowledges::Sent).await
    }

    #[lonet::test(schedule = "b:2 recv r:1 before b:1 recv p:1")]
    #[ignore = "is replayed"]
    async fn stored(scenario: Scenario) -> Result<()> {
        a_read_after_a_write(&scenario, Acknowledges::Stored).await
    }

    #[lonet::test(schedule = "b:7 recv r:1 before b:1 recv p:1")]
    #[ignore = "fails"]
    async fn another(scenario: Scenario) -> Result<()> {
        a_read_after_a_write(&scenario, Acknowledges::Stored).await
    }

    #[lonet::test(schedule = "r:1 connect b:2 before b:2 accept r:1")]
    #[ignore = "fails"]
    async fn backwards(scenario: Scenario) -> Result<()> {
        a_read_after_a_write(&scenario, Acknowledges::Stored).await
    }
}

mod plain {
    use super::*;

    #[lonet::test]
    #[ignore = "is replayed"]
    async fn sent(scenario: Scenario) -> Result<()> {
        a_read_after_a_write(&scenario, Acknowledges::Sent).await
    }
}
