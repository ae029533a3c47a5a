//! Which ports raced: whose number may differ from run to run although nothing else does.
//!
//! Pure. Two concurrent allocations on one host may swap numbers, and one that is concurrent with
//! the release of a lower port may get either. Owns that, and which allocation each address of an
//! event's line comes from. Looks at causes other than reused ports, since those are what races.

use std::collections::BTreeMap;

use lonet::trace::What;

use super::causality::Graph;
use super::index::FastMap;
use super::matching::Scope;
use super::relation::Why;

/// More allocations and releases than this on one host are not compared with one another.
const MOST_ITEMS: usize = 5_000;

/// Allocations, by the node of the dial or accept that took the port.
pub(crate) struct Races {
    raced: FastMap<u32, ()>,
    /// By process and socket, the record that created it.
    sockets: FastMap<(u32, u64), u32>,
}

/// A port taken or freed.
struct Item {
    node: u32,
    port: u16,
    takes: bool,
}

impl Races {
    /// Finds the ports that raced among the members.
    pub(crate) fn find(graph: &Graph, scope: &Scope) -> Races {
        let mut sockets = FastMap::default();
        let mut groups: BTreeMap<(u32, &str), Vec<Item>> = BTreeMap::new();
        for node in 0..graph.len() as u32 {
            let Some((process, record)) = graph.record(node) else {
                continue;
            };
            let (a, takes) = match &record.e {
                What::Dial { a, .. } => (a, true),
                What::Accept { a, s, .. } => {
                    sockets.insert((process, *s), node);
                    (a, true)
                }
                What::Connect { s, .. } => {
                    sockets.insert((process, *s), node);
                    continue;
                }
                What::Close { a, p: Some(_), .. } | What::Fail { a, .. } => (a, false),
                _ => continue,
            };
            if scope.members[node as usize] {
                let items = groups.entry((process, a.host())).or_default();
                let port = a.port();
                items.push(Item { node, port, takes });
            }
        }
        let mut races = Races {
            raced: FastMap::default(),
            sockets,
        };
        for items in groups.into_values() {
            if items.len() > 1 && items.len() <= MOST_ITEMS {
                races.compare(graph, scope, &items);
            }
        }
        races
    }

    /// Marks the raced allocations of one host; `items` are in the order of their numbers.
    fn compare(&mut self, graph: &Graph, scope: &Scope, items: &[Item]) {
        // For each item, how many of those that matter to it are ordered with it.
        let matters = |to: &Item, other: &Item| other.takes || other.port <= to.port;
        let mut ordered = vec![0usize; items.len()];
        let mut mask = vec![0u64; graph.label_of.len()];
        for (chunk, sources) in items.chunks(64).enumerate() {
            mask.fill(0);
            for (bit, source) in sources.iter().enumerate() {
                mask[source.node as usize] |= 1 << bit;
            }
            for &node in &graph.order {
                if scope.members[node as usize] {
                    let before = graph.before(node);
                    let causes = before.filter(|(_, why)| *why != Why::Port);
                    let all = causes.fold(0, |all, (cause, _)| all | mask[cause as usize]);
                    mask[node as usize] |= all;
                }
            }
            for (index, item) in items.iter().enumerate() {
                let reached = mask[item.node as usize];
                for (bit, source) in sources.iter().enumerate() {
                    let other = chunk * 64 + bit;
                    if other == index || reached & (1 << bit) == 0 {
                        continue;
                    }
                    ordered[index] += usize::from(matters(item, source));
                    ordered[other] += usize::from(matters(source, item));
                }
            }
        }
        // A port that was a raced one's before is that one's number again.
        let mut raced_holder: BTreeMap<u16, bool> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            if !item.takes {
                continue;
            }
            let others = items.iter().enumerate();
            let all = others.filter(|(other, of)| *other != index && matters(item, of));
            let inherited = raced_holder.get(&item.port).copied().unwrap_or(false);
            let raced = inherited || all.count() > ordered[index];
            raced_holder.insert(item.port, raced);
            if raced {
                self.raced.insert(item.node, ());
            }
        }
    }

    /// Whether nothing raced.
    pub(crate) fn is_empty(&self) -> bool {
        self.raced.is_empty()
    }

    /// Whether the port that this dial or accept took raced.
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

    /// The node of the dial or accept that took the subject's port.
    pub(crate) fn subject_allocation(&self, graph: &Graph, node: u32) -> Option<u32> {
        let (process, record) = graph.record(node)?;
        match &record.e {
            What::Dial { .. } | What::Accept { .. } => Some(node),
            What::Connect { d, .. } | What::Fail { d, .. } => graph.node((process, *d).into()),
            _ => self.subject_allocation(graph, self.created(graph, node)?),
        }
    }

    /// The node of the dial or accept that took the other side's port.
    pub(crate) fn peer_allocation(&self, graph: &Graph, node: u32) -> Option<u32> {
        let (_, record) = graph.record(node)?;
        match &record.e {
            What::Accept { .. } | What::Connect { .. } => {
                let wanted_accept = matches!(record.e, What::Connect { .. });
                let before = graph.before(node);
                before
                    .filter(|(_, why)| *why == Why::Connection)
                    .map(|(cause, _)| cause)
                    .find(|&cause| match graph.record(cause).map(|(_, r)| &r.e) {
                        Some(What::Accept { .. }) => wanted_accept,
                        Some(What::Dial { .. }) => !wanted_accept,
                        _ => false,
                    })
            }
            What::Dial { .. } | What::Fail { .. } => None,
            _ => self.peer_allocation(graph, self.created(graph, node)?),
        }
    }

    /// The accept or connect whose socket the record is about.
    fn created(&self, graph: &Graph, node: u32) -> Option<u32> {
        let (process, record) = graph.record(node)?;
        match &record.e {
            What::Close { p: Some(_), s, .. }
            | What::Shutdown { s, .. }
            | What::Send { s, .. }
            | What::Recv { s, .. } => self.sockets.get(&(process, *s)).copied(),
            _ => None,
        }
        .filter(|&created| created < node)
    }
}
