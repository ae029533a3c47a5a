//! What a simulated scenario does to hosts and connections. A fault is an event of the test's process
//! and nothing more: what it does to bytes is the test's to simulate.

use lonet::trace::Verb;

use super::*;

impl World {
    /// The scenario cuts a host's power: its process is dead, and nothing that others read says so.
    pub(in crate::trace::tests) fn vanish(&mut self, of: T) -> EventId {
        let (host, process) = self.node(of);
        let everything = self.everything(of.0);
        let id = self.record(Some(TEST), What::Vanish { host, process }, &everything);
        self.processes[of.0].dead = true;
        id
    }

    /// A fault between hosts begins, or ends, by that task of the test's process.
    pub(in crate::trace::tests) fn fault(
        &mut self,
        task: T,
        verb: Verb,
        from: &str,
        text: &str,
    ) -> EventId {
        let (from, text) = (from.to_owned(), text.to_owned());
        self.record(Some(task), What::Fault { verb, from, text }, &Known::new())
    }

    /// The scenario resets the connection of this end.
    pub(in crate::trace::tests) fn reset(&mut self, task: T, end: End) -> EventId {
        let (addr, peer) = (self.ends[end.0].addr.clone(), self.ends[end.0].to.clone());
        self.record(Some(task), What::Reset { addr, peer }, &Known::new())
    }

    /// This event has set off the fault of that number.
    pub(in crate::trace::tests) fn set_off(&mut self, event: EventId, fault: u32) {
        let mut records = self.processes[event.process as usize].records.iter_mut();
        let record = records.find(|record| record.n == event.n).unwrap();
        record.fires.push(fault);
    }
}
