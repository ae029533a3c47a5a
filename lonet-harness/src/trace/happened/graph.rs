//! Happens-before: the records of all processes → one graph.
//!
//! Pure. Owns the graph and the questions one can ask of it. Edges within a process are
//! `within_process`' business, those between processes `between_processes`'.
//! Takes records in any order, with gaps, twice, or nonsense from a foreign process: what can't be
//! understood becomes a problem in words, orders nothing, and leaves the traces of other processes
//! intact.

use std::collections::{BTreeMap, BTreeSet};

use lonet::trace::{Event, EventId, Record, What};

use crate::trace::happened::between_processes::Across;
use crate::trace::happened::contradictions::Problems;
use crate::trace::happened::gathered::Gathered;
use crate::trace::happened::process::{self, Process};
use crate::trace::happened::relation::{Adjacency, Order, Relation, Why};
use crate::trace::happened::within_process::OneProcess;
use crate::trace::intern::hash_index::NONE;
use crate::trace::intern::labels::Labels;
use crate::trace::intern::symbols::Symbols;

/// Every record of a scenario, and which happens before which.
#[derive(Debug)]
pub struct Graph {
    pub(crate) processes: Vec<Process>,
    /// The node of each process's first record; one more at the end.
    pub(crate) firsts: Vec<u32>,
    /// The names of all hosts.
    pub(crate) hosts: Symbols,
    pub(crate) labels: Labels,
    /// The label of each node, `NONE` for those that are not events.
    pub(crate) label_of: Vec<u32>,
    relation: Relation,
    /// All nodes, causes before effects, as this run had them: by the clock.
    pub(crate) order: Vec<u32>,
    /// By node: where it stands in `order`.
    stands: Vec<u32>,
    pub(crate) problems: Problems,
}

impl Graph {
    /// Works out which record happens before which. Never fails: contradictions are returned by
    /// [`problems`](Graph::problems).
    pub fn build(mut processes: Vec<Process>) -> Graph {
        let mut problems = Problems::default();
        let mut firsts = Vec::with_capacity(processes.len() + 1);
        let mut total: u32 = 0;
        for (index, process) in processes.iter_mut().enumerate() {
            firsts.push(total);
            let look = Look::at(&process.records);
            if !look.in_order {
                put_in_order(index, process, &mut problems);
            }
            if look.sends {
                crate::trace::happened::sent::settle(&mut process.records);
            }
            total += process.records.len() as u32;
        }
        firsts.push(total);

        let mut gathered = Gathered {
            direct: Adjacency::with_capacity(total as usize, total as usize * 5 / 2),
            has_before: vec![false; total as usize],
            has_after: vec![false; total as usize],
            label_of: Vec::with_capacity(total as usize * 5 / 4),
            problems,
            ..Gathered::default()
        };
        for (index, process) in processes.iter().enumerate() {
            OneProcess {
                index: index as u32,
                first: firsts[index],
                process,
                records: &process.records,
            }
            .gather(&mut gathered);
        }

        Across::new(&processes, &firsts, &mut gathered).run();

        let nodes = total as usize + gathered.joints.len();
        let mut label_of = std::mem::take(&mut gathered.label_of);
        label_of.resize(nodes, NONE);
        let process_of = |node: u32| match node.checked_sub(total) {
            Some(joint) => gathered.joints[joint as usize],
            None => (firsts.partition_point(|&first| first <= node) - 1) as u32,
        };
        let mut loose = std::mem::take(&mut gathered.loose);
        let direct = std::mem::take(&mut gathered.direct);
        let mut in_run = std::mem::take(&mut gathered.in_run);
        let mut relation = Relation::new(nodes, direct, &loose, &in_run);
        let sequence = by_clock(&processes, nodes);
        let Order { order, stands } = loop {
            if let Some(order) = relation.order(&sequence, true) {
                break order;
            }
            if relation.order(&sequence, false).is_some() {
                // What is true of this run alone must not take away what is certain.
                let on_cycle = relation.cyclic_in_run();
                in_run.retain(|&(to, from)| !on_cycle[from as usize] || !on_cycle[to as usize]);
                relation = relation.with(&loose, &in_run);
                continue;
            }
            // Only edges between processes can close a cycle: leave those out.
            let on_cycle = relation.cyclic();
            let known = loose.len();
            let mut involved = BTreeSet::new();
            loose.retain(|e| {
                let inside = on_cycle[e.from as usize] && on_cycle[e.to as usize];
                let (from, to) = (process_of(e.from) as usize, process_of(e.to) as usize);
                if inside && from != to {
                    involved.extend([from, to]);
                }
                !inside || from == to
            });
            let names: Vec<String> = involved
                .iter()
                .map(|&index| process::name(&processes[index]))
                .collect();
            let text = format!(
                "what {} reported contradicts itself: {} causes form a cycle; they order nothing",
                names.join(" and "),
                known - loose.len()
            );
            let involved = involved.into_iter().collect();
            gathered.problems.blame(involved, text);
            relation = relation.with(&loose, &in_run);
        };
        let problems = gathered.problems;
        Graph {
            processes,
            firsts,
            hosts: gathered.hosts,
            labels: gathered.labels,
            label_of,
            relation,
            order,
            stands,
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
        records.any(|record| matches!(&record.what, What::Up { host: h } if h == host))
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

    /// The direct causes of a node, and why.
    #[inline]
    pub(crate) fn before(&self, node: u32) -> impl Iterator<Item = (u32, Why)> + Clone + '_ {
        #[cfg(test)]
        crate::trace::intern::steps::step();
        self.relation.before(node)
    }

    /// The direct effects of a node, and why.
    #[inline]
    pub(crate) fn after(&self, node: u32) -> impl Iterator<Item = (u32, Why)> + Clone + '_ {
        #[cfg(test)]
        crate::trace::intern::steps::step();
        self.relation.after(node)
    }

