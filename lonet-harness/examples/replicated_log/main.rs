//! Three processes keep one log. The leader is killed; a follower takes over; no entry that was
//! acknowledged to a client is lost, and the expected trace says so.
//!
//! Run it with `cargo run --example replicated_log`. `rules` and `member` are the program under
//! test; this file is the test. `tests/tests/replicated_log.rs` kills the leader at each of its events.

mod member;
mod rules;
mod wire;

use std::path::PathBuf;

use lonet::Host;
use lonet_harness::{Node, Result, Scenario, Verb};

use member::Acknowledges;
use wire::{read, write};

/// Plays one of the three, in a process of its own. The file is what it finds again when it is
/// restarted.
#[lonet::host]
async fn member(host: Host, others: Vec<String>, file: PathBuf) -> Result<()> {
    member::Member::run(host, others, file, Acknowledges::Committed).await
}

const MEMBERS: [&str; 3] = ["α", "β", "γ"];

async fn start(scenario: &Scenario, name: &str) -> Result<Node<()>> {
    let others = MEMBERS.iter().filter(|other| **other != name);
    let others = others.map(|other| (*other).to_owned()).collect();
    let file = scenario.data_dir(name).join("log.json");
    let node = scenario.spawn(name, member(others, file)).await?;
    // No member is dialed before it listens.
    node.until(&format!("{name}:10 listen")).await?;
    Ok(node)
}

#[lonet::main]
async fn main(scenario: Scenario) -> Result<()> {
    scenario.keep_artifacts();

    // Two are a majority, and of equal logs the first name wins.
    let alpha = start(&scenario, "α").await?;
    let beta = start(&scenario, "β").await?;
    scenario.until("α mark leader term=1").await?;
    let _gamma = start(&scenario, "γ").await?;

    // δ is the client; the test's own process plays it.
    let delta = scenario.host("δ").await?;
    write(&delta, "α:10", "one").await?;

    // While β sleeps, α and γ are the majority, so γ's log is the longer one.
    beta.pause().await?;
    write(&delta, "α:10", "two").await?;
    write(&delta, "α:10", "three").await?;

    // Nobody waits for a time-out: γ and β see their connections to α end. β comes first by its
    // name, but must not win: it may lack what has been acknowledged.
    alpha.kill().await?;
    beta.resume().await?;
    let second = scenario.until("_ mark leader term=2").await?;
    // Of what a member's tasks do, only what is awaited is certain to have happened.
    scenario
        .until(&format!("{} mark follower β", second.host()))
        .await?;
    let second = format!("{}:10", second.host());
    assert_eq!(read(&delta, &second).await?, ["one", "two", "three"]);

    // α comes back as a follower: while β sleeps, nobody else can make a majority with γ.
    alpha.restart().await?;
    scenario.until("_ mark follower α").await?;
    beta.pause().await?;
    write(&delta, &second, "four").await?;
    let all = ["one", "two", "three", "four"];
    assert_eq!(read(&delta, &second).await?, all);

    // What was decided, and what the test did, each below its causes. The first entry of each
    // leader, indexes 1 and 5, is its own, and a read is an entry as well.
    let decisions = [
        Verb::Mark,
        Verb::Kill,
        Verb::Restart,
        Verb::Pause,
        Verb::Resume,
    ];
    let trace = scenario.trace().only_verbs(&decisions);
    trace.assert(
        "
        α mark leader term=1
        α mark follower β
        α mark follower γ
        α mark committed index=1
        α mark committed index=2
        δ mark acknowledged index=2
        ! pause β
        α mark committed index=3
        δ mark acknowledged index=3
        α mark committed index=4
        δ mark acknowledged index=4
        ! kill α

        # Nothing that was acknowledged is lost.
        ! resume β
        γ mark leader term=2
        γ mark follower β
        γ mark committed index=5
        γ mark committed index=6
        δ mark read one two three

        ! restart α
        γ mark follower α
        ! pause β
        γ mark committed index=7
        δ mark acknowledged index=7
        γ mark committed index=8
        δ mark read one two three four
        ",
    );
    // How γ came to lead: it asked β, and not before α was dead.
    scenario.trace().assert_contains(
        "
        ! kill   α
        γ:$c dial    β:10
        β:$d accept  γ:$c
        γ:$c connect β:$d
        γ mark leader term=2
        ",
    );

    println!("What was decided, as asserted:\n\n{trace}");
    println!("The same as a sequence diagram:\n\n{}", trace.diagram());
    let report = scenario.artifacts_dir().join("report.html");
    println!("All of it, connections too: {}", report.display());
    Ok(())
}
