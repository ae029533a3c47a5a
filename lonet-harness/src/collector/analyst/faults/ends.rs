//! How faults end: by `heal`, by their guard's drop, by an event, with the test.
//!
//! Owns that each ends exactly once.

use std::sync::mpsc;

use lonet::trace::{Event, EventId, now};
use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use super::{Analyst, Fault, Kind, NeverFires, Next, Phase, SAID_AGAIN};
use crate::collector::query::Healing;

impl Analyst {
    pub(in crate::collector::analyst) fn fired(
        &mut self,
        number: u32,
        reply: oneshot::Sender<Result<Event, NeverFires>>,
    ) {
        let failure = self.undelivered();
        let Some(fault) = self.faults.all.get_mut(&number) else {
            let _ = reply.send(Err(NeverFires::Over));
            return;
        };
        match (&fault.injection.event, fault.phase, failure) {
            // It is known before all obey.
            (Some(event), Phase::InForce | Phase::Healing | Phase::Over, _) => {
                let _ = reply.send(Ok(event.clone()));
            }
            (None, Phase::Over, _) => drop(reply.send(Err(NeverFires::Nothing))),
            (_, Phase::Disarmed, _) => drop(reply.send(Err(NeverFires::Over))),
            (_, _, Some(failure)) => drop(reply.send(Err(NeverFires::Failed(failure)))),
            (_, _, None) => fault.on_fired.push(reply),
        }
    }

    /// The test wants a fault to end.
    pub(in crate::collector::analyst) fn healing(
        &mut self,
        number: u32,
        reply: oneshot::Sender<Healing>,
    ) {
        let never = self.never_set_off(number);
        let Some(fault) = self.faults.all.get_mut(&number) else {
            let _ = reply.send(Healing::Disarmed("it had been disarmed".to_owned()));
            return;
        };
        let event = fault.healed.as_ref().or(fault.injection.event.as_ref());
        let answer = match (fault.phase, event.cloned(), fault.kind()) {
            (Phase::Coming, ..) => return fault.on_healing.push(reply),
            (Phase::Armed, ..) => {
                self.disarm(number);
                Healing::Disarmed(never)
            }
            (Phase::Disarmed, ..) => Healing::Disarmed("it had been disarmed".to_owned()),
            (_, None, _) => Healing::Nothing,
            (Phase::InForce, Some(event), Kind::Limit(..)) if fault.acted => {
                // What was cut short stays so; new connections are not.
                self.end(number);
                self.order_all();
                Healing::Was(event)
            }
            (Phase::InForce, Some(_), Kind::Pause) => {
                fault.phase = Phase::Healing;
                Healing::Resume(
                    fault.injection.process.unwrap_or_default(),
                    fault.injection.ends(),
                )
            }
            (Phase::InForce, Some(_), kind) if kind.heals() => {
                fault.phase = Phase::Healing;
                Healing::Yours(fault.injection.ends())
            }
            (_, Some(event), _) => Healing::Was(event),
        };
        let _ = reply.send(answer);
    }

    /// A fault has ended with this event.
    pub(in crate::collector::analyst) fn heal(
        &mut self,
        number: u32,
        event: Event,
        reply: oneshot::Sender<()>,
    ) {
        let begun = self.faults.all.get(&number);
        if begun.is_some_and(|fault| fault.phase == Phase::Healing) {
            let seq = self.lift(number, event);
            self.then(seq, Next::Reply(reply));
        } else {
            let _ = reply.send(());
        }
        self.progress();
    }

    /// The guard of a fault is gone.
    pub(in crate::collector::analyst) fn release(&mut self, number: u32) {
        let Some(fault) = self.faults.all.get_mut(&number) else {
            return;
        };
        fault.released = true;
        match fault.phase {
            Phase::Armed => self.disarm(number),
            Phase::InForce | Phase::Healing => self.heal_itself(number, None),
            // The test has given up in the middle.
            Phase::Coming if fault.waits_for_test() => {
                self.end(number);
                self.order_all();
            }
            // It ends once it is in force.
            Phase::Coming => {}
            Phase::Over | Phase::Disarmed => {}
        }
        if self
            .faults
            .all
            .get(&number)
            .is_some_and(Fault::is_settled_for_good)
        {
            self.faults.all.remove(&number);
        }
        self.progress();
    }

