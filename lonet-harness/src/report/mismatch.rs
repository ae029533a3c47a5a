//! The page of an expectation that does not hold.
//!
//! Pure. Owns every word of it but the hints', in this order: the line and what happened instead,
//! why, the difference, a diagram, hints, logs, artifacts, how to update.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use lonet::trace::EventId;

use super::{hint, sequence};
use crate::trace::Mismatch;
use crate::trace::Mode;
use crate::trace::explain::diagnosis::{Advice, Parts};
use crate::trace::explain::hints::Hint;
use crate::trace::explain::look::Overlap;
use crate::trace::explain::look::{ExpectedLine, Problem, line_of};
use crate::trace::explain::nearest::Difference;
use crate::trace::happened::relation::Why;
use crate::trace::write::columns::{aligned, shortened};

/// The whole diagram is left to the artifacts.
const MOST_IN_DIAGRAM: usize = 16;
/// Lines around a difference, and events around a chain of causes.
const CONTEXT: usize = 3;
/// Of a longer difference only the beginning is shown.
const MOST_IN_DIFFERENCE: usize = 100;

/// What surrounds a failure, beyond the trace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// By process, which is its host and, after a comma, which of several that played it: the last
    /// lines that it printed.
    pub(crate) logs: Vec<(String, String)>,
    /// Where the test's artifacts are.
    pub(crate) artifacts: Option<PathBuf>,
    /// Whether the page goes to a terminal.
    pub(crate) colours: bool,
}

/// The page.
pub(crate) fn page(mismatch: &Mismatch, around: &Surroundings) -> String {
    Page {
        parts: mismatch.parts(),
        advice: mismatch.advice(),
        around,
        text: String::new(),
    }
    .write()
}

#[derive(Clone, Copy)]
enum Paint {
    Strong,
    Expected,
    Happened,
}

struct Page<'a> {
    parts: &'a Parts,
    advice: Option<&'a Advice>,
    around: &'a Surroundings,
    text: String,
}

