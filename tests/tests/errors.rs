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
async fn a_failed_role_tells_every_source(scenario: Scenario) -> Result<()> {
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
