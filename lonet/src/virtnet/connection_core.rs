//! What a host's port table has of one end of a connection.
//!
//! Owns what has closed the end. How operations on it go is in `connection`.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::gate::EndGate;
use super::io::Io;
use super::net::Net;
use crate::addr::Addr;
use crate::error::Cause;
use crate::trace::Tap;

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
    pub(super) fn new(io: Io, local: Addr, peer: Addr, net: &Net) -> Conn {
        let tap = net.tap(&local, &peer);
        let gate = net.events.gate().cloned().map(EndGate::new);
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

    /// From now on every operation fails with that cause. Called under the host's lock by whoever
    /// took the connection out of the port table.
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
