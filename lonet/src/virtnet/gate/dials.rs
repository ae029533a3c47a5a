//! What a dial asks of the gate before it goes its way and before its answer comes in, and a listener
//! before it accepts.
//!
//! Owns which faults have withheld a dial: its end comes after them.

use std::sync::Arc;

use super::arrivals::Random;
use crate::addr::Addr;
use crate::call::Call;
use crate::error::Cause;
use crate::trace::{Does, EventId, Gate, Held, Rule, Standing, Verb};
use crate::virtnet::listener_core::Queued;

/// Which dialers of a queue may be accepted.
pub(in crate::virtnet) struct Admission<'a> {
    gate: &'a Arc<Gate>,
    orders: Arc<Standing>,
    at: &'a Addr,
}

impl<'a> Admission<'a> {
    /// At this listener; `None`: nothing may come in.
    pub(in crate::virtnet) fn at(gate: &'a Arc<Gate>, at: &'a Addr) -> Option<Admission<'a>> {
        let orders = gate.standing();
        (!gate.is_shut()).then_some(Admission { gate, orders, at })
    }

    /// Whether this dialer may be accepted now; otherwise the fault that withholds it is noted.
    pub(in crate::virtnet) fn admits(
        &self,
        src: &Addr,
        held: &mut Vec<(u32, Option<EventId>)>,
    ) -> bool {
        let Some(rule) = self.orders.withholds_dial(src, self.at) else {
            return true;
        };
        hold(self.gate, rule, held);
        false
    }

    /// Whether the test lets this dialer be accepted, with that local address.
    pub(in crate::virtnet) fn lets(&self, queued: &mut Queued, local: &Addr) -> bool {
        if self.orders.holds.is_empty() {
            queued.comes = None;
            return true;
        }
        let new = || {
            let src = queued.knock.src();
            Held::new(self.gate, Verb::Accept, local, Some(src))
        };
        let comes = queued.comes.get_or_insert_with(new);
        comes.at(local).may_go(&self.orders)
    }
}

/// Waits until a dial may go its way; or it is refused.
pub(in crate::virtnet) async fn dial_may_go(call: &Call<'_>, gate: &Gate) -> Result<(), Cause> {
    if !gate.is_busy() {
        return Ok(());
    }
    wait_for_heal(call, gate).await;
    let orders = gate.standing();
    let refuses = |rule: &&Rule| rule.does == Does::Refuse && rule.covers(call.src, call.dst);
    if let Some(rule) = orders.rules.iter().find(refuses) {
        gate.acted(rule.fault);
        if let Some(event) = rule.event {
            call.events.learn(event);
        }
        return Err(Cause::ConnectionRefused);
    }
    take_longer(call, gate, (call.src, call.dst)).await;
    Ok(())
}

/// The answer of a dial is there: waits until it may come in.
pub(in crate::virtnet) async fn answer_may_come(call: &Call<'_>, gate: &Gate) {
    if gate.is_busy() {
        take_longer(call, gate, (call.dst, call.src)).await;
        wait_for_heal(call, gate).await;
    }
}

/// Waits while no dial from there to there may complete.
async fn wait_for_heal(call: &Call<'_>, gate: &Gate) {
    let mut held = Vec::new();
    let waits = gate.holds(call.dial);
    gate.pass(|orders| {
        let rule = orders.withholds_dial(call.src, call.dst);
        let Some(rule) = rule else { return Some(()) };
        hold(gate, rule, &mut held);
        waits.by(rule.fault);
        None
    })
    .await;
    call.events.learn_faults(&held);
}

/// A rule withholds something from who keeps that list.
fn hold(gate: &Gate, rule: &Rule, held: &mut Vec<(u32, Option<EventId>)>) {
    gate.acted(rule.fault);
    if !held.iter().any(|(fault, _)| *fault == rule.fault) {
        held.push((rule.fault, rule.event));
    }
}

/// What goes that way takes so much longer.
async fn take_longer(call: &Call<'_>, gate: &Gate, (from, to): (&Addr, &Addr)) {
    let standing = gate.standing();
    for rule in &standing.rules {
        let us = match rule.does {
            Does::Delay(us) => us,
            Does::Jitter(us, seed) => {
                let mixed = seed ^ u64::from(from.port()) << 16 ^ u64::from(to.port());
                Random(mixed).up_to(us)
            }
            _ => continue,
        };
        if !rule.covers(from, to) {
            continue;
        }
        gate.acted(rule.fault);
        let until = tokio::time::Instant::now() + std::time::Duration::from_micros(us);
        // A heal ends it.
        let healed = gate.pass(|orders| {
            let stands = orders.rules.iter().any(|other| other.fault == rule.fault);
            (!stands).then_some(())
        });
        let _ = tokio::time::timeout_at(until, healed).await;
        if let Some(event) = rule.event {
            call.events.learn(event);
        }
    }
}