    /// The direct causes of a node in this run.
    #[inline]
    pub(crate) fn before_in_run(&self, node: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        self.relation.before_in_run(node)
    }

    /// The direct effects of a node in this run.
    pub(crate) fn after_in_run(&self, node: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        self.relation.after_in_run(node)
    }

    /// Where a node stands in the order; of two, the one that stands above is less.
    pub(crate) fn place(&self, node: u32) -> (u32, u32) {
        (self.stands[node as usize], node)
    }

    /// Where in `order` a node stands.
    pub(crate) fn stands(&self, node: u32) -> usize {
        self.stands[node as usize] as usize
    }

    /// Which nodes happen before this one, by node.
    pub(crate) fn past(&self, of: u32) -> Vec<bool> {
        let mut past = vec![false; self.label_of.len()];
        let mut todo = vec![of];
        while let Some(node) = todo.pop() {
            for (cause, _) in self.before(node) {
                if !past[cause as usize] {
                    past[cause as usize] = true;
                    todo.push(cause);
                }
            }
        }
        past
    }

    /// Whether the first happens before the second for certain. False if the graph has not both.
    pub fn happens_before(&self, a: EventId, b: EventId) -> bool {
        matches!((self.node(a), self.node(b)), (Some(a), Some(b)) if self.reaches(a, b))
    }

    /// Whether node `a` happens before node `b` for certain: in every run of the same behaviour.
    pub(crate) fn reaches(&self, a: u32, b: u32) -> bool {
        self.reaches_by(a, b, |_| true)
    }

    /// Whether node `a` happens before node `b` by such edges alone.
    pub(crate) fn reaches_by(&self, a: u32, b: u32, counts: impl Fn(Why) -> bool) -> bool {
        self.leads(a, b, |node| {
            let causes = self.before(node).filter(|&(_, why)| counts(why));
            causes.map(|(cause, _)| cause)
        })
    }

    /// Whether node `a` happened before node `b` in this run.
    pub(crate) fn reaches_in_run(&self, a: u32, b: u32) -> bool {
        self.leads(a, b, |node| self.before_in_run(node))
    }

    fn leads<I>(&self, a: u32, b: u32, before: impl Fn(u32) -> I) -> bool
    where
        I: Iterator<Item = u32>,
    {
        if self.place(a) >= self.place(b) {
            return false;
        }
        let mut seen = BTreeSet::new();
        let mut todo = vec![b];
        while let Some(node) = todo.pop() {
            for cause in before(node) {
                if cause == a {
                    return true;
                }
                if self.place(cause) > self.place(a) && seen.insert(cause) {
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
            for (cause, why) in self.before(node) {
                if self.place(cause) >= self.place(a) && !toward.contains_key(&cause) {
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
}

/// All nodes by the times of their records, those that stand for no record last.
fn by_clock(processes: &[Process], nodes: usize) -> Vec<u32> {
    let records = processes.iter().flat_map(|process| &process.records);
    // Mostly each process has its own in order already, which the sort makes use of.
    let mut timed: Vec<(u64, u32)> = records.map(|record| record.t).zip(0..).collect();
    timed.sort();
    let joints = timed.len() as u32..nodes as u32;
    let records = timed.into_iter().map(|(_, node)| node);
    records.chain(joints).collect()
}

/// What decides how records have to be prepared, seen in one pass over them: a million are larger
/// than any cache, and mostly nothing has to be done.
struct Look {
    in_order: bool,
    sends: bool,
}

impl Look {
    fn at(records: &[Record]) -> Look {
        let mut look = Look {
            in_order: true,
            sends: false,
        };
        let mut above = 0;
        for record in records {
            look.in_order &= above < record.n;
            look.sends |= matches!(record.what, What::Send { .. });
            above = record.n;
        }
        look
    }
}

/// Records by number, each number once.
fn put_in_order(index: usize, process: &mut Process, problems: &mut Problems) {
    process.records.sort_by_key(|record| record.n);
    let known = process.records.len();
    process.records.dedup_by_key(|record| record.n);
    let twice = known - process.records.len();
    if twice > 0 {
        let name = process::name(process);
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
