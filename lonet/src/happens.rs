//! How an event is born: the one way from what happens on a network to its record.
//!
//! Owns the network's reporter: neither `virtnet` nor an engine reaches it any other way. What
//! changes a host's ports calls [`Events::happens`] under the lock under which the change becomes
//! true, and says what came of it once that lock is released. What may pend goes through
//! [`Events::watch`]: whatever is to hold an operation before its event, stands there, as nothing is
//! awaited under a lock. Bytes are told by a connection's [`Tap`]. Knows no verb's meaning.

use std::sync::Arc;

use crate::addr::Addr;
use crate::trace::{EventId, Gate, Numbered, Tap, TaskKey, Tracing, Waits, What};

/// What a network has of its trace.
pub(crate) struct Events {
    tracing: Option<Tracing>,
    /// What faults act through; where there is no trace, there are none.
    gate: Option<Arc<Gate>>,
}

/// What caused an event.
#[derive(Clone, Copy)]
pub(crate) enum By {
    /// The calling task.
    Task,
    /// The calling task, by letting go of something. `is_ours`: no other task could have been the
    /// last to do so; otherwise it has no place in the task's order.
    Drop { is_ours: bool },
    /// No task: lonet itself.
    Lonet,
}

/// What has its number, if the network is traced, and still has to be written.
#[must_use = "what happened must be told once the lock is released"]
pub(crate) struct Happened(Option<Numbered>);

impl Events {
    pub(crate) fn new(tracing: Option<Tracing>) -> Events {
        let gate = tracing
            .as_ref()
            .map(|tracing| tracing.reporter.gate().clone());
        Events { tracing, gate }
    }

    /// A network without a trace, on which faults act all the same.
    #[cfg(test)]
    pub(crate) fn behind(gate: Arc<Gate>) -> Events {
        let gate = Some(gate);
        Events {
            tracing: None,
            gate,
        }
    }

    /// What every end, listener and dial asks.
    pub(crate) fn gate(&self) -> Option<&Arc<Gate>> {
        self.gate.as_ref()
    }

    /// Does what others can see: at once, unless a fault lets nothing leave this process for now.
    pub(crate) fn effect(&self, effect: impl FnOnce() + Send + 'static) {
        match &self.gate {
            None => effect(),
            Some(gate) => gate.effect(effect),
        }
    }

    /// The same, of what is done even for a process that an event has ended.
    pub(crate) fn at_last(&self, effect: impl FnOnce() + Send + 'static) {
        match &self.gate {
            Some(gate) if !gate.is_dead() => gate.effect(effect),
            _ => effect(),
        }
    }

    /// The calling task comes after these faults, each with its event, and after their ends.
    pub(crate) fn learn_faults(&self, faults: &[(u32, Option<EventId>)]) {
        if faults.is_empty() {
            return;
        }
        let orders = self.gate.as_ref().map(|gate| gate.standing());
        for &(fault, event) in faults {
            let end = orders.as_ref().and_then(|orders| orders.end_of(fault));
            event
                .into_iter()
                .chain(end)
                .for_each(|event| self.learn(event));
        }
    }

    /// The calling task comes after that event from now on.
    pub(crate) fn learn(&self, event: EventId) {
        if let Some(tracing) = &self.tracing {
            tracing.reporter.learn(event);
        }
    }

    pub(crate) fn tracing(&self) -> Option<&Tracing> {
        self.tracing.as_ref()
    }

    /// Whether what happens here is told to anybody.
    pub(crate) fn is_traced(&self) -> bool {
        self.tracing.is_some()
    }

    /// Something happens: its record gets the next number. Call it under the lock under which it
    /// becomes true. `what` is asked only if the network is traced; `None`: nothing is recorded.
    pub(crate) fn happens(&self, by: By, what: impl FnOnce() -> Option<What>) -> Happened {
        let numbered = self.tracing.as_ref().and_then(|tracing| {
            let (reporter, what) = (&tracing.reporter, what()?);
            Some(match by {
                By::Task => reporter.number(Some(TaskKey::current()), what),
                By::Drop { is_ours } => reporter.number_drop(is_ours, what),
                By::Lonet => reporter.number(None, what),
            })
        });
        Happened(numbered)
    }

    /// Awaits an operation, which, while it pends, keeps its task from ordering others.
    pub(crate) async fn watch<F: Future>(&self, waits: Waits, operation: F) -> F::Output {
        match &self.tracing {
            None => operation.await,
            Some(Tracing { reporter, .. }) => {
                reporter.operation().waiting(waits).watch(operation).await
            }
        }
    }

    /// A number for a new listener; 0 if the network isn't traced.
    pub(crate) fn socket(&self) -> u64 {
        let tracing = self.tracing.as_ref();
        tracing.map_or(0, |tracing| tracing.reporter.socket())
    }

    /// What tells of the bytes of a new connection end, if the network is traced.
    pub(crate) fn tap(&self, local: &Addr, peer: &Addr) -> Option<Tap> {
        let Tracing { reporter, .. } = self.tracing.as_ref()?;
        Some(reporter.tap(reporter.socket(), local, peer))
    }
}

impl Happened {
    /// Tells it. Call it with no lock held.
    pub(crate) fn tell(self) {
        if let Some(numbered) = self.0 {
            numbered.write();
        }
    }

    /// The number of its record.
    pub(crate) fn n(&self) -> Option<u64> {
        self.0.as_ref().map(Numbered::n)
    }
}
