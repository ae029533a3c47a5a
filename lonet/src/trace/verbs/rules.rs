//! What a row of the table of verbs may say: the columns and their values.
//!
//! Owns the types alone; the rows stand in `verbs`.

/// What the table says of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The verb's word in a line.
    pub word: &'static str,
    /// What its line begins with.
    pub begins: Begins,
    /// Whether the other side's address follows.
    pub peer: Peer,
    /// What follows at the end.
    pub text: Follows,
    /// How an assertion comes to look at it.
    pub view: InView,
    /// Which processes may report it.
    pub by: By,
}

/// What a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// `α:10 listen`
    Address,
    /// `α mark ready`
    Host,
    /// `! kill α`: the scenario interferes with a host, or, of a fault, with several ends.
    Bang,
    /// `! reset α:1 β:1`: the scenario interferes with a connection.
    BangAddress,
}

/// Whether the other side's address follows the verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It does not.
    Never,
    /// It does in some lines.
    Maybe,
    /// It does.
    Always,
}

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing more.
    Nothing,
    /// The words of a mark, or none.
    Mark,
    /// Words; how a message explains which.
    Words(&'static str),
    /// The other ends of a fault, and its number where it has one.
    Ends(OtherEnds),
    /// A number of bytes.
    Bytes,
}

/// What follows the first ends of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherEnds {
    /// How a message explains the other ends.
    pub which: &'static str,
    /// The number behind them.
    pub amount: Amount,
}

/// The number of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// It has none.
    Nothing,
    /// Whole microseconds: `5000us`.
    Micros,
    /// Bytes: `100`.
    Bytes,
}

pub(super) const fn to(which: &'static str, amount: Amount) -> OtherEnds {
    OtherEnds { which, amount }
}

/// How an assertion comes to look at a verb's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InView {
    /// By default.
    Default,
    /// By `with_lifecycle()`.
    Lifecycle,
    /// By `with_data()`.
    Data,
}

/// Which processes may report a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Every process on the network.
    Anyone,
    /// The test's own process alone.
    Test,
}
