//! Traces: what every process reported → which event happens before which → whether an expectation
//! holds, and if not, why. All of it is pure, `update::files` apart. Start with [`Trace`]. A map,
//! from the ground up: each knows only what is listed before it.
//!
//! - `ends`: the ends of a fault, as its line names them;
//! - `intern`: texts and events' lines as numbers;
//! - `scope`: which events an assertion looks at;
//! - `happened`: records → happens-before;
//! - `cut`: the events that were asked for, with their order;
//! - `expected`: text → lines, patterns;
//! - `check`: whether an expectation holds;
//! - `naming`: by which line an event is found again in the next run;
//! - `racing`: which arrivals raced;
//! - `write`: the text of a trace, and an old one brought up to date;
//! - `explain`: why an expectation does not hold, the nearest order that could happen, and what to do;
//! - `update`: what an assertion takes, and rewriting it in place;
//! - `trace`: [`Trace`], all that a test asks; `saved`: traces saved and loaded.
//!
//! Does not word failures: [`report`](crate::report) does.

pub(crate) mod check;
pub(crate) mod cut;
pub(crate) mod ends;
pub(crate) mod expected;
pub(crate) mod explain;
pub(crate) mod happened;
pub(crate) mod intern;
pub(crate) mod naming;
pub(crate) mod racing;
mod saved;
pub(crate) mod scope;
#[cfg(test)]
mod tests;
#[expect(
    clippy::module_inception,
    reason = "the module's one type has its name"
)]
mod trace;
pub(crate) mod update;
pub(crate) mod write;

pub use check::decide::Mode;
pub(crate) use expected::grammar::check_syntax;
pub use expected::grammar::{Expectation, SyntaxError};
pub use expected::pattern::Pattern;
pub use explain::diagnosis::Mismatch;
pub(crate) use lonet::trace::EventId;
#[doc(inline)]
pub use lonet::trace::{Event, ParseVerbError, Verb};
pub use trace::Trace;
pub use update::source::Expected;

/// What a user writes to have a verb shown that the default view leaves out.
pub(crate) fn method_for(verb: Verb) -> &'static str {
    scope::View::method_for(verb)
}
