//! The order that could happen and is nearest to an expectation that does not hold, as a difference.
//!
//! Pure. Owns which line matches which event where not all lines can stay as they are, and where
//! the events without a line stand: as low as what comes of them allows. A line that could happen
//! where it stands is never shown as another's fault.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use lonet::trace::Verb;

use crate::trace::check::outcome::{Outcome, counts, names_port};
use crate::trace::check::search;
use crate::trace::cut::Cut;
use crate::trace::expected::grammar::{Expectation, Term};
use crate::trace::expected::pattern::Bindings;
use crate::trace::explain::look::{Look, fields};
use crate::trace::happened::graph::Graph;
use crate::trace::happened::racing_ports::Races;
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::FastMap;
use crate::trace::scope::Scope;
use crate::trace::write::text;

/// The most states that one try visits beyond its first descent.
const MOST_STATES: usize = 200;
/// The most nodes and lines that all tries look at together.
const MOST_WORK: usize = 150_000;
/// The most nodes that are looked at to put lines and events into one order. A difference that
/// breaks off says so.
const MOST_WOVEN: usize = 400_000;
/// How many events all tries compare with lines.
const MOST_LOOKS: usize = 1_000_000;
/// So many events are looked at that a line may match, or that happened instead.
const MOST_ALIKE: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    Same(Vec<String>),
    Expected(Vec<String>),
    Happened(Vec<String>),
}

/// The expectation beside the nearest order that could happen, and how many lines and events were
/// not compared any more. `deepest` is its longest beginning
/// that could, by line; `complete`, whether that is certain: where a search was given up, no other is
/// begun.
pub(crate) fn difference(
    cut: &Cut,
    of: &Expectation,
    deepest: &[u32],
    complete: bool,
) -> (Vec<Difference>, usize) {
    let mut repair = Repair {
        lines: (0..of.lines.len()).collect(),
        out: Vec::new(),
        assigned: deepest.to_vec(),
    };
    // What is known of an expectation that breaks off early is as much as is worth knowing.
    let cost = cut.graph.label_of.len() + of.lines.len();
    let mut work = MOST_WORK.max(3 * cost);
    let mut looks = MOST_LOOKS;
    while complete && repair.assigned.len() < repair.lines.len() && work >= cost && looks > 0 {
        let tries = repair.tries(cut, of, &mut looks);
        work = work.saturating_sub(cost * tries.len());
        let best = tries
            .into_iter()
            .min_by_key(|tried| (Reverse(tried.reach(of)), tried.changes(cut, of)));
        repair = best.expect("a line can always be left out");
    }
    Weaver::new(cut, of, &repair).weave(repair.reach(of))
}

/// Part of the expectation that holds of part of the events.
struct Repair {
    /// The lines that are left, by their places in the expectation.
    lines: Vec<usize>,
    /// The events that need no line.
    out: Vec<u32>,
    /// By line that is left: its event, as far as they could happen.
    assigned: Vec<u32>,
}

impl Repair {
    /// The place of the first line that is left and could not happen.
    fn reach(&self, of: &Expectation) -> usize {
        let next = self.lines.get(self.assigned.len()).copied();
        next.unwrap_or(of.lines.len())
    }

    /// How many lines would have to be struck or written, as far as one can tell.
    fn changes(&self, cut: &Cut, of: &Expectation) -> usize {
        let written = match self.assigned.len() == self.lines.len() {
            true => cut.scope().events.len() - self.assigned.len(),
            false => self.out.len(),
        };
        of.lines.len() - self.lines.len() + written
    }

