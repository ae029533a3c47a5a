//! A hold, as the analyst gets it, and what became of it.
//!
//! Owns the types alone. What a test may hold is `scenario::hold`'s to say, what is held when the
//! analyst's.

use std::time::Duration;

use lonet::trace::EventShape;

use crate::trace::Pattern;

/// Events that a test holds.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    /// No other hold or fault of the scenario has it.
    pub(crate) number: u32,
    /// How it is called where it is named: "hold b:_ recv p:_".
    pub(crate) line: String,
    /// Which events; without it, all that can be held.
    pub(crate) at: Option<Awaited>,
    /// It ends when that has happened.
    pub(crate) until: Option<Awaited>,
    /// When it ends though that has not happened.
    pub(crate) patience: Option<Patience>,
}

/// An event: the how-many-th match of a pattern, from 1; 0 is every one.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    pub(crate) pattern: Pattern,
    pub(crate) shape: EventShape,
    pub(crate) nth: u64,
}

/// How long a hold waits for the event that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// While nothing happens in any process.
    pub(crate) quiet: Duration,
    /// In any case.
    pub(crate) most: Duration,
}

/// What became of an order of two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The first has happened, and the other was held for so long until then.
    Yes {
        /// Zero, if it had not come.
        held_for: Duration,
    },
    /// The other was let go before the first had happened.
    GivenUp {
        /// Nothing else had happened for a while.
        quiet: bool,
        held_for: Duration,
    },
    /// Neither the first has happened, nor has the other come.
    NeverCame,
}
