//! The matcher against one that tries everything, on small cases; and mutated expectations.

use std::collections::BTreeMap;

use lonet::trace::EventId;
use proptest::prelude::*;

use super::simulation::{Allowed, numbers, simulate};
use super::world::{TEST, World};
use crate::trace::check::decide::decide;
use crate::trace::check::outcome::Outcome;
use crate::trace::expected::grammar::Expectation;
use crate::trace::{Event, Mode, Trace};

/// A line of the small cases: host and word, `_`, or a variable by number.
pub(super) type Line = (String, String);

/// Tries every assignment.
pub(super) struct Everything<'a> {
    pub(super) trace: &'a Trace,
    pub(super) events: &'a [Event],
    pub(super) lines: &'a [Line],
    /// By line: the block that it belongs to.
    pub(super) blocks: &'a [Option<usize>],
    pub(super) mode: Mode,
}

impl Everything<'_> {
    pub(super) fn holds(&self) -> bool {
        let fits = self.mode == Mode::Some || self.lines.len() == self.events.len();
        fits && self.from(&mut Vec::new())
    }

    fn from(&self, chosen: &mut Vec<usize>) -> bool {
        if chosen.len() == self.lines.len() {
            return self.fits(chosen);
        }
        for index in 0..self.events.len() {
            if !chosen.contains(&index) {
                chosen.push(index);
                if self.from(chosen) {
                    return true;
                }
                chosen.pop();
            }
        }
        false
    }

    fn fits(&self, chosen: &[usize]) -> bool {
        let mut bound: BTreeMap<String, String> = BTreeMap::new();
        let mut hosts: BTreeMap<String, String> = BTreeMap::new();
        for ((host, word), &index) in self.lines.iter().zip(chosen) {
            let event = &self.events[index];
            for (pattern, value, is_host) in
                [(host, event.host(), true), (word, event.text(), false)]
            {
                if pattern.starts_with('$') {
                    let known = bound.entry(pattern.clone()).or_insert(value.to_owned());
                    if known != value {
                        return false;
                    }
                    if is_host {
                        hosts.insert(pattern.clone(), value.to_owned());
                    }
                } else if pattern != "_" && pattern != value {
                    return false;
                }
            }
        }
        let mut different: Vec<_> = hosts.values().collect();
        different.sort();
        different.dedup();
        if different.len() != hosts.len() {
            return false;
        }
        (0..chosen.len()).all(|above| {
            (above + 1..chosen.len()).all(|below| {
                let block = self.blocks.get(above).copied().flatten();
                if block.is_some() && block == self.blocks[below] {
                    return true;
                }
                let (above, below) = (&self.events[chosen[above]], &self.events[chosen[below]]);
                !self.trace.cut.graph.happens_before(below.id(), above.id())
            })
        })
    }
}

/// Marks of few texts by few tasks, some of which wait for one another.
pub(super) fn marks(steps: &[(u8, u8, u8)]) -> Trace {
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("β"));
    let tasks = [a, w.task(a), b, w.task(b)];
    let mut marks: Vec<EventId> = Vec::new();
    for &(task, text, waits) in steps {
        let task = tasks[task as usize % 4];
        if let Some(&event) = marks.get(waits as usize) {
            w.until(task, event);
        }
        marks.push(w.mark(task, ["x", "y"][text as usize % 2]));
    }
    w.join(a);
    w.join(b);
    w.trace()
}

fn text(lines: &[Line]) -> String {
    let line = |(host, word): &Line| format!("{host} mark {word}\n");
    lines.iter().map(line).collect()
}

pub(super) fn a_line() -> impl Strategy<Value = Line> {
    let host = prop::sample::select(vec!["α", "β", "_", "$h", "$i"]);
    let word = prop::sample::select(vec!["x", "y", "_", "$v", "$w"]);
    (host, word).prop_map(|(host, word)| (host.to_owned(), word.to_owned()))
}

proptest! {
    #![proptest_config(super::cases(if cfg!(debug_assertions) { 400 } else { 4000 }))]

    #[test]
    fn any_lines(
        steps in prop::collection::vec((0u8..4, 0u8..2, 0u8..9), 0..6),
        lines in prop::collection::vec(a_line(), 0..6),
    ) {
        let trace = marks(&steps);
        check(&trace, &lines)?;
    }

    /// Lines made from the events, so that they often hold.
    #[test]
    fn likely_lines(
        steps in prop::collection::vec((0u8..4, 0u8..2, 0u8..9), 1..6),
        opened in prop::collection::vec((0u8..4, 0u8..4), 6),
        swapped in 0usize..12,
    ) {
        let trace = marks(&steps);
        let mut lines: Vec<Line> = Vec::new();
        for (event, (host, word)) in trace.events().iter().zip(opened) {
            lines.push((
                [event.host(), event.host(), "_", "$h"][host as usize].to_owned(),
                [event.text(), event.text(), "_", "$v"][word as usize].to_owned(),
            ));
        }
        if swapped + 1 < lines.len() {
            lines.swap(swapped, swapped + 1);
        }
        check(&trace, &lines)?;
        lines.pop();
        check(&trace, &lines)?;
    }
}

