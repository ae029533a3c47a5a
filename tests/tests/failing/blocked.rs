//! Bodies that block their thread, and values and tasks of theirs that outlive them.

use std::path::Path;
use std::time::Duration;

use lonet_harness::{Program, Result, Scenario};

use super::command;

/// Tests that run only by name, from the tests below.
mod victims {
    use super::*;

    /// A value that is not dropped within any deadline.
    struct Stuck;

    impl Drop for Stuck {
        fn drop(&mut self) {
            loop {
                std::thread::park();
            }
        }
    }

    /// It blocks its thread until its node is gone, which is the deadline's doing.
    #[lonet::test(timeout = "10s")]
    #[ignore = "fails"]
    async fn returns_too_late(scenario: Scenario) -> Result<()> {
        let node = scenario
            .spawn("α", Program::new("sleep").arg("1000"))
            .await?;
        let process = format!("/proc/{}", node.pid());
        while Path::new(&process).exists() {
            std::thread::yield_now();
        }
        Ok(())
    }

    #[lonet::test(timeout = "5s")]
    #[ignore = "fails"]
    async fn holds_what_is_stuck(scenario: Scenario) -> Result<()> {
        let _stuck = Stuck;
        scenario.until("α:1 listen").await?;
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn leaves_a_task_with_what_is_stuck(_scenario: Scenario) {
        let stuck = Stuck;
        tokio::spawn(async move {
            let _stuck = stuck;
            std::future::pending::<()>().await;
        });
    }

    /// Its task would go round for ever once the host is closed.
    #[lonet::test]
    #[ignore = "is run from below"]
    async fn leaves_a_task_that_accepts(scenario: Scenario) -> Result<()> {
        let listener = scenario.host("α").await?.listen(":1").await?;
        tokio::spawn(async move { while listener.accept().await.is_err() {} });
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// What it prints, and its exit code. What has to do with waiting takes a fifth of its time.
fn run(victim: &str) -> (Option<i32>, String) {
    let output = command(&format!("blocked::victims::{victim}"))
        .env("LONET_TIMEOUT", "0.2")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_body_that_returns_too_late() {
    let (code, text) = run("returns_too_late");
    assert_eq!(code, Some(101), "{text}");
    assert!(text.contains("it did not end within 2.0 s"), "{text}");
    let does = "the test waits for nothing on the network";
    assert!(text.contains(does), "{text}");
}

#[test]
fn a_body_whose_drop_blocks() {
    let (code, text) = run("holds_what_is_stuck");
    assert_eq!(code, Some(101), "{text}");
    assert!(
        text.contains("the test waits in until `α:1 listen` for "),
        "{text}"
    );
    assert!(
        text.contains("that it left behind blocks the thread"),
        "{text}"
    );
}

#[test]
fn a_task_whose_drop_blocks() {
    let (code, text) = run("leaves_a_task_with_what_is_stuck");
    assert_eq!(code, Some(101), "{text}");
    assert!(
        text.contains("that it left behind blocks the thread"),
        "{text}"
    );
}

#[test]
fn a_task_that_is_left_is_not_played_on() {
    let (code, text) = run("leaves_a_task_that_accepts");
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_blocked_body_may_come_to_itself() {
    let output = command("victims::blocks_for_its_node")
        .arg("--nocapture")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("has come to itself"), "{text}");
}

#[test]
fn a_body_that_blocks_its_thread() {
    let began = std::time::Instant::now();
    let output = super::run("blocks");
    assert_eq!(output.status.code(), Some(101));
    assert!(began.elapsed() > Duration::from_secs(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("victims::blocks failed: it did not end within 2.0 s"),
        "{text}"
    );
    assert!(text.contains("the test body blocks its thread"), "{text}");
}
