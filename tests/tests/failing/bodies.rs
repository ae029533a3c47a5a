//! The page of a body that fails: what its processes did, which line of the test it names.

use anyhow::Context;
use lonet::Host;
use lonet_harness::{Result, Scenario};

use super::{command, listens_only, redact};

#[lonet::host]
async fn fails(_host: Host) -> Result<()> {
    Err("no quorum".into())
}

mod victims {
    use super::*;

    #[lonet::test]
    #[ignore = "fails"]
    async fn returns_early(scenario: Scenario) -> Result<()> {
        let _alpha = scenario.spawn("α", listens_only()).await?;
        scenario.until("α:10 listen").await?;
        Err("no quorum".into())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn panics_early(scenario: Scenario) -> Result<()> {
        let alpha = scenario.spawn("α", listens_only()).await?;
        scenario.until("α:10 listen").await?;
        alpha.pause().await?;
        panic!("no quorum");
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn asserts_what_does_not_parse(scenario: Scenario) {
        scenario.assert_trace("α:10 lisen");
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn checks_what_does_not_parse(scenario: Scenario) -> Result<()> {
        scenario.check_trace("α:10 lisen")?;
        Ok(())
    }

    /// Where the calls below stand: each on its line.
    pub(super) const CALLS: u32 = line!();

    #[lonet::test]
    #[ignore = "fails"]
    async fn returns_the_error_of_a_call(scenario: Scenario) -> anyhow::Result<()> {
        scenario.until("α lisen").await.context("starting")?;
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn returns_the_error_of_a_node(scenario: Scenario) -> Result<()> {
        scenario.spawn("α", fails()).await?.await?;
        Ok(())
    }

    #[lonet::test(timeout = "1s")]
    #[ignore = "fails"]
    async fn waits_twice(scenario: Scenario) -> Result<()> {
        let alpha = scenario.spawn("α", listens_only()).await?;
        let never = scenario.until("β mark never");
        let (_, _) = tokio::join!(alpha.join(), never);
        Ok(())
    }

    #[lonet::test(timeout = "1s")]
    #[ignore = "fails"]
    async fn waits_for_something_else(_scenario: Scenario) {
        std::future::pending::<()>().await;
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn returns_a_mismatch(scenario: Scenario) -> Result<()> {
        scenario.check_trace("α:10 listen")?;
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn returns_an_order(scenario: Scenario) -> Result<()> {
        scenario.check_order("α:10 listen")?;
        Ok(())
    }
}

fn page_of(victim: &str) -> String {
    let output = command(&format!("bodies::victims::{victim}"))
        .output()
        .unwrap();
    redact(&String::from_utf8(output.stdout).unwrap())
}

/// What ending the test makes of a process says nothing about its failure.
#[test]
fn a_failed_body_shows_what_its_processes_did() {
    for (victim, does, last) in [
        (
            "returns_early",
            "runs, and waits for nothing on the network; no task accepts at α:10",
            "α:10 listen",
        ),
        ("panics_early", "is paused", "! pause α"),
    ] {
        let page = page_of(victim);
        let does = format!("α (role `listens_only`, pid …) {does}\n");
        assert!(page.contains(&does), "{page}");
        let torn = format!("{last}\n  # the test's body has failed: what follows is teardown\n");
        assert!(page.contains(&torn), "{page}");
    }
}

/// The lines of this file that the page of a victim names, counted from `CALLS`.
fn places_on(victim: &str) -> Vec<String> {
    let output = command(&format!("bodies::victims::{victim}"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, page) = text.split_once(" failed: ").unwrap();
    let places = page.lines().skip(1);
    let places = places.take_while(|line| line.contains("bodies.rs:"));
    let relative = |line: &str| {
        let (before, place) = line.split_once("tests/tests/failing/bodies.rs:").unwrap();
        let (line, _column) = place.split_once(':').unwrap();
        let line: u32 = line.parse().unwrap();
        format!("{before}{}", line - victims::CALLS)
    };
    places.map(relative).collect()
}

#[test]
fn a_failure_names_its_line_of_the_test() {
    for (victim, places) in [
        ("returns_the_error_of_a_call", &["    at 5"][..]),
        ("returns_the_error_of_a_node", &["    at 12"]),
        ("waits_twice", &["    at 21", "    at 20"]),
        ("waits_for_something_else", &["    in the test at 27"]),
        ("returns_a_mismatch", &["    at 34"]),
        ("returns_an_order", &["    at 41"]),
    ] {
        assert_eq!(places_on(victim), places, "{victim}");
    }
}

#[test]
fn an_invalid_expectation_says_where_the_artifacts_are() {
    for victim in ["asserts_what_does_not_parse", "checks_what_does_not_parse"] {
        let page = page_of(victim);
        let (_, page) = page.split_once("invalid expected trace: ").unwrap();
        assert!(page.contains("\n\nartifacts: …\n"), "{page}");
    }
}
