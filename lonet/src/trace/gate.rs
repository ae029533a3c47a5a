//! The gate: what this process knows of the faults on a network, and the one place that obeys.
//!
//! Owns the orders in force, whether nothing may pass, what has to wait until it may, and which
//! faults have acted. What an order means for a connection, a listener or a dial is theirs to know:
//! they are [`Gated`]. Nothing of a user's data comes through here.
//!
//! A fault that an event sets off closes the gate of its process under the lock that numbers the
//! event. From then on nothing leaves and nothing arrives, until the test's process says that all
//! others obey. What can't wait for that in its caller, such as a close, waits here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::Notify;

use super::ids::EventId;
use super::orders::{Obeyed, Rule, Standing, Then};
use super::record::{Line, Withheld};
use crate::addr::Addr;
use crate::lock::{AtomicBool, Condvar, Mutex, MutexGuard};

/// What obeys orders: an end of a connection, or a listener.
pub trait Gated: Send + Sync {
    /// These orders hold from now on. Called with no lock of the gate held, and maybe late: after
    /// later ones.
    fn ordered(&self, now: &Standing, found: &mut Obeyed);

    /// Orders have changed, and something may pass: what waits looks again.
    fn wake(&self);

    /// What is withheld from an operation that waits here, and by which fault.
    fn withheld(&self) -> Option<(Withheld, u32)> {
        None
    }

    /// Whether its descriptor must stay though it is closed.
    fn is_withheld(&self) -> bool {
        false
    }
}

/// What has to wait until something may leave this process again.
type Effect = Box<dyn FnOnce() + Send>;

/// What says something to the test's process.
type Teller = Box<dyn Fn(Line) + Send + Sync>;

/// See the module.
pub struct Gate {
    /// Whether there is anything to ask: a fault is in force, the test holds something, or nothing may
    /// pass.
    busy: AtomicBool,
    state: Mutex<State>,
    /// Wakes dials when orders have changed.
    changed: Notify,
    opened: Condvar,
    teller: Mutex<Option<Teller>>,
}

#[derive(Default)]
struct State {
    standing: Arc<Standing>,
    /// Nothing may pass, by order.
    shut: bool,
    /// The faults that an event of this process has set off, and that are not settled.
    fired: BTreeMap<u32, Then>,
    /// The process that this one carries is dead from its last event on: nothing of it passes, and
    /// what it would have done is left undone.
    dead: bool,
    /// What waits until something may pass, in order.
    later: Vec<Effect>,
    gated: Vec<Weak<dyn Gated>>,
    /// The length of `gated` from which on it is cleared of those that are gone.
    clear_at: usize,
    /// Closed connections whose descriptors must live until what they withhold may end.
    kept: Vec<Arc<dyn Gated>>,
    acted: BTreeSet<u32>,
    /// The dials that wait, each for the end of that fault.
    dials: BTreeMap<u64, u32>,
    /// How many have come to each hold that stands.
    came: BTreeMap<u32, u64>,
    /// The number of the operation that was held last.
    ops: u64,
}

/// A dial that waits here, for as long as it does.
pub(crate) struct HeldDial<'a> {
    gate: &'a Gate,
    dial: Option<u64>,
}

impl HeldDial<'_> {
    /// It waits for the end of that fault.
    pub(crate) fn by(&self, fault: u32) {
        if let Some(dial) = self.dial {
            self.gate.lock().dials.insert(dial, fault);
        }
    }
}

impl Drop for HeldDial<'_> {
    fn drop(&mut self) {
        if let Some(dial) = self.dial {
            self.gate.lock().dials.remove(&dial);
        }
    }
}

impl State {
    fn is_shut(&self) -> bool {
        self.shut || self.dead || !self.fired.is_empty()
    }

    fn is_busy(&self) -> bool {
        self.is_shut() || !self.standing.rules.is_empty() || !self.standing.holds.is_empty()
    }
}

impl Gate {
    /// A gate with nothing in force.
    pub fn new() -> Arc<Gate> {
        Arc::new(Gate {
            busy: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            changed: Notify::new(),
            opened: Condvar::new(),
            teller: Mutex::new(None),
        })
    }

    /// What says to the test's process that a fault has acted, or that something is held.
    pub(crate) fn tell_by(&self, teller: impl Fn(Line) + Send + Sync + 'static) {
        let mut own = self.teller.lock().unwrap_or_else(PoisonError::into_inner);
        *own = Some(Box::new(teller));
    }

    /// Whether there is anything to ask. One load.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Whether nothing may pass.
    pub(crate) fn is_shut(&self) -> bool {
        self.is_busy() && self.lock().is_shut()
    }