impl Page<'_> {
    fn write(mut self) -> String {
        self.headline();
        if matches!(
            self.parts.problem,
            Problem::Syntax(_) | Problem::Unusable(_) | Problem::Pattern(_)
        ) {
            self.artifacts();
            return self.text;
        }
        self.difference();
        let looks_at_all = matches!(self.parts.problem, Problem::Together(_));
        if self.parts.cut.events().is_empty() && !looks_at_all {
            self.heading("nothing happened that the assertion looks at");
        } else if let Problem::AboveCause {
            other: Some(_),
            chain,
            ..
        } = &self.parts.problem
        {
            // Of order alone: elsewhere the difference shows as much. The page has it, too.
            self.diagram(chain);
        }
        for hint in &self.parts.hints {
            let hint = hint::worded(hint, self.parts);
            let word = self.paint(Paint::Strong, "hint:");
            self.line(&format!("\n{word} {hint}"));
        }
        self.logs();
        self.artifacts();
        self.updating();
        self.text
    }

    fn artifacts(&mut self) {
        if let Some(artifacts) = &self.around.artifacts {
            self.line(&format!("\nartifacts: {}", artifacts.display()));
        }
    }

    fn line(&mut self, text: &str) {
        for line in text.split('\n') {
            let shown = shortened(line);
            self.text.push_str(&shown);
            // What was cut may have ended a colour.
            if self.around.colours && shown.len() < line.len() {
                self.text.push_str("\x1b[0m");
            }
            self.text.push('\n');
        }
    }

    fn heading(&mut self, heading: &str) {
        let heading = self.paint(Paint::Strong, heading);
        self.line(&format!("\n{heading}"));
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.around.colours {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Strong => "1",
            Paint::Expected => "31",
            Paint::Happened => "32",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn event(&self, node: u32) -> String {
        line_of(&self.parts.cut.graph, node)
    }

    fn headline(&mut self) {
        let problem = self.parts.problem.clone();
        match &problem {
            Problem::Syntax(error) => {
                self.line(&format!("invalid expected trace: {error}"));
            }
            Problem::Pattern(why) => self.line(why),
            Problem::Together(overlap) => self.overlap(overlap),
            Problem::Unusable(why) => {
                self.line(&format!("the expected trace can't be used: {why}"));
            }
            Problem::AboveCause {
                line,
                event,
                cause,
                chain,
                other,
                instead,
            } => {
                let place = match (other, self.parts.mode) {
                    (Some(other), Mode::All) => format!("above line {}", other.number),
                    (Some(other), Mode::Some) => format!("below line {}", other.number),
                    (None, _) => "here".to_owned(),
                };
                self.title(line, &format!("can't happen {place}"));
                if self.parts.mode == Mode::All {
                    self.instead(instead);
                    self.line("");
                }
                let (expected, cause_text) =
                    (self.paint(Paint::Expected, &line.text), self.event(*cause));
                let happened_as = match self.event(*event) == line.text {
                    true => String::new(),
                    false => format!(" ({})", self.event(*event)),
                };
                match (other, self.parts.mode) {
                    (Some(_), Mode::All) => self.line(&format!(
                        "`{expected}`{happened_as} stands above `{cause_text}`, which happens before it:"
                    )),
                    (None, Mode::All) => self.line(&format!(
                        "`{cause_text}` happens before `{expected}`{happened_as}, and no line matches it:"
                    )),
                    (_, Mode::Some) => self.line(&format!(
                        "`{cause_text}` happens before `{}`, which a line above matches:",
                        self.event(*event)
                    )),
                }
                self.chain(chain);
            }
            Problem::NotHappened {
                line,
                matched_above,
                instead,
            } => {
                let happened = self.happened(*matched_above);
                self.title(line, &happened);
                if self.parts.mode == Mode::All {
                    self.instead(instead);
                }
            }
            Problem::MoreHappened { events } => {
                let heading = "the expected trace ends, but more happened";
                let heading = self.paint(Paint::Strong, heading);
                self.line(&heading);
                self.instead(events);
            }
            Problem::NotOne {
                line,
                matching,
                candidates,
            } => self.not_one(line, *matching, candidates),
            Problem::OutOfOrder {
                above,
                below,
                events,
                chain,
            } => {
                let title = format!(
                    "not in this order: line {} did not happen after line {}",
                    below.number, above.number
                );
                let title = self.paint(Paint::Strong, &title);
                self.line(&title);
                self.line("");
                for line in [above, below] {
                    self.line(&format!("    line {}: {}", line.number, line.text));
                }
                self.line("");
                let (first, then) = (self.event(events.1), self.event(events.0));
                if events.0 == events.1 {
                    self.line(&format!("both lines match the same event: `{first}`"));
                } else if chain.is_empty() {
                    self.line(&format!(
                        "by the clock, `{first}` happened before `{then}`; no cause orders them"
                    ));
                } else {
                    self.line(&format!("`{first}` happens before `{then}`:"));
                    self.chain(chain);
                }
            }
            Problem::Undecided { line, alike } => {
                let heading =
                    "undecided: the lines of the expected trace match events in too many ways";
                let heading = self.paint(Paint::Strong, heading);
                self.line(&heading);
                self.line(&format!(
                    "the longest beginning known to hold ends above line {}: {}",
                    line.number, line.text
                ));
                self.line("these lines match several concurrent events; tell them apart by marks, or by naming hosts and ports:");
                for line in alike.iter().take(20) {
                    self.line(&format!("    line {}: {}", line.number, line.text));
                }
                if alike.len() > 20 {
                    self.line(&format!("    … and {} more", alike.len() - 20));
                }
            }
        }
    }

    /// A line of an order that means no event, or several.
    fn not_one(&mut self, line: &ExpectedLine, matching: usize, candidates: &[u32]) {
        let title = match matching {
            0 => format!("not in this order: line {} matches no event", line.number),
            _ => format!(
                "not in this order: line {} matches {matching} events and must match exactly one",
                line.number
            ),
        };
        let title = self.paint(Paint::Strong, &title);
        self.line(&title);
        self.line(&format!("\n    line {}: {}\n", line.number, line.text));
        match (matching, candidates) {
            (0, []) => self.line("no similar event happened before the assertion"),
            (0, _) => self.line("similar events before the assertion:"),
            _ => self.line("it matches:"),
        }
        for &event in candidates {
            self.line(&format!("    {}", self.event(event)));
        }
        if matching > candidates.len() {
            self.line(&format!("    … and {} more", matching - candidates.len()));
        }
    }

    /// Intervals that must never overlap, and could.
    fn overlap(&mut self, overlap: &Overlap) {
        let Overlap {
            first,
            then,
            in_run,
            always,
            others,
        } = overlap;
        let quoted = |node: u32| format!("`{}`", self.event(node));
        let (first_start, then_start) = (quoted(first.start), quoted(then.start));
        let (first_end, then_end) = (first.end.map(quoted), then.end.map(quoted));
        let title = match in_run {
            true => format!("overlap: {first_start} and {then_start}"),
            false => format!("possible overlap: {first_start} and {then_start}"),
        };
        let interval = |start: &str, end: &Option<String>| match end {
            Some(end) => format!("    from {start} to {end}"),
            None => format!("    from {start}; no event ends it"),
        };
        let intervals = [
            interval(&first_start, &first_end),
            interval(&then_start, &then_end),
        ];
        // What would keep them apart, in this run's order first.
        let mut gaps = vec![first_end.map(|end| (end, &then_start))];
        if *in_run {
            gaps.push(then_end.map(|end| (end, &first_start)));
        }
        let gaps: Vec<_> = gaps.into_iter().flatten().collect();
        let missing: Vec<String> = gaps
            .iter()
            .map(|(end, start)| format!("{end} before {start}"))
            .collect();
        let missing = match missing.is_empty() {
            true => "neither has an end".to_owned(),
            false => format!("nothing orders {}", missing.join(", or ")),
        };
        let finding = match (in_run, always) {
            (true, true) => "they overlap in every order that this run allows".to_owned(),
            (true, false) => format!("in this run they overlapped, by the clock: {missing}"),
            (false, _) => format!(
                "in this run they did not overlap, by the clock; but it allows that they do: {missing}"
            ),
        };
        let title = self.paint(Paint::Strong, &title);
        self.line(&title);
        self.line(&format!("\n{}\n\n{finding}", intervals.join("\n")));
        match others {
            0 => {}
            1 => self.line("another pair may overlap, too"),
            _ => self.line(&format!("{others} other pairs may overlap, too")),
        }
        if let (false, [(end, start)]) = (in_run, &gaps[..]) {
            self.line(&format!(
                "a run that shows the overlap confirms it; to rule it out, let {start} wait for {end} in a way that lonet sees, such as a message"
            ));
        }
    }

    /// Whether the line's event happened, as far as the assertion sees, and as far as it does not.
    fn happened(&self, matched_above: usize) -> String {
        let elsewhere = self.parts.hints.iter().find_map(|hint| match hint {
            Hint::Concurrent { .. } => Some(("concurrent with the assertion", "before it")),
            Hint::OutsideView { .. } => Some(("outside this view", "within it")),
            _ => None,
        });
        let (times, matched) = match matched_above {
            0 => ("not".to_owned(), ""),
            1 => ("once".to_owned(), ", matched by a line above"),
            times => (format!("{times} times"), ", matched by lines above"),
        };
        match (elsewhere, matched_above) {
            (None, 0) => "did not happen".to_owned(),
            (None, _) => format!("happened only {times}{matched}"),
            (Some((where_else, _)), 0) => format!("happened, but {where_else}"),
            (Some((where_else, here)), _) => {
                format!("happened {where_else}, and {here} {times}{matched}")
            }
        }
    }

    /// What is wrong, and where.
    fn title(&mut self, line: &ExpectedLine, what: &str) {
        let title = format!("trace mismatch at line {}:", line.number);
        let title = self.paint(Paint::Strong, &title);
        let expected = self.paint(Paint::Expected, &line.text);
        self.line(&format!("{title} `{expected}` {what}"));
    }

    fn instead(&mut self, events: &[u32]) {
        match events {
            [] => self.line("nothing more happened"),
            [only] => {
                let event = self.paint(Paint::Happened, &self.event(*only));
                self.line(&format!("happened instead: {event}"));
            }
            several => {
                self.line("happened instead, in any order:");
                for &event in several.iter().take(8) {
                    let event = self.paint(Paint::Happened, &self.event(event));
                    self.line(&format!("    {event}"));
                }
                if several.len() > 8 {
                    self.line(&format!("    … and {} more", several.len() - 8));
                }
            }
        }
    }

    fn chain(&mut self, chain: &[(u32, Why)]) {
        let graph = self.parts.cut.graph.clone();
        // What is not an event shows in why the next event comes after it.
        let mut reasons: Vec<&str> = Vec::new();
        for (index, &(node, why)) in chain.iter().enumerate() {
            if index > 0 && reasons.last() != Some(&reason(why)) {
                reasons.push(reason(why));
            }
            if graph.event(node).is_none() {
                continue;
            }
            let event = self.event(node);
            if index == 0 {
                self.line(&format!("    {event}"));
            } else {
                self.line(&format!("    → {event}    ({})", reasons.join("; ")));
                reasons.clear();
            }
        }
    }

    fn difference(&mut self) {
        let diff = &self.parts.diff;
        let changed = |line: &Difference| !matches!(line, Difference::Same(_));
        if !diff.iter().any(changed) {
            return;
        }
        let mut near: Vec<bool> = (0..diff.len())
            .map(|index| {
                let from = index.saturating_sub(CONTEXT);
                let to = (index + CONTEXT + 1).min(diff.len());
                diff[from..to].iter().any(changed)
            })
            .collect();
        let mut shown = (0..diff.len()).filter(|&index| near[index]);
        let end = shown.nth(MOST_IN_DIFFERENCE).unwrap_or(diff.len());
        near.truncate(end);
        let (diff, left_out) = diff.split_at(end);
        // Columns are as wide as what is shown needs.
        let lines: Vec<_> = diff
            .iter()
            .zip(&near)
            .filter(|(_, near)| **near)
            .map(|(line, _)| match line {
                Difference::Same(words)
                | Difference::Expected(words)
                | Difference::Happened(words) => Ok(words.clone()),
            })
            .collect();
        let text = aligned(&lines);
        let mut texts = text.lines();
        self.heading("the nearest order that could happen (- expected, + happened):");
        let mut skipped = false;
        for (line, near) in diff.iter().zip(near) {
            if !near {
                skipped = true;
                continue;
            }
            if std::mem::take(&mut skipped) {
                self.line("      …");
            }
            let text = texts.next().unwrap_or_default();
            let line = match line {
                Difference::Same(_) => format!("      {text}"),
                Difference::Expected(_) => self.paint(Paint::Expected, &format!("    - {text}")),
                Difference::Happened(_) => self.paint(Paint::Happened, &format!("    + {text}")),
            };
            self.line(&line);
        }
        let differ = left_out.iter().filter(|line| changed(line)).count();
        if self.parts.not_compared > 0 {
            self.line(&format!(
                "      … the other {} lines and events were not compared: too much differs",
                left_out.len() + self.parts.not_compared
            ));
        } else if differ > 0 {
            let place = match self.around.artifacts {
                Some(_) => "; all that happened is in trace.txt, among the artifacts",
                None => "",
            };
            self.line(&format!(
                "      … and {} more lines, of which {differ} differ{place}",
                left_out.len()
            ));
        } else if skipped || !left_out.is_empty() {
            self.line("      …");
        }
    }

    /// Of what happened around the chain of causes.
    fn diagram(&mut self, chain: &[(u32, Why)]) {
        self.heading("what happened (concurrent events stand in some order):");
        let cut = &self.parts.cut;
        let ids = chain.iter().filter_map(|&(node, _)| cut.graph.event(node));
        let ids: BTreeSet<EventId> = ids.map(|event| event.id()).collect();
        let places = (0..).zip(cut.events());
        let mut of_chain = places.filter(|(_, event)| ids.contains(&event.id()));
        let first = of_chain.next().map_or(0, |(place, _)| place);
        let last = of_chain.last().map_or(first, |(place, _)| place);
        let end = (last + 1 + CONTEXT).min(cut.events().len());
        let begin = first.saturating_sub(CONTEXT);
        let range = begin.max(end.saturating_sub(MOST_IN_DIAGRAM))..end;
        let diagram = sequence::diagram_of(cut, range);
        for line in diagram.lines() {
            self.line(&format!("    {line}"));
        }
    }

    fn logs(&mut self) {
        let around = self.around;
        if !around.logs.is_empty() {
            self.heading("the last lines of each log:");
        }
        for (whose, tail) in &around.logs {
            for line in tail.lines() {
                self.line(&format!("    {whose} │ {line}"));
            }
        }
    }

    fn updating(&mut self) {
        if self.parts.mode == Mode::Some {
            return;
        }
        match self.advice {
            Some(Advice::Ask) => self.line(
                "\nto accept what happened, run the test with UPDATE_EXPECT=1",
            ),
            Some(Advice::MoveFromAttribute) => self.line(
                "\nto let UPDATE_EXPECT=1 rewrite the expectation, move it into a file: `trace_file = \"….trace\"` instead of `trace = \"…\"`",
            ),
            Some(Advice::Part(place)) => self.line(&format!(
                "\nnot updated: the expectation at {place} is shared by runs that differ; give each its own",
            )),
            Some(Advice::Move) => self.line(
                "\nto let UPDATE_EXPECT=1 rewrite the expectation, put it into expect![[r#\"…\"#]] or expect_file![…]",
            ),
            None => {}
        }
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Task => "the same task did both",
        Why::Socket => "the same socket",
        Why::Port => "the port had to be free again",
        Why::Connection => "the same connection: dial, accept, connect",
        Why::Payload => "it had read what was written after that",
        Why::Eof => "it had read the end of the stream",
        Why::Killed => "the kill ended the stream",
        Why::Process => "a process starts, acts, then ends",
        Why::Awaited => "it had waited for that",
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&page(self, &Surroundings::default()))
    }
}
