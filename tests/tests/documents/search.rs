//! The programs of docs/search.md about a race: the example `register`, whose tests this binary does not
//! run. Those that order events by hand are in `holds`.

#[path = "../../examples/register/client.rs"]
mod client;
#[path = "../../examples/register/history.rs"]
mod history;
#[path = "../../examples/register/replica.rs"]
pub(crate) mod replica;
#[path = "../../examples/register/scene.rs"]
pub(crate) mod scene;

use lonet_harness::{Result, Scenario};

use replica::Acknowledges;
use scene::a_read_after_a_write;

#[lonet::test(search = "10s")]
async fn a_read_sees_what_was_acknowledged(scenario: Scenario) -> Result<()> {
    a_read_after_a_write(&scenario, Acknowledges::Stored).await
}

/// With the wait, the read can't come first.
#[lonet::test(schedule = "b:2 recv r:1 before b:1 recv p:1")]
async fn the_schedule_has_no_race_to_try(scenario: Scenario) -> Result<()> {
    a_read_after_a_write(&scenario, Acknowledges::Stored).await
}
