//! The races of an update's turns, each of which is reversed in a further turn.
//!
//! Owns what the turns showed, and which orders are still to be run. Which turns are for that, and what
//! they teach, is `run::update`'s to say; how a search tries its orders, `explore`'s.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::LONGEST_HOLD;
use super::explore::{Lines, lines, patience, reversed};
use crate::collector::hold::{Kept, Patience};
use crate::run::schedule::Before;
use crate::trace::racing::Racing;

/// The races of some turns.
#[derive(Debug, Default)]
pub(in crate::run) struct Reversals {
    known: BTreeSet<Lines>,
    todo: VecDeque<Vec<Before>>,
    /// Of the turns in which nothing was held.
    longest_gap: Duration,
}

impl Reversals {
    /// Notes what raced in a turn that was to run in these orders, of which that became. What races only
    /// then is reversed on top of them.
    pub(in crate::run) fn note(&mut self, orders: &[Before], became: &[Kept], racing: &Racing) {
        if orders.is_empty() {
            self.longest_gap = self.longest_gap.max(racing.longest_gap);
        }
        let orders = match are_kept(became) {
            true => orders,
            false => &[],
        };
        for pair in &racing.pairs {
            if self.known.insert(lines(pair)) {
                self.todo.push_back([orders, &[reversed(pair)]].concat());
            }
        }
    }

    /// So many orders are still to be run.
    pub(in crate::run) fn left(&self) -> usize {
        self.todo.len()
    }

    /// The next of them, which then is no longer to be run.
    pub(in crate::run) fn take(&mut self) -> Option<Vec<Before>> {
        self.todo.pop_front()
    }

    /// When a hold of such an order is given up.
    pub(in crate::run) fn patience(&self) -> Patience {
        Patience {
            quiet: patience(self.longest_gap),
            most: LONGEST_HOLD,
        }
    }
}

/// Whether what was held was held until the other event had happened.
pub(in crate::run) fn are_kept(orders: &[Kept]) -> bool {
    orders.iter().all(|kept| matches!(kept, Kept::Yes { .. }))
}
