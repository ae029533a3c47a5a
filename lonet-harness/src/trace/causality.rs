//! Happens-before: the records of all processes → one graph (TRACES 7.2).
//!
//! Pure. Owns the graph and the questions one can ask of it. Edges within a process are `edges`'
//! business, those between processes `across`'.
//! Takes records in any order, with gaps, twice, or nonsense from a foreign process: what can't be
//! understood becomes a problem in words, orders nothing, and costs nobody else's trace.

use std::collections::{BTreeMap, BTreeSet};

use lonet::trace::{Event, EventId, Record, What};
use serde::{Deserialize, Serialize};

use super::across::Across;
use super::edges::{Gathered, OneProcess, Why};
use super::problems::{self, Problems};
use super::symbols::{Labels, NONE, Symbols};

/// What one process reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id, as users see it.
    pub pid: u32,
    /// The number by which the scenario's `spawn`, `exit` and `kill` records name it, if the
    /// scenario started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// What it reported, in any order.
    pub records: Vec<Record>,
}

/// Every record of a scenario, and which happens before which.
#[derive(Debug)]
pub struct Graph {
    pub(crate) processes: Vec<Process>,
    /// The node of each process's first record; one more at the end.
    pub(crate) firsts: Vec<u32>,
    pub(crate) symbols: Symbols,
    pub(crate) labels: Labels,
    /// The label of each node, `NONE` for those that are no event.
    pub(crate) label_of: Vec<u32>,
    pub(crate) before: Adjacency,
    pub(crate) after: Adjacency,
    /// All nodes, causes before effects.
    pub(crate) order: Vec<u32>,
    /// Where in `order` each node stands.
    pub(crate) place: Vec<u32>,
    /// Further edges, for display and canonical order only: (effect, cause), sorted.
    pub(crate) likely: Vec<(u32, u32)>,
    pub(crate) problems: Problems,
}

/// Edges by node, all in one vector.
#[derive(Debug, Default)]
pub(crate) struct Adjacency {
    starts: Vec<u32>,
    targets: Vec<(u32, Why)>,
}