    /// The orders in force.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.lock().standing.clone()
    }

    /// Something new obeys from now on. It has to be given the orders that stand: those that come
    /// meanwhile reach it, too.
    pub(crate) fn enter(&self, gated: Weak<dyn Gated>) -> Arc<Standing> {
        let mut state = self.lock();
        if state.gated.len() >= state.clear_at {
            state.gated.retain(|gated| gated.strong_count() > 0);
            state.clear_at = (state.gated.len() * 2).max(64);
        }
        state.gated.push(gated);
        state.standing.clone()
    }

    /// Keeps a closed connection until the orders change so that nothing is withheld from it. The
    /// connection asks again whenever they change.
    pub(crate) fn keep(&self, closed: Arc<dyn Gated>) {
        self.lock().kept.push(closed.clone());
        if closed.is_withheld() {
            return;
        }
        // The orders have changed just before, and don't come again.
        let mut state = self.lock();
        let kept = state.kept.extract_if(.., |kept| Arc::ptr_eq(kept, &closed));
        let kept: Vec<_> = kept.collect();
        drop(state);
        drop(kept);
    }

    #[cfg(all(test, lonet_loom))]
    pub(crate) fn keeps_nothing(&self) -> bool {
        self.lock().kept.is_empty()
    }

    /// A dial begins to ask; its record's number, if there is one.
    pub(crate) fn holds(&self, dial: Option<u64>) -> HeldDial<'_> {
        HeldDial { gate: self, dial }
    }

    /// What faults withhold from operations that wait.
    pub(crate) fn held(&self) -> Vec<(Withheld, u32)> {
        if !self.is_busy() {
            return Vec::new();
        }
        let (gated, dials) = {
            let state = self.lock();
            (state.gated.clone(), state.dials.clone())
        };
        let ends = gated.iter().filter_map(Weak::upgrade);
        let ends = ends.filter_map(|gated| gated.withheld());
        let dials = dials
            .into_iter()
            .map(|(dial, fault)| (Withheld::Dial(dial), fault));
        ends.chain(dials).collect()
    }

    /// Does what others can see at once, or, if nothing may pass, as soon as something may.
    pub(crate) fn effect(&self, effect: impl FnOnce() + Send + 'static) {
        if self.is_busy() {
            let mut state = self.lock();
            if state.dead {
                return;
            }
            if state.is_shut() {
                state.later.push(Box::new(effect));
                return;
            }
        }
        effect();
    }

    /// An event sets a fault off. Called under the lock that numbers the event.
    pub(crate) fn fire(&self, fault: u32, then: Then) {
        let mut state = self.lock();
        state.fired.insert(fault, then);
        self.busy.store(true, Ordering::Release);
    }

    /// An event ends the process that this one carries. Called as [`fire`](Gate::fire) is.
    pub(crate) fn die(&self) {
        let mut state = self.lock();
        state.dead = true;
        self.busy.store(true, Ordering::Release);
    }

    /// Whether an event has ended the process that this one carries.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_busy() && self.lock().dead
    }

    /// Whether the process that this one carries may learn of its event. If that has ended it: false,
    /// once the fault is in force, so that nothing of it is let go of before. Nothing else is waited
    /// for: a process that is to stop could not, while it waits here.
    pub(crate) async fn opens(&self) -> bool {
        if !self.is_busy() {
            return true;
        }
        let mut changed = std::pin::pin!(self.changed.notified());
        loop {
            // Before it looks, so that no change is missed.
            changed.as_mut().enable();
            {
                let state = self.lock();
                if !state.dead {
                    return true;
                }
                if !state.shut && state.fired.is_empty() {
                    return false;
                }
            }
            changed.as_mut().await;
            changed.set(self.changed.notified());
        }
    }

    /// The process is about to stop at an event: what arrives from here on arrives under the faults
    /// that it will find ordered when it goes on.
    pub(super) fn note_stop(&self) {
        let (gated, standing) = {
            let state = self.lock();
            (state.gated.clone(), state.standing.clone())
        };
        let shut = Standing {
            shut: true,
            ..(*standing).clone()
        };
        for gated in gated.iter().filter_map(Weak::upgrade) {
            gated.ordered(&shut, &mut Obeyed::default());
        }
    }

    /// A fault has withheld, refused or cut short something.
    pub(crate) fn acted(&self, fault: u32) {
        if self.lock().acted.insert(fault) {
            self.say(Line::Acted(fault));
        }
    }

    /// Says something to the test's process.
    pub(super) fn say(&self, line: Line) {
        let teller = self.teller.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(teller) = &*teller {
            teller(line);
        }
    }

    /// Another one has come to that hold: how many have.
    pub(super) fn count(&self, hold: u32) -> u64 {
        let mut state = self.lock();
        let came = state.came.entry(hold).or_default();
        *came += 1;
        *came
    }

    /// A number for an operation that is held.
    pub(super) fn next_op(&self) -> u64 {
        let mut state = self.lock();
        state.ops += 1;
        state.ops
    }

    /// Whether the test holds anything.
    pub(crate) fn holds_any(&self) -> bool {
        self.is_busy() && !self.standing().holds.is_empty()
    }

    /// Obeys, and says what it found. The triggers are the reporter's to set.
    pub fn obey(&self, orders: Arc<Standing>) -> Obeyed {
        let mut found = Obeyed {
            seq: orders.seq,
            ..Obeyed::default()
        };
        let gated = {
            let mut state = self.lock();
            if orders.seq < state.standing.seq {
                return found;
            }
            // What it finds settled here goes on below, once all that waits was done.
            state.standing = orders.clone();
            state.shut |= orders.shut;
            let stands = |hold: &u32| orders.holds.iter().any(|own| own.hold == *hold);
            state.came.retain(|hold, _| stands(hold));
            if state.is_busy() {
                self.busy.store(true, Ordering::Release);
            }
            state.gated.clone()
        };
        for gated in gated.iter().filter_map(Weak::upgrade) {
            gated.ordered(&orders, &mut found);
        }
        // Once all know the orders: what is kept from here on knows them, too.
        let kept = std::mem::take(&mut self.lock().kept);
        let (keep, done): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| kept.is_withheld());
        self.lock().kept.extend(keep);
        drop(done);
        self.settle(&orders);
        for gated in gated.iter().filter_map(Weak::upgrade) {
            gated.wake();
        }
        self.changed.notify_waiters();
        let mut state = self.lock();
        found.acted = state.acted.iter().copied().collect();
        // What has ended is said for the last time.
        let stands = |fault: &u32| orders.rules.iter().any(|rule| rule.fault == *fault);
        state.acted.retain(stands);
        found
    }

    /// Lets pass what may, in the order in which it came.
    fn settle(&self, orders: &Standing) {
        loop {
            let later = {
                let mut state = self.lock();
                if orders
                    .settled
                    .iter()
                    .any(|fault| state.fired.get(fault) == Some(&Then::Vanish))
                {
                    super::ending::end_here();
                }
                let waits = |fault: &u32| !orders.settled.contains(fault);
                let shut = orders.shut || state.fired.keys().any(waits);
                if shut || state.later.is_empty() {
                    state.fired.retain(|fault, _| waits(fault));
                    state.shut = orders.shut;
                    let busy = state.is_busy();
                    self.busy.store(busy, Ordering::Release);
                    drop(state);
                    self.opened.notify_all();
                    return;
                }
                std::mem::take(&mut state.later)
            };
            for effect in later {
                effect();
            }
        }
    }

    /// No more orders will come: everything passes.
    pub(crate) fn open(&self) {
        let (seq, fired) = {
            let state = self.lock();
            let fired = state.fired.keys().copied();
            (state.standing.seq, fired.collect())
        };
        self.obey(Arc::new(Standing {
            seq,
            settled: fired,
            ..Standing::default()
        }));
    }

    /// Waits until something may leave this process. The end of a process does.
    pub fn wait_until_open(&self) {
        let mut state = self.lock();
        while state.is_shut() && !state.dead {
            state = self
                .opened
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until a dial may go its way, or its answer come back; `decide` says so of the orders in
    /// force, each time they change.
    pub(crate) async fn pass<T>(&self, mut decide: impl FnMut(&Standing) -> Option<T>) -> T {
        let mut changed = std::pin::pin!(self.changed.notified());
        loop {
            // Before it looks, so that no change is missed.
            changed.as_mut().enable();
            {
                let state = self.lock();
                if !state.is_shut() {
                    let standing = state.standing.clone();
                    drop(state);
                    if let Some(decided) = decide(&standing) {
                        return decided;
                    }
                }
            }
            changed.as_mut().await;
            changed.set(self.changed.notified());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// The rule by which no dial from there to there completes, in either direction.
    pub(crate) fn withholds_dial(&self, src: &Addr, dst: &Addr) -> Option<&Rule> {
        use super::orders::Does;
        self.rules.iter().find(|rule| match rule.does {
            Does::Withhold => rule.covers(src, dst) || rule.covers(dst, src),
            _ => false,
        })
    }

    /// The event that has ended a fault.
    pub(crate) fn end_of(&self, fault: u32) -> Option<EventId> {
        let ended = self.healed.iter().find(|(healed, _)| *healed == fault);
        ended.map(|&(_, end)| end)
    }
}
