//! Which arrivals raced in a run: two things that reached one host, and nothing orders them.
//!
//! Pure. Owns which pairs there are, by which lines the next run knows them, and what there is to say
//! about each. How a pair is reversed is the business of `run::search`.
//!
//! An arrival is a read of bytes or an accept; a dial races with the listen of the address that it
//! dials. Example: s accepts c and d, and reads from each in a task of its own. The four arrivals make
//! four pairs, since each of c's may come before or after each of d's. If one task read first from c
//! and then from d, it alone would order its reads, and they would be no pair.
//!
//! The end of a stream has no line, so it is in no pair. Neither are arrivals that the next run can't
//! tell apart, as they have the same line. Of pairs with
//! the same lines, only the first counts: of heartbeats there would be as many as their number squared.
//!
//! A search that has put two arrivals in an order knows what comes of that: as long as the order stands,
//! there is no point in trying the opposite. So a forced order counts as a cause.
//!
//! All reads of one connection by one task form a chain. For each node of the graph and each chain, a
//! table has how many events of the chain happen before the node. So one look says whether two
//! arrivals are ordered; and since order is inherited along a chain, only the next event of the other
//! chain has to be looked at.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use lonet::Addr;
use lonet::trace::What;

use crate::trace::cut::Cut;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;
use crate::trace::happened::racing_ports::Races;
use crate::trace::happened::relation::Why;
use crate::trace::intern::symbols::{Symbol, Symbols};
use crate::trace::naming;
use crate::trace::{Event, Pattern, Verb};

/// So many chains have a place in the table at a time.
const AT_ONCE: usize = 32;

/// So many entries of the table are computed, over and over. Further chains are left out, and counted.
const MOST_ENTRIES: usize = 50_000_000;

/// An event that can be held, by a line that the next run has, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    pub(crate) host: String,
    /// A pattern: ports that raced, and numbers of bytes, are any.
    pub(crate) line: String,
    /// The how-many-th match in its process.
    pub(crate) nth: usize,
}

/// Two arrivals that nothing orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The one that came first in this run. It can be held.
    pub(crate) earlier: Arrival,
    pub(crate) later: Arrival,
    /// The last event before both.
    pub(crate) common: Option<String>,
    /// What the later one comes of: the send, or the dial.
    pub(crate) cause: Option<String>,
}

/// Two arrivals in an order that the run was made to have: the first one, and the one that was held
/// until then.
pub(crate) type Forced = (Arrival, Arrival);

/// What a search wants to know of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Racing {
    /// In the order of the earlier ones.
    pub(crate) pairs: Vec<Pair>,
    /// Lines of arrivals that raced with one from which the next run can't tell them.
    pub(crate) alike: BTreeSet<String>,
    /// So many connections are too many to be looked at.
    pub(crate) left_out: usize,
    /// The lines of the default view, as the next run has them, sorted.
    pub(crate) lines: Vec<String>,
    /// The longest time in which nothing was recorded.
    pub(crate) longest_gap: Duration,
    /// Of each forced order, whether both happened, in that order.
    pub(crate) seen: Vec<bool>,
}

impl Racing {
    /// Of all that was recorded up to that time (CLOCK_MONOTONIC in nanoseconds). What these orders put
    /// before something else does not race with it.
    pub(crate) fn find(records: Vec<Process>, until: u64, forced: &[Forced]) -> Racing {
        Racing::find_within(records, until, forced, MOST_ENTRIES)
    }

    pub(in crate::trace) fn find_within(
        mut records: Vec<Process>,
        until: u64,
        forced: &[Forced],
        most: usize,
    ) -> Racing {
        // A port that the end of the test frees has raced with nothing.
        for process in &mut records {
            process.records.retain(|record| record.t <= until);
        }
        let cut = Cut::whole(Arc::new(Graph::build(records)));
        let mut run = Run::new(&cut);
        let seen = forced.iter().map(|forced| run.force(forced)).collect();
        Racing {
            seen,
            ..run.racing(most)
        }
    }
}

/// Arrivals of one host, of which each happens before the next. All have the same line.
struct Chain {
    process: u32,
    host: Symbol,
    at: At,
    line: Symbol,
    task: Option<u64>,
    /// Nodes, as they stand in the order.
    events: Vec<u32>,
}

