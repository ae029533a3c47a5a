//! A consensus library that no one here wrote, openraft, unchanged, between three processes: they
//! elect a leader, a value is written, the leader is killed, another is elected, and the value is
//! still there.
//!
//! Run it with `cargo run --example openraft_cluster`. Its test cuts the leader off instead of killing
//! it: `cargo test --example openraft_cluster`.
//!
//! openraft elects by time-outs, so who leads is a race, and under load it may change hands more
//! than once. Nothing here depends on it: variables stand for whoever it was, and the client finds
//! the leader as it would in production.

mod client;
mod lines;
mod member;
mod network;
#[cfg(test)]
mod partition;

use std::collections::BTreeMap;

use lonet::Host;
use lonet_harness::{Node, Result, Scenario, Verb};

use client::Client;

/// The hosts of the members; openraft knows them as 1, 2 and 3.
const MEMBERS: [&str; 3] = ["α", "β", "γ"];

/// Where every member listens.
const PORT: u16 = 10;

fn address(member: u64) -> String {
    format!("{}:{PORT}", MEMBERS[member as usize - 1])
}

#[lonet::host]
async fn member(host: Host, id: u64, founds: bool) -> Result<()> {
    member::run(host, id, founds).await
}

/// Starts the members. The last one founds the cluster, when the others listen.
async fn start(scenario: &Scenario) -> Result<BTreeMap<&'static str, Node<()>>> {
    let mut nodes = BTreeMap::new();
    for (id, name) in (1..).zip(MEMBERS) {
        let founds = id == MEMBERS.len() as u64;
        let node = scenario.spawn(name, member(id, founds)).await?;
        node.until(&format!("{name}:{PORT} listen")).await?;
        nodes.insert(name, node);
    }
    Ok(nodes)
}

#[lonet::main]
async fn main(scenario: Scenario) -> Result<()> {
    scenario.keep_artifacts();
    let nodes = start(&scenario).await?;

    // δ is the client; the test's own process plays it.
    let mut client = Client::new(scenario.host("δ").await?);
    client.set("answer", "42").await?;

    let first = client.leader();
    scenario.until(&format!("{first} mark leader _")).await?;
    nodes[first].kill().await?;

    // The others wait for an election time-out, and the client for them.
    assert_eq!(client.get("answer").await?.as_deref(), Some("42"));
    let second = client.leader();
    assert_ne!(first, second);
    scenario.until(&format!("{second} mark leader _")).await?;
    client.set("answer", "43").await?;
    assert_eq!(client.get("answer").await?.as_deref(), Some("43"));

    // Whatever else happened, this did. The order of what the client saw and of the kill is certain.
    // The place of `mark leader` is open: an election comes of a time-out, and openraft tells the
    // task that marks it over a channel, neither of which lonet sees.
    let trace = scenario.trace().only_verbs(&[Verb::Mark, Verb::Kill]);
    trace.assert_contains(
        "
        $first mark leader term=_
        δ mark wrote answer=42 at=$first
        ! kill $first
        $second mark leader term=_
        δ mark read answer=42 at=$second
        ",
    );
    // All that the client did; it may have found yet another leader each time.
    trace.clone().only_hosts(&["δ"]).assert(
        "
        δ mark wrote answer=42 at=_
        δ mark read answer=42 at=_
        δ mark wrote answer=43 at=_
        δ mark read answer=43 at=_
        ",
    );

    println!("Who led, and what the client saw:\n\n{trace}");
    println!("The same as a sequence diagram:\n\n{}", trace.diagram());
    let report = scenario.artifacts_dir().join("report.html");
    println!("All of it, connections too: {}", report.display());
    Ok(())
}
