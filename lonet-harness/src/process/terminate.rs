//! A role's request to finish, as the role itself sees it.
//!
//! Owns whether the role wants to know, and whether it has been asked. What happens to a role that
//! does not want to know is `child`'s.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Whether the role has ever waited for the request.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Whether the request has come. Kept, so that none comes too early.
static REQUESTED: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// Inside a role: completes once the test calls [`Node::terminate`](crate::Node::terminate), or
/// stops what still runs at its end.
///
/// A role that has waited for this, if only for one poll, keeps its host and its connections and
/// may finish: within 5 s after `terminate`, within 0.5 s at the test's end. A role that has not is
/// dropped at once. Where no role is played, it never completes.
///
/// # Cancel safety
///
/// Safe: a request is kept.
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

/// Tells the role that it is to finish. False if it has never wanted to know.
pub(super) fn request() -> bool {
    let wanted = WANTED.load(Ordering::SeqCst);
    if wanted {
        REQUESTED.send_replace(true);
    }
    wanted
}
