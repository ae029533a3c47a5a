//! Which ports raced: whose number may differ from run to run although nothing else does.
//!
//! Pure. Two concurrent allocations on one host may swap numbers, and one that is concurrent with
//! the release of a lower port, or with a listener that asks for one, may get either. Owns that,
//! and which allocation each address of an event's line comes from. Looks at causes other than
//! reused ports, since those are what races.

use std::collections::BTreeMap;

use lonet::trace::{Verb, What};

use crate::trace::happened::graph::Graph;
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::{FastMap, NONE};
use crate::trace::scope::Scope;

/// The most records that are looked at, over and over, to find out what is ordered with what on
/// one host. Thousands of allocations never take as many. Ports that are not known to be ordered
/// by then count as raced: a variable too many does no harm, a number too many fails at random.
const MOST_STEPS: usize = 10_000_000;

/// So many pairs, of a raced port that is held and one that was freed, are compared for one
/// allocation; with more it counts as raced.
const MOST_PAIRS: usize = 256;

/// The raced allocations of an event's ports, the subject's and the other side's.
pub(crate) type Raced = (Option<u32>, Option<u32>);

/// Allocations, by the node of the dial, accept or listen that took the port.
pub(crate) struct Races {
    raced: FastMap<u32, ()>,
    /// By process and socket, the record that created it.
    sockets: FastMap<(u32, u64), u32>,
    /// By host and port, as labels number them: the listeners that were there.
    listens: FastMap<(u32, u32), Vec<u32>>,
    /// By own address and the other side's, numbered so: the ends that a reset may mean.
    ends: FastMap<Both, Vec<u32>>,
}

/// Two addresses, as labels number them.
type Both = ((u32, u32), (u32, u32));

/// A port taken or freed.
#[derive(Clone, Copy)]
struct Item {
    node: u32,
    port: u16,
    does: Does,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Takes the lowest free port.
    TakesAny,
    /// Takes this port, or fails.
    TakesThis,
    Frees,
}

impl Item {
    /// Whether this allocation's number depends on whether the other comes before it.
    fn depends_on(&self, other: &Item) -> bool {
        self.does == Does::TakesAny && (other.does == Does::TakesAny || other.port <= self.port)
    }
}

impl Races {
    /// Finds the ports that raced among the members.
    pub(crate) fn find(graph: &Graph, scope: &Scope) -> Races {
        Races::find_within(graph, scope, MOST_STEPS)
    }

    pub(crate) fn find_within(graph: &Graph, scope: &Scope, most_steps: usize) -> Races {
        let mut races = Races {
            raced: FastMap::default(),
            sockets: FastMap::default(),
            listens: FastMap::default(),
            ends: FastMap::default(),
        };
        let mut labels = (0..graph.labels.len() as u32).map(|label| graph.labels.head(label));
        let has_resets = labels.any(|head| head.verb == Verb::Reset);
        let mut hosts: BTreeMap<(u32, &str), Vec<Item>> = BTreeMap::new();
        for node in 0..graph.len() as u32 {
            let Some((process, record)) = graph.record(node) else {
                continue;
            };
            if let What::Accept { socket: s, .. }
            | What::Connect { socket: s, .. }
            | What::Listen { socket: s, .. } = &record.what
            {
                races.sockets.insert((process, *s), node);
            }
            if has_resets && let What::Accept { .. } | What::Connect { .. } = &record.what {
                let of = races.ends.entry(addresses(graph, node));
                of.or_default().push(node);
            }
            let (a, does) = match &record.what {
                What::Dial { addr: a, .. } | What::Accept { addr: a, .. } => (a, Does::TakesAny),
                What::Listen { addr: a, auto, .. } => {
                    let label = graph.labels.label(graph.label_of[node as usize]);
                    let at = races.listens.entry(label.head.subject());
                    at.or_default().push(node);
                    match auto {
                        true => (a, Does::TakesAny),
                        false => (a, Does::TakesThis),
                    }
                }
                What::Close { addr: a, .. } | What::Fail { addr: a, .. } => (a, Does::Frees),
                What::Down { host: h } => {
                    // What the host's own close freed could not be taken again; and a host of
                    // that name that comes later has all its ports.
                    let mut items = hosts.remove(&(process, h.as_str())).unwrap_or_default();
                    let by_host = |item: &Item| {
                        let record = graph.record(item.node);
                        item.does == Does::Frees && record.is_some_and(|(_, r)| r.task.is_none())
                    };
                    while items.last().is_some_and(by_host) {
                        items.pop();
                    }
                    races.compare(graph, items, most_steps);
                    continue;
                }
                _ => continue,
            };
            if scope.members[node as usize] {
                let port = a.port();
                let items = hosts.entry((process, a.host())).or_default();
                items.push(Item { node, port, does });
            }
        }
        for items in hosts.into_values() {
            races.compare(graph, items, most_steps);
        }
        races
    }

