//! The search for an assignment of lines to events, where lines leave something open or equal
//! events are concurrent.
//!
//! Pure. From top to bottom over the frontier: a line takes an event all of whose causes have
//! their lines already. Memoised by what has been taken and what the variables stand for;
//! interchangeable events are tried once. Complete within the bounds on states and on work. Where
//! `counting` says that it can't hold, all that is searched is how far it goes.
//!
//! An example: α and β each mark `x`, and then β marks `y`. The expectation is
//!
//! ```text
//! $a mark x
//! $b mark x
//! $b mark y
//! ```
//!
//! If the search first gives β's `x` to line 1, `$a` is β and `$b` is α, and line 3 matches nothing:
//! the search undoes both steps, gives α's `x` to line 1 and β's to line 2, and then line 3 matches.
//!
//! A line of a block may take an event before its causes have their lines, if those can still have
//! lines of the same block; at the block's end none may be left. What a block does not forgive is
//! `blocks`' business.

mod nexts;
mod some_events;
mod within_block;

use std::collections::BTreeSet;

use self::nexts::Nexts;
use self::some_events::Partial;
use crate::trace::check::blocks::Kept;
use crate::trace::check::outcome::{Outcome, names_port};
use crate::trace::expected::grammar::{Expectation, Shape};
use crate::trace::expected::lookup;
use crate::trace::expected::pattern::{Bindings, Fields, unify};
use crate::trace::happened::graph::Graph;
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::{FastMap, NONE, digest};
use crate::trace::scope::Scope;

/// So many events are compared with lines once the search had to turn back: what a state costs
/// depends on how many events are concurrent.
const MOST_LOOKS: usize = 4_000_000;

/// Two independent digests: that both are equal for different states is not a thing that happens.
type State = (u64, u64);

/// One line's choice.
struct Choice {
    node: u32,
    /// The other candidates, the next to try last, once they are needed: to find them all
    /// at each line would take the square of the lines where many events are concurrent, and a
    /// first descent that succeeds needs none.
    rest: Option<Vec<u32>>,
    taken: usize,
    bound: usize,
    state: State,
}

/// Searches an assignment of all lines to all events; of the first `most` lines, if no more can
/// have one.
pub(crate) fn all(
    graph: &Graph,
    scope: &Scope,
    of: &Expectation,
    most: usize,
    states: usize,
) -> Outcome {
    let mut search = Search::new(graph, scope, of);
    search.start();
    let holds = most == of.lines.len() && most == scope.events.len();
    search.run(most, holds, states)
}

/// As [`all`] with as many lines as there are, and with so many looks, the first descent's among
/// them, of which those that it took are gone then.
pub(crate) fn within(
    graph: &Graph,
    scope: &Scope,
    of: &Expectation,
    states: usize,
    looks: &mut usize,
) -> Outcome {
    let mut search = Search::new(graph, scope, of);
    search.most_looks = *looks;
    search.counts_all = true;
    search.start();
    let holds = of.lines.len() == scope.events.len();
    let found = search.run(of.lines.len(), holds, states);
    *looks = looks.saturating_sub(search.looks);
    found
}

/// Searches an assignment of all lines to some of the events; of the first `most` lines, if no
/// more can have one.
pub(crate) fn some(
    graph: &Graph,
    scope: &Scope,
    of: &Expectation,
    most: usize,
    states: usize,
) -> Outcome {
    let mut search = Search::new(graph, scope, of);
    search.partial = Some(Partial::new(graph, scope));
    search.run(most, most == of.lines.len(), states)
}

/// As [`some`], where a variable stands for this.
pub(crate) fn some_where(
    graph: &Graph,
    scope: &Scope,
    of: &Expectation,
    (variable, value): (u32, &str),
    states: usize,
) -> Outcome {
    let mut search = Search::new(graph, scope, of);
    search.partial = Some(Partial::new(graph, scope));
    search.bindings.bind(variable, value, &of.variables);
    search.run(of.lines.len(), true, states)
}

struct Search<'a> {
    graph: &'a Graph,
    scope: &'a Scope,
    of: &'a Expectation,
    /// By line: its label, `NONE` if it leaves something open, `NONE - 1` if there is none such.
    labels: Vec<u32>,
    bindings: Bindings,
    /// By node: how many of its causes are not taken yet; those that only free its port apart.
    waits: Vec<u32>,
    port_waits: Vec<u32>,
    /// Events without such causes, by place, and by label.
    ready: BTreeSet<(u32, u32)>,
    ready_by_label: FastMap<u32, Vec<u32>>,
    /// Nodes in the order in which they were taken.
    taken: Vec<u32>,
    state: State,
    failed: std::collections::HashSet<State>,
    /// The next events of an event, for telling which are interchangeable.
    nexts: Nexts,
    looks: usize,
    most_looks: usize,
    /// Whether those of the first descent count.
    counts_all: bool,
    partial: Option<Partial>,
    /// By line, as far as they have one: its event.
    chosen: Vec<u32>,
    /// By line, as far as they have an event: the state above it.
    above: Vec<State>,
    blocks: Option<Blocks>,
}

