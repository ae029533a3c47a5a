//! A hold, as the analyst gets it, and what became of it.
//!
//! Owns the types alone. What a test may hold is `scenario::hold`'s to say, what is held when the
//! analyst's.

use std::time::Duration;

use super::fault::At;

/// Events that a test holds.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    /// No other hold or fault of the scenario has it.
    pub(crate) number: u32,
    /// How it is called where it is named: "hold b:_ recv p:_".
    pub(crate) line: String,
    /// Which events; without it, all that can be held. Number 0 is every match.
    pub(crate) at: Option<At>,
    /// It ends when that has happened.
    pub(crate) until: Option<At>,
    /// When it ends though that has not happened.
    pub(crate) patience: Option<Patience>,
}

/// How long a hold waits for the event that ends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl Kept {
    /// For how long the other was held.
    pub(crate) fn held_for(self) -> Duration {
        match self {
            Kept::Yes { held_for } | Kept::GivenUp { held_for, .. } => held_for,
            Kept::NeverCame => Duration::ZERO,
        }
    }
}

/// What became of an order, and of one that was not kept, which event has never happened, if one has
/// not, and what is nearest.
pub(crate) struct Outcome {
    pub(crate) kept: Kept,
    pub(crate) missing: Option<String>,
}