    /// Marks the raced allocations of one host; `items` are in the order of their numbers.
    fn compare(&mut self, graph: &Graph, mut items: Vec<Item>, most_steps: usize) {
        let automatic = items.iter().filter(|item| item.does == Does::TakesAny);
        let Some(highest) = automatic.map(|item| item.port).max() else {
            return;
        };
        // No number depends on a port above all that were given.
        items.retain(|item| item.does == Does::TakesAny || item.port <= highest);
        let mut compared = Compared::new(graph, &items);
        compared.run(most_steps);
        for (item, raced) in items.iter().zip(compared.raced) {
            if raced {
                self.raced.insert(item.node, ());
            }
        }
    }

    /// Whether nothing raced.
    pub(crate) fn is_empty(&self) -> bool {
        self.raced.is_empty()
    }

    /// Whether the port that this dial, accept or listen took raced.
    pub(crate) fn is_raced(&self, allocation: u32) -> bool {
        self.raced.contains_key(&allocation)
    }

    /// The raced allocation of the subject's port, if it is one.
    pub(crate) fn subject(&self, graph: &Graph, node: u32) -> Option<u32> {
        let allocation = self.subject_allocation(graph, node)?;
        self.raced.contains_key(&allocation).then_some(allocation)
    }

    /// The raced allocation of the other side's port, if it is one.
    pub(crate) fn peer(&self, graph: &Graph, node: u32) -> Option<u32> {
        let allocation = self.peer_allocation(graph, node)?;
        self.raced.contains_key(&allocation).then_some(allocation)
    }

    /// Both, of an event.
    pub(crate) fn of_event(&self, graph: &Graph, node: u32) -> Raced {
        match self.is_empty() {
            true => (None, None),
            false => (self.subject(graph, node), self.peer(graph, node)),
        }
    }

    /// The node of the dial, accept or listen that took the subject's port.
    pub(crate) fn subject_allocation(&self, graph: &Graph, node: u32) -> Option<u32> {
        let (process, record) = graph.record(node)?;
        match &record.what {
            What::Dial { .. } | What::Accept { .. } | What::Listen { .. } => Some(node),
            What::Connect { dial: d, .. } | What::Fail { dial: d, .. } => {
                graph.node((process, *d).into())
            }
            _ => self.subject_allocation(graph, self.created(graph, node)?),
        }
    }

    /// The node of the dial, accept or listen that took the other side's port.
    pub(crate) fn peer_allocation(&self, graph: &Graph, node: u32) -> Option<u32> {
        let (process, record) = graph.record(node)?;
        match &record.what {
            What::Accept { .. } | What::Connect { .. } => {
                let wanted_accept = matches!(record.what, What::Connect { .. });
                let before = graph.before(node);
                before
                    .filter(|(_, why)| *why == Why::Connection)
                    .map(|(cause, _)| cause)
                    .find(|&cause| match graph.record(cause).map(|(_, r)| &r.what) {
                        Some(What::Accept { .. }) => wanted_accept,
                        Some(What::Dial { .. }) => !wanted_accept,
                        _ => false,
                    })
            }
            What::Dial { .. } => self.dialed(graph, node),
            What::Fail { dial: d, .. } => self.dialed(graph, graph.node((process, *d).into())?),
            _ => self.peer_allocation(graph, self.created(graph, node)?),
        }
    }

