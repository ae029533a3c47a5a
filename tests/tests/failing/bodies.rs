//! The page of a body that fails while its processes run.

use lonet_harness::{Result, Scenario};

use super::{command, listens_only, redact};

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
