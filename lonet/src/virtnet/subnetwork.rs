//! One process's part of a network: its hosts, and its end.
//!
//! Owns the hosts of this process and decides when all of them close. The engine knows the other
//! processes of the network.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use super::engine::{Engine, Knock};
use super::happens::{By, Events};
use super::host::{Host, HostCore};
use super::lock::{Mutex, MutexGuard};
use crate::addr::{Addr, check_name};
use crate::error::{Cause, Error, Result};
use crate::trace::{Tracing, What};

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

/// A network's full name, and where in it the name begins.
#[derive(Clone)]
pub(crate) struct NetName {
    full: Arc<str>,
    prefix: usize,
}

impl NetName {
    /// `lonetx` from `lonet` and `x`.
    pub(crate) fn new(prefix: &str, name: &str) -> NetName {
        NetName {
            full: format!("{prefix}{name}").into(),
            prefix: prefix.len(),
        }
    }

    /// `lonetx`.
    pub(crate) fn full(&self) -> &Arc<str> {
        &self.full
    }

    /// `x`.
    pub(crate) fn name(&self) -> &str {
        &self.full[self.prefix..]
    }
}

/// What all handles of a subnetwork share. Its drop closes it, so only handles own one.
pub(crate) struct Net {
    name: NetName,
    pub(crate) engine: Engine,
    pub(super) events: Events,
    state: Mutex<NetState>,
}

#[derive(Default)]
struct NetState {
    closed: bool,
    auto_close: bool,
    hosts: BTreeMap<Arc<str>, Arc<HostCore>>,
}

impl Net {
    pub(crate) fn new(name: NetName, engine: Engine, tracing: Option<Tracing>) -> Arc<Net> {
        Arc::new(Net {
            name,
            engine,
            events: Events::new(tracing),
            state: Mutex::default(),
        })
    }

    /// The network's full name.
    pub(crate) fn network(&self) -> &Arc<str> {
        self.name.full()
    }

    /// An error of an operation on this network.
    pub(crate) fn error(&self, op: &'static str, cause: Cause) -> Error {
        Error::new(op, self.network().clone(), cause)
    }

    /// Brings a dialer to the listener it asked for, or back if nothing listens there.
    pub(crate) fn knock(&self, dst: &Addr, knock: Knock) -> std::result::Result<(), Knock> {
        let host = self.lock().hosts.get(dst.host()).cloned();
        match host {
            Some(host) => host.knock(dst.port(), knock),
            None => Err(knock),
        }
    }

    fn lock(&self) -> MutexGuard<'_, NetState> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a host whose name is announced.
    fn add(&self, name: Arc<str>) -> std::result::Result<Arc<HostCore>, Cause> {
        let mut state = self.lock();
        if state.closed {
            return Err(Cause::NetworkDown);
        }
        if state.hosts.contains_key(&name) {
            return Err(Cause::HostExists);
        }
        let host = Arc::new(HostCore::new(name.clone()));
        state.hosts.insert(name.clone(), host.clone());
        let up = self.happens(By::Task, || {
            Some(What::Up {
                host: name.to_string(),
            })
        });
        drop(state);
        up.tell();
        Ok(host)
    }

    /// Removes a closed host. Closes the subnetwork too if that was its last host and it closes
    /// automatically; returns whether it did.
    pub(crate) fn remove(&self, host: &Arc<HostCore>) -> bool {
        let mut state = self.lock();
        if state
            .hosts
            .get(host.name())
            .is_some_and(|own| Arc::ptr_eq(own, host))
        {
            state.hosts.remove(host.name());
        }
        let last = state.auto_close && state.hosts.is_empty() && !state.closed;
        drop(state);
        last && self.close_now()
    }

    /// Closes all there is, and leaves. May wait for other processes, briefly.
    pub(crate) fn end(&self) {
        if self.close_now() {
            self.engine.leave_now();
        }
    }

    /// Whether this subnetwork has an open host of that name.
    pub(crate) fn has(&self, host: &str) -> bool {
        self.lock().hosts.contains_key(host)
    }

    /// Closes all there is, apart from what other processes know of it. `false`: it was closed.
    fn close_now(&self) -> bool {
        let hosts = {
            let mut state = self.lock();
            if std::mem::replace(&mut state.closed, true) {
                return false;
            }
            std::mem::take(&mut state.hosts)
        };
        for host in hosts.values() {
            host.close(self, Cause::NetworkDown);
        }
        self.engine.shut();
        true
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.end();
    }
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
            let left = self.net.engine.leave().await;
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

    /// The reporter of its events and where they go, if the network is traced.
    pub(crate) fn tracing(&self) -> Option<&Tracing> {
        self.net.events.tracing()
    }
}

impl fmt::Debug for SubNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SubNetwork").field(&self.network()).finish()
    }
}