    /// The listener that a dial means.
    fn dialed(&self, graph: &Graph, dial: u32) -> Option<u32> {
        let accept = graph.after(dial).find_map(|(effect, why)| {
            let (process, record) = graph.record(effect)?;
            match &record.what {
                What::Accept { listener: l, .. } if why == Why::Connection => Some((process, *l)),
                _ => None,
            }
        });
        if let Some(listener) = accept {
            return self.sockets.get(&listener).copied();
        }
        // No accept: the one that was there, or the last that it is known to come after.
        let label = graph.label_of[dial as usize];
        let label = (label != NONE).then(|| graph.labels.label(label))?;
        match self.listens.get(&label.head.peer())?[..] {
            [only] => Some(only),
            ref several => {
                let mut before = several.iter().copied();
                before.rfind(|&listen| graph.reaches(listen, dial))
            }
        }
    }

    /// The listen, accept or connect whose socket the record is about.
    fn created(&self, graph: &Graph, node: u32) -> Option<u32> {
        let (process, record) = graph.record(node)?;
        match &record.what {
            What::Close { socket: s, .. }
            | What::Shutdown { socket: s, .. }
            | What::Send { socket: s, .. }
            | What::Recv { socket: s, .. } => {
                let created = self.sockets.get(&(process, *s)).copied();
                created.filter(|&created| created < node)
            }
            // Its addresses say which connection: the latest that had them by then.
            What::Reset { .. } => {
                let ends = self.ends.get(&addresses(graph, node))?.iter().copied();
                let before = ends.filter(|&end| graph.stands(end) < graph.stands(node));
                before.max_by_key(|&end| graph.stands(end))
            }
            _ => None,
        }
    }
}

/// Both addresses of an event that has them.
fn addresses(graph: &Graph, node: u32) -> Both {
    let head = graph.labels.head(graph.label_of[node as usize]);
    (head.subject(), head.peer())
}

/// The items of one host against one another.
struct Compared<'a> {
    graph: &'a Graph,
    items: &'a [Item],
    /// The items by index, causes before effects.
    sorted: Vec<usize>,
    /// By item.
    raced: Vec<bool>,
}

/// Which item frees what another one took: by that one, and by this.
struct Held {
    freed: Vec<Option<usize>>,
    taken: Vec<Option<usize>>,
}

impl Held {
    fn of(items: &[Item]) -> Held {
        let mut held = Held {
            freed: vec![None; items.len()],
            taken: vec![None; items.len()],
        };
        let mut holders: BTreeMap<u16, usize> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            if item.does != Does::Frees {
                holders.insert(item.port, index);
            } else if let Some(holder) = holders.remove(&item.port) {
                held.freed[holder] = Some(index);
                held.taken[index] = Some(holder);
            }
        }
        held
    }
}

/// For up to 64 items: what comes after them and before them, by place.
struct Marks {
    first: usize,
    after: Vec<u64>,
    before: Vec<u64>,
    /// How many records may still be looked at.
    steps: usize,
}

