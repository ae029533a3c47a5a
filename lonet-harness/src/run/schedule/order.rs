//! Orders of events, as a line: `r:1 recv p:2 before b:1 recv p:1`, several joined by `; `.
//!
//! Pure. Owns the grammar: where a line is divided, what can wait, and that no order contradicts the
//! others. Does not know what has happened, nor how an event is held.

use std::fmt;

use lonet::trace::EventShape;

use super::point::Point;
use super::words::{Wrong, numbered};
use crate::trace::expected::shape::{Unfit, event_shape, why_not_held, with_bytes};
use crate::trace::write::text::{placed_words, split_words};

/// What an order looks like.
pub(super) const EXAMPLE: &str = "as in `r:1 recv p:2 before b:1 recv p:1`";

const BEFORE: &str = "before";

/// `then` is held until `first` has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) first: Point,
    pub(crate) then: Point,
}

/// A word, and the byte where it begins.
type Placed<'a> = (usize, &'a str);

/// One side of an order.
struct Side {
    /// The byte where it begins.
    at: usize,
    point: Point,
    shape: EventShape,
}

impl Side {
    /// Whether the other is the same event, or a later match of the same line in the same process.
    fn is_not_after(&self, other: &Side) -> bool {
        self.shape == other.shape && self.point.nth <= other.point.nth
    }
}

/// The orders of a text.
///
/// # Errors
///
/// What is wrong, and what is legal.
pub(super) fn parse(text: &str) -> Result<Vec<Before>, Wrong> {
    let mut read: Vec<(Side, Side)> = Vec::new();
    for (end, part) in parts(text) {
        let (first, then) = sides(text, end, &part)?;
        check_consistent(&read, &first, &then)?;
        read.push((first, then));
    }
    let orders = read.into_iter().map(|(first, then)| Before {
        first: first.point,
        then: then.point,
    });
    Ok(orders.collect())
}

/// The words of each order, and the byte where it ends.
fn parts(text: &str) -> Vec<(usize, Vec<Placed<'_>>)> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    for (at, word) in placed_words(text) {
        let own = word.strip_suffix(';').unwrap_or(word);
        if !own.is_empty() {
            part.push((at, own));
        }
        if own != word {
            parts.push((at + own.len(), std::mem::take(&mut part)));
        }
    }
    parts.push((text.trim_end().len(), part));
    parts
}