/// What the search keeps where there are blocks.
struct Blocks {
    kept: Kept,
    /// By node: a line has it.
    assigned: Vec<bool>,
    /// How many events have a line and causes without one.
    unmet: usize,
    by_label: FastMap<u32, Vec<u32>>,
}

fn by_label(graph: &Graph, scope: &Scope) -> FastMap<u32, Vec<u32>> {
    let mut by_label: FastMap<u32, Vec<u32>> = FastMap::default();
    for &event in &scope.events {
        let label = graph.label_of[event as usize];
        by_label.entry(label).or_default().push(event);
    }
    by_label
}

/// Whether a line could match that event, as far as its words and what variables stand for go.
fn fits(
    shape: &Shape,
    of: &Expectation,
    node: u32,
    graph: &Graph,
    bindings: &mut Bindings,
) -> bool {
    let label = graph.labels.label(graph.label_of[node as usize]);
    let fields = Fields::of_label(label, &graph.hosts);
    let bound = bindings.mark();
    let matches = unify(shape, of, &fields, bindings);
    bindings.undo_to(bound);
    matches
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, scope: &'a Scope, of: &'a Expectation) -> Search<'a> {
        let labels = lookup::labels(graph, of).into_iter().zip(&of.lines);
        let labels = labels.map(|(label, line)| match line.shape.is_concrete() {
            true => label.min(NONE - 1),
            false => NONE,
        });
        Search {
            graph,
            scope,
            of,
            labels: labels.collect(),
            bindings: Bindings::new(of.variables.len()),
            waits: Vec::new(),
            port_waits: Vec::new(),
            ready: BTreeSet::new(),
            ready_by_label: FastMap::default(),
            taken: Vec::new(),
            state: (0, 0),
            failed: std::collections::HashSet::new(),
            nexts: Nexts::default(),
            looks: 0,
            most_looks: MOST_LOOKS,
            counts_all: false,
            partial: None,
            chosen: Vec::new(),
            above: Vec::new(),
            blocks: Kept::for_blocks(graph, of).map(|kept| Blocks {
                kept,
                assigned: vec![false; graph.label_of.len()],
                unmet: 0,
                by_label: by_label(graph, scope),
            }),
        }
    }

    /// Nothing is taken yet but what comes before all events of the view.
    fn start(&mut self) {
        let nodes = self.graph.label_of.len();
        self.waits = vec![0; nodes];
        self.port_waits = vec![0; nodes];
        let mut free = Vec::new();
        for &node in &self.graph.order {
            let index = node as usize;
            if !self.scope.members[index] {
                continue;
            }
            for (_, why) in self.graph.before(node) {
                match why {
                    Why::Port => self.port_waits[index] += 1,
                    _ => self.waits[index] += 1,
                }
            }
            if self.waits[index] == 0 {
                free.push(node);
            }
        }
        for node in free {
            self.becomes_free(node);
        }
        self.taken.clear();
    }

    /// Searches for `most` lines, with which the expectation holds or does not.
    fn run(&mut self, most: usize, holds: bool, states: usize) -> Outcome {
        let mut budget = most + states;
        let mut stack: Vec<Choice> = Vec::new();
        let mut deepest: Option<Vec<u32>> = None;
        let mut branched = false;
        loop {
            let line = stack.len();
            let closed = self.block_is_closed(line);
            if line == most && closed {
                let assignment = stack.iter().map(|choice| choice.node).collect();
                return match holds {
                    true => Outcome::Holds(assignment),
                    false => Outcome::Fails(assignment),
                };
            }
            let (first, rest) = match !closed || self.failed.contains(&self.state()) {
                true => (None, None),
                false => self.first_candidate(line),
            };
            branched |= rest.as_ref().is_none_or(|rest| !rest.is_empty());
            let (node, rest) = match first {
                Some(node) => (node, rest),
                None => {
                    if deepest
                        .as_ref()
                        .is_none_or(|deepest| stack.len() > deepest.len())
                    {
                        // What has its place too early has none yet.
                        let fits = line - usize::from(!closed);
                        deepest = Some(self.chosen[..fits].to_vec());
                    }
                    if !branched {
                        return Outcome::Fails(deepest.unwrap_or_default());
                    }
                    self.failed.insert(self.state());
                    loop {
                        let Some(mut choice) = stack.pop() else {
                            return Outcome::Fails(deepest.unwrap_or_default());
                        };
                        self.undo(&choice);
                        let mut rest = match choice.rest.take() {
                            Some(rest) => rest,
                            None if self.looks > self.most_looks => {
                                let deepest = deepest.unwrap_or_default();
                                return match holds {
                                    true => Outcome::Undecided(deepest),
                                    false => Outcome::Fails(deepest),
                                };
                            }
                            None => self.other_candidates(stack.len()),
                        };
                        if let Some(next) = rest.pop() {
                            break (next, Some(rest));
                        }
                        self.failed.insert(choice.state);
                    }
                }
            };
            if budget == 0 || self.looks > self.most_looks {
                let by_now = stack.iter().map(|choice| choice.node);
                let deepest = deepest
                    .filter(|deepest| deepest.len() > stack.len())
                    .unwrap_or_else(|| by_now.collect());
                return match holds {
                    true => Outcome::Undecided(deepest),
                    false => Outcome::Fails(deepest),
                };
            }
            budget -= 1;
            let choice = Choice {
                node,
                rest,
                taken: self.taken.len(),
                bound: self.bindings.mark(),
                state: self.state(),
            };
            self.take(node);
            stack.push(choice);
        }
    }

    fn state(&self) -> State {
        let bound = self.bindings.digest();
        let state = (self.state.0 ^ bound, self.state.1 ^ bound.rotate_left(32));
        // Of some of the events, it matters which were taken above the block: what comes before
        // those is out of the question.
        match self.partial.is_some() && self.blocks.is_some() {
            true => self.with_block_above(state),
            false => state,
        }
    }

    /// The first event that a line could match now, and the others, the next to try last, if
    /// they came along.
    fn first_candidate(&mut self, line: usize) -> (Option<u32>, Option<Vec<u32>>) {
        let of: &Expectation = self.of;
        let is_open = self.labels[line] == NONE && of.lines[line].block.is_none();
        if !is_open || self.partial.is_some() {
            let mut candidates = self.candidates(line);
            candidates.reverse();
            return (candidates.pop(), Some(candidates));
        }
        let shape = &of.lines[line].shape;
        let named = names_port(shape);
        let counts = self.counts_all || !self.failed.is_empty();
        let Search {
            graph,
            ready,
            port_waits,
            bindings,
            ..
        } = self;
        let mut looks = 0;
        let first = ready.iter().map(|&(_, node)| node).find(|&node| {
            looks += 1;
            (!named || port_waits[node as usize] == 0) && fits(shape, of, node, graph, bindings)
        });
        if counts {
            self.looks += looks;
        }
        // Where there is no first, there are no others.
        (first, first.is_none().then(Vec::new))
    }

    /// The candidates but the first, the next to try last.
    fn other_candidates(&mut self, line: usize) -> Vec<u32> {
        let mut candidates = self.candidates(line);
        candidates.reverse();
        candidates.pop();
        candidates
    }

    /// The events that a line could match now, in a fixed order.
    fn candidates(&mut self, line: usize) -> Vec<u32> {
        let shape = &self.of.lines[line].shape;
        let label = self.labels[line];
        if self.of.lines[line].block.is_some() {
            return self.block_candidates(line);
        }
        if self.partial.is_some() {
            return self.partial_candidates(shape, label);
        }
        let named = names_port(shape);
        let mut candidates = if label == NONE {
            let ready: Vec<u32> = self.ready.iter().map(|&(_, node)| node).collect();
            self.matching(shape, ready)
        } else {
            let ready = self.ready_by_label.get(&label);
            let mut ready = ready.cloned().unwrap_or_default();
            ready.sort_unstable_by_key(|&node| self.graph.place(node));
            ready
        };
        candidates.retain(|&node| !named || self.port_waits[node as usize] == 0);
        if candidates.len() > 1 {
            self.merge_interchangeable(&mut candidates);
        }
        candidates
    }

    fn matching(&mut self, shape: &Shape, mut among: Vec<u32>) -> Vec<u32> {
        let (graph, of) = (self.graph, self.of);
        if self.counts_all || !self.failed.is_empty() {
            self.looks += among.len();
        }
        among.retain(|&node| fits(shape, of, node, graph, &mut self.bindings));
        among
    }

    /// Of equal events after which the same comes, only the first is tried.
    fn merge_interchangeable(&mut self, candidates: &mut Vec<u32>) {
        let mut seen = BTreeSet::new();
        candidates.retain(|&node| {
            let label = self.graph.label_of[node as usize];
            let nexts = self.nexts.of(node, self.graph, self.scope);
            // A block keeps the order of each connection, whichever comes next.
            let connection = self.blocks.as_ref().map(|b| b.kept.connection(node));
            let waiting = (self.waits[node as usize] > 0).then_some(node);
            let alike = (label, self.port_waits[node as usize], nexts);
            seen.insert((alike, connection, waiting))
        });
    }

    fn take(&mut self, node: u32) {
        let line = self.chosen.len();
        let shape = &self.of.lines[line].shape;
        self.above.push(self.state());
        self.chosen.push(node);
        let label = self.graph.label_of[node as usize];
        let fields = Fields::of_label(self.graph.labels.label(label), &self.graph.hosts);
        let matches = unify(shape, self.of, &fields, &mut self.bindings);
        debug_assert!(matches, "a candidate matches its line");
        self.toggle(node);
        if let Some(blocks) = &mut self.blocks {
            blocks.assigned[node as usize] = true;
            if self.partial.is_none() && self.waits[node as usize] > 0 {
                blocks.unmet += 1;
            }
        }
        if self.partial.is_some() {
            if self.ends_block(line) {
                for line in self.block_start(line)..=line {
                    let named = names_port(&self.of.lines[line].shape);
                    self.cover(self.chosen[line], named);
                }
            }
            return;
        }
        if self.waits[node as usize] == 0 {
            self.not_ready(node);
        }
        self.fire(node);
    }

    /// The node is taken, and with it all that is not shown and waited for nothing else.
    fn fire(&mut self, node: u32) {
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            self.taken.push(node);
            for (effect, why) in self.graph.after(node) {
                let index = effect as usize;
                if !self.scope.members[index] {
                    continue;
                }
                if why == Why::Port {
                    self.port_waits[index] -= 1;
                    continue;
                }
                self.waits[index] -= 1;
                if self.waits[index] == 0 {
                    if self.is_assigned(effect) {
                        self.meet(effect, true);
                    } else if self.scope.shown[index] {
                        self.is_ready(effect);
                    } else {
                        todo.push(effect);
                    }
                }
            }
        }
    }

    fn becomes_free(&mut self, node: u32) {
        if self.scope.shown[node as usize] {
            self.is_ready(node);
        } else {
            self.fire(node);
        }
    }

    fn undo(&mut self, choice: &Choice) {
        self.bindings.undo_to(choice.bound);
        self.toggle(choice.node);
        self.chosen.pop();
        self.above.pop();
        let taken = self.taken.split_off(choice.taken);
        if let Some(partial) = &mut self.partial {
            for node in taken {
                partial.covered[node as usize] = false;
            }
            if let Some(blocks) = &mut self.blocks {
                blocks.assigned[choice.node as usize] = false;
            }
            return;
        }
        for &node in taken.iter().rev() {
            for (effect, why) in self.graph.after(node) {
                let index = effect as usize;
                if !self.scope.members[index] {
                    continue;
                }
                if why == Why::Port {
                    self.port_waits[index] += 1;
                    continue;
                }
                if self.waits[index] == 0 && self.is_assigned(effect) {
                    self.meet(effect, false);
                } else if self.waits[index] == 0 && self.scope.shown[index] {
                    self.not_ready(effect);
                }
                self.waits[index] += 1;
            }
        }
        let waits = self.waits[choice.node as usize] > 0;
        if let Some(blocks) = &mut self.blocks {
            blocks.assigned[choice.node as usize] = false;
            blocks.unmet -= usize::from(waits);
        }
        if !waits {
            self.is_ready(choice.node);
        }
    }

    fn is_ready(&mut self, node: u32) {
        self.ready.insert(self.graph.place(node));
        let label = self.graph.label_of[node as usize];
        self.ready_by_label.entry(label).or_default().push(node);
    }

    fn not_ready(&mut self, node: u32) {
        self.ready.remove(&self.graph.place(node));
        let label = self.graph.label_of[node as usize];
        if let Some(ready) = self.ready_by_label.get_mut(&label) {
            ready.retain(|&other| other != node);
        }
    }

    fn toggle(&mut self, node: u32) {
        self.state.0 ^= digest((1u8, node));
        self.state.1 ^= digest((node, 2u8)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
}