impl Adjacency {
    fn new(nodes: usize, edges: impl Iterator<Item = (u32, u32, Why)> + Clone) -> Adjacency {
        let mut starts = vec![0u32; nodes + 1];
        for (of, _, _) in edges.clone() {
            starts[of as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut targets = vec![(0, Why::Task); starts[nodes] as usize];
        for (of, to, why) in edges {
            let slot = &mut next[of as usize];
            targets[*slot as usize] = (to, why);
            *slot += 1;
        }
        Adjacency { starts, targets }
    }

    pub(crate) fn of(&self, node: u32) -> &[(u32, Why)] {
        let node = node as usize;
        &self.targets[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

impl Graph {
    /// Works out which record happens before which. Never fails: what makes no sense is told by
    /// [`problems`](Graph::problems).
    pub fn build(mut processes: Vec<Process>) -> Graph {
        let mut problems = Problems::default();
        let mut firsts = Vec::with_capacity(processes.len() + 1);
        let mut total: u32 = 0;
        for (index, process) in processes.iter_mut().enumerate() {
            firsts.push(total);
            put_in_order(index, process, &mut problems);
            super::sent::settle(&mut process.records);
            total += process.records.len() as u32;
        }
        firsts.push(total);

        let mut symbols = Symbols::default();
        symbols.intern("");
        let mut gathered = Gathered {
            has_before: vec![false; total as usize],
            has_after: vec![false; total as usize],
            problems,
            ..Gathered::default()
        };
        gathered.edges.reserve(total as usize * 2);
        gathered.label_of.reserve(total as usize);
        for (index, process) in processes.iter().enumerate() {
            OneProcess {
                index: index as u32,
                first: firsts[index],
                process,
                records: &process.records,
            }
            .gather(&mut gathered, &mut symbols);
        }

        let mut likely = Across::new(&processes, &firsts, &symbols, &mut gathered).run();

        let nodes = total as usize + gathered.joints.len();
        let mut label_of = std::mem::take(&mut gathered.label_of);
        label_of.resize(nodes, NONE);
        let process_of = |node: u32| match node.checked_sub(total) {
            Some(joint) => gathered.joints[joint as usize],
            None => (firsts.partition_point(|&first| first <= node) - 1) as u32,
        };
        let mut edges = std::mem::take(&mut gathered.edges);
        let (before, after, order) = loop {
            let after = Adjacency::new(nodes, edges.iter().map(|e| (e.from, e.to, e.why)));
            let before = Adjacency::new(nodes, edges.iter().map(|e| (e.to, e.from, e.why)));
            let order = sorted(nodes, &before, &after);
            if order.len() == nodes {
                break (before, after, order);
            }
            // Only edges between processes can close a cycle: leave those out.
            let on_cycle = cyclic(nodes, &before, &after, &order);
            let known = edges.len();
            let mut involved = BTreeSet::new();
            edges.retain(|e| {
                let inside = on_cycle[e.from as usize] && on_cycle[e.to as usize];
                let (from, to) = (process_of(e.from) as usize, process_of(e.to) as usize);
                if inside && from != to {
                    involved.extend([from, to]);
                }
                !inside || from == to
            });
            let names: Vec<String> = involved
                .iter()
                .map(|&index| problems::name(&processes[index]))
                .collect();
            let text = format!(
                "what {} reported contradicts itself: {} causes form a cycle; they order nothing",
                names.join(" and "),
                known - edges.len()
            );
            let involved = involved.into_iter().collect();
            gathered.problems.blame(involved, text);
        };
        let mut place = vec![0; nodes];
        for (index, &node) in order.iter().enumerate() {
            place[node as usize] = index as u32;
        }
        // Only what agrees with the order that was found is kept: likely edges never reject
        // anything, and must not form a cycle either.
        likely.retain(|&(to, from)| place[from as usize] < place[to as usize]);
        likely.sort_unstable();
        likely.dedup();
        let problems = gathered.problems;
        Graph {
            processes,
            firsts,
            symbols,
            labels: gathered.labels,
            label_of,
            before,
            after,
            order,
            place,
            likely,
            problems,
        }
    }

    /// What the processes reported that makes no sense, each with the process that did.
    pub fn problems(&self) -> &[String] {
        self.problems.texts()
    }

    /// Whether the scenario started a process that plays this host.
    pub(crate) fn started(&self, host: &str) -> bool {
        let started = self
            .processes
            .iter()
            .filter(|process| process.node.is_some());
        let mut records = started.flat_map(|process| &process.records);
        records.any(|record| matches!(&record.e, What::Up { h } if h == host))
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        *self.firsts.last().unwrap_or(&0) as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The node of a record.
    pub(crate) fn node(&self, id: EventId) -> Option<u32> {
        let process = self.processes.get(id.process as usize)?;
        let index = process.records.binary_search_by_key(&id.n, |r| r.n).ok()?;
        Some(self.firsts[id.process as usize] + index as u32)
    }

    /// The record of a node, with its process. `None` for a joint.
    pub(crate) fn record(&self, node: u32) -> Option<(u32, &Record)> {
        if node as usize >= self.len() {
            return None;
        }
        let process = self.firsts.partition_point(|&first| first <= node) - 1;
        let index = (node - self.firsts[process]) as usize;
        Some((process as u32, &self.processes[process].records[index]))
    }

    /// The event of a node, if it is one.
    pub(crate) fn event(&self, node: u32) -> Option<Event> {
        let (process, record) = self.record(node)?;
        Event::of_record(process, record)
    }

    /// Which nodes happen before this one, by node.
    pub(crate) fn past(&self, of: u32) -> Vec<bool> {
        let mut past = vec![false; self.label_of.len()];
        let mut todo = vec![of];
        while let Some(node) = todo.pop() {
            for &(cause, _) in self.before.of(node) {
                if !past[cause as usize] {
                    past[cause as usize] = true;
                    todo.push(cause);
                }
            }
        }
        past
    }

    /// Whether the first happens before the second. False if the graph has not both.
    pub fn happens_before(&self, a: EventId, b: EventId) -> bool {
        matches!((self.node(a), self.node(b)), (Some(a), Some(b)) if self.reaches(a, b))
    }

    /// Whether node `a` happens before node `b`.
    pub(crate) fn reaches(&self, a: u32, b: u32) -> bool {
        self.reaches_by(a, b, |_| true)
    }

    /// Whether node `a` happens before node `b` by such edges alone.
    pub(crate) fn reaches_by(&self, a: u32, b: u32, counts: impl Fn(Why) -> bool) -> bool {
        if self.place[a as usize] >= self.place[b as usize] {
            return false;
        }
        let mut seen = BTreeSet::new();
        let mut todo = vec![b];
        while let Some(node) = todo.pop() {
            for &(cause, why) in self.before.of(node) {
                if !counts(why) {
                    continue;
                }
                if cause == a {
                    return true;
                }
                if self.place[cause as usize] > self.place[a as usize] && seen.insert(cause) {
                    todo.push(cause);
                }
            }
        }
        false
    }

    /// A shortest chain of causes from `a` to `b`, both included; each with why it comes after the
    /// one before it.
    pub(crate) fn chain(&self, a: u32, b: u32) -> Vec<(u32, Why)> {
        let mut toward: BTreeMap<u32, (u32, Why)> = BTreeMap::new();
        let mut todo = std::collections::VecDeque::from([b]);
        while let Some(node) = todo.pop_front() {
            if node == a {
                break;
            }
            for &(cause, why) in self.before.of(node) {
                if self.place[cause as usize] >= self.place[a as usize]
                    && !toward.contains_key(&cause)
                {
                    toward.insert(cause, (node, why));
                    todo.push_back(cause);
                }
            }
        }
        let mut chain = vec![(a, Why::Task)];
        let mut at = a;
        while let Some(&(next, why)) = toward.get(&at) {
            chain.push((next, why));
            if next == b {
                break;
            }
            at = next;
        }
        chain
    }

    /// The likely causes of a node.
    pub(crate) fn likely_before(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let from = self.likely.partition_point(|&(to, _)| to < node);
        self.likely[from..]
            .iter()
            .take_while(move |&&(to, _)| to == node)
            .map(|&(_, cause)| cause)
    }
}

/// Records by number, each number once.
fn put_in_order(index: usize, process: &mut Process, problems: &mut Problems) {
    if process.records.is_sorted_by(|a, b| a.n < b.n) {
        return;
    }
    process.records.sort_by_key(|record| record.n);
    let known = process.records.len();
    process.records.dedup_by_key(|record| record.n);
    let twice = known - process.records.len();
    if twice > 0 {
        let name = problems::name(process);
        let records = match twice {
            1 => "a record".to_owned(),
            _ => format!("{twice} records"),
        };
        let text = format!(
            "{name} gave {records} a number that another one has; the first of each number counts"
        );
        problems.blame(vec![index], text);
    }
}

/// The nodes, causes before effects; those on a cycle and behind it are missing.
fn sorted(nodes: usize, before: &Adjacency, after: &Adjacency) -> Vec<u32> {
    let mut waits: Vec<u32> = (0..nodes as u32)
        .map(|node| before.of(node).len() as u32)
        .collect();
    let mut order: Vec<u32> = Vec::with_capacity(nodes);
    order.extend((0..nodes as u32).filter(|&node| waits[node as usize] == 0));
    let mut next = 0;
    while next < order.len() {
        for &(effect, _) in after.of(order[next]) {
            waits[effect as usize] -= 1;
            if waits[effect as usize] == 0 {
                order.push(effect);
            }
        }
        next += 1;
    }
    order
}

/// The nodes on cycles, and on ways from one cycle to another.
fn cyclic(nodes: usize, before: &Adjacency, after: &Adjacency, order: &[u32]) -> Vec<bool> {
    let mut left = vec![true; nodes];
    for &node in order {
        left[node as usize] = false;
    }
    let inside = |node: u32, left: &[bool]| {
        let effects = after.of(node).iter();
        effects.filter(|(to, _)| left[*to as usize]).count()
    };
    let mut leads: Vec<usize> = (0..nodes as u32).map(|node| inside(node, &left)).collect();
    let mut todo: Vec<u32> = (0..nodes as u32)
        .filter(|&node| left[node as usize] && leads[node as usize] == 0)
        .collect();
    while let Some(node) = todo.pop() {
        left[node as usize] = false;
        for &(cause, _) in before.of(node) {
            if left[cause as usize] {
                leads[cause as usize] -= 1;
                if leads[cause as usize] == 0 {
                    todo.push(cause);
                }
            }
        }
    }
    left
}
