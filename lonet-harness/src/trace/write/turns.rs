//! The text that holds of several runs: what is ordered in any of them stands in that order, and
//! what stands in no order that all of them allow becomes a block.
//!
//! Pure. Takes the events of each run with their order, and the text that is to be brought up to
//! date. The orders of all runs are taken together, as orders of the lines of one text. Lines on a
//! common cycle become one block; the rest stands in an order within all of them. An example, of two
//! runs of one program:
//!
//! ```text
//! one → bytes → command → end          α mark one
//! one → command → bytes → end          | α mark bytes
//!                                      | α mark command
//!                                      α mark end
//! ```
//!
//! The old text may be what another run of the same program taught. So where all its lines are still
//! there, it counts as one more run, for those of its lines that the runs order the other way round:
//! with `x`, `y` as the old text and a run that orders y → x, the two become a block. Otherwise each
//! update would write the order that it happens to see. A text that no run can have taught, since it
//! has a connection's events in an order that no block forgives, teaches nothing.
//!
//! Which event a line matches is found by what it says: of equal lines, the first one matches the
//! first event by the clock. Does not know how many runs there have to be, nor where texts stand.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::trace::check::blocks::Kept;
use crate::trace::check::decide::{Mode, decide};
use crate::trace::check::outcome::{Outcome, counts, names_port};
use crate::trace::cut::Cut;
use crate::trace::expected::grammar::Expectation;
use crate::trace::expected::lookup;
use crate::trace::expected::pattern::{Bindings, Fields, unify};
use crate::trace::happened::graph::Graph;
use crate::trace::intern::hash_index::{FastMap, NONE};
use crate::trace::scope::Scope;
use crate::trace::write::columns::aligned;
use crate::trace::write::text::{self, barred, split_words};

/// The most that is tried to find the events of lines that leave something open.
const MOST_TRIES: usize = 100_000;

/// What an assertion looked at in one run.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) scope: &'a Scope,
}

impl<'a> Seen<'a> {
    pub(crate) fn of(cut: &'a Cut) -> Seen<'a> {
        Seen {
            graph: &cut.graph,
            scope: cut.scope(),
        }
    }
}

/// Why no text holds of all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Differ {
    /// In this run, by its place, something else happened than this text says.
    Events { run: usize, text: String },
    /// Lines of one connection stood in one order in this run, and in the other in that one.
    Connection {
        lines: (String, String),
        runs: (usize, usize),
    },
}

