//! `until` inside a role: a request on the network's trace socket.
//!
//! Owns that request alone. The collector decides which event answers it.

use std::path::Path;

use lonet::trace::{Event, Tracing, Waits};

#[cfg(doc)]
use crate::Scenario;
use crate::error::{Error, ErrorKind};
use crate::trace::Pattern;

/// Inside a role, waits for an event that matches `pattern`, as [`Scenario::until`] does in a test.
///
/// # Errors
///
/// - [`Pattern`](ErrorKind::Pattern): the pattern is invalid.
/// - [`Failed`](ErrorKind::Failed): a node has failed and no `join` has returned that failure, or a
///   process has sent an invalid trace.
/// - [`Misplaced`](ErrorKind::Misplaced): the scenario is over, or the caller is not inside a role.
/// - [`Io`](ErrorKind::Io): the test's process can't be reached.
///
/// # Cancel safety
///
/// Safe: nothing is lost.
///
/// # Examples
///
/// ```
/// # use lonet_harness::{Result, Scenario};
/// #[lonet::host]
/// async fn follows(host: lonet::Host) -> Result<String> {
///     let leader = lonet_harness::until("_ mark leads").await?;
///     Ok(leader.host().to_owned())
/// }
/// # #[lonet::main]
/// # async fn main(scenario: Scenario) -> Result<()> {
/// let follower = scenario.spawn("β", follows()).await?;
/// scenario.host("α").await?.mark("leads");
/// assert_eq!(follower.await?, "α");
/// # Ok(()) }
/// ```
pub async fn until(pattern: &str) -> Result<Event, Error> {
    let Some(directory) = crate::process::child::directory() else {
        let message = "`lonet_harness::until` is for roles; a test has `Scenario::until`";
        return Err(Error::new(ErrorKind::Misplaced, message));
    };
    let tracing = role_tracing(directory)?;
    let operation = tracing.reporter.operation().waiting(Waits::Until);
    let answer = operation.watch(tracing.socket.ask(pattern, None)).await?;
    match (answer.ok, answer.err) {
        (Some(event), _) => {
            tracing.reporter.learn(event.id());
            Ok(event)
        }
        (None, error) => Err(refused(pattern, error)),
    }
}

fn role_tracing(directory: &Path) -> Result<Tracing, Error> {
    let tracing = Tracing::of(directory)?;
    tracing.ok_or_else(Error::over)
}

/// What the refusal that came as a text is.
fn refused(pattern: &str, text: Option<String>) -> Error {
    let Some(text) = text else {
        return Error::over();
    };
    let kind = match Pattern::parse(pattern) {
        _ if text == Error::over().to_string() => ErrorKind::Misplaced,
        Err(_) => ErrorKind::Pattern,
        Ok(_) => ErrorKind::Failed,
    };
    Error::new(kind, text)
}