impl Compared<'_> {
    fn new<'a>(graph: &'a Graph, items: &'a [Item]) -> Compared<'a> {
        let mut sorted: Vec<usize> = (0..items.len()).collect();
        sorted.sort_by_key(|&index| graph.stands(items[index].node));
        Compared {
            graph,
            items,
            sorted,
            raced: vec![false; items.len()],
        }
    }

    fn run(&mut self, most_steps: usize) {
        // One look at each record settles what most hosts do: one thing after the other, or
        // everything at once.
        let ends = self.neighbours(&self.sorted.clone());
        if ends.is_empty() {
            return;
        }
        let is_allocation = |index: &usize| self.items[*index].does == Does::TakesAny;
        let allocations: Vec<usize> = self.sorted.iter().copied().filter(is_allocation).collect();
        self.neighbours(&allocations);
        let mut open = allocations;
        open.retain(|&index| !self.raced[index]);
        let mut marks = Marks::new(self, most_steps);
        if ends.len() < open.len() {
            open = self.against_ends(&mut marks, &ends, &open);
        }
        self.against_all(&mut marks, &open);
        self.inherit(&mut marks);
    }

    /// Compares what stands next to one another. The result is where chains of ordered items begin
    /// and end.
    fn neighbours(&mut self, sorted: &[usize]) -> Vec<usize> {
        let mut ends = Vec::new();
        for pair in sorted.windows(2) {
            let (one, two) = (self.items[pair[0]], self.items[pair[1]]);
            let ordered = |why| why != Why::Port;
            if !self.graph.reaches_by(one.node, two.node, ordered) {
                ends.extend(pair);
                self.raced[pair[0]] |= one.depends_on(&two);
                self.raced[pair[1]] |= two.depends_on(&one);
            }
        }
        ends.dedup();
        ends
    }

    /// Compares these allocations with the ends of all chains: what comes after a chain's end comes
    /// after all of it. The result is what that does not settle.
    fn against_ends(&mut self, marks: &mut Marks, ends: &[usize], open: &[usize]) -> Vec<usize> {
        let mut unsettled = vec![false; self.items.len()];
        for ends in ends.chunks(64) {
            if !marks.spread(self, ends) {
                return open.to_vec();
            }
            for &at in open {
                for end in marks.concurrent(self, at, ends) {
                    self.raced[at] |= self.items[at].depends_on(&self.items[end]);
                    unsettled[at] = true;
                }
            }
        }
        let is_open = |&at: &usize| unsettled[at] && !self.raced[at];
        open.iter().copied().filter(is_open).collect()
    }

    /// Compares these allocations with everything.
    fn against_all(&mut self, marks: &mut Marks, open: &[usize]) {
        for open in open.chunks(64) {
            if !marks.spread(self, open) {
                open.iter().for_each(|&at| self.raced[at] = true);
                continue;
            }
            for (index, item) in self.items.iter().enumerate() {
                for at in marks.concurrent(self, index, open) {
                    self.raced[at] |= self.items[at].depends_on(item);
                }
            }
        }
    }

    /// What raced makes others differ, too, that come after it: which ports are free depends on which
    /// was given, as soon as it, or one that was given beside it, is free again. While all of them
    /// are held, they are the same ports together; and none is left once all are free.
    fn inherit(&mut self, marks: &mut Marks) {
        let plain = self.allocations().filter(|&at| !self.raced[at]);
        let plain: Vec<usize> = plain.collect();
        if plain.len() == self.allocations().count() {
            return;
        }
        let Held { freed, taken } = Held::of(self.items);
        let Some(mut mixes) = self.beside_races(marks) else {
            plain.iter().for_each(|&at| self.raced[at] = true);
            return;
        };
        for chunk in plain.chunks(64) {
            let known = marks.spread(self, chunk);
            for (bit, &at) in chunk.iter().enumerate() {
                let (mut held, mut mixing) = (Vec::new(), Vec::new());
                let mut raced = !known;
                for index in (0..self.items.len()).filter(|&index| known && index != at) {
                    let before =
                        |index| marks.before[self.place(index) - marks.first] >> bit & 1 == 1;
                    match self.items[index].does {
                        Does::Frees => {
                            let was = taken[index].is_some_and(|taken| self.raced[taken]);
                            mixes[index] |= was;
                            if before(index) {
                                mixing.extend(mixes[index].then_some(index));
                            } else {
                                let after = marks.after[self.place(index) - marks.first] >> bit & 1;
                                raced |= was && after == 0;
                            }
                        }
                        _ if self.raced[index] && before(index) => {
                            held.extend((!freed[index].is_some_and(before)).then_some(index));
                        }
                        _ => {}
                    }
                }
                self.raced[at] = raced
                    || held.len() * mixing.len() > MOST_PAIRS
                    || held.iter().any(|&held| {
                        let held = self.items[held].node;
                        let ordered = |why| why != Why::Port;
                        let above = |&free: &usize| {
                            let free = self.items[free].node;
                            self.graph.reaches_by(free, held, ordered)
                        };
                        !mixing.iter().all(above)
                    });
            }
        }
    }

    fn allocations(&self) -> impl Iterator<Item = usize> + '_ {
        let items = self.items.iter().enumerate();
        let taken = items.filter(|(_, item)| item.does == Does::TakesAny);
        taken.map(|(index, _)| index)
    }

    /// By item: whether it frees a port beside a raced allocation. `None` if finding that out would
    /// take too many steps.
    fn beside_races(&self, marks: &mut Marks) -> Option<Vec<bool>> {
        let frees: Vec<usize> = (0..self.items.len())
            .filter(|&index| self.items[index].does == Does::Frees)
            .collect();
        let mut beside = vec![false; self.items.len()];
        for frees in frees.chunks(64) {
            if !marks.spread(self, frees) {
                return None;
            }
            for at in self.allocations().filter(|&at| self.raced[at]) {
                for free in marks.concurrent(self, at, frees) {
                    beside[free] = true;
                }
            }
        }
        Some(beside)
    }

    fn place(&self, index: usize) -> usize {
        self.graph.stands(self.items[index].node)
    }
}

