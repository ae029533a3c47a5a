//! Traces: what every process reported → which event happens before which → does an expectation
//! hold, and if not, why. All of it is pure, `rewriting` apart. Start with [`Trace`]. A map of:
//!
//! - `causality`: records → happens-before; `edges`: those within one process; `across`: those
//!   between processes; `gathered`: what the two know so far; `sent`: how much of what was about to
//!   be sent was; `relation`: all edges, and the order they make;
//! - `symbols`: texts as numbers; `labels`: events' lines as numbers; `index`: how both are found;
//! - `grammar`: text → lines; `pattern`: a line and an event;
//! - `lookup`: a line's label; `matching`: does an expectation hold; `search`: where that is not a matter of positions;
//!   `counting`, `alone`: what needs no search, or only a short one;
//! - `view`: which events are looked at; `past`: `Trace`, which puts it all together;
//! - `canonical`: the text of a trace, and updating one; `sorting`: its order; `races`: which ports raced;
//!   `meanings`: what an old text's variables stand for; `columns`: lines in columns;
//! - `diagnosis`: why an expectation does not hold; `nearest`: the order that could, beside it;
//!   `hints`: what to do about it;
//! - `expected`: what an assertion takes; `rewriting`: it in place; `literal`: a literal of a source;
//! - `problems`: what makes no sense, and who is to blame; `persist`: traces saved and loaded; `drawing`: as something to draw.
//!
//! Owns no wording of failures: that is [`report`](crate::report)'s.

mod across;
mod alone;
mod canonical;
pub mod causality;
pub(crate) mod columns;
mod counting;
pub(crate) mod diagnosis;
mod drawing;
mod edges;
pub(crate) mod expected;
mod gathered;
pub mod grammar;
pub(crate) mod hints;
mod index;
mod labels;
mod literal;
mod lookup;
mod matching;
mod meanings;
pub(crate) mod nearest;
mod past;
mod pattern;
mod persist;
pub(crate) mod problems;
mod races;
pub(crate) mod relation;
pub(crate) mod rewriting;
mod search;
mod sent;
mod sorting;
mod symbols;
#[cfg(test)]
mod tests;
mod view;

pub use diagnosis::Mismatch;
pub use drawing::Drawing;
pub use expected::Expected;
pub use grammar::{Expectation, SyntaxError, check_syntax};
pub use lonet::trace::{Event, EventId, Verb};
pub use matching::Mode;
pub use past::Trace;
pub use pattern::Pattern;
pub use persist::LoadError;

/// What a user writes to have a verb shown that the default view leaves out.
pub(crate) fn method_for(verb: Verb) -> &'static str {
    view::View::method_for(verb)
}
