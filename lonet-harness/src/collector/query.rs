//! What can be asked of the analyst, and what it answers.
//!
//! Owns the shapes alone. An answer that nobody waits for any more is dropped.

use std::sync::mpsc;

use lonet::trace::{Event, EventId, Waits};
use tokio::sync::oneshot;

use super::failure::{Failure, Killed};
use super::node::Launch;
use crate::process::backtrace::Backtraces;
use crate::process::wire::{Ended, Means};
use crate::trace::Pattern;
use crate::trace::causality::Process;

/// A question, or a request.
pub(crate) enum Query {
    /// Start a process. Answered with its pid once it runs.
    Start {
        launch: Box<Launch>,
        reply: oneshot::Sender<Result<u32, Failure>>,
    },
    /// Answered when its host is up, or it has ended before that.
    Up {
        process: u64,
        reply: oneshot::Sender<Result<EventId, End>>,
    },
    /// Answered when it has ended. With `deliver`, a failure counts as delivered by the answer.
    End {
        process: u64,
        deliver: bool,
        reply: oneshot::Sender<End>,
    },
    /// The same, for one who waits without a runtime; delivers nothing.
    Ended {
        process: u64,
        reply: mpsc::Sender<End>,
    },
    /// Send a signal to a process that still runs; answered once that has the effect named.
    Signal {
        process: u64,
        signal: i32,
        until: Effect,
        reply: oneshot::Sender<()>,
    },
    /// Answered once it has stopped, by whatever; or has ended.
    Stopped {
        process: u64,
        reply: oneshot::Sender<()>,
    },
    /// Ask it to finish.
    Terminate { process: u64 },
    /// The body has ended. What still runs is to be stopped, and no failure of it counts: it may
    /// come of the body's end.
    BodyEnded { reply: mpsc::Sender<()> },
    /// The first event that matches.
    Until {
        wanted: Box<Wanted>,
        reply: oneshot::Sender<Result<Event, Refusal>>,
    },
    /// All records there are.
    Records { reply: mpsc::Sender<Vec<Process>> },
    /// What a process has printed.
    Log {
        process: u64,
        reply: mpsc::Sender<String>,
    },
    /// Have every role say what it waits for; answered when all have that can.
    Waits { reply: mpsc::Sender<()> },
    /// What there is to say of all.
    Report { reply: mpsc::Sender<Report> },
}

/// What an `until` waits for.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) pattern: Pattern,
    /// Neither this event nor one in its past.
    pub(crate) after: Option<EventId>,
    /// Only events of this process.
    pub(crate) of: Option<u64>,
}

/// When a signal has done what it was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The process has ended, by the scenario's doing.
    Killed,
    /// It has stopped.
    Stopped,
    /// It goes on.
    Continued,
}

/// Why an `until` has no answer.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// A node failed, and nobody knows yet.
    Failed(Failure),
    /// The scenario is over.
    Over,
}

/// How a process ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The event.
    pub(crate) exit: EventId,
    pub(crate) outcome: Ending,
}

impl End {
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.outcome, Ending::Failed(_))
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// Its role returned this (JSON).
    Returned(String),
    /// A program exited.
    Exited(Ended),
    /// The scenario ended it.
    Killed(Killed),
    /// It failed.
    Failed(Failure),
}

/// What there is to say of a scenario.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) nodes: Vec<NodeReport>,
    pub(crate) records: Vec<Process>,
    /// Every event, as they came.
    pub(crate) events: Vec<Event>,
    /// What reporters sent that is no trace.
    pub(crate) problems: Vec<String>,
    /// By which means processes were kept; `None` when none was started.
    pub(crate) means: Option<Means>,
    /// The first failure that nothing has delivered.
    pub(crate) undelivered: Option<Failure>,
    /// Where each process was, at a deadline.
    pub(crate) backtraces: Backtraces,
}

/// What there is to say of one process.
pub(crate) struct NodeReport {
    pub(crate) process: u64,
    pub(crate) host: String,
    pub(crate) what: String,
    pub(crate) pid: Option<u32>,
    pub(crate) up: bool,
    pub(crate) stopped: bool,
    pub(crate) ended: Option<Ended>,
    pub(crate) failure: Option<Failure>,
    /// What it waits for, and since when, as it said when it was asked.
    pub(crate) waits: Option<Vec<(Waits, u64)>>,
    pub(crate) log: String,
}