    /// What may be wrong at the line that could not happen: the line; that no line matches what
    /// comes before its event; or where it stands.
    fn tries(&self, cut: &Cut, of: &Expectation, looks: &mut usize) -> Vec<Repair> {
        let part = self.part(of);
        let mut look = Look::new(cut, &part, &self.assigned);
        for &node in &self.out {
            look.matched[node as usize] = true;
        }
        let line = self.assigned.len();
        let mut blocked = look.open_matches(line);
        if blocked.is_empty() {
            // Variables may stand for something else once more lines are matched.
            look.bindings = Bindings::new(part.variables.len());
            blocked = look.open_matches(line);
        }
        blocked.truncate(MOST_ALIKE);
        let blocked = blocked
            .into_iter()
            .map(|node| (node, look.unmatched_causes(node)));
        let blocked = blocked.min_by_key(|(_, causes)| causes.len());
        let mut lines = self.lines.clone();
        lines.remove(line);
        let mut tries = vec![self.tried(cut, of, lines.clone(), &[], looks)];
        if let Some((event, causes)) = blocked {
            // Where a line above tells of an equal event, it may be that line which tells of the
            // cause: a line is missing for the other causes alone.
            let labels = &cut.graph.label_of;
            let assigned: BTreeSet<u32> =
                self.assigned.iter().map(|&n| labels[n as usize]).collect();
            let others = causes.iter().copied();
            let others: Vec<u32> = others
                .filter(|&cause| !assigned.contains(&labels[cause as usize]))
                .collect();
            if !others.is_empty() && others.len() < causes.len() {
                tries.push(self.tried(cut, of, self.lines.clone(), &others, looks));
            }
            if !causes.is_empty() {
                tries.push(self.tried(cut, of, self.lines.clone(), &causes, looks));
            }
            tries.push(self.tried(cut, of, lines, &[event], looks));
        }
        tries
    }

    fn tried(
        &self,
        cut: &Cut,
        of: &Expectation,
        lines: Vec<usize>,
        out: &[u32],
        looks: &mut usize,
    ) -> Repair {
        let mut tried = Repair {
            lines,
            out: [&self.out, out].concat(),
            assigned: Vec::new(),
        };
        let whole = cut.scope();
        let mut scope = Scope {
            members: whole.members.clone(),
            shown: whole.shown.clone(),
            events: Vec::new(),
        };
        for &node in &tried.out {
            scope.shown[node as usize] = false;
        }
        let events = whole.events.iter().copied();
        scope.events = events.filter(|&n| scope.shown[n as usize]).collect();
        let part = tried.part(of);
        let found = search::within(&cut.graph, &scope, &part, MOST_STATES, looks);
        let (Outcome::Holds(assigned) | Outcome::Fails(assigned) | Outcome::Undecided(assigned)) =
            found;
        tried.assigned = assigned;
        tried
    }

    /// The lines that are left.
    fn part(&self, of: &Expectation) -> Expectation {
        let lines = self.lines.iter().map(|&line| of.lines[line].clone());
        Expectation {
            source: String::new(),
            symbols: of.symbols.clone(),
            variables: of.variables.clone(),
            names: of.names.clone(),
            lines: lines.collect(),
        }
    }
}

/// Puts lines and events into one order.
struct Weaver<'a> {
    graph: &'a Graph,
    scope: &'a Scope,
    of: &'a Expectation,
    races: Races,
    /// By line: its event.
    event: Vec<Option<u32>>,
    /// By node of an event: its line.
    line: FastMap<u32, u32>,
    /// By node: its place among the events in canonical order.
    place: FastMap<u32, u32>,
    /// By node: it stands above, with all that comes before it.
    placed: Vec<bool>,
    /// Events without a line, in canonical order.
    spare: BTreeMap<(Verb, &'a str), Vec<u32>>,
    /// How many nodes may still be looked at.
    work: usize,
    difference: Vec<Difference>,
}