    fn disarm(&mut self, number: u32) {
        if let Some(fault) = self.faults.all.get_mut(&number) {
            fault.phase = Phase::Disarmed;
            for reply in fault.on_fired.drain(..) {
                let _ = reply.send(Err(NeverFires::Over));
            }
            self.order_all();
        }
    }

    /// An event has happened that may end faults.
    pub(in crate::collector::analyst) fn heal_at(&mut self, event: &Event) {
        let ends = |fault: &&mut Fault| {
            let live = matches!(fault.phase, Phase::Coming | Phase::InForce);
            live && fault.ends_by.is_none()
                && fault.by != Some(event.id())
                && fault.injection.event.as_ref().map(Event::id) != Some(event.id())
                && fault
                    .injection
                    .until
                    .as_ref()
                    .is_some_and(|until| until.matches(event))
        };
        let mut ended = Vec::new();
        for fault in self.faults.all.values_mut().filter(ends) {
            fault.ends_by = Some(event.id());
            if fault.phase == Phase::InForce {
                ended.push(fault.injection.number);
            }
        }
        for number in ended {
            self.heal_itself(number, Some(event.id()));
        }
    }

    /// Ends a fault that is in force, with an event of its own.
    pub(super) fn heal_itself(&mut self, number: u32, by: Option<EventId>) {
        let Some(fault) = self.faults.all.get_mut(&number) else {
            return;
        };
        let live = matches!(fault.phase, Phase::InForce | Phase::Healing);
        if !live || !fault.kind().heals() {
            return;
        }
        if matches!(fault.kind(), Kind::Limit(..)) && fault.acted {
            self.end(number);
            self.order_all();
            return;
        }
        let began = fault.injection.event.as_ref().map(Event::id);
        let what = fault.injection.ends();
        let (pauses, process) = (fault.kind() == Kind::Pause, fault.injection.process);
        let event = self.happens(number, began.into_iter().chain(by), what);
        match process.filter(|_| pauses) {
            // It goes on as one does that the test resumes.
            Some(process) => {
                if let Some(fault) = self.faults.all.get_mut(&number) {
                    fault.healed = Some(event);
                }
                self.tell(process, Signal::SIGCONT);
            }
            None => {
                self.lift(number, event);
            }
        }
    }

    /// Nothing is ordered for a fault any more that has ended with this event; the number of the
    /// orders.
    fn lift(&mut self, number: u32, event: Event) -> u64 {
        self.end(number);
        if self.faults.healed.len() == SAID_AGAIN {
            self.faults.healed.pop_front();
        }
        self.faults.healed.push_back((number, event.id()));
        if let Some(fault) = self.faults.all.get_mut(&number) {
            fault.healed = Some(event);
        }
        self.order_all()
    }

    /// A fault is over. Its rules go with the next orders.
    pub(super) fn end(&mut self, number: u32) {
        if let Some(fault) = self.faults.all.get_mut(&number) {
            fault.phase = Phase::Over;
            fault.rules.clear();
            fault.in_force.1.get_or_insert_with(now);
        }
    }

    /// A process that a fault had stopped goes on.
    pub(super) fn goes_on(&mut self, number: u32) {
        self.end(number);
        self.settle_all(number);
    }

    /// The test is over, and with it all faults: nothing stays closed.
    pub(in crate::collector::analyst) fn end_faults(&mut self, reply: mpsc::Sender<Vec<String>>) {
        self.faults.over = true;
        self.faults.perturbs = None;
        self.end_holds();
        // What has not come into force does not any more.
        self.faults.steps.clear();
        let numbers: Vec<u32> = self.faults.all.keys().copied().collect();
        for &number in &numbers {
            let fault = self.faults.all.get(&number);
            match fault.map(|fault| (fault.phase, fault.kind())) {
                // The processes are stopped and killed all the same, by the end of the test.
                Some((Phase::InForce | Phase::Healing, kind)) if kind != Kind::Pause => {
                    self.heal_itself(number, None);
                }
                _ => {}
            }
            if let Some(fault) = self.faults.all.get_mut(&number) {
                fault.rules.clear();
            }
        }
        for number in numbers {
            let fault = self.faults.all.get(&number);
            if fault.is_some_and(|fault| fault.kind() != Kind::Pause) {
                self.settle_all(number);
            }
        }
        let armed = self.order_all();
        self.then(armed, Next::End(reply));
        self.let_go();
        self.progress();
    }
}
