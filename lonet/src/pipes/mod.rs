//! The engine in memory.
//!
//! Owns how a dial finds its listener here, and which names have been used. The pipes themselves are
//! in `pipe`; ports and closing are in `virtnet`.

mod pipe;

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub(crate) use pipe::PipeEnd;

use crate::addr::Addr;
use crate::error::Cause;

/// The engine.
#[derive(Default)]
pub(crate) struct Pipes {
    names: Mutex<Names>,
    connections: AtomicU64,
}

#[derive(Default)]
struct Names {
    living: BTreeSet<Arc<str>>,
    ever: BTreeSet<Arc<str>>,
}

/// A dialer that waits to be accepted.
pub(crate) struct Caller {
    src: Addr,
    /// The OS addresses of the two subnetworks, if they are not one.
    between: Option<(SocketAddrV4, SocketAddrV4)>,
    connection: u64,
    answer: Answering,
}

/// How a dialer gets its end and its peer's address, or the cause of its failure.
pub(crate) type Answering = oneshot::Sender<Result<(PipeEnd, Addr), Cause>>;

/// Where it waits for that.
pub(crate) type Awaited = oneshot::Receiver<Result<(PipeEnd, Addr), Cause>>;

impl Pipes {
    fn names(&self) -> MutexGuard<'_, Names> {
        // Nothing under this lock can leave the names half changed.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn announce(&self, name: &Arc<str>) -> Result<(), Cause> {
        let mut names = self.names();
        if !names.living.insert(name.clone()) {
            return Err(Cause::HostExists);
        }
        names.ever.insert(name.clone());
        Ok(())
    }

    pub(crate) fn withdraw(&self, name: &str) {
        self.names().living.remove(name);
    }

    /// Every name that was ever announced, in order.
    pub(crate) fn all_names(&self) -> Vec<String> {
        self.names()
            .ever
            .iter()
            .map(|name| name.to_string())
            .collect()
    }

    /// Somebody who dials, and where that waits for the answer.
    pub(crate) fn dials(&self, src: &Addr, host: &str) -> Result<(Caller, Awaited), Cause> {
        if !self.names().ever.contains(host) {
            return Err(Cause::NoSuchHost);
        }
        let connection = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Caller::new(src, None, connection))
    }
}

impl Caller {
    fn new(
        src: &Addr,
        between: Option<(SocketAddrV4, SocketAddrV4)>,
        connection: u64,
    ) -> (Caller, Awaited) {
        let (sender, receiver) = oneshot::channel();
        let caller = Caller {
            src: src.clone(),
            between,
            connection,
            answer: sender,
        };
        (caller, receiver)
    }

    /// Somebody who dials from one subnetwork of this process to another, which have these OS addresses.
    pub(crate) fn between(src: &Addr, from: SocketAddrV4, to: SocketAddrV4) -> (Caller, Awaited) {
        // No kernel connection is between these addresses: both listen.
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed) + 1;
        Caller::new(src, Some((from, to)), connection)
    }

    pub(crate) fn src(&self) -> &Addr {
        &self.src
    }

    pub(crate) fn gone(&self) -> bool {
        self.answer.is_closed()
    }

    /// The connection's key in the trace.
    pub(crate) fn key(&self) -> String {
        match self.between {
            None => format!("pipe>pipe#{}", self.connection),
            Some((from, to)) => format!("{from}>{to}#{}", self.connection),
        }
    }

    pub(crate) fn refuse(self, cause: Cause) {
        // It may have disconnected meanwhile.
        let _ = self.answer.send(Err(cause));
    }

    /// The acceptor's end, the dialer's, and the way to give it.
    pub(crate) fn open(self) -> (PipeEnd, PipeEnd, Answering) {
        let (ours, theirs) = pipe::pair();
        (ours, theirs, self.answer)
    }
}
