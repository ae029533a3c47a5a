//! Operations that come to an event which the test holds.
//!
//! Owns how long one waits, and that the test hears of it: once when it is held, once when it goes on
//! or is given up. What is held is a future, never its thread: who polls it asks here.

use std::sync::Arc;

use super::gate::Gate;
use super::orders::{Coming, Standing};
use super::record::Line;
use super::verbs::Verb;
use crate::addr::Addr;

/// One operation that comes to its event. Dropped, it comes no more.
pub(crate) struct Held {
    gate: Arc<Gate>,
    verb: Verb,
    addr: Addr,
    peer: Option<Addr>,
    /// The number of its record, if it has one.
    n: Option<u64>,
    bytes: Option<u64>,
    /// The holds that it has come to, and whether each holds it: it may want another one of several.
    met: Vec<(u32, bool)>,
    /// Its number and what holds it, as the test was told.
    told: Option<(u64, Vec<u32>)>,
    /// It was let go.
    goes: bool,
}

impl Held {
    pub(crate) fn new(gate: &Arc<Gate>, verb: Verb, addr: &Addr, peer: Option<&Addr>) -> Held {
        Held {
            gate: gate.clone(),
            verb,
            addr: addr.clone(),
            peer: peer.cloned(),
            n: None,
            bytes: None,
            met: Vec::new(),
            told: None,
            goes: false,
        }
    }

    /// The same, whose record has that number.
    pub(crate) fn recorded(mut self, n: Option<u64>) -> Held {
        self.n = n;
        self
    }

    /// So many bytes come.
    pub(crate) fn bytes(&mut self, bytes: u64) -> &mut Held {
        self.bytes = Some(bytes);
        self
    }

    /// It would happen at that address now.
    pub(crate) fn at(&mut self, addr: &Addr) -> &mut Held {
        if self.addr != *addr {
            self.addr = addr.clone();
            if let Some((_, told)) = &mut self.told {
                // To be told anew.
                told.clear();
            }
        }
        self
    }

    /// Whether it may go on by these orders. Once it may, it does.
    pub(crate) fn may_go(&mut self, orders: &Standing) -> bool {
        if self.goes {
            return true;
        }
        let mut by = Vec::new();
        for hold in &orders.holds {
            if !hold.is_of(self.verb, &self.addr, self.peer.as_ref()) {
                continue;
            }
            let met = self.met.iter().find(|(met, _)| *met == hold.hold);
            let holds = match met {
                Some(&(_, holds)) => holds,
                None => {
                    let holds = hold.nth == 0 || self.gate.count(hold.hold) == hold.nth;
                    self.met.push((hold.hold, holds));
                    holds
                }
            };
            by.extend(holds.then_some(hold.hold));
        }
        self.goes = by.is_empty() || self.passes(orders);
        match self.goes {
            true => self.end(),
            false => self.is_held(by),
        }
        self.goes
    }

    /// Whether the test lets just this one go on.
    pub(crate) fn passes(&self, orders: &Standing) -> bool {
        let op = self.told.as_ref().map(|(op, _)| op);
        op.is_some_and(|op| orders.passes.contains(op))
    }

    /// These hold it.
    pub(crate) fn is_held(&mut self, by: Vec<u32>) {
        let op = match &self.told {
            Some((_, told)) if *told == by => return,
            Some((op, _)) => *op,
            None => self.gate.next_op(),
        };
        self.told = Some((op, by.clone()));
        self.gate.say(Line::Comes(Coming {
            op,
            holds: by,
            verb: self.verb,
            addr: self.addr.clone(),
            peer: self.peer.clone(),
            n: self.n,
            bytes: self.bytes,
        }));
    }

    /// What it comes to.
    pub(crate) fn verb(&self) -> Verb {
        self.verb
    }

    fn end(&mut self) {
        if let Some((op, _)) = self.told.take() {
            self.gate.say(Line::Goes(op));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

impl Gate {
    /// Waits while the test holds such an event. `n` is the number of its record, if it has one.
    pub(crate) async fn may_go(
        self: &Arc<Self>,
        verb: Verb,
        addr: &Addr,
        peer: Option<&Addr>,
        n: Option<u64>,
    ) {
        if !self.holds_any() {
            return;
        }
        let mut held = Held::new(self, verb, addr, peer).recorded(n);
        self.pass(|orders| held.may_go(orders).then_some(())).await;
    }
}
