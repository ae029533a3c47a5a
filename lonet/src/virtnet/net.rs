//! One process's part of a network: its hosts, and its end.
//!
//! Owns which hosts there are in this process and when all of it closes. What users hold of it is
//! in `subnetwork`; who else is on the network is the engine's to know.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::engine::Engine;
use super::host_core::HostCore;
use super::io::Knock;
use crate::addr::Addr;
use crate::error::{Cause, Error};
use crate::happens::{By, Events, Happened};
use crate::lock::{Mutex, MutexGuard};
use crate::trace::{Tracing, Waits, What};

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
    pub(super) name: NetName,
    pub(crate) engine: Engine,
    pub(super) events: Events,
    /// Whether it is of a process that this one carries.
    pub(super) is_carried: bool,
    state: Mutex<NetState>,
}

#[derive(Default)]
pub(super) struct NetState {
    pub(super) closed: bool,
    pub(super) auto_close: bool,
    pub(super) hosts: BTreeMap<Arc<str>, Arc<HostCore>>,
}

impl Net {
    pub(crate) fn new(name: NetName, engine: Engine, tracing: Option<Tracing>) -> Arc<Net> {
        Net::with(name, engine, Events::new(tracing), false)
    }

    /// The same, of a process that this one carries.
    pub(crate) fn carried(name: NetName, engine: Engine, tracing: Option<Tracing>) -> Arc<Net> {
        let net = Net::with(name, engine, Events::new(tracing), true);
        net.enter();
        net
    }

    fn with(name: NetName, engine: Engine, events: Events, is_carried: bool) -> Arc<Net> {
        Arc::new(Net {
            name,
            engine,
            events,
            is_carried,
            state: Mutex::default(),
        })
    }

    /// A network without a trace, on which faults act all the same.
    #[cfg(test)]
    pub(crate) fn behind(gate: Arc<crate::trace::Gate>, name: NetName, engine: Engine) -> Arc<Net> {
        Net::with(name, engine, Events::behind(gate), false)
    }

    /// The network's full name.
    pub(crate) fn network(&self) -> &Arc<str> {
        self.name.full()
    }

    /// An error of an operation on this network.
    pub(crate) fn error(&self, op: &'static str, cause: Cause) -> Error {
        Error::new(op, self.network().clone(), cause)
    }

    /// Whether what happens here is told to anybody.
    pub(crate) fn is_traced(&self) -> bool {
        self.events.is_traced()
    }

    /// Something happens, see [`Events::happens`].
    pub(super) fn happens(&self, by: By, what: impl FnOnce() -> Option<What>) -> Happened {
        self.events.happens(by, what)
    }

    /// Does what others can see, see [`Events::effect`].
    pub(crate) fn effect(&self, effect: impl FnOnce() + Send + 'static) {
        self.events.effect(effect);
    }

    /// Awaits an operation, see [`Events::watch`].
    pub(super) fn watch<F: Future>(
        &self,
        waits: Waits,
        operation: F,
    ) -> impl Future<Output = F::Output> {
        self.events.watch(waits, operation)
    }

    /// A number for a new listener; 0 if the network isn't traced.
    pub(super) fn socket(&self) -> u64 {
        self.events.socket()
    }

    /// Brings a dialer to the listener it asked for, or back if nothing listens there.
    pub(crate) fn knock(&self, dst: &Addr, knock: Knock) -> Result<(), Knock> {
        let host = self.lock().hosts.get(dst.host()).cloned();
        match host {
            Some(host) => host.knock(dst.port(), knock),
            None => Err(knock),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, NetState> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a host whose name is announced.
    pub(super) fn add(&self, name: Arc<str>) -> Result<Arc<HostCore>, Cause> {
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

    /// A host is closed: it is no longer one of this subnetwork's. Closes that too, if it was the
    /// last one of a subnetwork that is to close by itself; then tells so.
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
            let engine = self.engine.clone();
            self.events.at_last(move || engine.leave_now());
        }
    }

    /// Other processes learn that a host is gone, or, without a name, that all are. While nothing may
    /// leave this process, that waits, even if the future is dropped.
    pub(super) async fn withdraw(&self, host: Option<&str>) -> Result<(), Cause> {
        // A name is given up even by one that is dead.
        let shut = self
            .events
            .gate()
            .filter(|gate| gate.is_shut() && !gate.is_dead());
        let Some(gate) = shut else {
            return match host {
                Some(host) => self.engine.withdraw(host).await,
                None => self.engine.leave().await,
            };
        };
        let (engine, host) = (self.engine.clone(), host.map(str::to_owned));
        self.events.at_last(move || match host {
            Some(host) => engine.withdraw_now(&host),
            None => engine.leave_now(),
        });
        gate.pass(|_| Some(())).await;
        Ok(())
    }

    /// Whether this subnetwork has an open host of that name.
    pub(crate) fn has(&self, host: &str) -> bool {
        self.lock().hosts.contains_key(host)
    }

    /// Closes all there is, apart from what other processes know of it. `false`: it was closed.
    pub(super) fn close_now(&self) -> bool {
        let hosts = {
            let mut state = self.lock();
            if std::mem::replace(&mut state.closed, true) {
                return false;
            }
            std::mem::take(&mut state.hosts)
        };
        self.leave();
        for host in hosts.values() {
            host.close(&self.events, Cause::NetworkDown);
        }
        let engine = self.engine.clone();
        self.events.at_last(move || engine.shut());
        true
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.end();
    }
}
