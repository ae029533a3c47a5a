//! The `until`s that nothing has matched yet.
//!
//! Owns which event answers which, once all is known that came before it. Order among several
//! that match is by the time at which they were reported: an event's causes were reported before
//! it was, so that the first of them has none among the others.

use lonet::trace::{Answer, Event, EventId, Order, Verb};
use tokio::sync::oneshot;

use super::query::{Refusal, Wanted};
use super::reader::{Conn, Mailbox};
use crate::process::wire::line;

/// An `until` that waits.
pub(super) struct Waiting {
    pub(super) wanted: Wanted,
    asker: Asker,
    /// What matched since, until the cut ordered for it comes.
    pub(super) candidates: Vec<Event>,
    pub(super) cut: Option<u64>,
}

/// A caller that waits.
pub(super) enum Asker {
    /// The test.
    Test(oneshot::Sender<Result<Event, Refusal>>),
    /// A process, by its request's number.
    Reporter(Conn, u64),
}

impl Waiting {
    pub(super) fn new(wanted: Wanted, asker: Asker) -> Waiting {
        Waiting {
            wanted,
            asker,
            candidates: Vec::new(),
            cut: None,
        }
    }

    /// Whether an event of that process would do.
    pub(super) fn matches(&self, event: &Event, process: Option<u64>) -> bool {
        self.wanted.of.is_none_or(|of| process == Some(of)) && self.wanted.pattern.matches(event)
    }

    /// Whether the caller no longer waits for the answer.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(&self.asker, Asker::Test(reply) if reply.is_closed())
    }

    /// The connection that waits; `None` for the test.
    pub(super) fn conn(&self) -> Option<Conn> {
        match self.asker {
            Asker::Test(_) => None,
            Asker::Reporter(conn, _) => Some(conn),
        }
    }

    /// Whether this connection waits.
    pub(super) fn is_of(&self, conn: Conn) -> bool {
        self.conn() == Some(conn)
    }

    /// Of what matched, the first that is neither the event after which it must come, nor in its
    /// past. What is not, is forgotten.
    pub(super) fn choose(&mut self, in_past_of: impl Fn(&Event, EventId) -> bool) -> Option<Event> {
        let mut candidates = std::mem::take(&mut self.candidates);
        if let Some(after) = self.wanted.after {
            candidates.retain(|event| event.id() != after && !in_past_of(event, after));
        }
        candidates
            .into_iter()
            .min_by_key(|event| (event.time_ns(), event.id()))
    }

    pub(super) fn answer(self, mailbox: &Mailbox, answer: Result<Event, Refusal>) {
        self.asker.answer(mailbox, answer);
    }
}

impl Asker {
    pub(super) fn answer(self, mailbox: &Mailbox, answer: Result<Event, Refusal>) {
        match self {
            Asker::Test(reply) => {
                let _ = reply.send(answer);
            }
            Asker::Reporter(conn, id) => {
                let (ok, err) = match answer {
                    Ok(event) => (Some(event), None),
                    Err(Refusal::Failed(failure)) => (None, Some(failure.to_string())),
                    Err(Refusal::Breach(problem)) => (None, Some(problem)),
                    Err(Refusal::Over) => (None, Some("the scenario is over".to_owned())),
                };
                mailbox.write(conn, line(&Order::Answer(Answer { id, ok, err })));
            }
        }
    }
}

/// Whether an event may answer an `until` that is asked after it happened.
pub(super) fn still_counts(event: &Event, alive: bool) -> bool {
    alive || event.verb() == Verb::Mark || event.verb().is_interference()
}
