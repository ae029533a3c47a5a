//! The cluster loses its leader to a partition, goes on without it, and gets it back.

use std::time::Duration;

use lonet_harness::{Result, Scenario, Verb, fault};

use crate::client::Client;

/// So long the test waits for a fault that has been set off, if any was, to be reported.
const PATIENCE: Duration = Duration::from_secs(1);

#[lonet::test]
async fn a_leader_that_was_cut_off_catches_up(scenario: Scenario) -> Result<()> {
    let _members = crate::start(&scenario).await?;
    let mut client = Client::new(scenario.host("δ").await?);
    client.set("answer", "42").await?;

    // The leader is cut off once it has applied a write, before it can acknowledge it. A fault that
    // began after a query could hit a member that no longer leads. If leadership changes between this
    // `inject` and the write, the fault is not set off, and the next write tries again.
    let mut value = 42;
    let (old, partition) = loop {
        value += 1;
        let leader = client.leader();
        let applied = format!("{leader} mark applied answer={value}");
        let partition = fault::partition(leader, "_").at(&applied);
        let partition = scenario.inject(partition).await?;
        // The acknowledgement is withheld, so the client asks the others, who elect a leader first.
        client.set("answer", &value.to_string()).await?;
        if let Ok(fired) = tokio::time::timeout(PATIENCE, partition.fired()).await {
            fired?;
            break (leader, partition);
        }
    };
    let new = client.leader();
    assert_ne!(new, old);
    scenario.until(&format!("{new} mark leader _")).await?;

    // Writes go on, and the old leader does not learn of them.
    let last = value + 1;
    client.set("answer", &last.to_string()).await?;
    let holds = format!("{old} mark holds answer={last}");
    assert_eq!(scenario.trace().count(&holds)?, 0);

    partition.heal().await?;
    scenario.until(&holds).await?;
    let read = client.get("answer").await?;
    assert_eq!(read, Some(last.to_string()));

    let verbs = [Verb::Mark, Verb::Partition, Verb::Heal];
    let trace = scenario.trace().only_verbs(&verbs);
    trace.assert_contains(format!(
        "
        {old} mark applied answer={value}
        ! partition {old} _
        {new} mark leader term=_
        δ mark wrote answer={value} at={new}
        δ mark wrote answer={last} at=_
        ! heal {old} _
        {old} mark holds answer={last}
        δ mark read answer={last} at=_
        "
    ));
    Ok(())
}
