//! A host: its ports, what uses them, and its end.
//!
//! Owns the lock under which a port is taken or freed and its event gets its number. What a dial and
//! an accept do with a port is in their own files.

use std::fmt::{self, Display};
use std::sync::Arc;

use super::host_core::HostCore;
use super::net::Net;
use crate::addr::Addr;
use crate::error::{Cause, Result};
use crate::happens::By;
use crate::trace::What;

/// A host of a network: a name and the ports 1 to 65535.
///
/// A cheap handle: clones refer to the same host. Dropping it closes nothing while another handle of
/// its subnetwork exists.
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

    /// Records a `mark` event with your own text: `host.mark("leader term=3")` on α records
    /// `α mark leader term=3`.
    ///
    /// Each run of white space becomes one space. If the network is not traced, or the host is
    /// closed, this does nothing. A text of more than 1 MiB fails the test.
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

    /// Closes the host and all its listeners and connections. Closing it again does nothing.
    ///
    /// The first poll of the future closes everything. The future then waits until the name is free
    /// for other processes. It waits for at most 10 s; if the name can't be freed by then, because
    /// there are no file descriptors or another program holds the registry, lonet frees it as soon
    /// as possible.
    ///
    /// # Errors
    ///
    /// None at present.
    ///
    /// # Cancel safety
    ///
    /// Once the future has been polled, the host closes even if the future is dropped.
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
        let last = self.net.remove(&self.core);
        let left = self.net.withdraw((!last).then(|| self.name())).await;
        left.map_err(|cause| self.net.error("close", cause).about(self.name()))
    }

    /// See [`crate::carried::settled`].
    pub(crate) async fn settled(&self) -> bool {
        match self.net.events.gate() {
            Some(gate) => gate.opens().await,
            None => true,
        }
    }

    /// Whether nothing has that port now.
    pub(crate) fn is_free(&self, port: u16) -> bool {
        self.core.lock().ports.occupant(port).is_none()
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
