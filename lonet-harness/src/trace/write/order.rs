//! The canonical order of events, near an old text if there is one (TRACES 7.3).
//!
//! Pure. Of the events whose causes all have their place, the next is the one whose old line stands
//! highest, else the one with the smallest label, else with the smallest digest of its past and
//! future. Owns that order; what is written for it is `canonical`'s business.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::trace::check::decide::Scope;
use crate::trace::expected::grammar::Expectation;
use crate::trace::expected::lookup;
use crate::trace::expected::pattern::{Bindings, Fields, unify};
use crate::trace::happened::graph::Graph;
use crate::trace::happened::racing_ports::Races;
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::{FastMap, NONE, digest};
use crate::trace::intern::labels::Label;
use crate::trace::write::variables::{Meanings, Raced};

/// An event in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) node: u32,
    /// The old line that told of it.
    pub(crate) line: Option<u32>,
}

/// Where events that may come next stand: their old line, their label's rank; and their group.
type Key = (u32, u32, usize);

/// Which of several events that say the same comes first: by digest; of those that only their causes
/// tell apart, by where these stand; then by place, which decides between what is interchangeable.
type Turn = (u64, Standing, (u32, u32));

/// Where the latest causes of an event stand: the sum of their positions, and a digest of them.
type Standing = (u64, u64);

/// Events that may come next, of one label, one rank and the same raced ports: one old line is next
/// for all of them.
#[derive(Default)]
struct Group {
    label: u32,
    rank: u32,
    raced: Raced,
    /// Those whose digest nobody has asked for yet.
    fresh: Vec<u32>,
    sorted: BTreeSet<Turn>,
}

impl Group {
    fn len(&self) -> usize {
        self.fresh.len() + self.sorted.len()
    }
}

/// Of at most so many events, what comes before and after each tells which of two comes first; of
/// more, only what all of that says, which is a matter of so many steps and not of their square.
const MOST_TOLD_APART: usize = 1_000;

pub(crate) struct Sorting<'a> {
    graph: &'a Graph,
    scope: &'a Scope,
    old: Option<&'a Expectation>,
    /// By node of an event: its label without raced ports, by rank.
    rank: FastMap<u32, u32>,
    /// By label: the old lines that say just that, the first last.
    plain: FastMap<u32, Vec<u32>>,
    /// Old lines that leave something open, and are not used yet.
    open: BTreeSet<u32>,
    races: &'a Races,
    /// Whether raced ports order what takes them after what freed them. Not where a variable is
    /// written for their numbers: in the next run another may have been free.
    pub(crate) ports_order: bool,
    bindings: Bindings,
    meanings: Meanings,
    groups: Vec<Group>,
    /// Where in `groups` the events of a label, a rank and raced ports are.
    group_of: FastMap<(u32, u32, Raced), usize>,
    /// The groups that are not empty. A line that was used up makes keys grow, so each is looked at
    /// again when its turn comes.
    ready: BinaryHeap<Reverse<Key>>,
    /// By node and round.
    digests: FastMap<(u32, u32), u64>,
    likely_after: FastMap<u32, Vec<u32>>,
    /// By node of an event that has its place: which.
    position: FastMap<u32, u32>,
}

