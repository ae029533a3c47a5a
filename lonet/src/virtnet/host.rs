//! What users hold of a host: [`Host`].
//!
//! Owns marks, and how a user closes a host. Its ports are in `host_core`; listening is in
//! `listener`, dialing in `dial`.

use std::fmt::{self, Display};
use std::sync::Arc;

use super::host_core::HostCore;
use super::net::Net;
use crate::addr::Addr;
use crate::error::{Cause, Result};
use crate::happens::By;
use crate::trace::What;

/// A named access point of a network, with ports 1 to 65535.
///
/// A cheap handle: clones are the same host. Dropping one closes nothing while another handle of
/// its subnetwork lives.
#[derive(Clone)]
pub struct Host {
    pub(super) net: Arc<Net>,
    pub(super) core: Arc<HostCore>,
}

impl Host {
    pub(crate) fn of(net: Arc<Net>, core: Arc<HostCore>) -> Host {
        Host { net, core }
    }

    /// The network's full name, for instance `lonetx`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// assert_eq!((alpha.network(), alpha.name()), ("pipex", "α"));
    /// # Ok(()) }
    /// ```
    pub fn network(&self) -> &str {
        self.net.network()
    }

    /// The host's name.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// assert_eq!(alpha.name(), "α");
    /// # Ok(()) }
    /// ```
    pub fn name(&self) -> &str {
        self.core.name()
    }

    /// The address that a text means on this host.
    pub(super) fn parse(&self, text: &str) -> std::result::Result<Addr, Cause> {
        Addr::parse_on(self.core.name(), text)
    }

    /// Emits an event of the user's: `α mark leader term=3` for `host.mark("leader term=3")`.
    /// White space is folded. Without a trace, or once the host is closed, it does nothing. With one,
    /// a text of more than 1 MiB fails the test.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let term = 3;
    /// alpha.mark(format_args!("leader term={term}")); // α mark leader term=3
    /// # Ok(()) }
    /// ```
    pub fn mark(&self, text: impl Display) {
        if !self.net.is_traced() {
            return;
        }
        let text = text.to_string();
        // Nothing happens on a host that is down.
        let state = self.core.lock();
        if state.closed.is_some() {
            return;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let mark = self.net.happens(By::Task, || {
            Some(What::Mark {
                host: self.core.name().to_string(),
                text: words.join(" "),
            })
        });
        drop(state);
        mark.tell();
    }

    /// Closes the host and all its listeners and connections. Closing twice is no error.
    ///
    /// Everything is closed when the future is first polled; what it waits for is that others can
    /// have the name. Where that can't be brought about within 10 s, as there are no descriptors or
    /// another program holds the registry, it is done as soon as it can be.
    ///
    /// # Errors
    ///
    /// None at present.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it happens, even if the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = lonet::pipenet::network("x");
    /// let alpha = network.new_host("α").await?;
    /// let listener = alpha.listen(":10").await?;
    /// alpha.close().await?;
    /// let error = listener.accept().await.unwrap_err();
    /// assert_eq!(error.to_string(), "accept pipex α:10: host is down");
    /// let _again = network.new_host("α").await?; // the name is free
    /// # Ok(()) }
    /// ```
    pub async fn close(&self) -> Result<()> {
        if !self.core.close(&self.net.events, Cause::HostDown) {
            return Ok(());
        }
        let left = if self.net.remove(&self.core) {
            self.net.engine.leave().await
        } else {
            self.net.engine.withdraw(self.name()).await
        };
        left.map_err(|cause| self.net.error("close", cause).about(self.name()))
    }

    /// Whether nobody has closed it.
    pub(crate) fn is_open(&self) -> bool {
        self.core.lock().closed.is_none()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({} {})", self.network(), self.name())
    }
}
