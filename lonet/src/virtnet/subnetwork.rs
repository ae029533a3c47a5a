//! What users hold of one process's part of a network: [`SubNetwork`].
//!
//! Owns the hosts of this process and decides when all of them close. The engine knows the other
//! processes of the network.

use std::fmt;
use std::sync::Arc;

use super::host::Host;
use super::host_core::HostCore;
use super::net::Net;
use crate::addr::check_name;
use crate::error::{Cause, Result};
use crate::trace::Tracing;

/// This process's part of a network.
///
/// A cheap handle: clones refer to the same subnetwork. It closes on [`close`](SubNetwork::close),
/// when its last handle (a `SubNetwork`, [`Host`], [`Listener`](crate::Listener) or
/// [`Stream`](crate::Stream)) is dropped, or when the runtime that [joined](crate::join) ends.
#[derive(Clone)]
#[must_use = "a subnetwork closes when the last handle of it is dropped"]
pub struct SubNetwork {
    net: Arc<Net>,
}

impl SubNetwork {
    pub(crate) fn of(net: Arc<Net>) -> SubNetwork {
        SubNetwork { net }
    }

    /// The network's full name, for instance `lonetx`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// assert_eq!(lonet::pipenet::network("x").network(), "pipex");
    /// # Ok(()) }
    /// ```
    pub fn network(&self) -> &str {
        self.net.network()
    }

    /// The network's name as [`join`](crate::join) takes it, for instance `x`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = lonet::join("").await?; // a fresh one, with a random name
    /// let same = lonet::join(network.name()).await?;
    /// assert_eq!(same.network(), format!("lonet{}", network.name()));
    /// # Ok(()) }
    /// ```
    pub fn name(&self) -> &str {
        self.net.name.name()
    }

    /// Starts a host with this name. Names are unique in the whole network, across processes.
    ///
    /// # Errors
    ///
    /// [`Cause::HostExists`] if a running host has the name, [`Cause::InvalidName`],
    /// [`Cause::NetworkDown`] if the subnetwork is closed, [`Cause::Registry`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no host is left; its name may stay taken for a moment.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use lonet::Cause;
    ///
    /// let network = lonet::pipenet::network("x");
    /// let _alpha = network.new_host("α").await?;
    /// let error = network.new_host("α").await.unwrap_err();
    /// assert_eq!(error.cause(), &Cause::HostExists);
    /// assert_eq!(error.to_string(), "new host pipex α: host already registered");
    /// # Ok(()) }
    /// ```
    pub async fn new_host(&self, name: &str) -> Result<Host> {
        let core = self.add(name).await;
        match core {
            Ok(core) => Ok(Host::of(self.net.clone(), core)),
            // Whatever it holds, it is shown in one line.
            Err(cause @ Cause::InvalidName(_)) => {
                Err(self.net.error("new host", cause).about(format!("{name:?}")))
            }
            Err(cause) => Err(self.net.error("new host", cause).about(name)),
        }
    }

    async fn add(&self, name: &str) -> std::result::Result<Arc<HostCore>, Cause> {
        check_name(name)?;
        if self.net.lock().closed {
            return Err(Cause::NetworkDown);
        }
        let name: Arc<str> = name.into();
        let announced = match self.net.engine.announce(name.clone()).await {
            Ok(announced) => announced,
            // Closed meanwhile: that is why the registry would not.
            Err(_) if self.net.lock().closed => return Err(Cause::NetworkDown),
            Err(cause) => return Err(cause),
        };
        let core = self.net.add(name)?;
        announced.keep();
        Ok(core)
    }

    /// The host of this subnetwork with this name, if it is open. Does not find hosts of other
    /// processes.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = lonet::pipenet::network("x");
    /// let _alpha = network.new_host("α").await?;
    /// assert_eq!(network.host("α").expect("it is up").name(), "α");
    /// assert!(network.host("β").is_none());
    /// # Ok(()) }
    /// ```
    pub fn host(&self, name: &str) -> Option<Host> {
        let core = self.net.lock().hosts.get(name).cloned()?;
        Some(Host::of(self.net.clone(), core))
    }

    /// Closes every host of this subnetwork and leaves the network. Closing it again does nothing.
    ///
    /// The first poll of the future closes everything. The future then waits until other processes
    /// can use the names and, if this was the last process of a random network, until the network's
    /// directory is removed.
    ///
    /// # Errors
    ///
    /// None at present.
    ///
    /// # Cancel safety
    ///
    /// Once the future has been polled, the subnetwork closes even if the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = lonet::pipenet::network("x");
    /// let alpha = network.new_host("α").await?;
    /// network.close().await?;
    /// let error = alpha.listen(":10").await.unwrap_err();
    /// assert_eq!(error.to_string(), "listen pipex α:10: network is down");
    /// # Ok(()) }
    /// ```
    pub async fn close(&self) -> Result<()> {
        if self.net.close_now() {
            let left = self.net.withdraw(None).await;
            left.map_err(|cause| self.net.error("close", cause))?;
        }
        Ok(())
    }

    /// Makes the subnetwork close when its last host closes; at once if it has no host.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = lonet::pipenet::network("x");
    /// let alpha = network.new_host("α").await?;
    /// network.auto_close();
    /// alpha.close().await?;
    /// let error = network.new_host("β").await.unwrap_err();
    /// assert_eq!(error.cause(), &lonet::Cause::NetworkDown);
    /// # Ok(()) }
    /// ```
    pub fn auto_close(&self) {
        let mut state = self.net.lock();
        state.auto_close = true;
        let none = state.hosts.is_empty();
        drop(state);
        if none {
            self.net.end();
        }
    }

    /// The names of all hosts that have ever been on the network, in order.
    pub(crate) async fn names(&self) -> Result<Vec<String>> {
        let names = self.net.engine.names().await;
        names.map_err(|cause| self.net.error("hosts", cause))
    }

    /// The reporter of its events and where they go, if the network is traced.
    pub(crate) fn tracing(&self) -> Option<&Tracing> {
        self.net.events.tracing()
    }
}

impl Host {
    /// The subnetwork it is a host of.
    pub(crate) fn subnetwork(&self) -> SubNetwork {
        SubNetwork::of(self.net.clone())
    }
}

impl fmt::Debug for SubNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SubNetwork").field(&self.network()).finish()
    }
}
