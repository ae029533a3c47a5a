//! Injecting a fault, and the guard that ends it.
//!
//! Owns the order of what the test records and what it asks the collector: a fault's event has its
//! number before any process can have its effect.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use lonet::trace::{Event, What};
use nix::sys::signal::Signal;

use super::fault::Fault;
use super::node::{end_now, signal};
use super::scenario::Scenario;
use crate::collector::fault::{Injection, Kind};
use crate::collector::query::{Effect, Healing, NeverFires, Query};
use crate::error::{Error, ErrorKind};
use crate::session::Inner;

impl Scenario {
    /// Puts a [`fault`](crate::fault) into force, or, with [`Fault::at`], arms it. When this returns,
    /// all processes obey.
    ///
    /// A fault may name hosts that do not exist yet. Processes that join later obey from their first
    /// operation on.
    ///
    /// # Errors
    ///
    /// The fault is invalid ([`Fault`](ErrorKind::Fault)), or a name ([`Host`](ErrorKind::Host)) or a
    /// pattern ([`Pattern`](ErrorKind::Pattern)) in it; a process that it names does not obey faults;
    /// a `reset` found no connection; no process of the scenario plays the host
    /// that is to be killed, paused or to vanish.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the fault ends, as if the guard were dropped. A process may have
    /// been killed or stopped nevertheless.
    ///
    /// # Examples
    ///
    /// See [`fault`](crate::fault).
    #[track_caller]
    pub fn inject(&self, fault: Fault) -> impl Future<Output = Result<Injected, Error>> {
        self.inner.called(Location::caller(), self.injected(fault))
    }

    async fn injected(&self, fault: Fault) -> Result<Injected, Error> {
        let inner = &self.inner;
        let mut injection = fault.plan(inner.next_fault())?;
        let refused = |why| Error::new(ErrorKind::Fault, why);
        let asked = injection.clone();
        let asked = inner.ask(|reply| Query::CanInject {
            injection: Box::new(asked),
            reply,
        });
        asked.await?.map_err(refused)?;
        let guard = Injected {
            inner: inner.clone(),
            fault: injection.number,
            line: injection.line(),
        };
        if injection.kind.is_of_process() && injection.at.is_none() {
            let host = injection.from.text.clone();
            let process = inner.ask(|reply| Query::Playing { host, reply }).await?;
            injection.process = Some(process.ok_or_else(|| {
                let message = format!(
                    "`{}`: no running process of the scenario plays {}; with `.at(pattern)` it may be \
                     started later",
                    guard.line, injection.from.text
                );
                Error::new(ErrorKind::Host, message)
            })?);
        }
        let place = |injection: Injection| async move {
            let injection = Box::new(injection);
            let placed = inner.ask(|reply| Query::Inject { injection, reply });
            placed.await?.map_err(refused)
        };
        let act = |event: Event| async move {
            let fault = guard.fault;
            let acts = inner.ask(|reply| Query::Act {
                fault,
                event,
                reply,
            });
            acts.await
        };
        match (injection.kind, injection.process) {
            _ if injection.at.is_some() => {
                place(injection).await?;
            }
            (Kind::Kill, Some(process)) => {
                end_now(inner, process).await?;
                injection.event = Some(inner.note_event(injection.begins()));
                place(injection).await?;
            }
            (Kind::Pause, Some(process)) => {
                signal(inner, process, Signal::SIGSTOP, Effect::Stopped).await?;
                injection.event = Some(inner.note_event(injection.begins()));
                place(injection).await?;
            }
            (Kind::Vanish, Some(process)) => {
                let begins = injection.begins();
                place(injection).await?;
                end_now(inner, process).await?;
                act(inner.note_event(begins)).await?;
            }
            (Kind::Reset, _) => {
                let may_not_fire = injection.may_not_fire;
                let connections = place(injection).await?;
                let resets = connections.into_iter();
                let resets = resets.map(|(addr, peer)| What::Reset { addr, peer });
                let events: Vec<Event> = resets.map(|what| inner.note_event(what)).collect();
                match events.into_iter().next() {
                    Some(first) => act(first).await?,
                    None if may_not_fire => {}
                    None => {
                        let why = format!("`{}`: there is no connection to reset", guard.line);
                        return Err(refused(why));
                    }
                }
            }
            _ => {
                injection.event = Some(inner.note_event(injection.begins()));
                place(injection).await?;
            }
        }
        Ok(guard)
    }
}