/// What the old text has to be replaced by to hold of all runs; nothing if it does as it is.
///
/// # Errors
///
/// No text holds of all.
pub(crate) fn agreed(old: &Expectation, seen: &[Seen<'_>]) -> Result<Option<String>, Differ> {
    if seen.iter().all(|run| stays(run, old)) {
        return Ok(None);
    }
    let (base, events) = common_lines(old, seen)?;
    let mut orders = Orders::new(base.lines.len());
    let assigned = seen.first().and_then(|seen| by_clock(seen, old));
    match &assigned {
        Some(assigned) => {
            let line: FastMap<u32, usize> = events[0].iter().copied().zip(0..).collect();
            orders.keep_blocks(old, assigned.iter().map(|event| Some(line[event])));
        }
        None => orders.keep_blocks(old, same_words(old, &base).into_iter()),
    }
    for (run, (seen, events)) in seen.iter().zip(&events).enumerate() {
        orders.add(run, seen, &base, events);
    }
    if let Some(assigned) = assigned {
        orders.add_old(old, &assigned, &events[0]);
    }
    let places = orders.sorted(&base)?;
    let text = match old.lines.is_empty() {
        // All of the old text stands above the first line.
        true => aligned(&comments(&old.source)) + &written(&base, &places),
        false => written(&base, &places),
    };
    let parsed = Expectation::parse(&text).expect("lines of a text are lines of a text");
    let fails = |run: &Seen<'_>| !holds(run, &parsed);
    if let Some(run) = seen.iter().position(fails) {
        return Err(Differ::Events { run, text });
    }
    Ok(Some(text))
}

/// Whether a text holds of a run, and will in others like it.
pub(crate) fn stays(run: &Seen<'_>, text: &Expectation) -> bool {
    text::updated(run.graph, run.scope, text).is_none()
}

fn holds(run: &Seen<'_>, text: &Expectation) -> bool {
    let outcome = decide(run.graph, run.scope, text, Mode::All);
    matches!(outcome, Outcome::Holds(_))
}

/// Lines for what happened in each run, and by run the event of each line. Which ports
/// raced may show in a later run only: then its lines are taken, if they tell of the earlier runs.
fn common_lines(
    old: &Expectation,
    seen: &[Seen<'_>],
) -> Result<(Expectation, Vec<Vec<u32>>), Differ> {
    let mut base = old.clone();
    if old.lines.is_empty() {
        base = Expectation::parse("").expect("nothing is a legal text");
    }
    for (run, here) in seen.iter().enumerate() {
        let fits = by_clock(here, &base).is_some();
        let Some(new) = text::updated(here.graph, here.scope, &base) else {
            continue;
        };
        let new = Expectation::parse(&new).expect("what is written is a text");
        let says_the_same = fits && same_lines(&base, &new);
        if says_the_same && run > 0 {
            continue;
        }
        let tells_of_all = seen[..run].iter().all(|run| by_clock(run, &new).is_some());
        match (tells_of_all, fits) {
            (true, _) => base = new,
            (false, true) => {}
            (false, false) => {
                let text = base.source;
                return Err(Differ::Events { run, text });
            }
        }
    }
    let mut events = Vec::with_capacity(seen.len());
    for (run, here) in seen.iter().enumerate() {
        let found = by_clock(here, &base);
        let text = || base.source.clone();
        events.push(found.ok_or_else(|| Differ::Events { run, text: text() })?);
    }
    Ok((base, events))
}

fn same_lines(one: &Expectation, other: &Expectation) -> bool {
    let lines = |of: &Expectation| {
        let mut lines: Vec<_> = (0..of.lines.len())
            .map(|l| split_words(of.text(l)))
            .collect();
        lines.sort();
        lines
    };
    lines(one) == lines(other)
}

/// By line of the old text: the one that has the same words now.
fn same_words(old: &Expectation, now: &Expectation) -> Vec<Option<usize>> {
    let mut lines: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for line in (0..now.lines.len()).rev() {
        let words = split_words(now.text(line));
        lines.entry(words).or_default().push(line);
    }
    let take = |line| lines.get_mut(&split_words(old.text(line)))?.pop();
    (0..old.lines.len()).map(take).collect()
}

/// By line: its event, whatever the order. Of equal events, the first by the clock is that of the
/// first line. Nothing if some line has none, or some event no line.
fn by_clock(run: &Seen<'_>, of: &Expectation) -> Option<Vec<u32>> {
    let Seen { graph, scope } = *run;
    if of.lines.len() != scope.events.len() {
        return None;
    }
    let mut events = scope.events.clone();
    let time = |node| graph.record(node).map_or(0, |(_, record)| record.t);
    events.sort_by_key(|&node| (time(node), node));
    let mut by_label: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for &node in events.iter().rev() {
        by_label
            .entry(graph.label_of[node as usize])
            .or_default()
            .push(node);
    }
    let mut found = vec![NONE; of.lines.len()];
    let mut open = Vec::new();
    for (line, label) in lookup::labels(graph, of).into_iter().enumerate() {
        if !of.lines[line].shape.is_concrete() {
            open.push(line);
        } else {
            found[line] = by_label.get_mut(&label)?.pop()?;
        }
    }
    let taken: BTreeSet<u32> = found.iter().copied().collect();
    events.retain(|node| !taken.contains(node));
    let mut matching = Matching {
        graph,
        of,
        bindings: Bindings::new(of.variables.len()),
        tries: 0,
    };
    matching
        .match_all(&open, events, &mut found)
        .then_some(found)
}

/// Finds an event for each line that leaves something open.
struct Matching<'a> {
    graph: &'a Graph,
    of: &'a Expectation,
    bindings: Bindings,
    tries: usize,
}

impl Matching<'_> {
    /// From the first line on; back to the latest that has another choice where one has none.
    fn match_all(&mut self, lines: &[usize], mut left: Vec<u32>, found: &mut [u32]) -> bool {
        // By line so far: where among what was left its event stood, and the bindings before it.
        let mut chosen: Vec<(usize, usize)> = Vec::new();
        let mut from = 0;
        while let Some(&line) = lines.get(chosen.len()) {
            let bound = self.bindings.mark();
            match (from..left.len()).find(|&at| self.matches(line, left[at], bound)) {
                Some(at) => {
                    found[line] = left.remove(at);
                    chosen.push((at, bound));
                    from = 0;
                }
                None => {
                    let Some((at, bound)) = chosen.pop() else {
                        return false;
                    };
                    left.insert(at, found[lines[chosen.len()]]);
                    self.bindings.undo_to(bound);
                    from = at + 1;
                }
            }
            if self.tries > MOST_TRIES {
                return false;
            }
        }
        true
    }

    fn matches(&mut self, line: usize, node: u32, bound: usize) -> bool {
        self.tries += 1;
        let label = self.graph.labels.label(self.graph.label_of[node as usize]);
        let fields = Fields::of_label(label, &self.graph.hosts);
        let shape = &self.of.lines[line].shape;
        let matches = unify(shape, self.of, &fields, &mut self.bindings);
        if !matches {
            self.bindings.undo_to(bound);
        }
        matches
    }
}

