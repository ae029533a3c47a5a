//! Happens-before: the records of all processes → one graph (TRACES 7.2).
//!
//! Pure. Owns the graph, the edges between processes (connections, payload, starting and ending,
//! awaiting) and the questions one can ask of it. Edges within a process are `edges`' business.
//! Takes records in any order, with gaps, twice, or nonsense from a foreign process: what can't be
//! understood becomes a problem in words, orders nothing, and costs nobody else's trace.

use std::collections::{BTreeMap, BTreeSet};

use lonet::trace::{Event, EventId, Record, What};
use serde::{Deserialize, Serialize};

use super::edges::{Credit, Edge, Gathered, OneProcess, Why};
use super::symbols::{FastMap, Label, Labels, NONE, Symbols};

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
    problems: Vec<String>,
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
        let mut problems = Vec::new();
        let mut firsts = Vec::with_capacity(processes.len() + 1);
        let mut total: u32 = 0;
        for (index, process) in processes.iter_mut().enumerate() {
            firsts.push(total);
            put_in_order(index, process, &mut problems);
            total += process.records.len() as u32;
        }
        firsts.push(total);

        let mut symbols = Symbols::default();
        symbols.intern("");
        let mut labels = Labels::default();
        let mut label_of = Vec::with_capacity(total as usize);
        for record in processes.iter().flat_map(|process| &process.records) {
            let label = Label::of_record(record, &mut symbols);
            label_of.push(label.map_or(NONE, |label| labels.intern(label)));
        }

        let mut gathered = Gathered {
            has_before: vec![false; total as usize],
            has_after: vec![false; total as usize],
            ..Gathered::default()
        };
        gathered.edges.reserve(total as usize * 2);
        for (index, process) in processes.iter().enumerate() {
            let name = process_name(index, process);
            OneProcess {
                index: index as u32,
                name: &name,
                first: firsts[index],
                records: &process.records,
            }
            .gather(&mut gathered, &mut symbols);
        }
        gathered.problems.splice(0..0, problems);

        let mut across = Across {
            processes: &processes,
            firsts: &firsts,
            symbols: &symbols,
            gathered: &mut gathered,
            peer: Vec::new(),
            kills: BTreeMap::new(),
            dropped: 0,
            likely: Vec::new(),
        };
        across.connections();
        across.lifetimes();
        across.payload();
        across.awaited();
        across.claims();
        let Across {
            mut likely,
            dropped,
            ..
        } = across;
        if dropped > 0 {
            gathered.problems.push(format!(
                "{dropped} causes stand after their effects in the same process; they order nothing"
            ));
        }

        let nodes = total as usize + gathered.joints.len();
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
            edges.retain(|e| {
                let inside = on_cycle[e.from as usize] && on_cycle[e.to as usize];
                !inside || process_of(e.from) == process_of(e.to)
            });
            gathered.problems.push(format!(
                "the processes' reports contradict each other: {} causes form a cycle; they order nothing",
                known - edges.len()
            ));
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
            labels,
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
        &self.problems
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

fn process_name(index: usize, process: &Process) -> String {
    format!("process {index} (pid {})", process.pid)
}

