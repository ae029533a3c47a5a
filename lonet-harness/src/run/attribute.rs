//! The description of one test by `#[lonet::test]` or `#[lonet::main]`, as data.
//!
//! Written by the macros, read by `run`. Owns no behaviour but the arithmetic of places in the
//! source.

use std::fmt;
use std::time::Duration;

/// One test, as its attribute describes it.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The function's path, with the crate: `crate::module::ping_pong`.
    pub name: &'static str,
    /// Where the function's name stands.
    pub place: Place,
    /// How long it may take, each repetition anew.
    pub timeout: Duration,
    /// The trace that it must leave.
    pub trace: Option<TraceSource>,
    /// How many worker threads its runtime has; `None` is a current-thread runtime.
    pub worker_threads: Option<usize>,
    /// How many times it is run, at least 1, each time on a fresh network.
    pub repeat: u32,
    /// The fault that its body is to meet at every point of a host: `sweep = "…"`.
    pub sweep: Option<Literal>,
    /// For how long both orders of its races are tried: `search = "…"`.
    pub search: Option<Duration>,
    /// The fault that its body meets, and the event at which, or an order of events: `schedule = "…"`.
    pub schedule: Option<Literal>,
}

/// Where the expected trace of a test is written.
#[derive(Clone, Debug)]
pub enum TraceSource {
    /// In the attribute: `trace = "…"`.
    Text(Literal),
    /// In a file beside the source file: `trace_file = "…"`.
    File {
        /// Relative to the directory of the source file.
        path: &'static str,
        /// Where the literal begins.
        place: Place,
    },
}

/// A string literal in an attribute.
#[derive(Clone, Copy, Debug)]
pub struct Literal {
    /// The literal's value.
    pub text: &'static str,
    /// Where the literal begins.
    pub place: Place,
    /// For each line of `text` where its first character stands in the source: lines below
    /// the literal's own, and characters right of the literal (on its own line) or of the
    /// left margin (on a further one).
    pub lines: &'static [(u32, u32)],
}

/// A place in the source. Prints as `src/lib.rs:10:3`, which terminals and editors follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as rustc names it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl Spec {
    /// The timeout of a test whose attribute says none.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    /// The name that libtest and nextest know the test by: its path without the crate.
    pub(crate) fn test_name(&self) -> &'static str {
        self.name
            .split_once("::")
            .map_or(self.name, |(_, name)| name)
    }
}

impl TraceSource {
    /// Where a character of an expected trace in an attribute stands in the source. In a file: the
    /// place in it is line and column themselves, so this gives where the file is named.
    pub(crate) fn place_of(&self, line: u32, column: u32) -> Place {
        match self {
            TraceSource::File { place, .. } => *place,
            TraceSource::Text(text) => text.place_of(line, column),
        }
    }
}

impl Literal {
    /// Where a character of the text stands in the source, given its line and its column in the
    /// text, both from 1. Exact unless an escape stands before it on the same line.
    pub(crate) fn place_of(&self, line: u32, column: u32) -> Place {
        let at = line.saturating_sub(1) as usize;
        let Some(&(below, right)) = self.lines.get(at).or(self.lines.last()) else {
            return self.place;
        };
        let margin = if below == 0 { self.place.column } else { 1 };
        Place {
            file: self.place.file,
            line: self.place.line + below,
            column: margin + right + column.saturating_sub(1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lines: &'static [(u32, u32)], line: u32, column: u32) -> String {
        let place = Place {
            file: "a.rs",
            line: 10,
            column: 24,
        };
        Literal {
            text: "",
            place,
            lines,
        }
        .place_of(line, column)
        .to_string()
    }

    #[test]
    fn literal_positions_map_to_source_positions() {
        assert_eq!(at(&[(0, 1)], 1, 1), "a.rs:10:25");
        assert_eq!(at(&[(0, 1)], 1, 5), "a.rs:10:29");
        assert_eq!(at(&[(0, 1), (1, 0)], 2, 5), "a.rs:11:5");
        // `"…\n…"`: the second line of the text stands on the literal's own.
        assert_eq!(at(&[(0, 1), (0, 9)], 2, 1), "a.rs:10:33");
        // `"…\` and a new line: the text goes on after the blanks.
        assert_eq!(at(&[(0, 1), (2, 4)], 2, 1), "a.rs:12:5");
    }

    #[test]
    fn the_end_of_the_text_has_a_place_too() {
        assert_eq!(at(&[], 1, 1), "a.rs:10:24");
        assert_eq!(at(&[(0, 1)], 9, 1), "a.rs:10:25");
    }
}