/// Where they arrive.
enum At {
    Socket(u64),
    /// At a listener, from a dialer of its own.
    Caller,
    Dials(Addr),
    Listens(Addr),
}

/// A run, and what is known of its events.
struct Run<'a> {
    cut: &'a Cut,
    graph: &'a Graph,
    races: Races,
    /// What was held, and until when.
    forced: BTreeMap<u32, Vec<u32>>,
}

impl<'a> Run<'a> {
    fn new(cut: &'a Cut) -> Run<'a> {
        let graph: &Graph = &cut.graph;
        Run {
            cut,
            graph,
            races: Races::find(graph, cut.scope()),
            forced: BTreeMap::new(),
        }
    }

    /// Takes note of an order; the result is whether it can be seen.
    fn force(&mut self, (first, then): &Forced) -> bool {
        let (Some(first), Some(then)) = (self.find(first), self.find(then)) else {
            return false;
        };
        let graph = self.graph;
        let is_dial = matches!(graph.record(then), Some((_, record)) if matches!(record.what, What::Dial { .. }));
        // It is recorded before its request is held: that tells nothing.
        if is_dial {
            return true;
        }
        let is_seen = graph.place(first) < graph.place(then);
        if is_seen {
            self.forced.entry(then).or_default().push(first);
        }
        is_seen
    }

    fn find(&self, arrival: &Arrival) -> Option<u32> {
        let pattern = Pattern::parse(&arrival.line).ok()?;
        let mut processes = self.graph.processes.iter().zip(0..);
        let (process, record) = processes.find_map(|(of, process)| {
            let found = naming::find(process, &of.records, &pattern, arrival.nth);
            found.map(|record| (process, record))
        })?;
        self.graph.node((process, record.n).into())
    }

    fn racing(&self, most: usize) -> Racing {
        let mut names = Symbols::default();
        let chains = self.chains(&mut names);
        let looked_at = most / self.graph.label_of.len().max(1);
        let left_out = chains.len().saturating_sub(looked_at);
        let chains = &chains[..chains.len() - left_out];
        let mut found = Found::default();
        for from in (0..chains.len()).step_by(AT_ONCE) {
            let block = &chains[from..chains.len().min(from + AT_ONCE)];
            let before = self.before(block);
            for (column, one) in block.iter().enumerate() {
                for other in chains {
                    if let Some(alike) = may_race(one, other) {
                        let happens_before = |index: u32, node: u32| {
                            before[node as usize * block.len() + column] > index
                        };
                        self.first_pair((one, other), alike, happens_before, &mut found);
                    }
                }
            }
        }
        Racing {
            pairs: self.explained(found.pairs),
            alike: found
                .alike
                .into_iter()
                .map(|line| names.text(line).to_owned())
                .collect(),
            left_out,
            lines: self.lines(),
            longest_gap: self.longest_gap(),
            seen: Vec::new(),
        }
    }

    /// In the order of their first events.
    fn chains(&self, names: &mut Symbols) -> Vec<Chain> {
        let mut chains: Vec<Chain> = Vec::new();
        let mut reads: BTreeMap<(u32, u64, Option<u64>), usize> = BTreeMap::new();
        for &node in &self.graph.order {
            let Some((process, record)) = self.graph.record(node) else {
                continue;
            };
            let at = match &record.what {
                What::Recv { socket, .. } => At::Socket(*socket),
                What::Accept { .. } => At::Caller,
                What::Dial { peer, .. } => At::Dials(peer.clone()),
                What::Listen { addr, .. } => At::Listens(addr.clone()),
                _ => continue,
            };
            let known = match at {
                At::Socket(socket) => {
                    let chain = reads.entry((process, socket, record.task));
                    let known = *chain.or_insert(chains.len());
                    (known < chains.len()).then_some(known)
                }
                _ => None,
            };
            match known {
                Some(known) => chains[known].events.push(node),
                None => chains.push(Chain {
                    process,
                    host: self
                        .graph
                        .labels
                        .head(self.graph.label_of[node as usize])
                        .host,
                    at,
                    line: names.intern(&self.line(node)),
                    task: record.task,
                    events: vec![node],
                }),
            }
        }
        chains
    }

    /// By node and chain, how many events of the chain happen before the node or are it.
    fn before(&self, block: &[Chain]) -> Vec<u32> {
        let wide = block.len();
        let mut before = vec![0; self.graph.label_of.len() * wide];
        let mut own = BTreeMap::new();
        for (column, chain) in block.iter().enumerate() {
            for (&node, count) in chain.events.iter().zip(1..) {
                own.insert(node, (column, count));
            }
        }
        for &node in &self.graph.order {
            let to = node as usize * wide;
            let forced = self.forced.get(&node).into_iter().flatten().copied();
            let causes = self.graph.before(node).map(|(cause, _)| cause);
            for cause in causes.chain(forced) {
                for column in 0..wide {
                    let of_cause = before[cause as usize * wide + column];
                    let known = &mut before[to + column];
                    *known = of_cause.max(*known);
                }
            }
            if let Some(&(column, count)) = own.get(&node) {
                before[to + column] = count;
            }
        }
        before
    }

    /// Finds the first pair with its earlier event in the one chain and its later event in the other.
    fn first_pair(
        &self,
        (one, other): (&Chain, &Chain),
        alike: bool,
        happens_before: impl Fn(u32, u32) -> bool,
        found: &mut Found,
    ) {
        let lines = (one.line, other.line);
        let is_known = match alike {
            true => [one.line, other.line]
                .iter()
                .all(|line| found.alike.contains(line)),
            false => found.lines.contains(&lines),
        };
        if is_known {
            return;
        }
        let mut next = 0;
        for (&earlier, at) in one.events.iter().zip(0..) {
            let place = self.graph.place(earlier);
            while next < other.events.len() && self.graph.place(other.events[next]) < place {
                next += 1;
            }
            // What comes after the next one comes after all that does.
            let Some(&later) = other.events.get(next) else {
                return;
            };
            if happens_before(at, later) || self.waited_for_it_alone(earlier, one, other) {
                continue;
            }
            match alike {
                true => found.alike.extend([one.line, other.line]),
                false => {
                    found.lines.insert(lines);
                    found.pairs.push((earlier, later));
                }
            }
            return;
        }
    }

    /// Whether the task that read this waited for nothing else, and would have read the other one only
    /// then: while this read is held, that one does not happen.
    fn waited_for_it_alone(&self, earlier: u32, one: &Chain, other: &Chain) -> bool {
        let is_read = matches!(one.at, At::Socket(_));
        let same_task = one.process == other.process && one.task == other.task;
        let record = self.graph.record(earlier);
        let alone = record.is_some_and(|(_, record)| record.task.is_some() && !record.unordered);
        is_read && same_task && alone
    }

    fn line(&self, node: u32) -> String {
        let event = self.graph.event(node);
        let event = event.expect("an arrival is an event");
        naming::line(&event, self.raced(node, event.verb()))
    }

    fn raced(&self, node: u32, verb: Verb) -> (bool, bool) {
        let (own, peer) = self.raced_ports(node);
        // Which caller comes first has the lower port.
        (own || verb == Verb::Accept, peer)
    }

    /// Whether the ports of an event raced, its own and the other side's. A dialer's port says which of
    /// its connections it is, in the order in which it dialed, though which task has dialed first may
    /// differ: so it names the connection.
    fn raced_ports(&self, node: u32) -> (bool, bool) {
        let raced = |taken_by: Option<u32>| {
            let record = taken_by.and_then(|taken_by| self.graph.record(taken_by));
            record.is_some_and(|(_, record)| !matches!(record.what, What::Dial { .. }))
        };
        let (own, peer) = self.races.of_event(self.graph, node);
        (raced(own), raced(peer))
    }

    fn explained(&self, mut found: Vec<(u32, u32)>) -> Vec<Pair> {
        let place = |node| self.graph.place(node);
        found.sort_by_key(|&(earlier, later)| (place(earlier), place(later)));
        let mut arrivals: BTreeMap<u32, Arrival> = BTreeMap::new();
        let mut pairs = Vec::with_capacity(found.len());
        let mut past: Option<(u32, Vec<bool>)> = None;
        for (earlier, later) in found {
            let [earlier_arrival, later_arrival] = [earlier, later].map(|node| {
                let arrival = arrivals.entry(node).or_insert_with(|| self.arrival(node));
                arrival.clone()
            });
            // They are in the order of the earlier ones.
            let past = match past.take() {
                Some((of, past)) if of == earlier => (of, past),
                _ => (earlier, self.graph.past(earlier)),
            };
            pairs.push(Pair {
                earlier: earlier_arrival,
                later: later_arrival,
                common: self.last_in(&past.1, later),
                cause: self.cause(later),
            });
        }
        pairs
    }

    fn arrival(&self, node: u32) -> Arrival {
        let line = self.line(node);
        let event = self.graph.event(node).expect("an arrival is an event");
        let pattern = Pattern::parse(&line).expect("an event's line is a pattern");
        let process = event.id().process as usize;
        let records = &self.graph.processes[process].records;
        Arrival {
            host: event.host().to_owned(),
            nth: naming::nth(&event, records, &pattern),
            line,
        }
    }

    /// The last event before a node that is in that past.
    fn last_in(&self, past: &[bool], node: u32) -> Option<String> {
        let mut todo = BinaryHeap::from([self.graph.place(node)]);
        let mut seen = BTreeSet::new();
        // The last first: all that comes after it has been looked at.
        while let Some((_, node)) = todo.pop() {
            if past[node as usize] && self.graph.event(node).is_some() {
                return Some(self.named(node));
            }
            for (cause, _) in self.graph.before(node) {
                if seen.insert(cause) {
                    todo.push(self.graph.place(cause));
                }
            }
        }
        None
    }

    /// The line of any event, with the ports that are the same in the next run.
    fn named(&self, node: u32) -> String {
        let event = self.graph.event(node).expect("it is an event");
        let (own, peer) = self.races.of_event(self.graph, node);
        naming::line(&event, (own.is_some(), peer.is_some()))
    }

    /// The send that a read comes of, the dial that an accept comes of.
    fn cause(&self, node: u32) -> Option<String> {
        let of = self.graph.event(node)?;
        let is_cause = |why: Why, event: &Event| match of.verb() {
            Verb::Recv => {
                let mirrored = event.addr() == of.peer() && event.peer() == of.addr();
                why == Why::Payload && event.verb() == Verb::Send && mirrored
            }
            Verb::Accept => why == Why::Connection && event.verb() == Verb::Dial,
            _ => false,
        };
        let causes = self.graph.before(node).filter(|&(cause, why)| {
            let event = self.graph.event(cause);
            event.is_some_and(|event| is_cause(why, &event))
        });
        let last = causes.max_by_key(|&(cause, _)| self.graph.place(cause));
        last.map(|(cause, _)| self.named(cause))
    }

    fn lines(&self) -> Vec<String> {
        let events = self.cut.scope().events.iter();
        let mut lines: Vec<String> = events.map(|&node| self.named(node)).collect();
        lines.sort();
        lines
    }

    fn longest_gap(&self) -> Duration {
        let records = self.graph.processes.iter().flat_map(|of| &of.records);
        let mut times: Vec<u64> = records.map(|record| record.t).collect();
        times.sort();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        Duration::from_nanos(gaps.max().unwrap_or(0))
    }
}

/// What has been found so far.
#[derive(Default)]
struct Found {
    pairs: Vec<(u32, u32)>,
    /// Their lines.
    lines: BTreeSet<(Symbol, Symbol)>,
    alike: BTreeSet<Symbol>,
}

/// Whether an event of the one chain could be held until one of the other has happened; and whether
/// the next run can't tell them apart.
fn may_race(one: &Chain, other: &Chain) -> Option<bool> {
    let same_host = one.process == other.process && one.host == other.host;
    let may_race = match (&one.at, &other.at) {
        (At::Dials(dialed), At::Listens(addr)) | (At::Listens(addr), At::Dials(dialed)) => {
            dialed == addr
        }
        (At::Socket(own), At::Socket(socket)) => same_host && own != socket,
        (At::Socket(_) | At::Caller, At::Socket(_) | At::Caller) => {
            same_host && !std::ptr::eq(one, other)
        }
        _ => false,
    };
    // The test's own process is never held.
    (may_race && one.process != 0).then_some(one.line == other.line)
}
