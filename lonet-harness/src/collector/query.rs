//! What can be asked of the analyst, and what it answers.
//!
//! Owns the types alone. An answer whose receiver is gone is dropped.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::mpsc;
use std::time::Duration;

use lonet::Addr;
use lonet::trace::{Event, EventId, Moved, Pending, What, Withheld};
use tokio::sync::oneshot;

use super::failure::{Failure, Killed};
use super::fault::Injection;
use super::hold::{Holding, Outcome};
use crate::process::backtrace::Backtraces;
use crate::process::wire::{Ended, Means, Play, Program};
use crate::trace::Pattern;
use crate::trace::happened::process::Process;

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
    /// The same, for a caller without a runtime; delivers nothing.
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
    /// The body has ended, with a poll that began at that time (CLOCK_MONOTONIC in nanoseconds).
    /// The processes that still run are to be stopped; failures that the end of the body causes do
    /// not count.
    BodyEnded {
        last_poll: u64,
        reply: mpsc::Sender<()>,
    },
    /// From now on, all that arrives is late by a random time, from this seed.
    Perturb { seed: u64 },
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
    /// Have every process say what it waits for; answered when all have that can.
    Waits { reply: mpsc::Sender<()> },
    /// What there is to say of all.
    Report { reply: mpsc::Sender<Report> },
    /// Whether all that a fault is to act on can be acted on; why not.
    CanInject {
        injection: Box<Injection>,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Put a fault into force, or be ready for the event that sets it off. Answered once all
    /// processes know. Of a reset, with the connections that there are.
    Inject {
        injection: Box<Injection>,
        reply: oneshot::Sender<Result<Vec<(Addr, Addr)>, String>>,
    },
    /// A fault that had no event yet has this one, and acts. Answered once all processes know.
    Act {
        fault: u32,
        event: Event,
        reply: oneshot::Sender<()>,
    },
    /// The fault's event, once it has happened.
    Fired {
        fault: u32,
        reply: oneshot::Sender<Result<Event, NeverFires>>,
    },
    /// A fault is to end. One that was not set off never will be from then on.
    Healing {
        fault: u32,
        reply: oneshot::Sender<Healing>,
    },
    /// A fault has ended with this event. Answered once all processes know.
    Heal {
        fault: u32,
        event: Event,
        reply: oneshot::Sender<()>,
    },
    /// The same, without an answer.
    Release { fault: u32 },
    /// The running process that plays a host.
    Playing {
        host: String,
        reply: oneshot::Sender<Option<u64>>,
    },
    /// Hold events. Answered once all processes obey.
    Hold {
        holding: Box<Holding>,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Answered with the first event that has come to a hold.
    Reached {
        hold: u32,
        reply: oneshot::Sender<Result<Event, NeverFires>>,
    },
    /// A hold ends. Answered once all processes know.
    LetGo {
        hold: u32,
        reply: Option<oneshot::Sender<()>>,
    },
    /// Let one event that the hold holds happen: the first that matches. Answered with it; or, when
    /// nothing has happened for so long, with what is held instead.
    Expect {
        hold: u32,
        text: String,
        pattern: Box<Pattern>,
        quiet: Duration,
        reply: oneshot::Sender<Result<Event, NeverFires>>,
    },
    /// The events that a hold holds now.
    HeldNow {
        hold: u32,
        reply: mpsc::Sender<Vec<Event>>,
    },
    /// What has become of each order of two events so far.
    Outcomes {
        reply: mpsc::Sender<BTreeMap<u32, Outcome>>,
    },
    /// The test is over: all faults and holds end. Answered once all processes know, with what is wrong with
    /// those that never acted.
    EndFaults { reply: mpsc::Sender<Vec<String>> },
}

/// Why a fault has no event, and will have none.
#[derive(Clone, Debug)]
pub(crate) enum NeverFires {
    /// There was nothing that it could act on.
    Nothing,
    /// It was disarmed, or the scenario is over.
    Over,
    /// A node failed, and no `join` has returned that failure.
    Failed(Failure),
    /// Nothing has happened for so long that it will not come: in words.
    Quiet(String),
}

/// How the end of a fault begins.
#[derive(Clone, Debug)]
pub(crate) enum Healing {
    /// It is the caller who ends it; with this event.
    Yours(What),
    /// It is the caller who lets the process go on; with this event.
    Resume(u64, What),
    /// It has ended with this event; or can't end, and began with this one.
    Was(Event),
    /// It had not been set off: why not.
    Disarmed(String),
    /// There was nothing that it could act on.
    Nothing,
}

/// What an `until` waits for.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// As it was written.
    pub(crate) text: String,
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
    /// A node failed, and no `join` has returned that failure.
    Failed(Failure),
    /// A reporter broke the trace protocol: events may be missing from the trace.
    Breach(String),
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
    /// The moment of the report: CLOCK_MONOTONIC in nanoseconds, as events have it.
    pub(crate) at: u64,
    pub(crate) test: TestReport,
    pub(crate) nodes: Vec<NodeReport>,
    /// At a deadline: the other reporters that still run.
    pub(crate) others: Vec<OtherReport>,
    pub(crate) records: Vec<Process>,
    /// Events that an `until` waits for in vain, with their hosts, whose processes have ended.
    pub(crate) missed: Vec<(String, String)>,
    /// Every event, as they came.
    pub(crate) events: Vec<Event>,
    /// Invalid traces that reporters sent.
    pub(crate) problems: Vec<String>,
    /// By which means processes were kept; `None` when none was started.
    pub(crate) means: Option<Means>,
    /// The first failure that nothing has delivered.
    pub(crate) undelivered: Option<Failure>,
    /// The faults in force, by number: their lines, and since when (CLOCK_MONOTONIC in nanoseconds).
    pub(crate) faults: BTreeMap<u32, (String, u64)>,
    /// Where each process was, at a deadline.
    pub(crate) backtraces: Backtraces,
}

