//! The network in memory, for one process: the same types and rules, no sockets.
//!
//! Owns how a dial finds its listener here, and which names have been used. The pipes themselves are
//! in `pipe`; ports and closing are in `virtnet`.

mod pipe;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub(crate) use pipe::PipeEnd;

use crate::addr::Addr;
use crate::error::Cause;
use crate::virtnet::engine::{Call, Carried, Engine, Io, Knock};
use crate::virtnet::{Net, NetName, SubNetwork};

/// Creates a network in memory. Its full name is `pipe` followed by `name`. The name is only for
/// display: every call creates an unrelated network.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let net = lonet::pipenet::network("x");
/// let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
/// let listener = alpha.listen(":10").await?;
/// let (accepted, dialed) = tokio::join!(listener.accept(), beta.dial("α:10"));
/// assert_eq!(accepted?.peer_addr(), dialed?.local_addr());
/// # Ok::<(), lonet::Error>(()) }).unwrap();
/// ```
pub fn network(name: &str) -> SubNetwork {
    let engine = Engine::Pipes(Arc::new(Pipes::default()));
    SubNetwork::of(Net::new(NetName::new("pipe", name), engine, None))
}

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
    connection: u64,
    answer: Answering,
}

/// How a dialer gets its end and its peer's address, or the cause of its failure.
pub(crate) type Answering = oneshot::Sender<Result<(PipeEnd, Addr), Cause>>;

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

    pub(crate) async fn carry(&self, call: &Call<'_>) -> Result<Carried, Cause> {
        if !self.names().ever.contains(call.dst.host()) {
            return Err(Cause::NoSuchHost);
        }
        let connection = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let key = call.linked(|| key(connection));
        let (sender, receiver) = oneshot::channel();
        let caller = Caller {
            src: call.src.clone(),
            connection,
            answer: sender,
        };
        if call.net.knock(call.dst, Knock::Pipe(caller)).is_err() {
            return Err(Cause::ConnectionRefused);
        }
        // A listener that goes without an answer refuses.
        let (end, peer) = receiver.await.unwrap_or(Err(Cause::ConnectionRefused))?;
        Ok(Carried {
            io: Io::Pipe(end),
            peer,
            key,
        })
    }
}

/// A connection's key in the trace.
fn key(connection: u64) -> String {
    format!("pipe>pipe#{connection}")
}

impl Caller {
    pub(crate) fn src(&self) -> &Addr {
        &self.src
    }

    pub(crate) fn gone(&self) -> bool {
        self.answer.is_closed()
    }

    pub(crate) fn key(&self) -> String {
        key(self.connection)
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