impl<'a> Sorting<'a> {
    pub(crate) fn new(
        graph: &'a Graph,
        scope: &'a Scope,
        races: &'a Races,
        old: Option<&'a Expectation>,
    ) -> Sorting<'a> {
        let mut plain: FastMap<u32, Vec<u32>> = FastMap::default();
        let mut open = BTreeSet::new();
        if let Some(old) = old {
            let labels = lookup::labels(graph, old);
            for (index, line) in old.lines.iter().enumerate().rev() {
                if !line.shape.is_concrete() {
                    open.insert(index as u32);
                } else if labels[index] != NONE {
                    plain.entry(labels[index]).or_default().push(index as u32);
                }
            }
        }
        let mut likely_after: FastMap<u32, Vec<u32>> = FastMap::default();
        for &(effect, cause) in &graph.likely {
            likely_after.entry(cause).or_default().push(effect);
        }
        Sorting {
            graph,
            scope,
            old,
            rank: ranks(graph, scope, races),
            plain,
            open,
            races,
            ports_order: true,
            bindings: Bindings::new(old.map_or(0, |old| old.variables.len())),
            meanings: Meanings::new(old.map_or(0, |old| old.variables.len())),
            groups: Vec::new(),
            group_of: FastMap::default(),
            ready: BinaryHeap::new(),
            digests: FastMap::default(),
            likely_after,
            position: FastMap::default(),
        }
    }

    pub(crate) fn run(mut self) -> Vec<Placed> {
        let mut waits = vec![0u32; self.graph.label_of.len()];
        let mut hidden = Vec::new();
        for &node in &self.graph.order {
            let index = node as usize;
            if !self.scope.members[index] {
                continue;
            }
            let likely = self.graph.likely_before(node);
            let causes = self.graph.before(node);
            let causes = causes.filter(|&(_, why)| self.orders(node, why));
            waits[index] = causes.count() as u32
                + likely
                    .filter(|&cause| self.scope.members[cause as usize])
                    .count() as u32;
            if waits[index] == 0 {
                match self.scope.shown[index] {
                    true => self.is_ready(node),
                    false => hidden.push(node),
                }
            }
        }
        let mut placed = Vec::with_capacity(self.scope.events.len());
        let mut effects = Vec::new();
        loop {
            let node = match hidden.pop() {
                Some(node) => node,
                None => match self.next() {
                    Some(next) => {
                        placed.push(next);
                        self.position.insert(next.node, placed.len() as u32);
                        next.node
                    }
                    None => return placed,
                },
            };
            effects.clear();
            let after = self.graph.after(node);
            let ordered = after.filter(|&(effect, why)| self.orders(effect, why));
            effects.extend(ordered.map(|(effect, _)| effect));
            effects.extend(self.likely_after.get(&node).into_iter().flatten());
            for &effect in &effects {
                let index = effect as usize;
                if !self.scope.members[index] {
                    continue;
                }
                waits[index] -= 1;
                if waits[index] == 0 {
                    match self.scope.shown[index] {
                        true => self.is_ready(effect),
                        false => hidden.push(effect),
                    }
                }
            }
        }
    }

    fn is_ready(&mut self, node: u32) {
        let label = self.graph.label_of[node as usize];
        let rank = self.rank.get(&node).copied().unwrap_or(0);
        let new = self.groups.len();
        let raced = self.races.of_event(self.graph, node);
        let group = *self.group_of.entry((label, rank, raced)).or_insert(new);
        if group == new {
            self.groups.push(Group {
                label,
                rank,
                raced,
                ..Group::default()
            });
        }
        self.groups[group].fresh.push(node);
        if self.groups[group].len() == 1 {
            self.push(group);
        }
    }

    fn push(&mut self, group: usize) {
        let rank = self.groups[group].rank;
        let line = self.line(group);
        self.ready.push(Reverse((line, rank, group)));
    }

    /// The groups whose events come next, with their old line.
    fn next_groups(&mut self) -> Option<(u32, Vec<usize>)> {
        let mut found: Option<((u32, u32), Vec<usize>)> = None;
        while let Some(&Reverse((line, rank, group))) = self.ready.peek() {
            if matches!(&found, Some((first, _)) if *first != (line, rank)) {
                break;
            }
            self.ready.pop();
            if self.line(group) != line {
                self.push(group);
                continue;
            }
            let (_, groups) = found.get_or_insert(((line, rank), Vec::new()));
            groups.push(group);
        }
        found.map(|((line, _), groups)| (line, groups))
    }

    /// Takes the event that comes next.
    fn next(&mut self) -> Option<Placed> {
        let (line, groups) = self.next_groups()?;
        let node = match groups[..] {
            [group] if self.groups[group].len() == 1 => self.only(group),
            _ => {
                let least = groups
                    .iter()
                    .filter_map(|&group| Some((self.least(group)?, group)));
                let (turn, group) = least.min()?;
                self.groups[group].sorted.remove(&turn);
                turn.2.1
            }
        };
        for group in groups {
            if self.groups[group].len() > 0 {
                self.push(group);
            }
        }
        let line = (line != u32::MAX).then_some(line);
        if let (Some(line), Some(old)) = (line, self.old) {
            if self.open.remove(&line) {
                let fields = self.fields(node);
                let shape = &old.lines[line as usize].shape;
                unify(shape, old, &fields, &mut self.bindings);
                let raced = self.races.of_event(self.graph, node);
                self.meanings.learn(shape, raced);
            } else if let Some(lines) = self.plain.get_mut(&self.graph.label_of[node as usize]) {
                lines.pop();
            }
        }
        Some(Placed { node, line })
    }

    fn fields(&self, node: u32) -> Fields<'a> {
        let label = self.graph.labels.label(self.graph.label_of[node as usize]);
        Fields::of_label(label, &self.graph.hosts)
    }

    /// The only event of a group.
    fn only(&mut self, group: usize) -> u32 {
        let Group { fresh, sorted, .. } = &mut self.groups[group];
        let sorted = || sorted.pop_first().map(|(_, _, (_, node))| node);
        fresh
            .pop()
            .or_else(sorted)
            .expect("a group that is ready has an event")
    }

    /// The event of a group that comes first.
    fn least(&mut self, group: usize) -> Option<Turn> {
        for node in std::mem::take(&mut self.groups[group].fresh) {
            let of = (
                self.digest(node),
                self.standing(node),
                self.graph.place(node),
            );
            self.groups[group].sorted.insert(of);
        }
        self.groups[group].sorted.first().copied()
    }

    /// The first old line that the next event of this group would have.
    fn line(&mut self, group: usize) -> u32 {
        let Group { label, raced, .. } = self.groups[group];
        let plain = self.plain.get(&label);
        let mut line = plain
            .and_then(|lines| lines.last().copied())
            .unwrap_or(u32::MAX);
        let Some(old) = self.old else {
            return line;
        };
        let fields = Fields::of_label(self.graph.labels.label(label), &self.graph.hosts);
        for &open in &self.open {
            if open >= line {
                break;
            }
            let bound = self.bindings.mark();
            let shape = &old.lines[open as usize].shape;
            let matches = unify(shape, old, &fields, &mut self.bindings);
            self.bindings.undo_to(bound);
            if matches && self.meanings.allow(shape, raced) {
                line = open;
            }
        }
        line
    }

    /// All causes of an event that may come next have their place.
    fn standing(&self, node: u32) -> Standing {
        let mut seen = BTreeSet::new();
        let mut todo = vec![node];
        let mut standing = (0, 0u64);
        while let Some(node) = todo.pop() {
            for (cause, why) in self.graph.before(node) {
                if !self.orders(node, why) || !seen.insert(cause) {
                    continue;
                }
                match self.position.get(&cause) {
                    Some(&position) => {
                        standing.0 += u64::from(position);
                        standing.1 = standing.1.wrapping_add(digest(position));
                    }
                    None => todo.push(cause),
                }
            }
        }
        standing
    }

    /// What comes before and after, whatever the order of what is concurrent.
    fn digest(&mut self, node: u32) -> u64 {
        let rounds = match self.scope.events.len() {
            ..=MOST_TOLD_APART => 3,
            _ => 1,
        };
        self.digest_of(node, rounds)
    }

    /// In round 0 what an event says; in each further one also what all before and after it said in
    /// the round before: events that differ only in how their neighbours are ordered differ in the
    /// second.
    fn digest_of(&mut self, node: u32, round: u32) -> u64 {
        let Some(before) = round.checked_sub(1) else {
            return digest(self.rank.get(&node));
        };
        if let Some(&known) = self.digests.get(&(node, round)) {
            return known;
        }
        let past = self.reached(node, |node| self.graph.before(node), |_, node| node);
        let future = self.reached(node, |node| self.graph.after(node), |next, _| next);
        let mut sum = self.digest_of(node, before);
        for (direction, nodes) in [(1u8, past), (2, future)] {
            for other in nodes {
                if self.rank.contains_key(&other) {
                    let of = self.digest_of(other, before);
                    sum = sum.wrapping_add(digest((of, direction)));
                }
            }
        }
        let sum = digest(sum);
        self.digests.insert((node, round), sum);
        sum
    }

    /// The members that one leads to, in the direction of `next`. `effect` is which of two, the
    /// next one and the one before it on that way, comes later.
    fn reached<Nodes: Iterator<Item = (u32, Why)>>(
        &self,
        from: u32,
        next: impl Fn(u32) -> Nodes,
        effect: impl Fn(u32, u32) -> u32,
    ) -> BTreeSet<u32> {
        let mut seen = BTreeSet::new();
        let mut todo = vec![from];
        while let Some(node) = todo.pop() {
            for (other, why) in next(node) {
                let counts = self.orders(effect(other, node), why);
                if counts && self.scope.members[other as usize] && seen.insert(other) {
                    todo.push(other);
                }
            }
        }
        seen
    }

    fn orders(&self, effect: u32, why: Why) -> bool {
        why != Why::Port || self.ports_order || !self.races.is_raced(effect)
    }
}

