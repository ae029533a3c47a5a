//! What the test holds at one end of a connection: what arrives, and what leaves.
//!
//! Owns which arrivals may be read: none, or just what the test lets in. An arrival is whatever a read
//! would get: bytes, the end, a reset. Of what leaves, the write or the shutdown is held, before its
//! event.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::EndGate;
use super::arrivals::Admits;
use super::waiters::Waiter;
use crate::addr::Addr;
use crate::trace::{Gate, Held, Standing, Verb};
use crate::virtnet::io::There;

/// See the module.
#[derive(Default)]
pub(super) struct HeldArrivals {
    by: Vec<Hold>,
    /// This end and the other one, where something is held.
    way: Option<(Addr, Addr)>,
    /// What is held now, if something is there.
    comes: Option<Held>,
    /// What of it the test lets in.
    lets_in: Option<There>,
}

struct Hold {
    hold: u32,
    /// So many reads are none of its business.
    before: u64,
    /// It holds one arrival, which the test has let in.
    is_over: bool,
    /// It holds one arrival, not all.
    only_one: bool,
}

impl HeldArrivals {
    pub(super) fn is_free(&self) -> bool {
        self.by.is_empty()
    }

    /// These orders hold for what goes from `peer` to `local`.
    pub(super) fn order(&mut self, orders: &Standing, (peer, local): (&Addr, &Addr), there: There) {
        let holds = || {
            let holds = orders.holds.iter();
            holds.filter(|hold| hold.is_of(Verb::Recv, local, Some(peer)))
        };
        self.by
            .retain(|own| holds().any(|hold| hold.hold == own.hold));
        for hold in holds() {
            if !self.by.iter().any(|own| own.hold == hold.hold) {
                self.by.push(Hold {
                    hold: hold.hold,
                    before: hold.nth.saturating_sub(1),
                    is_over: false,
                    only_one: hold.nth > 0,
                });
            }
        }
        if self.comes.as_ref().is_some_and(|held| held.passes(orders)) {
            self.lets_in = Some(there);
            self.comes = None;
        }
        if !self.by.is_empty() {
            self.way = Some((local.clone(), peer.clone()));
        } else {
            (self.comes, self.lets_in) = (None, None);
        }
    }

    /// What may be read of what is there.
    pub(super) fn admits(&mut self, there: There, gate: &Arc<Gate>) -> Admits {
        if let Some(lets_in) = self.lets_in {
            return match lets_in.bytes {
                // The end.
                0 => Admits::UpTo(u64::MAX),
                bytes => Admits::UpTo(bytes),
            };
        }
        let holds = self.by.iter().filter(|own| own.before == 0 && !own.is_over);
        let holds: Vec<u32> = holds.map(|own| own.hold).collect();
        let (Some((local, peer)), false) = (&self.way, holds.is_empty()) else {
            self.comes = None;
            return Admits::UpTo(u64::MAX);
        };
        if there.bytes == 0 && !there.ended {
            return Admits::Nothing;
        }
        let comes = self
            .comes
            .get_or_insert_with(|| Held::new(gate, Verb::Recv, local, Some(peer)));
        comes.bytes(there.bytes).is_held(holds);
        Admits::Withheld
    }

    /// So many bytes were read.
    pub(super) fn took(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let lets_in = self.lets_in.take();
        for own in &mut self.by {
            match own.before {
                0 => own.is_over |= own.only_one && lets_in.is_some(),
                _ => own.before -= 1,
            }
        }
        self.lets_in = lets_in.and_then(|mut rest| {
            rest.bytes = rest.bytes.saturating_sub(bytes);
            // The end is held anew.
            (rest.bytes > 0).then_some(rest)
        });
    }
}

impl EndGate {
    /// A write or a shutdown comes to its event. `Pending`: the test holds it.
    pub(in crate::virtnet) fn poll_leaves(
        &self,
        cx: &mut Context<'_>,
        (verb, bytes): (Verb, u64),
        way: (&Addr, &Addr),
    ) -> Poll<()> {
        if self.is_free() {
            return Poll::Ready(());
        }
        // Before it looks, so that no change is missed.
        self.waiters.wait(Waiter::Writer, cx);
        match self.leaves((verb, bytes), way) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// The same, without waiting.
    pub(in crate::virtnet) fn leaves(
        &self,
        (verb, bytes): (Verb, u64),
        (local, peer): (&Addr, &Addr),
    ) -> bool {
        if self.is_free() {
            return true;
        }
        let standing = self.gate.standing();
        let mut state = self.lock();
        // One that was given up is not the one that comes now.
        if state
            .leaves
            .as_ref()
            .is_some_and(|held| held.verb() != verb)
        {
            state.leaves = None;
        }
        let leaves = &mut state.leaves;
        let may_go = leaves
            .get_or_insert_with(|| Held::new(&self.gate, verb, local, Some(peer)))
            .bytes(bytes)
            .may_go(&standing);
        self.mark(&state);
        may_go
    }

    /// The write or the shutdown has ended: the next one comes to an event of its own.
    pub(in crate::virtnet) fn left(&self) {
        if !self.is_free() {
            let mut state = self.lock();
            state.leaves = None;
            self.mark(&state);
        }
    }
}