/// Both sides of one order.
fn sides(text: &str, end: usize, part: &[Placed<'_>]) -> Result<(Side, Side), Wrong> {
    let wrong = |at, message| Err(Wrong { at, message });
    let Some(&(start, _)) = part.first() else {
        let message =
            format!("an order is missing: two events with `{BEFORE}` between them, {EXAMPLE}");
        return wrong(end, message);
    };
    // The first word is a host, whatever its name.
    let befores = part.iter().enumerate().skip(1);
    let mut befores = befores.filter(|(_, (_, word))| *word == BEFORE);
    let Some((middle, &(at, _))) = befores.next() else {
        let given = &text[start..end];
        if part[0].1 == BEFORE {
            let message = format!("the first event is missing: a line of a trace, {EXAMPLE}");
            return wrong(start, message);
        }
        let message =
            format!("`{given}` needs `{BEFORE}` and the event that waits for it, {EXAMPLE}");
        return wrong(end, message);
    };
    if let Some((_, &(again, _))) = befores.next() {
        let message = format!(
            "`{BEFORE}` stands twice in one order: a word of a mark is written quoted, as in \
             `p mark \"{BEFORE}\"`, and `; ` stands between two orders"
        );
        return wrong(again, message);
    }
    let first = side(text, &part[..middle])?;
    let Some(rest @ [_, ..]) = part.get(middle + 1..) else {
        let message = format!("the second event is missing: a line of a trace, {EXAMPLE}");
        return wrong(at + BEFORE.len(), message);
    };
    let then = side(text, rest)?;
    if let Some(why) = why_not_held(then.shape.verb) {
        return wrong(
            then.at,
            format!("{why}; `{BEFORE}` holds the event that follows it"),
        );
    }
    Ok((first, then))
}

/// The event of one side, which has words.
fn side(text: &str, words: &[Placed<'_>]) -> Result<Side, Wrong> {
    let (at, _) = words[0];
    let (last, word) = words[words.len() - 1];
    let (line, nth) = numbered(&text[at..last + word.len()], at, EXAMPLE)?;
    let wrong = |message| Wrong { at, message };
    if line.is_empty() {
        let message = format!("the event is missing: a line of a trace, {EXAMPLE}");
        return Err(wrong(message));
    }
    let compared = |variable: &str| Wrong {
        at: at + line.find(&format!("${variable}")).unwrap_or(0),
        message: format!(
            "${variable} would be compared with nothing: the process that looks for the event knows no other; use `_`"
        ),
    };
    let (pattern, shape) = event_shape(line).map_err(|unfit| match unfit {
        Unfit::Syntax(error) => Wrong::in_line(line, at, error),
        Unfit::Interference(verb) => wrong(format!(
            "`! {verb}` is what the test does; an order has events of hosts, {EXAMPLE}"
        )),
        Unfit::NoHost => wrong(format!(
            "the host must be one host by name: it is that host's process that looks for the event, {EXAMPLE}"
        )),
        Unfit::Repeats(variable) => compared(&variable),
    })?;
    if let Some(variable) = pattern.parsed().variables.first() {
        return Err(compared(&variable.name));
    }
    let point = Point {
        host: shape.host.clone(),
        pattern: with_bytes(&split_words(line).join(" ")).into_owned(),
        nth,
    };
    Ok(Side { at, point, shape })
}

/// That what waits for an event is not what this event waits for, by the orders so far.
///
/// Example: after `a before b; b before c`, an order `c before a` would hold all three for ever.
fn check_consistent(orders: &[(Side, Side)], first: &Side, then: &Side) -> Result<(), Wrong> {
    let wrong = |message| {
        Err(Wrong {
            at: first.at,
            message,
        })
    };
    if then.shape == first.shape {
        let message = match then.point.nth == first.point.nth {
            true => format!("the same event stands on both sides of `{BEFORE}`"),
            false => format!(
                "both sides of `{BEFORE}` are matches of one line, which `#1`, `#2` and so on count in \
                 the order in which they happen"
            ),
        };
        return wrong(message);
    }
    match chain(orders, then, first, &mut Vec::new()) {
        None => Ok(()),
        Some(chain) => {
            let chain: Vec<String> = chain.iter().map(|&order| shown(&orders[order])).collect();
            wrong(format!(
                "nothing could happen: this order contradicts `{}`",
                chain.join("; ")
            ))
        }
    }
}

/// The orders by which the one event comes before the other.
fn chain(
    orders: &[(Side, Side)],
    from: &Side,
    to: &Side,
    seen: &mut Vec<usize>,
) -> Option<Vec<usize>> {
    if from.is_not_after(to) {
        return Some(Vec::new());
    }
    for (index, (first, then)) in orders.iter().enumerate() {
        if !seen.contains(&index) && from.is_not_after(first) {
            seen.push(index);
            if let Some(mut rest) = chain(orders, then, to, seen) {
                rest.insert(0, index);
                return Some(rest);
            }
        }
    }
    None
}

fn shown((first, then): &(Side, Side)) -> String {
    let (first, then) = (first.point.clone(), then.point.clone());
    Before { first, then }.to_string()
}

/// An event as an order has it: a word that would divide the line is quoted.
fn write_event(f: &mut fmt::Formatter<'_>, point: &Point) -> fmt::Result {
    for (index, word) in point.plain_words().iter().enumerate() {
        if index > 0 {
            f.write_str(" ")?;
        }
        match index > 0 && (word == BEFORE || word.ends_with(';')) {
            true => write!(f, "\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))?,
            false => f.write_str(word)?,
        }
    }
    point.write_nth(f)
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_event(f, &self.first)?;
        write!(f, " {BEFORE} ")?;
        write_event(f, &self.then)
    }
}
