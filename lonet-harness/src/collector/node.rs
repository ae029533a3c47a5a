//! What is known of one process that the scenario started.
//!
//! Owns the judgement how it ended: well, by the scenario's doing, or as a failure.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use lonet::trace::EventId;
use tokio::sync::oneshot;

use super::failure::{Failure, How, Killed};
use super::query::{Effect, End, Ending, Launch, NodeReport, WaitsFor};
use super::reader::Conn;
use crate::process::output::Output;
use crate::process::wire::{Ended, Play};

/// A process of the scenario.
pub(super) struct Node {
    pub(super) process: u64,
    pub(super) host: String,
    what: String,
    place: Option<String>,
    /// It gets its role when it shows this ticket.
    pub(super) ticket: Option<(u64, Play)>,
    is_role: bool,
    is_carried: bool,
    /// Nothing that its carrier reports of it counts any more.
    pub(super) has_vanished: bool,
    pub(super) pid: Option<u32>,
    /// When the process was started, as `orphans` knows it again by.
    pub(super) started: Option<u64>,
    pub(super) control: Option<Conn>,
    pub(super) output: Arc<Mutex<Output>>,
    /// What it printed of a line so far, to be shown.
    pub(super) unshown: Vec<u8>,
    pub(super) up: Option<EventId>,
    pub(super) stopped: bool,
    /// How its role ended, as its process reported it.
    pub(super) role_end: Option<RoleEnd>,
    pub(super) ended: Option<Ended>,
    pub(super) end: Option<End>,
    pub(super) interfered: bool,
    pub(super) asked_to_finish: bool,
    /// The body ended before it did.
    pub(super) left_over: bool,
    /// When its failure or its end arrived.
    pub(super) failed_at: Option<u64>,
    pub(super) unsupervised: bool,
    /// How the process died that carried its traffic, and with it this.
    pub(super) uncarried: Option<String>,
    /// Its first process ended while others still ran.
    pub(super) background: bool,
    /// Why its events can't be received, for which it was ended.
    pub(super) unreceived: Option<String>,
    pub(super) delivered: bool,
    pub(super) on_start: Option<oneshot::Sender<Result<u32, Failure>>>,
    pub(super) on_up: Vec<oneshot::Sender<Result<EventId, End>>>,
    pub(super) on_end: Vec<(bool, oneshot::Sender<End>)>,
    pub(super) on_ended: Vec<mpsc::Sender<End>>,
    pub(super) on_effect: Vec<(Effect, oneshot::Sender<()>)>,
    /// What waits for a signal to reach what is left of it.
    pub(super) on_reached: Vec<oneshot::Sender<()>>,
}

/// How a role ended, as its process reported it.
#[derive(Clone, Debug)]
pub(super) enum RoleEnd {
    Returned(String),
    Failed(String),
    Panicked(String),
    Terminated,
}

impl Node {
    pub(super) fn new(launch: Launch, output: Arc<Mutex<Output>>) -> Node {
        Node {
            process: launch.process,
            host: launch.host,
            what: launch.what,
            place: launch.place,
            is_role: launch.role.is_some(),
            is_carried: launch.program.carried.is_some(),
            has_vanished: false,
            ticket: launch.role,
            pid: None,
            started: None,
            control: None,
            output,
            unshown: Vec::new(),
            up: None,
            stopped: false,
            role_end: None,
            ended: None,
            end: None,
            interfered: false,
            asked_to_finish: false,
            left_over: false,
            failed_at: None,
            unsupervised: false,
            uncarried: None,
            background: false,
            unreceived: None,
            delivered: false,
            on_start: None,
            on_up: Vec::new(),
            on_end: Vec::new(),
            on_ended: Vec::new(),
            on_effect: Vec::new(),
            on_reached: Vec::new(),
        }
    }

    /// Its process reports how its role ended. A failure after the scenario interfered is its doing.
    pub(super) fn role_ended(&mut self, how: RoleEnd) {
        let caused = self.interfered || self.asked_to_finish || self.left_over;
        let how = match how {
            RoleEnd::Failed(_) | RoleEnd::Panicked(_) if caused => RoleEnd::Terminated,
            how => how,
        };
        self.failed_at.get_or_insert_with(lonet::trace::now);
        self.role_end.get_or_insert(how);
    }

