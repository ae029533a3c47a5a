//! A register on a primary, and a copy of it on a backup that serves reads: four processes, a writer
//! and a reader among them. The clients mark each call and each return, and stateright, a model
//! checker that knows nothing of lonet, judges whether that history is linearizable.
//!
//! Run it with `cargo run --example register`. Its tests also run a primary with a bug, which loses a
//! race so seldom that no plain run shows it: docs/search.md.

#[cfg(test)]
mod arrivals;
mod client;
#[cfg(test)]
mod histories;
mod history;
mod replica;
mod scene;

use lonet_harness::{Result, Scenario};

use replica::Acknowledges;

#[lonet::main]
async fn main(scenario: Scenario) -> Result<()> {
    scenario.keep_artifacts();
    scene::a_read_after_a_write(&scenario, Acknowledges::Stored).await?;

    println!("What the clients called, and what returned, by the clock:\n");
    for (host, text) in history::marks(&scenario.trace()) {
        println!("{host} {text}");
    }
    println!("\nIt is linearizable. All that happened:\n");
    println!("{}", scenario.trace().diagram());
    let report = scenario.artifacts_dir().join("report.html");
    println!("The page: {}", report.display());
    Ok(())
}
