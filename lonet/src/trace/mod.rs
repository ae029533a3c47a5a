//! What happens on a network, as records: the typed events, the line that carries each to the
//! collector, and the reporter that numbers and writes them. A map of:
//!
//! - `clock`: the clock of all records;
//! - `ids`: what names an event, a task, an operation, a position in a socket's bytes;
//! - `verbs`: the table of verbs, and what is recorded of each;
//! - `event`: one event as a user sees it, and its line (`β:1 dial α:10`);
//! - `orders`: the faults that the test orders, and what each names;
//! - `gate`: what this process knows of them, and the one place that obeys;
//! - `record`: one line of the trace socket, exactly as `docs/trace-protocol.md` says;
//! - `task`: which task acts, what it has learned, and which of that orders its events;
//! - `reporter`: numbers records under the network's lock, hands them to a [`Sink`];
//! - `socket`: the sink that writes to a network's `trace.sock`.
//!
//! Owns no causality: that is computed by the harness, from records alone.

mod clock;
mod ending;
mod event;
mod gate;
mod holds;
mod ids;
mod orders;
mod record;
mod reporter;
mod socket;
mod task;
#[cfg(test)]
mod tests;
mod verbs;

pub use crate::quote::word;
pub use clock::now;
pub use event::Event;
pub use gate::{Gate, Gated};
pub(crate) use holds::Held;
pub use ids::{EventId, OpId, ReadCredit, TaskKey};
pub use orders::{
    Coming, Does, Ends, EventShape, Hold, Obeyed, Place, Rule, Standing, Then, Trigger, WordShape,
};
pub use record::{
    Answer, Ask, Doing, Hello, Line, Moved, Order, PROTOCOL_VERSION, Record, Waiting, Withheld,
};
pub(crate) use reporter::Users;
pub use reporter::{Direction, Numbered, Operation, Reporter, Sink, Tap};
pub use socket::{DATA_NAME, NAMES_NAME, ORDERS_NAME, SOCKET_NAME, TraceSocket, Tracing};
pub use task::{Pending, Waits};
#[doc(hidden)]
pub use verbs::{
    Amount, Begins, By, Follows, InView, OtherEnds, Parts, Peer, Rules, Subject, Text,
};
pub use verbs::{ParseVerbError, Verb, What};