    /// The body has ended. If this node has, too, that may be why it failed, unless its failure
    /// arrived before the body's end began.
    pub(super) fn leave_over(&mut self, end_began: u64) {
        let failed_before = self.failed_at.is_some_and(|at| at < end_began);
        if failed_before {
            return;
        }
        self.left_over = true;
        if let Some(RoleEnd::Failed(_) | RoleEnd::Panicked(_)) = self.role_end {
            self.role_end = Some(RoleEnd::Terminated);
        }
        if let Some(End {
            exit,
            outcome: Ending::Failed(_),
        }) = self.end
        {
            let host = self.host.clone();
            let outcome = Ending::Killed(Killed { host });
            self.end = Some(End { exit, outcome });
        }
    }

    pub(super) fn is_role(&self) -> bool {
        self.is_role
    }

    /// Its traffic is carried for it: it knows nothing of lonet.
    pub(super) fn is_carried(&self) -> bool {
        self.is_carried
    }

    /// What reports its events is lonet's own.
    pub(super) fn is_ours(&self) -> bool {
        self.is_role || self.is_carried
    }

    /// Its role has not joined the network yet.
    pub(super) fn is_starting(&self) -> bool {
        self.is_role && self.up.is_none() && self.role_end.is_none() && self.ended.is_none()
    }

    /// The scenario has ended it, or is about to, or nothing kept it any more.
    pub(super) fn is_caused(&self) -> bool {
        let lost = self.unreceived.is_some() || self.unsupervised || self.uncarried.is_some();
        self.interfered || self.asked_to_finish || self.left_over || lost
    }

    /// A failure of this node.
    pub(super) fn failed(&self, how: How) -> Failure {
        Failure {
            host: self.host.clone(),
            what: self.what.clone(),
            place: self.place.clone(),
            how,
        }
    }

    /// How it ended, all being known that it sent.
    pub(super) fn judge(&self, ended: Ended) -> Ending {
        let killed = || {
            Ending::Killed(Killed {
                host: self.host.clone(),
            })
        };
        let failed = |how| Ending::Failed(self.failed(how));
        if let Some(why) = &self.unreceived {
            return failed(How::NotStarted(why.clone()));
        }
        match &self.role_end {
            // What it returned counts, even if it was killed on its way out.
            Some(RoleEnd::Returned(value)) => Ending::Returned(value.clone()),
            Some(RoleEnd::Failed(error)) => failed(How::Returned(error.clone())),
            Some(RoleEnd::Panicked(what)) => failed(How::Panicked(what.clone())),
            Some(RoleEnd::Terminated) => killed(),
            None if self.interfered => killed(),
            None if self.uncarried.is_some() => {
                failed(How::Uncarried(self.uncarried.clone().unwrap_or_default()))
            }
            None if self.unsupervised => failed(How::Unsupervised),
            // Of a program asked to finish, the status is the answer.
            None if !self.is_role => Ending::Exited(ended),
            None if self.asked_to_finish || self.left_over => killed(),
            None => failed(How::Ended(ended)),
        }
    }

    /// The failure that it ended with. No status of a program is one: what it means, the test says.
    pub(super) fn failure(&self) -> Option<Failure> {
        match &self.end.as_ref()?.outcome {
            Ending::Failed(failure) => Some(failure.clone()),
            _ => None,
        }
    }

    pub(super) fn report(&self) -> NodeReport {
        NodeReport {
            process: self.process,
            host: self.host.clone(),
            what: self.what.clone(),
            pid: self.pid,
            up: self.up.is_some(),
            stopped: self.stopped,
            ended: self.ended,
            carried: self.is_carried,
            background: self.background,
            failure: self.failure(),
            waits: WaitsFor::default(),
            kernel: None,
            log: self.log(),
        }
    }

    pub(super) fn log(&self) -> String {
        self.output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .text()
    }
}