fn check(trace: &Trace, lines: &[Line]) -> Result<(), TestCaseError> {
    let parsed = Expectation::parse(&text(lines)).unwrap();
    for mode in [Mode::All, Mode::Some] {
        let events = trace.events();
        let truth = Everything {
            trace,
            events,
            lines,
            blocks: &[],
            mode,
        }
        .holds();
        let found = trace.cut.check_parsed(&parsed, mode);
        prop_assert_eq!(
            found.is_ok(),
            truth,
            "{:?}\n{}\nof\n{}",
            mode,
            text(lines),
            trace
        );
    }
    Ok(())
}

/// The lines of a trace, every port as it was.
pub(super) fn plain(trace: &Trace) -> Vec<String> {
    trace.events().iter().map(Event::to_string).collect()
}

pub(super) fn holds(trace: &Trace, lines: &[String]) -> bool {
    let parsed = Expectation::parse(&lines.join("\n")).unwrap();
    let outcome = decide(&trace.cut.graph, trace.cut.scope(), &parsed, Mode::All);
    matches!(outcome, Outcome::Holds(_))
}

#[track_caller]
pub(super) fn rejected(trace: &Trace, lines: &[String], what: &str) {
    let text = lines.join("\n");
    assert!(
        !holds(trace, lines),
        "{what} is accepted:\n{text}\nof\n{trace}"
    );
}

/// The page of the mismatch, which must say this.
#[track_caller]
fn reason(trace: &Trace, lines: &[String], says: &str) {
    let page = trace.check(lines.join("\n")).unwrap_err().to_string();
    assert!(page.contains(says), "{says:?} is not in\n{page}");
}

/// What a slip of the pen does to an expectation that holds.
#[test]
fn mutations_are_rejected_and_legal_orders_are_not() {
    let (mut ordered, mut concurrent) = (0, 0);
    for seed in 0..40 {
        let allowed = Allowed {
            untraced: seed % 2 == 0,
            unique: true,
        };
        let mut world = simulate(&numbers(seed, 150), allowed);
        world.until(TEST, (1, 1).into());
        let trace = Trace::whole(std::sync::Arc::new(world.graph()));
        let lines = plain(&trace);
        let events = trace.events();
        trace.assert(lines.join("\n"));
        let told = seed as usize % lines.len();
        for index in 0..lines.len() {
            let mut dropped = lines.clone();
            dropped.remove(index);
            rejected(&trace, &dropped, "a dropped line");
            if index == told {
                reason(&trace, &dropped, &lines[index]);
            }
            let mut doubled = lines.clone();
            doubled.insert(index, lines[index].clone());
            rejected(&trace, &doubled, "a doubled line");
            if index == told {
                reason(&trace, &doubled, "matched by a line above");
            }
            let mut relabelled = lines.clone();
            relabelled[index] = lines[index].replace(events[index].host(), "ω");
            rejected(&trace, &relabelled, "another host");
            if index == told {
                reason(&trace, &relabelled, &format!("line {}", index + 1));
            }
            if index + 1 == lines.len() {
                continue;
            }
            let mut swapped = lines.clone();
            swapped.swap(index, index + 1);
            let (a, b) = (&events[index], &events[index + 1]);
            let unique = |line: &String| lines.iter().filter(|other| *other == line).count() == 1;
            let node = |event: &Event| trace.cut.graph.node(event.id()).unwrap();
            if !trace.cut.graph.reaches(node(a), node(b)) {
                assert!(
                    holds(&trace, &swapped),
                    "{}\nof\n{trace}",
                    swapped.join("\n")
                );
                concurrent += 1;
            } else if unique(&lines[index]) || unique(&lines[index + 1]) {
                rejected(&trace, &swapped, "a swap of ordered lines");
                if ordered % 16 == 0 && unique(&lines[index]) && unique(&lines[index + 1]) {
                    let says = format!("`{b}` stands above `{a}`, which happens before it:");
                    reason(&trace, &swapped, &says);
                }
                ordered += 1;
            }
        }
    }
    assert!(
        ordered > 500 && concurrent > 500,
        "{ordered} ordered, {concurrent} concurrent"
    );
}

#[test]
fn texts_hold_and_are_left_alone() {
    for seed in 0..60 {
        let allowed = Allowed {
            untraced: true,
            unique: seed % 3 != 0,
        };
        let world = simulate(&numbers(seed + 1000, 120), allowed);
        let trace = Trace::whole(std::sync::Arc::new(world.graph()));
        let text = trace.to_string();
        trace.assert(&text);
        let parsed = Expectation::parse(&text).unwrap();
        let again =
            crate::trace::write::text::updated(&trace.cut.graph, trace.cut.scope(), &parsed);
        assert_eq!(again, None, "{text}");
        // Every event parses as a line, and matches it.
        for event in trace.events() {
            let pattern = crate::trace::Pattern::parse(&event.to_string()).unwrap();
            assert!(pattern.matches(event), "{event}");
        }
    }
}

#[test]
fn beyond_the_bound_the_message_says_which_lines_are_alike() {
    let mut w = World::new();
    let a = w.spawn("α");
    let tasks: Vec<_> = (0..24).map(|_| w.task(a)).collect();
    for (index, &task) in tasks.iter().enumerate() {
        w.mark(task, "x");
        w.mark(task, &format!("only{index}"));
    }
    w.join(a);
    let trace = w.trace();
    // Each x has something behind it: none can be the last.
    let mut lines = vec!["α mark _".to_owned(); 47];
    lines.push("α mark x".to_owned());
    let mismatch = trace.check(lines.join("\n")).unwrap_err();
    let page = mismatch.to_string();
    assert!(
        page.contains("undecided: ") && page.contains("α mark _"),
        "{page}"
    );
}