/// Where a line stands.
struct Place {
    line: usize,
    /// Which block it belongs to, if any.
    block: Option<usize>,
}

/// The orders of all runs, taken together.
struct Orders {
    /// By line: the lines that stand below it.
    below: Vec<BTreeSet<usize>>,
    /// Lines of one connection, or a `listen` and its accept: in order, the run that orders them.
    kept: BTreeMap<(usize, usize), usize>,
}

impl Orders {
    fn new(lines: usize) -> Orders {
        Orders {
            below: vec![BTreeSet::new(); lines],
            kept: BTreeMap::new(),
        }
    }

    /// What of an old block is still there stays a block. By old line: the line that it is now.
    fn keep_blocks(&mut self, old: &Expectation, now: impl Iterator<Item = Option<usize>>) {
        let mut latest: Option<(Option<u32>, usize)> = None;
        for (line, at) in old.lines.iter().zip(now) {
            let Some(at) = at else { continue };
            if let Some((block, other)) = latest
                && line.block.is_some()
                && block == line.block
            {
                self.below[at].insert(other);
                self.below[other].insert(at);
            }
            latest = Some((line.block, at));
        }
    }

    fn add(&mut self, run: usize, seen: &Seen<'_>, base: &Expectation, events: &[u32]) {
        let Seen { graph, scope } = *seen;
        let kept = Kept::find(graph);
        let lines = events.iter().zip(0usize..);
        let line: FastMap<u32, usize> = lines.map(|(&node, line)| (node, line)).collect();
        for (below, &event) in events.iter().enumerate() {
            let named = names_port(&base.lines[below].shape);
            for cause in latest_causes(seen, event, named) {
                self.below[line[&cause]].insert(below);
            }
            for cause in kept.before(graph, scope, event) {
                self.kept.entry((line[&cause], below)).or_insert(run);
            }
        }
    }