/// Records by number, each number once.
fn put_in_order(index: usize, process: &mut Process, problems: &mut Vec<String>) {
    if process.records.is_sorted_by(|a, b| a.n < b.n) {
        return;
    }
    process.records.sort_by_key(|record| record.n);
    let known = process.records.len();
    process.records.dedup_by_key(|record| record.n);
    let twice = known - process.records.len();
    if twice > 0 {
        problems.push(format!(
            "{} gave {twice} numbers to more than one record; the first of each counts",
            process_name(index, process)
        ));
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

/// The edges between processes.
struct Across<'a> {
    processes: &'a [Process],
    firsts: &'a [u32],
    symbols: &'a Symbols,
    gathered: &'a mut Gathered,
    /// The other end of each end.
    peer: Vec<Option<u32>>,
    /// The confirmed death of each process that the scenario killed.
    kills: BTreeMap<u32, u32>,
    /// Causes that stand after their effect in one process.
    dropped: usize,
    likely: Vec<(u32, u32)>,
}

impl<'a> Across<'a> {
    fn process_of(&self, node: u32) -> u32 {
        (self.firsts.partition_point(|&first| first <= node) - 1) as u32
    }

    fn what(&self, node: u32) -> &'a What {
        let process = self.process_of(node) as usize;
        &self.processes[process].records[(node - self.firsts[process]) as usize].e
    }

    /// An edge between two records, which may be of one process.
    fn edge(&mut self, from: u32, to: u32, why: Why) {
        if from >= to && self.process_of(from) == self.process_of(to) {
            self.dropped += 1;
            return;
        }
        self.gathered.edges.push(Edge { from, to, why });
    }

    /// Dial → accept → connect, and which ends belong together.
    fn connections(&mut self) {
        let ends = std::mem::take(&mut self.gathered.ends);
        let links = std::mem::take(&mut self.gathered.links);
        self.peer = vec![None; ends.len()];
        let mut dialers: FastMap<u32, Vec<u32>> = FastMap::default();
        for (index, end) in ends.iter().enumerate().filter(|(_, end)| end.is_dialer) {
            dialers.entry(end.key).or_default().push(index as u32);
        }
        for (index, end) in ends.iter().enumerate().filter(|(_, end)| !end.is_dialer) {
            let What::Accept { a, p, .. } = self.what(end.created) else {
                continue;
            };
            let dial = links.get(&end.key).and_then(|dials| {
                let fits = |&&dial: &&u32| match self.what(dial) {
                    What::Dial { a: src, p: dst } => src == p && dst.host() == a.host(),
                    _ => false,
                };
                dials.iter().rev().find(fits).copied()
            });
            match dial {
                Some(dial) => self.edge(dial, end.created, Why::Connection),
                None => {
                    let process = self.process_of(end.created) as usize;
                    let name = process_name(process, &self.processes[process]);
                    let key = self.symbols.text(end.key);
                    self.gathered.problems.push(format!(
                        "{name} accepted {a} from {p} on {key}, which no dial has reported"
                    ));
                }
            }
            let candidates = dialers.get(&end.key).map_or(&[][..], Vec::as_slice);
            let fits = |&&dialer: &&u32| match self.what(ends[dialer as usize].created) {
                What::Connect { a: src, p: dst, .. } => src == p && dst == a,
                _ => false,
            };
            let free = |dialer: &&u32| self.peer[**dialer as usize].is_none() && fits(dialer);
            if let Some(&dialer) = candidates.iter().rev().find(free) {
                self.peer[index] = Some(dialer);
                self.peer[dialer as usize] = Some(index as u32);
                let connect = ends[dialer as usize].created;
                self.edge(end.created, connect, Why::Connection);
            }
        }
        self.gathered.ends = ends;
    }

    /// `spawn` → `up` → everything of a process → `exit`, `kill`.
    fn lifetimes(&mut self) {
        let mut by_number: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (index, process) in self.processes.iter().enumerate() {
            if let Some(node) = process.node {
                by_number.entry(node).or_default().push(index as u32);
            }
            self.hosts_up(index);
        }
        let mut starts: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut finishes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut died_otherwise = BTreeSet::new();
        for (index, process) in self.processes.iter().enumerate() {
            for (offset, record) in process.records.iter().enumerate() {
                let node = self.firsts[index] + offset as u32;
                let (i, ends) = match &record.e {
                    What::Spawn { i, .. } | What::Restart { i, .. } => (i, false),
                    What::Exit { i, x, .. } => {
                        if x != "signal 9" {
                            died_otherwise.insert(*i);
                        }
                        (i, true)
                    }
                    What::Kill { i, .. } => (i, true),
                    _ => continue,
                };
                for &of in by_number.get(i).map_or(&[][..], Vec::as_slice) {
                    let list = if ends { &mut finishes } else { &mut starts };
                    list.entry(of).or_default().push(node);
                    if matches!(record.e, What::Kill { .. }) {
                        self.kills.insert(of, node);
                    }
                }
            }
        }
        // Who had ended before was not killed: its peers read the end of the stream before.
        let processes = self.processes;
        self.kills.retain(|&process, _| {
            let number = processes[process as usize].node;
            number.is_none_or(|number| !died_otherwise.contains(&number))
        });
        for (process, nodes) in starts {
            let begin = self.joint(process);
            for node in nodes {
                self.push(node, begin, Why::Process);
            }
            for record in self.records_of(process) {
                if !self.gathered.has_before[record as usize] {
                    self.push(begin, record, Why::Process);
                }
            }
        }
        for (process, nodes) in finishes {
            let end = self.joint(process);
            for record in self.records_of(process) {
                if !self.gathered.has_after[record as usize] {
                    self.push(record, end, Why::Process);
                }
            }
            for node in nodes {
                self.push(end, node, Why::Process);
            }
        }
    }

    fn records_of(&self, process: u32) -> std::ops::Range<u32> {
        self.firsts[process as usize]..self.firsts[process as usize + 1]
    }

    fn joint(&mut self, process: u32) -> u32 {
        self.gathered.joints.push(process);
        (self.gathered.has_before.len() + self.gathered.joints.len() - 1) as u32
    }

    fn push(&mut self, from: u32, to: u32, why: Why) {
        self.gathered.edges.push(Edge { from, to, why });
    }

    /// A host is up before anything happens there.
    fn hosts_up(&mut self, index: usize) {
        let mut up: BTreeMap<&str, u32> = BTreeMap::new();
        let records = &self.processes[index].records;
        for (offset, record) in records.iter().enumerate() {
            let node = self.firsts[index] + offset as u32;
            if let What::Up { h } = &record.e {
                up.insert(h, node);
                continue;
            }
            if self.gathered.has_before[node as usize] {
                continue;
            }
            let first = match self.processes[index].node {
                // The one host of a process that the scenario started.
                Some(_) => up.values().min().copied(),
                None => host_of(&record.e).and_then(|host| up.get(host).copied()),
            };
            if let Some(first) = first {
                self.gathered.has_before[node as usize] = true;
                self.gathered.has_after[first as usize] = true;
                self.push(first, node, Why::Process);
            }
        }
    }

    /// What was written → what was read.
    fn payload(&mut self) {
        let credits = std::mem::take(&mut self.gathered.credits);
        for credit in credits {
            if let Some((from, why)) = self.cause(credit, credit.certain) {
                self.edge(from, credit.reader, why);
            }
            if credit.all > credit.certain
                && let Some((from, _)) = self.cause(credit, credit.all)
            {
                self.likely.push((credit.reader, from));
            }
        }
    }

    /// The latest that the other end did before so many bytes of it could be read.
    fn cause(&self, credit: Credit, bytes: u64) -> Option<(u32, Why)> {
        let peer = self.peer[credit.end as usize]?;
        let peer = &self.gathered.ends[peer as usize];
        if !peer.opaque {
            if let Some((w, node)) = peer.shutdown
                && bytes > w
            {
                return Some((node, Why::Eof));
            }
            // A reset is read as the end of the stream, too, whatever was not read before it.
            if let Some((w, node)) = peer.close
                && (bytes > w || credit.eof)
            {
                return Some((node, Why::Eof));
            }
            if credit.eof
                && peer.shutdown.is_none()
                && peer.close.is_none()
                && let Some(&kill) = self.kills.get(&peer.process)
            {
                return Some((kill, Why::Killed));
            }
        }
        let written = peer.writes.partition_point(|&(w, _)| w < bytes);
        let (_, node) = *peer.writes.get(written.checked_sub(1)?)?;
        Some((node, Why::Payload))
    }

    /// What a task waited for → what it did next.
    fn awaited(&mut self) {
        let learned = std::mem::take(&mut self.gathered.learned);
        for (event, to) in learned {
            let from = self
                .processes
                .get(event.process as usize)
                .and_then(|process| {
                    let index = process.records.binary_search_by_key(&event.n, |r| r.n);
                    Some(self.firsts[event.process as usize] + index.ok()? as u32)
                });
            match from {
                Some(from) => self.edge(from, to, Why::Awaited),
                None => {
                    let process = self.process_of(to) as usize;
                    let name = process_name(process, &self.processes[process]);
                    self.gathered.problems.push(format!(
                        "{name} learned of record {} of process {}, which nobody has reported",
                        event.n, event.process
                    ));
                }
            }
        }
    }

    /// Two processes that say they are the same host at the same time.
    fn claims(&mut self) {
        let mut claims: BTreeMap<&str, Vec<(usize, u64, u64)>> = BTreeMap::new();
        for (index, process) in self.processes.iter().enumerate() {
            let last = process.records.iter().map(|r| r.t).max().unwrap_or(0);
            for record in &process.records {
                let What::Up { h } = &record.e else { continue };
                let down = process.records.iter().find(|r| {
                    r.n > record.n && matches!(&r.e, What::Down { h: down } if down == h)
                });
                let until = down.map_or(last, |down| down.t);
                claims.entry(h).or_default().push((index, record.t, until));
            }
        }
        for (host, mut claims) in claims {
            claims.sort_by_key(|&(index, from, _)| (from, index));
            for pair in claims.windows(2) {
                let [(a, _, until), (b, from, _)] = pair else {
                    continue;
                };
                if a != b && from < until {
                    self.gathered.problems.push(format!(
                        "{} and {} both say they are host {host}; what both report is kept",
                        process_name(*a, &self.processes[*a]),
                        process_name(*b, &self.processes[*b]),
                    ));
                }
            }
        }
    }
}

/// The host at which something happened.
fn host_of(what: &What) -> Option<&str> {
    match what {
        What::Listen { a, .. }
        | What::Dial { a, .. }
        | What::Accept { a, .. }
        | What::Connect { a, .. }
        | What::Fail { a, .. }
        | What::Close { a, .. } => Some(a.host()),
        What::Mark { h, .. } => Some(h),
        _ => None,
    }
}