/// A fault that is in force or armed. Dropping it ends the fault, without waiting for the processes to
/// obey. A fault that is still armed is disarmed: it never begins, and the test does not fail for it.
#[must_use = "dropping it ends the fault: bind it to a name, and `heal` it when it has lasted long enough"]
pub struct Injected {
    inner: Arc<Inner>,
    fault: u32,
    line: String,
}

impl Injected {
    /// The fault's number: the records of the events that set it off name it.
    pub(crate) fn number(&self) -> u32 {
        self.fault
    }

    /// Waits until the fault is in force, and returns its event: `! partition a b`. Of several resets,
    /// the first. That event happens before what the calling task does next.
    ///
    /// # Errors
    ///
    /// A node has failed, and no `join` has returned that failure; a `reset` found no connection.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    ///
    /// # Examples
    ///
    /// See [`Fault::at`].
    #[track_caller]
    pub fn fired(&self) -> impl Future<Output = Result<Event, Error>> {
        self.inner.called(Location::caller(), self.begun())
    }

    async fn begun(&self) -> Result<Event, Error> {
        let fault = self.fault;
        let event = self.inner.ask(|reply| Query::Fired { fault, reply });
        let event = event.await?.map_err(|why| match why {
            NeverFires::Failed(failure) => Error::from(failure),
            NeverFires::Nothing => self.found_nothing(),
            NeverFires::Over | NeverFires::Quiet(_) => Error::over(),
        })?;
        self.inner.learn(event.id());
        Ok(event)
    }

    /// Ends the fault, and returns the event `! heal a b` once all processes obey. If the fault has
    /// ended at an [event](Fault::until), returns that end. A paused process goes on, with the event
    /// `! resume a`.
    ///
    /// What can't end returns the fault's own event: a reset, a kill, a host that has vanished, a
    /// limit that has ended a connection.
    ///
    /// # Errors
    ///
    /// The fault has not begun, and now never will; the message names the event that did not happen. A
    /// `reset` found no connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the fault ends, as if the guard were dropped.
    ///
    /// # Examples
    ///
    /// See [`fault`](crate::fault).
    #[track_caller]
    pub fn heal(self) -> impl Future<Output = Result<Event, Error>> {
        let place = Location::caller();
        async move {
            let inner = self.inner.clone();
            inner.called(place, self.healed()).await
        }
    }

    async fn healed(self) -> Result<Event, Error> {
        let fault = self.fault;
        let healing = self.inner.ask(|reply| Query::Healing { fault, reply });
        let event = match healing.await? {
            Healing::Yours(what) => {
                let event = self.inner.note_event(what);
                let heals = event.clone();
                let healed = self.inner.ask(|reply| Query::Heal {
                    fault,
                    event: heals,
                    reply,
                });
                healed.await?;
                event
            }
            Healing::Resume(process, what) => {
                let event = self.inner.note_event(what);
                signal(&self.inner, process, Signal::SIGCONT, Effect::Continued).await?;
                event
            }
            Healing::Was(event) => {
                self.inner.learn(event.id());
                event
            }
            Healing::Disarmed(why) => {
                let message = format!("`{}` can't heal: it was never triggered: {why}", self.line);
                return Err(Error::new(ErrorKind::Misplaced, message));
            }
            Healing::Nothing => return Err(self.found_nothing()),
        };
        Ok(event)
    }

    fn found_nothing(&self) -> Error {
        let message = format!("`{}` found no connection to reset", self.line);
        Error::new(ErrorKind::Fault, message)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        let fault = self.fault;
        self.inner.mailbox.ask(Query::Release { fault });
    }
}

impl fmt::Debug for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Injected").field(&self.line).finish()
    }
}