    /// The old text as one more run, of whose lines each match one of these events. Which of its
    /// orders were certain is not known: those count that the runs contradict.
    fn add_old(&mut self, old: &Expectation, assigned: &[u32], events: &[u32]) {
        let index: FastMap<u32, usize> = assigned.iter().copied().zip(0..).collect();
        let index: Vec<usize> = events.iter().map(|event| index[event]).collect();
        let is_impossible = |&(above, below): &(usize, usize)| index[above] > index[below];
        if self.kept.keys().any(is_impossible) {
            return;
        }
        // Lines of a block stand at one place.
        let mut first: BTreeMap<u32, usize> = BTreeMap::new();
        let mut place_of = |line: usize| match old.lines[line].block {
            Some(block) => *first.entry(block).or_insert(line),
            None => line,
        };
        let places: Vec<usize> = (0..old.lines.len()).map(&mut place_of).collect();
        let place: Vec<usize> = index.into_iter().map(|line| places[line]).collect();
        let edges = self.below.iter().enumerate();
        let mut edges = edges.flat_map(|(above, below)| below.iter().map(move |&b| (above, b)));
        if !edges.any(|(above, below)| place[above] > place[below]) {
            return;
        }
        let mut contradicted = Vec::new();
        for line in 0..self.below.len() {
            let mut seen = vec![false; self.below.len()];
            let mut todo = vec![line];
            while let Some(above) = todo.pop() {
                for &below in &self.below[above] {
                    if !std::mem::replace(&mut seen[below], true) {
                        todo.push(below);
                    }
                }
            }
            let below = (0..seen.len()).filter(|&below| seen[below] && place[below] < place[line]);
            contradicted.extend(below.map(|below| (below, line)));
        }
        for (above, below) in contradicted {
            self.below[above].insert(below);
        }
    }

    /// The lines in an order within all of them, those of a block one after the other.
    fn sorted(&self, base: &Expectation) -> Result<Vec<Place>, Differ> {
        let component = self.components();
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (line, &of) in component.iter().enumerate() {
            members.entry(of).or_default().push(line);
        }
        let edges = self.below.iter().enumerate();
        let edges = edges.flat_map(|(above, below)| below.iter().map(move |&below| (above, below)));
        let between = edges.map(|(above, below)| (component[above], component[below]));
        let between = between.filter(|(above, below)| above != below);
        // A component is known by its first line: the one that stands highest comes first.
        let components = sorted(members.keys().copied(), between);
        let mut places = Vec::with_capacity(component.len());
        for first in components.expect("what is left between blocks has no cycle") {
            let lines = &members[&first];
            let inside = |line: &usize| component[*line] == first;
            let kept = self.kept.keys().copied();
            let kept = kept.filter(|(above, below)| inside(above) && inside(below));
            let order = sorted(lines.iter().copied(), kept);
            let order = order.ok_or_else(|| self.contradiction(base, lines))?;
            let block = (lines.len() > 1).then_some(first);
            places.extend(order.into_iter().map(|line| Place { line, block }));
        }
        Ok(places)
    }

    /// By line: the first line of those that are on a common cycle with it.
    fn components(&self) -> Vec<usize> {
        let lines = self.below.len();
        let mut above: Vec<Vec<usize>> = vec![Vec::new(); lines];
        for (line, below) in self.below.iter().enumerate() {
            for &other in below {
                above[other].push(line);
            }
        }
        // The lines by when all below them was seen; then, from the latest, what leads to each.
        let mut seen = vec![false; lines];
        let mut done = Vec::with_capacity(lines);
        for start in 0..lines {
            let mut todo = vec![(start, false)];
            while let Some((line, left)) = todo.pop() {
                if left {
                    done.push(line);
                } else if !std::mem::replace(&mut seen[line], true) {
                    todo.push((line, true));
                    todo.extend(self.below[line].iter().map(|&other| (other, false)));
                }
            }
        }
        let mut component = vec![usize::MAX; lines];
        for &start in done.iter().rev() {
            if component[start] != usize::MAX {
                continue;
            }
            let mut members = Vec::new();
            let mut todo = vec![start];
            while let Some(line) = todo.pop() {
                if component[line] == usize::MAX {
                    component[line] = start;
                    members.push(line);
                    todo.extend(&above[line]);
                }
            }
            let first = members.iter().copied().min().unwrap_or(start);
            for line in members {
                component[line] = first;
            }
        }
        component
    }

    /// Two lines of a block that runs order in both ways, although a block does not forgive that.
    fn contradiction(&self, base: &Expectation, lines: &[usize]) -> Differ {
        let both = |&(above, below): &(usize, usize)| self.kept.contains_key(&(below, above));
        let pairs = self.kept.keys().copied();
        let inside = pairs.filter(|(above, below)| lines.contains(above) && lines.contains(below));
        let inside: Vec<_> = inside.collect();
        let pair = inside
            .iter()
            .copied()
            .find(both)
            .or(inside.first().copied());
        let (above, below) = pair.unwrap_or_default();
        let words = |line| split_words(base.text(line)).join(" ");
        let run = |pair| self.kept.get(&pair).copied().unwrap_or_default();
        Differ::Connection {
            lines: (words(above), words(below)),
            runs: (run((above, below)), run((below, above))),
        }
    }
}