impl Marks {
    fn new(of: &Compared<'_>, steps: usize) -> Marks {
        let place = |index: Option<&usize>| index.map_or(0, |&index| of.place(index));
        let (first, last) = (place(of.sorted.first()), place(of.sorted.last()));
        Marks {
            first,
            after: vec![0; last - first + 1],
            before: vec![0; last - first + 1],
            steps,
        }
    }

    /// Marks what comes after these, and before these. `false`: that would be a step too many.
    fn spread(&mut self, of: &Compared<'_>, sources: &[usize]) -> bool {
        let Some(steps) = self.steps.checked_sub(self.after.len()) else {
            return false;
        };
        self.steps = steps;
        let (first, graph) = (self.first, of.graph);
        self.after.fill(0);
        self.before.fill(0);
        for (bit, &source) in sources.iter().enumerate() {
            self.after[of.place(source) - first] |= 1 << bit;
            self.before[of.place(source) - first] |= 1 << bit;
        }
        let causes = |at: usize| {
            let causes = graph.before(graph.order[first + at]);
            let causes = causes.filter(|(_, why)| *why != Why::Port);
            causes.filter_map(|(cause, _)| graph.stands(cause).checked_sub(first))
        };
        for at in 0..self.after.len() {
            let marks = causes(at).fold(self.after[at], |all, cause| all | self.after[cause]);
            self.after[at] = marks;
        }
        for at in (0..self.before.len()).rev() {
            let marks = self.before[at];
            if marks != 0 {
                causes(at).for_each(|cause| self.before[cause] |= marks);
            }
        }
        true
    }

    /// Which of the sources are concurrent with this item.
    fn concurrent<'s>(
        &self,
        of: &Compared<'_>,
        item: usize,
        sources: &'s [usize],
    ) -> impl Iterator<Item = usize> + use<'s> {
        let at = of.place(item) - self.first;
        let mut left = !(self.after[at] | self.before[at]) & (u64::MAX >> (64 - sources.len()));
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(sources[bit as usize])
        })
    }
}
