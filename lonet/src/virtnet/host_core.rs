//! What all handles of a host share: its ports, who has them, and its end.
//!
//! Owns the lock under which a port changes hands and its event gets its number. What a dial and
//! an accept do with a port is in their own files; what users hold of a host is in `host`.

use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use super::connection_core::Conn;
use super::io::Knock;
use super::listener_core::{ListenerCore, refuse};
use super::port_table::PortTable;
use crate::addr::Addr;
use crate::error::Cause;
use crate::happens::{By, Events};
use crate::lock::{Mutex, MutexGuard};
use crate::trace::What;

/// What all handles of a host share.
pub(crate) struct HostCore {
    name: Arc<str>,
    state: Mutex<HostState>,
    /// Wakes the dials that are under way when the host closes.
    pub(super) closing: Notify,
}

pub(super) struct HostState {
    /// Why nothing can be done here any more.
    pub(super) closed: Option<Cause>,
    pub(super) ports: PortTable<Occupant>,
    /// The lowest port that was free when the host closed.
    free_at_close: Option<u16>,
}

/// What has taken a port.
pub(super) enum Occupant {
    Dial(DialTold),
    Listener(Arc<ListenerCore>),
    Conn(Arc<Conn>),
}

impl Occupant {
    /// What a trace has to be told when the host closes it.
    fn end(&self, a: Addr, why: &Cause) -> Option<What> {
        let (p, s, w) = match self {
            Occupant::Dial(told) => {
                return told.n.map(|d| What::Fail {
                    addr: a,
                    peer: told.dst.clone(),
                    dial: d,
                    text: why.to_string(),
                });
            }
            Occupant::Listener(listener) => (None, listener.socket(), 0),
            Occupant::Conn(conn) => (Some(conn.peer().clone()), conn.socket(), conn.written()),
        };
        Some(What::Close {
            addr: a,
            peer: p,
            socket: s,
            written: w,
        })
    }
}

/// What the trace has recorded of a dial that is under way.
pub(super) struct DialTold {
    pub(super) dst: Addr,
    /// The number of its record, if the network is traced.
    pub(super) n: Option<u64>,
}

impl HostState {
    /// The port that a dial names which can't begin: the lowest free one, on a closed host the one
    /// of when it closed; 0 when all are taken.
    pub(super) fn source_port(&mut self) -> u16 {
        let port = match self.closed {
            Some(_) => self.free_at_close,
            None => self.ports.lowest_free(),
        };
        port.unwrap_or(0)
    }

    /// Whether that listener still has that port.
    pub(super) fn has_listener(&self, port: u16, listener: &Arc<ListenerCore>) -> bool {
        matches!(self.ports.occupant(port), Some(Occupant::Listener(own)) if Arc::ptr_eq(own, listener))
    }

    /// Whether that connection end still has that port.
    pub(super) fn has_conn(&self, port: u16, conn: &Arc<Conn>) -> bool {
        matches!(self.ports.occupant(port), Some(Occupant::Conn(own)) if Arc::ptr_eq(own, conn))
    }
}

impl HostCore {
    pub(super) fn new(name: Arc<str>) -> HostCore {
        let state = HostState {
            closed: None,
            ports: PortTable::new(),
            free_at_close: None,
        };
        HostCore {
            name,
            state: Mutex::new(state),
            closing: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn addr(&self, port: u16) -> Addr {
        Addr::known(self.name.clone(), port)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HostState> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a dialer at the listener of that port, or gives it back.
    pub(super) fn knock(&self, port: u16, knock: Knock) -> Result<(), Knock> {
        let is_own = *knock.src().host() == *self.name;
        let listener = match self.lock().ports.occupant(port) {
            Some(Occupant::Listener(listener)) if is_own || !listener.is_only_own() => {
                listener.clone()
            }
            _ => return Err(knock),
        };
        listener.push(knock)
    }

    /// Closes the host and all it has, which from then on fails with `why`. `false`: it was
    /// closed. Belongs to no task: lonet itself closes what the host had, and fails its dials.
    pub(super) fn close(&self, events: &Events, why: Cause) -> bool {
        let mut happened = Vec::new();
        let mut state = self.lock();
        if state.closed.is_some() {
            return false;
        }
        state.closed = Some(why.clone());
        state.free_at_close = state.ports.lowest_free();
        let occupants = state.ports.drain();
        for (&port, occupant) in &occupants {
            if let Occupant::Conn(conn) = occupant {
                conn.set_down(&why);
            }
            happened.push(events.happens(By::Lonet, || occupant.end(self.addr(port), &why)));
        }
        happened.push(events.happens(By::Lonet, || {
            Some(What::Down {
                host: self.name.to_string(),
            })
        }));
        drop(state);
        for occupant in occupants.values() {
            if let Occupant::Listener(listener) = occupant {
                let refused = listener.close(why.clone());
                events.effect(move || refuse(refused));
            }
        }
        for happened in happened {
            happened.tell();
        }
        for occupant in occupants.values() {
            if let Occupant::Conn(conn) = occupant {
                conn.shut();
            }
        }
        self.closing.notify_waiters();
        true
    }
}
