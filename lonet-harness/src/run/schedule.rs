//! A schedule as a line of text: a fault at an event (`kill p at p:1 send c:1 #2`), or events in an
//! order (`r:1 recv p:2 before b:1 recv p:1`).
//!
//! Pure. Owns which of both a text is. A map, each knows only what is listed before it:
//!
//! - `words`: the words of a line, and at which of them the message stands for what is not legal;
//! - `point`: an event of one host; `fault`: a fault, alone or at an event; `order`: events in an order.

mod fault;
mod order;
mod point;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

pub(crate) use fault::{FaultAt, FaultLine};
pub(crate) use order::Before;
pub(crate) use point::Point;
pub(crate) use words::Wrong;

use crate::trace::Verb;
use fault::Kind;
use words::Words;

/// What one run of a test is made to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// A fault, at an event.
    Fault(FaultAt),
    /// Events in these orders; at least one.
    Orders(Vec<Before>),
}

impl Schedule {
    /// A schedule.
    ///
    /// # Errors
    ///
    /// What is wrong, and what is legal.
    pub(crate) fn parse(text: &str) -> Result<Schedule, Wrong> {
        let legal = format!(
            "legal are a fault at an event ({}), {}, and events in an order, {}",
            Kind::names(),
            fault::EXAMPLE,
            order::EXAMPLE
        );
        let mut words = Words::of(text);
        match words.next() {
            None => words.wrong(None, format!("the schedule is empty; {legal}")),
            Some((_, word)) if Kind::of(word).is_some() => {
                FaultAt::parse(text).map(Schedule::Fault)
            }
            Some((at, word)) => match is_event(word, &words) {
                true => order::parse(text).map(Schedule::Orders),
                false => words.wrong(
                    Some(at),
                    format!("`{word}` is neither a fault that can be scheduled nor the host of an event; {legal}"),
                ),
            },
        }
    }
}

/// Whether a text that begins with this word, before that rest, seems to be about events.
fn is_event(word: &str, rest: &Words<'_>) -> bool {
    let (_, rest) = rest.rest();
    let mut rest = rest.split_whitespace();
    let is_verb = |word: &str| word.parse::<Verb>().is_ok();
    word == "before"
        || word.contains(':')
        || rest.clone().next().is_some_and(is_verb)
        || rest.any(|word| word == "before")
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Fault(fault) => write!(f, "{fault}"),
            Schedule::Orders(orders) => {
                let orders: Vec<String> = orders.iter().map(Before::to_string).collect();
                f.write_str(&orders.join("; "))
            }
        }
    }
}
