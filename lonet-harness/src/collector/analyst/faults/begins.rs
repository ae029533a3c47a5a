//! How faults come into force: by `inject`, or by an event.
//!
//! Owns the ways from `inject`, or from the event that sets a fault off, to the fault's own event.

use lonet::trace::{Does, Ends, Event, Record, Rule, What, now};
use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use super::{
    Analyst, Fault, Healing, Injection, Kind, NeverFires, Next, OnInject, Phase, SAID_AGAIN,
};
use crate::collector::analyst::Reported;
use lonet::Addr;

impl Analyst {
    /// Why a fault can't act on all that it names, if it can't.
    pub(in crate::collector::analyst) fn check_injection(
        &self,
        injection: &Injection,
    ) -> Result<(), String> {
        if self.faults.over {
            return Err("the scenario is over".to_owned());
        }
        let line = injection.line();
        // What is done to a process from outside needs no gate.
        let outside = matches!(injection.kind, Kind::Kill | Kind::Pause);
        if !outside || injection.at.is_some() {
            self.check_obeys(&line, |host| injection.concerns(host))?;
        }
        let rules = injection.rules(None);
        self.check_followed(&line, |own, other| {
            let covers = |rule: &Rule| rule.covers(own, other) || rule.covers(other, own);
            rules.iter().any(covers)
        })?;
        if let (true, Some(at)) = (injection.kind.is_of_process(), &injection.at) {
            self.check_playable(&line, &at.shape.host)?;
        }
        Ok(())
    }

    /// Refuses what concerns an end that a program reads and writes without lonet.
    pub(in crate::collector::analyst) fn check_followed(
        &self,
        line: &str,
        concerns: impl Fn(&Addr, &Addr) -> bool,
    ) -> Result<(), String> {
        for (at, socket) in &self.opaque {
            let records = &self.processes[*at].records;
            if let Some((own, other)) = ends_of(records, *socket)
                && concerns(&own, &other)
            {
                return Err(format!(
                    "`{line}` can't act on {own}: its program has taken the socket of this connection \
                     to {other} (with `socket`), and reads and writes it without lonet"
                ));
            }
        }
        Ok(())
    }

    /// Refuses what concerns the host of a process that does not obey.
    pub(in crate::collector::analyst) fn check_obeys(
        &self,
        line: &str,
        concerns: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        for (at, reported) in self.processes.iter().enumerate().skip(1) {
            if !reported.greeted || !reported.connected || self.obeys(at) {
                continue;
            }
            if let Some(host) = self.hosts_of(reported).find(|host| concerns(host)) {
                let name = self.name(reported);
                return Err(format!(
                    "`{line}` can't act on {host}: {name} reports events and does not obey faults; \
                     roles and programs that use the crate lonet do"
                ));
            }
        }
        Ok(())
    }

    /// A host has joined: if it does not obey, no fault that stands may concern it.
    pub(in crate::collector::analyst) fn check_gates(&mut self, at: usize, host: &str) {
        if self.obeys(at) {
            return;
        }
        let mut faults = self.faults.all.values();
        let concerns = |fault: &&Fault| {
            let stands = fault.phase == Phase::Armed || !fault.rules.is_empty();
            stands && fault.injection.concerns(host)
        };
        let line = faults.find(concerns).map(|fault| fault.injection.line());
        if let Some(line) = line.or_else(|| self.hold_of(host).map(str::to_owned)) {
            let what = format!("joined the network as {host}, and does not obey `{line}`");
            self.report_violation(at, &what);
        }
    }

    /// Refuses what would end or stop the test's own process.
    pub(in crate::collector::analyst) fn check_playable(
        &self,
        line: &str,
        host: &str,
    ) -> Result<(), String> {
        let own = self.processes.first();
        match own.is_some_and(|own| self.hosts_of(own).any(|of_own| of_own == host)) {
            true => Err(format!(
                "`{line}` would act on the test's own process, which plays {host}; spawn {host} to \
                 give it a process"
            )),
            false => Ok(()),
        }
    }