/// The rank of each event's label among all, raced ports left out: by text, not by number.
fn ranks(graph: &Graph, scope: &Scope, races: &Races) -> FastMap<u32, u32> {
    let key = |node: u32| {
        let mut label = graph.labels.label(graph.label_of[node as usize]);
        if !races.is_empty() {
            if races.subject(graph, node).is_some() {
                label.head.port = NONE;
            }
            if races.peer(graph, node).is_some() {
                label.head.peer_port = NONE;
            }
        }
        label
    };
    let mut numbers: FastMap<Label<'_>, u32> = FastMap::default();
    let mut distinct: Vec<Label<'_>> = Vec::new();
    let mut of_event = Vec::with_capacity(scope.events.len());
    for &node in &scope.events {
        let label = key(node);
        let number = *numbers.entry(label).or_insert_with(|| {
            distinct.push(label);
            distinct.len() as u32 - 1
        });
        of_event.push(number);
    }
    let mut sorted: Vec<u32> = (0..distinct.len() as u32).collect();
    sorted.sort_by_cached_key(|&number| {
        let Label { head, text } = distinct[number as usize];
        let host = graph.hosts.text(head.host);
        let peer = graph.hosts.text(head.peer_host);
        (host, head.port, head.verb, peer, head.peer_port, text)
    });
    let mut rank = vec![0; distinct.len()];
    for (index, number) in sorted.into_iter().enumerate() {
        rank[number as usize] = index as u32;
    }
    let events = scope.events.iter().copied();
    events
        .zip(of_event)
        .map(|(node, number)| (node, rank[number as usize]))
        .collect()
}