/// What there is to say of one process.
#[derive(Default)]
pub(crate) struct NodeReport {
    pub(crate) process: u64,
    pub(crate) host: String,
    pub(crate) what: String,
    pub(crate) pid: Option<u32>,
    pub(crate) up: bool,
    pub(crate) stopped: bool,
    pub(crate) ended: Option<Ended>,
    /// Its traffic is carried for it: what it does otherwise, it can't say itself.
    pub(crate) carried: bool,
    /// It ended while others that it had started still ran, as a daemon does.
    pub(crate) background: bool,
    pub(crate) failure: Option<Failure>,
    pub(crate) waits: WaitsFor,
    /// What the kernel says of it, where it did not say itself what it waits for.
    pub(crate) kernel: Option<String>,
    pub(crate) log: String,
}

/// What there is to say of the test's own process.
#[derive(Default)]
pub(crate) struct TestReport {
    /// What it has asked, and has no answer to.
    pub(crate) asks: Vec<String>,
    /// The processes among them whose end it waits for.
    pub(crate) joins: Vec<u64>,
    /// What its operations wait for, the requests above among them.
    pub(crate) pending: Vec<Pending>,
    /// What its connections have carried.
    pub(crate) ends: Vec<Moved>,
    /// What faults withhold from its operations.
    pub(crate) held: Vec<(Withheld, u32)>,
    /// Where it made the calls of the harness that have not returned.
    pub(crate) calls: Vec<&'static Location<'static>>,
}

/// What there is to say of a process that reports, and that the scenario did not start itself.
pub(crate) struct OtherReport {
    /// Its place among the records.
    pub(crate) index: usize,
    pub(crate) pid: u32,
    /// The host that it was started to play, as it says itself.
    pub(crate) host: Option<String>,
    pub(crate) waits: WaitsFor,
    /// As of a node.
    pub(crate) kernel: Option<String>,
}

/// What a process waits for.
#[derive(Default)]
pub(crate) struct WaitsFor {
    /// As it said when it was asked; `None` if it can't be asked, or did not answer in time.
    pub(crate) said: Option<Vec<Pending>>,
    /// What its connections have carried, as it said then.
    pub(crate) ends: Vec<Moved>,
    /// What faults withhold from its operations.
    pub(crate) held: Vec<(Withheld, u32)>,
    /// The events that it has asked for, in the order in which it did.
    pub(crate) untils: Vec<String>,
    /// The events that the test holds there.
    pub(crate) holds: Vec<String>,
}

/// A process to start.
pub(crate) struct Launch {
    /// Its number in the scenario.
    pub(crate) process: u64,
    pub(crate) host: String,
    /// What it plays, for messages.
    pub(crate) what: String,
    /// Of a role: where it is defined.
    pub(crate) place: Option<String>,
    pub(crate) program: Program,
    /// Of a role: the ticket that it will show, and what it then gets to play.
    pub(crate) role: Option<(u64, Play)>,
}
