//! The programs of docs/search.md: the example `register`, whose tests this binary does not run.

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

#[lonet::test]
async fn a_read_sees_what_was_acknowledged(scenario: Scenario) -> Result<()> {
    a_read_after_a_write(&scenario, Acknowledges::Stored).await
}
