//! What the page of a hang says of what the test holds, and of an `expect` that never comes.

use super::command;

mod victims {
    use lonet::Host;
    use lonet_harness::{Result, Scenario};

    #[lonet::host]
    async fn listens(host: Host) -> Result<()> {
        let listener = host.listen(":10").await?;
        drop(listener.accept().await?);
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn holds_what_it_waits_for(scenario: Scenario) -> Result<()> {
        let _hold = scenario.hold("α:10 listen").await?;
        let node = scenario.spawn("α", listens()).await?;
        node.join().await?;
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn expects_something_else(scenario: Scenario) -> Result<()> {
        let mut lockstep = scenario.lockstep().await?;
        let _node = scenario.spawn("α", listens()).await?;
        lockstep.expect("α:11 listen").await?;
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn waits_for_what_never_comes(scenario: Scenario) -> Result<()> {
        let hold = scenario.hold("α:_ accept β:_").await?;
        let _node = scenario.spawn("α", listens()).await?;
        hold.reached().await?;
        Ok(())
    }
}

fn says(victim: &str, expected: &[&str]) {
    let output = command(&format!("holds::victims::{victim}"))
        .env("LONET_TIMEOUT", "0.1")
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    for line in expected {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_hold_that_nobody_ends() {
    says(
        "holds_what_it_waits_for",
        &[
            "it did not end within 3.0 s",
            "the test waits in join α for ",
            "`α:10 listen`: held by `hold α:10 listen` for ",
        ],
    );
}

#[test]
fn an_event_that_is_not_the_expected_one() {
    says(
        "expects_something_else",
        &["`α:11 listen` did not come: nothing has happened for 0.2 s, and held: `α:10 listen`"],
    );
}

#[test]
fn a_hold_that_nothing_comes_to() {
    says(
        "waits_for_what_never_comes",
        &["the test waits in reached `hold α:_ accept β:_` for "],
    );
}