/// The latest events of the view that happen before this one.
fn latest_causes(seen: &Seen<'_>, event: u32, names_port: bool) -> Vec<u32> {
    let Seen { graph, scope } = *seen;
    let mut found = Vec::new();
    let mut passed = BTreeSet::new();
    let mut todo = vec![event];
    while let Some(node) = todo.pop() {
        for (cause, why) in graph.before(node) {
            let follows = counts(why, names_port && node == event);
            if !follows || !scope.members[cause as usize] || !passed.insert(cause) {
                continue;
            }
            match scope.shown[cause as usize] {
                true => found.push(cause),
                false => todo.push(cause),
            }
        }
    }
    found
}

/// Things in an order that has the first of each pair above the second; of several that may come
/// next, the least. Nothing if they form a cycle.
fn sorted(
    things: impl Iterator<Item = usize>,
    pairs: impl Iterator<Item = (usize, usize)>,
) -> Option<Vec<usize>> {
    let mut waits: BTreeMap<usize, usize> = things.map(|thing| (thing, 0)).collect();
    let mut below: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (one, two) in pairs {
        if below.entry(one).or_default().insert(two) {
            *waits.entry(two).or_default() += 1;
        }
    }
    let free = waits.iter().filter(|(_, waits)| **waits == 0);
    let mut free: BinaryHeap<_> = free.map(|(&thing, _)| Reverse(thing)).collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(Reverse(thing)) = free.pop() {
        order.push(thing);
        for other in below.get(&thing).into_iter().flatten() {
            if let Some(waits) = waits.get_mut(other) {
                *waits -= 1;
                if *waits == 0 {
                    free.push(Reverse(*other));
                }
            }
        }
    }
    (order.len() == waits.len()).then_some(order)
}

/// The comments of a text that is nothing else.
fn comments(text: &str) -> Vec<Result<Vec<String>, String>> {
    let lines = text.trim().lines().map(|line| Err(line.trim().to_owned()));
    lines.collect()
}

/// The text, lines where they have their place, each with the comments above it.
fn written(base: &Expectation, places: &[Place]) -> String {
    let mut comments: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut lines = base.lines.iter().enumerate().peekable();
    let mut pending = Vec::new();
    let mut header = None;
    for (number, text) in (1u32..).zip(base.source.split('\n')) {
        match lines.peek() {
            Some((index, line)) if line.number == number => {
                // Those above the first line belong to the text.
                let above = std::mem::take(&mut pending);
                match header {
                    None => header = Some(above),
                    Some(_) => drop(comments.insert(*index, above)),
                }
                lines.next();
            }
            _ => pending.push(text.trim().to_owned()),
        }
    }
    let mut text: Vec<Result<Vec<String>, String>> = Vec::new();
    text.extend(header.unwrap_or_default().into_iter().map(Err));
    let mut above = None;
    for place in places {
        let inside = above.is_some() && above == place.block;
        if !inside && above.is_some() && place.block.is_some() {
            text.push(Err(String::new()));
        }
        let comments = comments.remove(&place.line).unwrap_or_default();
        let comments = comments
            .into_iter()
            .filter(|text| !inside || !text.is_empty());
        text.extend(comments.map(Err));
        let words = split_words(base.text(place.line));
        text.push(Ok(match place.block {
            Some(_) => barred(words),
            None => words,
        }));
        above = place.block;
    }
    text.extend(pending.into_iter().map(Err));
    let blank = |line: &Result<Vec<String>, String>| matches!(line, Err(text) if text.is_empty());
    text.dedup_by(|a, b| blank(a) && blank(b));
    while text.last().is_some_and(blank) {
        text.pop();
    }
    let leading = text.iter().take_while(|line| blank(line)).count();
    aligned(&text[leading..])
}
