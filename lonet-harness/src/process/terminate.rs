//! A role's request to finish, as the role itself sees it.
//!
//! Owns whether the role has waited for the request, and whether the request has come. `child` ends
//! a role that has not waited for it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Whether the role has ever waited for the request.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Whether the request has come. Kept, so that none comes too early.
static REQUESTED: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// Inside a role, waits until the test calls [`Node::terminate`](crate::Node::terminate), or until
/// the test ends.
///
/// A role that has polled this at least once keeps its host and its connections, and has time to
/// finish: 5 s after `terminate`, 0.5 s at the end of the test. A role that has not polled it is
/// dropped at once. Outside of a role, this never completes.
///
/// # Cancel safety
///
/// Safe: the request is not lost.
///
/// # Examples
///
/// ```
/// # use lonet_harness::{Result, Scenario};
/// #[lonet::host]
/// async fn serves(host: lonet::Host) -> u32 {
///     let finish = lonet_harness::terminate_requested();
///     tokio::pin!(finish);
///     let mut rounds = 0;
///     loop {
///         tokio::select! {
///             biased;
///             () = &mut finish => break rounds,
///             () = tokio::task::yield_now() => rounds += 1,
///         }
///         if rounds == 3 {
///             host.mark("serves");
///         }
///     }
/// }
/// # #[lonet::main]
/// # async fn main(scenario: Scenario) -> Result<()> {
/// let node = scenario.spawn("α", serves()).await?;
/// node.until("α mark serves").await?;
/// node.terminate().await?;
/// assert!(node.join().await? >= 3);
/// # Ok(()) }
/// ```
pub async fn terminate_requested() {
    // Before the request is looked at: one that comes in between is seen, too.
    WANTED.store(true, Ordering::SeqCst);
    let mut requested = REQUESTED.subscribe();
    // The sender is never dropped.
    let _ = requested.wait_for(|requested| *requested).await;
}

/// Asks the role to finish. Returns false if it has never waited for that.
pub(super) fn request() -> bool {
    let wanted = WANTED.load(Ordering::SeqCst);
    if wanted {
        REQUESTED.send_replace(true);
    }
    wanted
}
