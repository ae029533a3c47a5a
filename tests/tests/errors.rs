//! Errors as people write them: what roles and tests may return, and what is said of it.
#![forbid(unsafe_code)]

use std::error::Error as StdError;
use std::fmt;

use anyhow::Context;
use lonet::Host;
use lonet_harness::{ErrorKind, Result, Role, Scenario};

const WHOLE: &str = "starting the node: reading the config: disk on fire";

/// An error with sources, as thiserror makes it.
#[derive(Debug)]
struct Layer(&'static str, Option<Box<dyn StdError + Send + Sync>>);

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Layer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

fn burns() -> std::io::Result<()> {
    Err(std::io::Error::other("disk on fire"))
}

fn layers() -> Layer {
    let fire = burns().expect_err("it burns");
    let reading = Layer("reading the config", Some(fire.into()));
    Layer("starting the node", Some(reading.into()))
}

type Outcome = std::result::Result<(), String>;
type Fallible<T> = std::result::Result<T, Layer>;
/// The other way round.
type Odd<E, T> = std::result::Result<T, E>;

#[lonet::host]
async fn of_anyhow(_: Host) -> anyhow::Result<()> {
    burns()
        .context("reading the config")
        .context("starting the node")
}

#[lonet::host]
async fn of_eyre(_: Host) -> eyre::Result<()> {
    use eyre::WrapErr;
    WrapErr::wrap_err(burns(), "reading the config").wrap_err("starting the node")
}

#[lonet::host]
async fn of_box(_: Host) -> std::result::Result<(), Box<dyn StdError>> {
    Err(layers().into())
}

#[lonet::host]
async fn of_shared_box(_: Host) -> Result<()> {
    Err(layers().into())
}

#[lonet::host]
async fn of_alias(_: Host) -> Fallible<()> {
    Err(layers())
}

#[lonet::host]
async fn of_odd_alias(_: Host) -> Odd<Layer, ()> {
    Err(layers())
}

#[lonet::host]
async fn of_text(_: Host) -> Outcome {
    Err(WHOLE.into())
}

#[lonet::host]
async fn succeeds(_: Host) -> Odd<&'static str, u8> {
    Ok(3)
}

#[lonet::test]
async fn a_failed_role_lists_every_source(scenario: Scenario) -> Result<()> {
    let roles: [Role<()>; 7] = [
        of_anyhow(),
        of_eyre(),
        of_box(),
        of_shared_box(),
        of_alias(),
        of_odd_alias(),
        of_text(),
    ];
    for role in roles {
        let error = scenario.spawn("α", role.clone()).await?.join().await;
        let error = error.expect_err("the role returns an error");
        assert_eq!((error.kind(), error.host()), (ErrorKind::Failed, Some("α")));
        let text = error.to_string();
        let expected = format!(") returned an error: {WHOLE}");
        assert!(text.ends_with(&expected), "{role:?}: {text}");
    }
    Ok(())
}

#[lonet::test]
async fn a_result_under_another_name_gives_its_value(scenario: Scenario) -> Result<()> {
    assert_eq!(scenario.spawn("α", succeeds()).await?.join().await?, 3);
    Ok(())
}

#[lonet::test]
#[should_panic(expected = "returned an error: starting the node: reading the config: disk on fire")]
async fn an_error_under_another_name_fails_the_test(scenario: Scenario) -> Result<()> {
    let _node = scenario.spawn("α", of_alias()).await?;
    while scenario.until("β mark never").await.is_ok() {}
    Ok(())
}

#[lonet::test]
#[should_panic(expected = "starting the node: reading the config: disk on fire")]
async fn a_test_returns_anyhow(_: Scenario) -> anyhow::Result<()> {
    burns()
        .context("reading the config")
        .context("starting the node")
}

#[lonet::test]
#[should_panic(expected = "starting the node: reading the config: disk on fire")]
async fn a_test_returns_eyre(_: Scenario) -> eyre::Result<()> {
    use eyre::WrapErr;
    WrapErr::wrap_err(burns(), "reading the config").wrap_err("starting the node")
}