impl<'a> Weaver<'a> {
    fn new(cut: &'a Cut, of: &'a Expectation, repair: &Repair) -> Weaver<'a> {
        let graph: &Graph = &cut.graph;
        let mut event = vec![None; of.lines.len()];
        for (&line, &node) in repair.lines.iter().zip(&repair.assigned) {
            event[line] = Some(node);
        }
        guess_rest(cut, of, repair, &mut event);
        let lines = (0u32..).zip(&event);
        let line: FastMap<u32, u32> = lines
            .filter_map(|(line, node)| Some(((*node)?, line)))
            .collect();
        let in_order = cut.events().iter();
        let in_order: Vec<u32> = in_order.filter_map(|e| graph.node(e.id())).collect();
        let mut spare: BTreeMap<(Verb, &str), Vec<u32>> = BTreeMap::new();
        for &node in in_order.iter().filter(|node| !line.contains_key(node)) {
            let fields = fields(graph, node);
            spare
                .entry((fields.verb, fields.host))
                .or_default()
                .push(node);
        }
        Weaver {
            graph,
            scope: cut.scope(),
            of,
            races: Races::find(graph, cut.scope()),
            event,
            line,
            place: in_order.into_iter().zip(0..).collect(),
            placed: vec![false; graph.label_of.len()],
            spare,
            work: MOST_WOVEN.max(20 * graph.label_of.len()),
            difference: Vec::new(),
        }
    }

    /// The difference, and how many lines and events it leaves out. From that line on, which line
    /// matches which event is a guess.
    fn weave(mut self, guessed: usize) -> (Vec<Difference>, usize) {
        for line in 0..self.of.lines.len() {
            if self.work == 0 {
                let placed = self
                    .scope
                    .events
                    .iter()
                    .filter(|&&n| self.placed[n as usize]);
                let unplaced = self.scope.events.len() - placed.count();
                return (self.difference, self.of.lines.len() - line + unplaced);
            }
            let words = text::split_words(self.of.text(line));
            let event = self.event[line].filter(|&node| !self.placed[node as usize]);
            // A guess that would move many matched lines is not used.
            let most = if line < guessed { usize::MAX } else { 1 };
            let causes = event.and_then(|node| {
                let counts = |&cause: &u32, weaver: &Self| {
                    weaver.line.contains_key(&cause) && !weaver.forgiven(cause, line)
                };
                let mut causes = self.unplaced_causes(node, |found, weaver| {
                    let lines = found.iter().filter(|cause| counts(cause, weaver));
                    most < usize::MAX && lines.count() > most
                })?;
                causes.retain(|&cause| !self.forgiven(cause, line));
                Some((node, causes))
            });
            match causes {
                Some((node, causes)) => {
                    self.happened(&causes);
                    self.placed[node as usize] = true;
                    self.difference
                        .push(Difference::Same(self.barred(line, words)));
                }
                None => match self.instead(line) {
                    // It was struck when its causes were not matched yet.
                    Some(node) if self.words(node) == words => {
                        self.placed[node as usize] = true;
                        self.difference
                            .push(Difference::Same(self.barred(line, words)));
                    }
                    instead => {
                        let words = self.barred(line, words);
                        self.difference.push(Difference::Expected(words));
                        self.happened(instead.as_slice());
                    }
                },
            }
        }
        let placed = &self.placed;
        let rest = self.scope.events.iter().copied();
        let mut rest: Vec<u32> = rest.filter(|&node| !placed[node as usize]).collect();
        rest.sort_unstable_by_key(|node| self.place.get(node));
        self.happened(&rest);
        (self.difference, 0)
    }

    /// Whether the cause may stand below that line: it has a line of the same block.
    fn forgiven(&self, cause: u32, line: usize) -> bool {
        let lines = &self.of.lines;
        let of_cause = self.line.get(&cause).map(|&line| &lines[line as usize]);
        lines[line].block.is_some() && of_cause.is_some_and(|of| of.block == lines[line].block)
    }

    /// A line's words, with the bar of its block.
    fn barred(&self, line: usize, words: Vec<String>) -> Vec<String> {
        match self.of.lines[line].block {
            Some(_) => text::barred(words),
            None => words,
        }
    }

    fn happened(&mut self, events: &[u32]) {
        for &node in events {
            self.placed[node as usize] = true;
            let words = self.words(node);
            self.difference.push(Difference::Happened(words));
        }
    }

    fn words(&self, node: u32) -> Vec<String> {
        let label = self.graph.label_of[node as usize];
        text::words(self.graph, self.graph.labels.label(label))
    }

    /// What has to stand above the event and does not, in canonical order; nothing once what was
    /// found so far is `too_much`.
    fn unplaced_causes(
        &mut self,
        of: u32,
        too_much: impl Fn(&[u32], &Self) -> bool,
    ) -> Option<Vec<u32>> {
        let mut causes = Vec::new();
        let mut seen: FastMap<u32, ()> = FastMap::default();
        let mut todo = vec![of];
        let mut looks = 0;
        while let Some(node) = todo.pop() {
            for (cause, why) in self.graph.before(node) {
                looks += 1;
                let index = cause as usize;
                let unplaced = self.scope.members[index] && !self.placed[index];
                if unplaced && self.orders(node, why) && seen.insert(cause, ()).is_none() {
                    todo.push(cause);
                    if self.scope.shown[index] {
                        causes.push(cause);
                        if too_much(&causes, self) {
                            self.work = self.work.saturating_sub(looks);
                            return None;
                        }
                    }
                }
            }
        }
        self.work = self.work.saturating_sub(looks);
        causes.sort_unstable_by_key(|cause| self.place.get(cause));
        Some(causes)
    }

    /// Whether an edge counts. Which port an event took that no line matches is written only
    /// where it did not race.
    fn orders(&self, effect: u32, why: Why) -> bool {
        let names = || match self.line.get(&effect) {
            Some(&line) => names_port(&self.of.lines[line as usize].shape),
            None => self.scope.shown[effect as usize] && !self.races.is_raced(effect),
        };
        why != Why::Port || counts(why, names())
    }

    /// What happened in the place of a line: the same of the same host, without a line, of which
    /// everything stands above that comes before it.
    fn instead(&mut self, line: usize) -> Option<u32> {
        let shape = &self.of.lines[line].shape;
        let Term::Is(host) = shape.host else {
            return None;
        };
        let key = (shape.verb, self.of.symbols.text(host));
        let peer = shape.peer.and_then(|(peer, _)| match peer {
            Term::Is(peer) => Some(self.of.symbols.text(peer)),
            _ => None,
        });
        let spare = self.spare.get_mut(&key)?;
        let placed = &self.placed;
        let unplaced = spare.iter().position(|&node| !placed[node as usize]);
        spare.drain(..unplaced.unwrap_or(spare.len()));
        let near = spare.iter().copied().filter(|&node| !placed[node as usize]);
        let mut near: Vec<u32> = near.take(MOST_ALIKE).collect();
        near.sort_by_key(|&node| {
            let of_other = fields(self.graph, node).peer.map(|(peer, _)| peer) != peer;
            (of_other, self.place.get(&node).copied())
        });
        let words = text::split_words(self.of.text(line));
        near.into_iter().find(|&node| {
            let is_same = self.words(node) == words;
            if is_same {
                self.line.insert(node, line as u32);
            }
            let fits = self.unplaced_causes(node, |_, _| true).is_some();
            if is_same && !fits {
                self.line.remove(&node);
            }
            fits
        })
    }
}

/// Beyond what the tries have reached, a line matches the first event that it could match.
fn guess_rest(cut: &Cut, of: &Expectation, repair: &Repair, event: &mut [Option<u32>]) {
    let part = repair.part(of);
    let mut look = Look::new(cut, &part, &repair.assigned);
    let mut by_verb: BTreeMap<Verb, Vec<u32>> = BTreeMap::new();
    for &node in cut.scope().events.iter().rev() {
        if !look.matched[node as usize] {
            let verb = fields(look.graph, node).verb;
            by_verb.entry(verb).or_default().push(node);
        }
    }
    for line in repair.assigned.len()..part.lines.len() {
        let verb = part.lines[line].shape.verb;
        let Some(open) = by_verb.get_mut(&verb) else {
            continue;
        };
        // Not further than one cares to look: this is for what is wrong throughout.
        let mut near = open.iter().enumerate().rev().take(200);
        let found = near.find(|&(_, &node)| look.matches(line, node));
        if let Some((at, &node)) = found {
            open.remove(at);
            look.bind(line, node);
            event[repair.lines[line]] = Some(node);
        }
    }
}
