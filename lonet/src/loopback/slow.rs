//! Peers that owe their request.
//!
//! Owns how many may be pending, and which one is dropped. `accept` knows what a request is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

/// So many peers may owe their request; a further one takes the place of the oldest.
const MAX_SLOW: usize = 256;

/// Peers that owe their request, the oldest first.
#[derive(Default)]
pub(super) struct Slow(Mutex<SlowPeers>);

#[derive(Default)]
struct SlowPeers {
    next: u64,
    waiting: BTreeMap<u64, AbortHandle>,
}

impl Slow {
    fn peers<T>(&self, with: impl FnOnce(&mut SlowPeers) -> T) -> T {
        // Nothing under this lock can leave the peers half changed.
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits, in a task of its own, for what is awaited of a peer, and goes on with it.
    pub(super) fn wait<T>(
        self: &Arc<Self>,
        awaited: impl Future<Output = T> + Send + 'static,
        go_on: impl FnOnce(T) + Send + 'static,
    ) {
        let slow = self.clone();
        self.peers(|peers| {
            if peers.waiting.len() >= MAX_SLOW
                && let Some((_, oldest)) = peers.waiting.pop_first()
            {
                oldest.abort();
            }
            let id = peers.next;
            peers.next += 1;
            let task = tokio::spawn(async move {
                let came = awaited.await;
                slow.peers(|peers| peers.waiting.remove(&id));
                go_on(came);
            });
            peers.waiting.insert(id, task.abort_handle());
        });
    }

    /// Drops all that are pending.
    pub(super) fn clear(&self) {
        for (_, task) in self.peers(|peers| std::mem::take(&mut peers.waiting)) {
            task.abort();
        }
    }
}
