//! What happens on a network, as records: the typed events, the line that carries each to the
//! collector, and the reporter that numbers and writes them. A map of:
//!
//! - `event`: one event as a user sees it, and its line (`β:1 dial α:10`);
//! - `record`: one line of the trace socket, exactly as `docs/trace-protocol.md` says;
//! - `task`: which task acts, what it has learned, and which of that orders its events;
//! - `reporter`: numbers records under the network's lock, hands them to a [`Sink`];
//! - `socket`: the sink that writes to a network's `trace.sock`.
//!
//! Owns no causality: that is computed by the harness, from records alone.

mod event;

mod record;
mod reporter;
mod socket;
mod task;
#[cfg(test)]
mod tests;

pub use crate::quote::word;
pub use event::{Event, EventId, Verb};
pub use record::{
    Answer, Ask, Doing, Hello, Line, Moved, PROTOCOL_VERSION, Pending, Question, ReadCredit,
    Record, Waiting, What,
};
pub(crate) use reporter::Users;
pub use reporter::{Direction, Numbered, Operation, Reporter, Sink, Tap};
pub use socket::{DATA_NAME, SOCKET_NAME, TraceSocket, Tracing};
pub use task::{OpId, TaskKey, Waits};
