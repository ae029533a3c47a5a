//! Tests that run only by name, from the tests beside them.

use lonet_harness::{Result, Scenario};

use crate::program::{Reads, client, in_turn, stored};
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

mod races {
    use super::*;

    #[lonet::test(search = "20s")]
    #[ignore = "fails"]
    async fn first_written_is_stored_first(scenario: Scenario) -> Result<()> {
        let stored = stored(&scenario, Reads::AsTheyCome).await?;
        assert!(stored == [1, 2], "stored first: {}", stored[0]);
        Ok(())
    }

    #[lonet::test(search = "20s")]
    #[ignore = "searches"]
    async fn either_is_stored_first(scenario: Scenario) -> Result<()> {
        stored(&scenario, Reads::AsTheyCome).await?;
        Ok(())
    }

    #[lonet::test(search = "20s")]
    #[ignore = "searches"]
    async fn reads_one_after_the_other(scenario: Scenario) -> Result<()> {
        let stored = stored(&scenario, Reads::InOrder).await?;
        assert_eq!(stored, [1, 2]);
        Ok(())
    }

    #[lonet::test(search = "20s")]
    #[ignore = "searches"]
    async fn serves_in_turn(scenario: Scenario) -> Result<()> {
        let server = scenario.spawn("s", in_turn()).await?;
        scenario.until("s:10 listen").await?;
        let c = scenario.spawn("c", client(1, None)).await?;
        // It is accepted at about this time.
        scenario.until("c mark dials").await?;
        let d = scenario.spawn("d", client(2, None)).await?;
        c.join().await?;
        d.join().await?;
        let mut stored = server.join().await?;
        stored.sort();
        assert_eq!(stored, [1, 2]);
        Ok(())
    }

    #[lonet::test(search = "20s")]
    #[ignore = "fails"]
    async fn fails_by_itself(scenario: Scenario) -> Result<()> {
        stored(&scenario, Reads::AsTheyCome).await?;
        Err("as ever".into())
    }
}
