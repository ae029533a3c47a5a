//! What a host's port table has of one end of a connection.
//!
//! Owns what has closed the end, and what that does to its socket where a fault withholds bytes. How
//! operations on it go is in `connection`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::gate::EndGate;
use super::io::Io;
use crate::addr::Addr;
use crate::error::Cause;
use crate::happens::Events;
use crate::trace::{Gated, Obeyed, Standing, Tap, Withheld};

/// What a host's port table has of a connection's end.
pub(crate) struct Conn {
    pub(super) io: Io,
    pub(super) local: Addr,
    pub(super) peer: Addr,
    /// What closed it on this side, see `down`; 0 while it is open.
    down: AtomicU8,
    pub(super) write_shut: AtomicBool,
    /// Present when the network is traced.
    pub(super) tap: Option<Box<Tap>>,
    /// Likewise.
    pub(super) gate: Option<Box<EndGate>>,
}

const OPEN: u8 = 0;
const SOCKET_DOWN: u8 = 1;
const HOST_DOWN: u8 = 2;
const NETWORK_DOWN: u8 = 3;

impl Conn {
    pub(super) fn new(io: Io, local: Addr, peer: Addr, events: &Events) -> Conn {
        let tap = events.tap(&local, &peer);
        let gate = events.gate().cloned().map(EndGate::new);
        Conn {
            io,
            local,
            peer,
            down: AtomicU8::new(OPEN),
            write_shut: AtomicBool::new(false),
            tap: tap.map(Box::new),
            gate: gate.map(Box::new),
        }
    }

    pub(super) fn local(&self) -> &Addr {
        &self.local
    }

    pub(super) fn peer(&self) -> &Addr {
        &self.peer
    }

    /// From where to where it writes.
    pub(super) fn way(&self) -> (&Addr, &Addr) {
        (&self.local, &self.peer)
    }

    /// Its number in the trace.
    pub(super) fn socket(&self) -> u64 {
        self.tap.as_ref().map_or(0, |tap| tap.socket())
    }

    /// How many bytes it has written, if the network is traced.
    pub(super) fn written(&self) -> u64 {
        self.tap.as_ref().map_or(0, |tap| tap.written())
    }

    /// Nothing pends here any more, as far as the trace is concerned.
    pub(super) fn ended(&self) {
        if let Some(tap) = &self.tap {
            tap.ended();
        }
    }

    /// From now on every operation fails with that cause. Called under the host's lock by the one
    /// caller that took the connection out of the port table.
    pub(super) fn set_down(&self, why: &Cause) {
        let code = match why {
            Cause::NetworkDown => NETWORK_DOWN,
            Cause::HostDown => HOST_DOWN,
            _ => SOCKET_DOWN,
        };
        self.down.store(code, Ordering::Release);
        self.ended();
    }

    pub(super) fn down(&self) -> Option<Cause> {
        match self.down.load(Ordering::Acquire) {
            OPEN => None,
            NETWORK_DOWN => Some(Cause::NetworkDown),
            HOST_DOWN => Some(Cause::HostDown),
            _ => Some(Cause::SocketDown),
        }
    }
}

impl Conn {
    /// From now on orders reach it.
    pub(super) fn enter(self: &Arc<Self>) {
        if let Some(end) = &self.gate {
            let weak = Arc::downgrade(self);
            let standing = end.gate().enter(weak);
            self.ordered(&standing, &mut Obeyed::default());
        }
    }

    /// Ends both directions. Where bytes are withheld, the other side hears that its writes end, and
    /// what was sent to it is not taken back: the descriptor stays until the heal.
    pub(super) fn shut(self: &Arc<Self>) {
        let Some(end) = &self.gate else {
            return self.io.shutdown();
        };
        let own = self.clone();
        end.gate().effect(move || own.shut_now(true));
        // What an order keeps waiting here does not wait for the socket.
        end.wake();
    }

    /// Ends both directions by a reset. A fault that withholds it from the other side does so there.
    pub(super) fn reset(self: &Arc<Self>) {
        let Some(end) = &self.gate else {
            return self.io.reset();
        };
        let own = self.clone();
        end.gate().effect(move || own.io.reset());
        end.wake();
    }

    /// Lets go of the connection, as its last user.
    pub(super) fn let_go(self: &Arc<Self>) {
        if let Some(end) = &self.gate
            && !end.is_free()
        {
            let own = self.clone();
            end.gate().effect(move || own.shut_now(false));
        }
    }

    fn shut_now(self: &Arc<Self>, both: bool) {
        match &self.gate {
            Some(end) if self.is_withheld() => {
                // Its error would be the other side's news.
                let _ = self.io.shutdown_write();
                end.gate().keep(self.clone());
            }
            _ if both => self.io.shutdown(),
            _ => {}
        }
    }

    /// Ends the direction away from here, or, if nothing may leave, as soon as something may.
    pub(super) fn shut_write(self: &Arc<Self>) -> io::Result<()> {
        let Some(end) = &self.gate else {
            return self.io.shutdown_write();
        };
        if end.gate().is_shut() {
            let own = self.clone();
            // No caller is left that could learn of an error.
            end.gate().effect(move || drop(own.io.shutdown_write()));
            return Ok(());
        }
        match self.io.shutdown_write() {
            Err(error) if end.hides(&error) => Ok(()),
            result => result,
        }
    }
}

impl Gated for Conn {
    fn ordered(&self, now: &Standing, found: &mut Obeyed) {
        if let Some(end) = &self.gate {
            end.ordered(&self.io, self.way(), now, found);
        }
    }

    fn wake(&self) {
        if let Some(end) = &self.gate {
            end.wake();
        }
    }

    fn withheld(&self) -> Option<(Withheld, u32)> {
        let fault = self.gate.as_ref()?.withholds_from_waiting()?;
        Some((Withheld::End(self.socket()), fault))
    }

    fn is_withheld(&self) -> bool {
        self.gate.as_ref().is_some_and(|end| end.is_withheld())
    }
}
