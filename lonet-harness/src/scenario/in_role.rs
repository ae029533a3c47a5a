//! `until` inside a role: a request on the network's trace socket.
//!
//! Owns that request alone. The collector decides which event answers it.

use std::io;
use std::path::Path;

use lonet::trace::{Event, Tracing, Waits};

use crate::Result;
#[cfg(doc)]
use crate::Scenario;

/// Inside a role: the first event that matches a line of an expected trace, as
/// [`Scenario::until`] says it.
///
/// # Errors
///
/// As [`Scenario::until`]; also where no role is played.
///
/// # Cancel safety
///
/// Safe: nothing is lost.
pub async fn until(pattern: &str) -> Result<Event> {
    let Some(directory) = crate::process::child::directory() else {
        return Err("`lonet_harness::until` is for roles; a test has `Scenario::until`".into());
    };
    let tracing = role_tracing(directory)?;
    let operation = tracing.reporter.operation().waiting(Waits::Until);
    let answer = operation.watch(tracing.socket.ask(pattern, None)).await?;
    match (answer.ok, answer.err) {
        (Some(event), _) => {
            tracing.reporter.learn(event.id());
            Ok(event)
        }
        (None, error) => Err(error.unwrap_or_else(|| "no answer".into()).into()),
    }
}

fn role_tracing(directory: &Path) -> Result<Tracing> {
    let tracing = Tracing::asked_elsewhere(directory)?;
    tracing
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the scenario is over").into())
}