#[lonet::test]
#[should_panic(expected = "starting the node: reading the config: disk on fire")]
async fn a_test_returns_a_box(_: Scenario) -> std::result::Result<(), Box<dyn StdError>> {
    Err(layers().into())
}

#[lonet::test]
#[should_panic(expected = "starting the node: reading the config: disk on fire")]
async fn a_test_returns_its_own_error(_: Scenario) -> Fallible<()> {
    Err(layers())
}

#[lonet::test]
#[should_panic(expected = "no quorum")]
async fn a_test_returns_a_text(_: Scenario) -> Outcome {
    Err("no quorum".into())
}

#[lonet::test]
async fn every_kind_of_refusal_has_its_kind(scenario: Scenario) -> Result<()> {
    let error = scenario.until("α lisen").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pattern);
    let error = scenario.spawn("a:b", of_text()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Host);
    let error = lonet_harness::until("α up").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misplaced);
    let _alpha = scenario.host("α").await?;
    let error = scenario.host("α").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.network().is_some());
    Ok(())
}

#[lonet::host]
async fn dials_early(host: Host) -> Result<()> {
    drop(host.dial("α:10").await?);
    Ok(())
}

/// Listens, if it is to, once the test's body has ended.
#[lonet::host]
async fn listens_late(host: Host, ever: bool) -> Result<()> {
    let mut end = host.listen(":20").await?.accept().await?;
    tokio::io::AsyncReadExt::read_to_end(&mut end, &mut Vec::new()).await?;
    // It opens its database, say. The time orders nothing: only if nobody waited for the listener
    // would the test's end come before it.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let _listener = if ever {
        Some(host.listen(":10").await?)
    } else {
        None
    };
    std::future::pending().await
}

async fn dials_before(scenario: Scenario, ever: bool) -> Result<()> {
    let _alpha = scenario.spawn("α", listens_late(ever)).await?;
    scenario.until("α:20 listen").await?;
    let gamma = scenario.host("γ").await?;
    // It is closed with the body.
    let _end = gamma.dial("α:20").await?;
    let beta = scenario.spawn("β", dials_early()).await?;
    Ok(beta.join().await?)
}

#[lonet::test]
#[ignore = "fails: another test runs it"]
async fn dials_before_a_listener(scenario: Scenario) -> Result<()> {
    dials_before(scenario, true).await
}

#[lonet::test]
#[ignore = "fails: another test runs it"]
async fn dials_where_nothing_ever_listens(scenario: Scenario) -> Result<()> {
    dials_before(scenario, false).await
}

/// Also if the test has failed, and ended, before the listener was there.
#[test]
fn a_dial_that_came_too_early_names_the_missing_until() {
    let page_of = |test: &str, patience: &str| {
        let output = std::process::Command::new("/proc/self/exe")
            .args([test, "--exact", "--ignored", "--nocapture"])
            .env("LONET_TIMEOUT", patience)
            .output()
            .expect("this binary can be started");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let hints = |page: &str| {
        let hints = page.lines().filter(|line| line.starts_with("hint: "));
        hints.map(str::to_owned).collect::<Vec<String>>()
    };
    // The page waits for what may take its time on a loaded machine, and is made once it is there.
    let page = page_of("dials_before_a_listener", "60");
    let [hint] = &hints(&page)[..] else {
        panic!("{page}");
    };
    assert!(hint.starts_with("hint: `β:1 fail α:10 connection refused`: α listened there "));
    let until = "wait for it before the dial: scenario.until(\"α:10 listen\").await?";
    assert!(hint.ends_with(until), "{hint}");

    let page = page_of("dials_where_nothing_ever_listens", "1");
    assert_eq!(
        hints(&page),
        [
            "hint: `β:1 fail α:10 connection refused`: nothing listened at α:10, before or after; \
             is `α:20` meant?"
        ]
    );
}