    /// The hosts that a process plays, or was started to play.
    fn hosts_of<'a>(&self, reported: &'a Reported) -> impl Iterator<Item = &'a str> + use<'a> {
        let ups = reported
            .records
            .iter()
            .filter_map(|record| match &record.what {
                What::Up { host } => Some(host.as_str()),
                _ => None,
            });
        reported.host.as_deref().into_iter().chain(ups)
    }

    pub(in crate::collector::analyst) fn inject(&mut self, injection: Injection, reply: OnInject) {
        if let Err(why) = self.check_injection(&injection) {
            let _ = reply.send(Err(why));
            return;
        }
        let number = injection.number;
        let mut fault = Fault::new(injection, self.events.len());
        fault.on_inject = Some(reply);
        let then = match (&fault.injection.at, fault.kind()) {
            (Some(_), _) => {
                fault.phase = Phase::Armed;
                Next::Armed(number)
            }
            // The test has done it.
            (None, Kind::Kill | Kind::Pause) => Next::Placed(number),
            (None, Kind::Reset) => Next::Noted(number),
            (None, Kind::Vanish) => Next::Withheld(number),
            (None, _) => Next::Placed(number),
        };
        if fault.injection.at.is_none() {
            let event = fault.injection.event.as_ref().map(Event::id);
            fault.rules = fault.injection.rules(event);
        }
        self.faults.all.insert(number, fault);
        let seq = self.order_all();
        self.then(seq, then);
        self.progress();
    }

    /// An event of the process has set off that fault.
    pub(in crate::collector::analyst) fn set_off(&mut self, at: usize, number: u32, by: &Event) {
        self.processes[at].gates.unsettled.insert(number);
        let Some(fault) = self.faults.all.get_mut(&number) else {
            return self.settle(at, number);
        };
        let kind = fault.kind();
        // What it does to its process it has done, even if it was disarmed meanwhile.
        if fault.phase != Phase::Armed && !kind.is_of_process() {
            return self.settle(at, number);
        }
        fault.by = Some(by.id());
        fault.phase = Phase::Coming;
        match kind {
            Kind::Kill | Kind::Pause => self.act_at(at, number, kind, by.host()),
            Kind::Vanish | Kind::Reset => {
                fault.rules = fault.injection.rules(None);
                if kind == Kind::Vanish {
                    let node = self.node_at(at, by.host());
                    let fault = self.faults.all.get_mut(&number);
                    fault.expect("it was there").injection.process = node;
                }
                let seq = self.order_all();
                let then = match kind {
                    Kind::Vanish => Next::Withheld(number),
                    _ => Next::Noted(number),
                };
                self.then(seq, then);
            }
            _ => {
                let event = self.begin(number);
                if let Some(fault) = self.faults.all.get_mut(&number) {
                    fault.rules = fault.injection.rules(Some(event.id()));
                }
                let seq = self.order_all();
                self.then(seq, Next::Placed(number));
            }
        }
        self.progress();
    }

    /// The process has ended itself, or is to be stopped; the scenario sees to it.
    fn act_at(&mut self, at: usize, number: u32, kind: Kind, host: &str) {
        let node = self.node_at(at, host);
        if let Some(fault) = self.faults.all.get_mut(&number) {
            fault.injection.process = node;
        }
        let Some(process) = node else { return };
        let Some(node) = self.nodes.get_mut(&process) else {
            return;
        };
        match kind {
            Kind::Pause if node.stopped => self.paused(number),
            Kind::Pause => self.tell(process, Signal::SIGSTOP),
            _ => {
                node.interfered = true;
                self.tell(process, Signal::SIGKILL);
            }
        }
    }

    /// The process that the scenario started and that this reporter is, or belongs to.
    fn node_at(&self, at: usize, host: &str) -> Option<u64> {
        self.processes[at].node.or_else(|| self.node_of_host(host))
    }

    /// Numbers the event by which a fault begins that another event has set off.
    fn begin(&mut self, number: u32) -> Event {
        let fault = self.faults.all.get(&number).expect("it was set off");
        let event = self.happens(number, fault.by, fault.injection.begins());
        if let Some(fault) = self.faults.all.get_mut(&number) {
            fault.injection.event = Some(event.clone());
        }
        event
    }

    /// All know of it.
    pub(super) fn injected(&mut self, number: u32) {
        if let Some(fault) = self.faults.all.get_mut(&number)
            && let Some(reply) = fault.on_inject.take()
        {
            let noted = fault.noted.iter().cloned().collect();
            let _ = reply.send(Ok(noted));
        }
    }

    /// All withhold, and have noted what a reset cuts off.
    pub(super) fn noted(&mut self, number: u32) {
        let Some(fault) = self.faults.all.get_mut(&number) else {
            return;
        };
        // Each is seen from both its ends, or from one; its line begins on the fault's first side.
        let forth = fault.injection.rules(None).swap_remove(0);
        let noted = std::mem::take(&mut fault.noted).into_iter();
        let noted = noted.map(
            |(own, other)| match (forth.covers(&own, &other), own <= other) {
                (true, true) => (own, other),
                (true, false) if !forth.covers(&other, &own) => (own, other),
                _ => (other, own),
            },
        );
        fault.noted = noted.collect();
        if fault.noted.is_empty() {
            return self.finds_nothing(number);
        }
        fault.acted = true;
        if fault.by.is_none() {
            return self.injected(number);
        }
        let by = fault.by;
        let resets = fault.noted.clone().into_iter();
        let resets: Vec<What> = resets
            .map(|(addr, peer)| What::Reset { addr, peer })
            .collect();
        let events = resets
            .into_iter()
            .map(|what| self.happens(number, by, what));
        if let Some(first) = events.collect::<Vec<_>>().into_iter().next() {
            self.act(number, first, None);
        }
    }

    /// A reset found no connection.
    fn finds_nothing(&mut self, number: u32) {
        self.end(number);
        self.order_all();
        self.injected(number);
        let Some(fault) = self.faults.all.get_mut(&number) else {
            return;
        };
        // `inject` says so.
        fault.injection.may_not_fire |= fault.by.is_none();
        for reply in fault.on_fired.drain(..) {
            let _ = reply.send(Err(NeverFires::Nothing));
        }
        for reply in fault.on_healing.drain(..) {
            let _ = reply.send(Healing::Nothing);
        }
        self.settle_all(number);
    }

    /// All peers withhold what comes from a host that vanishes: its process can end.
    pub(super) fn withheld(&mut self, number: u32) {
        let Some(fault) = self.faults.all.get(&number) else {
            return;
        };
        let host = &fault.injection.from.text;
        if let Some(node) = self.node_of_host(host).and_then(|n| self.nodes.get_mut(&n)) {
            // The carrier outlives its program, and closes what that had.
            node.has_vanished = node.is_carried();
        }
        let Some(fault) = self
            .faults
            .all
            .get(&number)
            .filter(|fault| fault.by.is_some())
        else {
            return self.injected(number);
        };
        if let Some(process) = fault.injection.process
            && let Some(node) = self.nodes.get_mut(&process)
        {
            node.interfered = true;
            self.tell(process, Signal::SIGKILL);
        }
        self.settle_all(number);
    }

    /// The program that an event was to end is dead. The carrier closes its host, for which it must
    /// not have to wait: its end comes after that.
    pub(in crate::collector::analyst) fn swept(&mut self, process: u64) {
        let faults = self.faults.all.iter();
        let killing = faults.filter(|(_, fault)| {
            let is_its = fault.injection.process == Some(process) && fault.by.is_some();
            is_its && matches!(fault.kind(), Kind::Kill | Kind::Vanish)
        });
        for number in killing.map(|(&number, _)| number).collect::<Vec<u32>>() {
            self.settle_all(number);
        }
    }

    /// The process that an event was to end is dead.
    pub(super) fn died(&mut self, number: u32, exit: lonet::trace::EventId) {
        let Some(fault) = self.faults.all.get(&number) else {
            return;
        };
        // The test itself kills it, and says when.
        let Some(by) = fault.by else { return };
        let event = self.happens(number, [by, exit], fault.injection.begins());
        match fault.kind() {
            Kind::Vanish => self.act(number, event, None),
            _ => {
                if let Some(fault) = self.faults.all.get_mut(&number) {
                    fault.injection.event = Some(event);
                }
                self.placed(number);
            }
        }
    }

    /// The process that an event was to stop has stopped.
    pub(super) fn paused(&mut self, number: u32) {
        let fault = self.faults.all.get(&number);
        if fault.is_some_and(|fault| fault.by.is_some() && fault.phase == Phase::Coming) {
            self.begin(number);
            self.placed(number);
        }
    }

    /// The fault has this event, and acts.
    pub(in crate::collector::analyst) fn act(
        &mut self,
        number: u32,
        event: Event,
        reply: Option<oneshot::Sender<()>>,
    ) {
        let Some(fault) = self.faults.all.get_mut(&number) else {
            return;
        };
        // Its end may have come first.
        if fault.phase == Phase::Coming {
            fault.rules = fault.injection.rules(Some(event.id()));
        }
        fault.injection.event = Some(event);
        fault.on_act = reply;
        let seq = self.order_all();
        self.then(seq, Next::Placed(number));
        self.progress();
    }

    /// It is in force.
    pub(super) fn placed(&mut self, number: u32) {
        let Some(fault) = self.faults.all.get_mut(&number) else {
            return;
        };
        if fault.phase == Phase::Coming {
            fault.phase = Phase::InForce;
            fault.in_force.0 = now();
            fault.acted |= fault.kind().is_of_process();
        }
        if fault.kind() == Kind::Reset {
            // Connections made from now on are none of its business. It goes with the next orders.
            self.end(number);
        }
        self.injected(number);
        let Some(fault) = self.faults.all.get_mut(&number) else {
            return;
        };
        if let Some(reply) = fault.on_act.take() {
            let _ = reply.send(());
        }
        if let Some(event) = &fault.injection.event {
            for reply in fault.on_fired.drain(..) {
                let _ = reply.send(Ok(event.clone()));
            }
        }
        let on_healing = std::mem::take(&mut fault.on_healing);
        let (released, ends_by) = (fault.released, fault.ends_by);
        let pauses = fault.kind() == Kind::Pause;
        if !pauses {
            self.settle_all(number);
        }
        for reply in on_healing {
            self.healing(number, reply);
        }
        if released || ends_by.is_some() {
            self.heal_itself(number, ends_by);
        }
    }

    /// Every process in which an event has set the fault off goes on.
    pub(super) fn settle_all(&mut self, number: u32) {
        for at in 0..self.processes.len() {
            if self.processes[at].gates.unsettled.contains(&number) {
                self.settle(at, number);
            }
        }
    }

    /// All others obey: the process goes on.
    pub(super) fn settle(&mut self, at: usize, number: u32) {
        let settled = &mut self.processes[at].gates.settled;
        if settled.len() == SAID_AGAIN {
            settled.pop_front();
        }
        settled.push_back(number);
        let seq = self.order_one(at);
        let (of, then) = (Some([at].into()), Next::Settled(at, number));
        self.faults.steps.push(super::Step { seq, of, then });
        self.progress();
    }

    /// A host that has vanished is started again: what its peers had to it is gone for good. The number
    /// of the orders that say so.
    pub(in crate::collector::analyst) fn gone(&mut self, host: &str) -> Option<u64> {
        let names = |ends: &Ends| match ends {
            Ends::These(places) => places.iter().any(|place| place.host == host),
            Ends::Others => false,
        };
        let mut is_gone = false;
        for fault in self.faults.all.values_mut() {
            if fault.kind() == Kind::Vanish && names(&fault.injection.from.ends) {
                for rule in &mut fault.rules {
                    is_gone |= rule.does != Does::Gone;
                    rule.does = Does::Gone;
                }
            }
        }
        is_gone.then(|| self.order_all())
    }
}

/// The ends of the connection with that number, if it is open: here and there.
fn ends_of(records: &[Record], number: u64) -> Option<(Addr, Addr)> {
    let mut ends = None;
    for record in records {
        match &record.what {
            What::Accept {
                addr, peer, socket, ..
            }
            | What::Connect {
                addr, peer, socket, ..
            } if *socket == number => ends = Some((addr.clone(), peer.clone())),
            What::Close { socket, .. } if *socket == number => ends = None,
            _ => {}
        }
    }
    ends
}
