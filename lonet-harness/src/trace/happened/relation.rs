//! Which nodes lead directly to which: all edges, by effect and by cause, and the order they make.
//!
//! Pure. Owns the tables. Which edges there are is the business of `edges` and `across`. A trace
//! of a million events is larger than any cache: tables are narrow, written and read from front to
//! back, and what only few questions need is made when it is asked.

use std::sync::OnceLock;

use crate::trace::intern::hash_index::NONE;

/// Why one record happens before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Why {
    /// The same task did both, one after the other.
    Task,
    /// A socket is there before it is used, and used before it is closed.
    Socket,
    /// A port is freed before it is given again.
    Port,
    /// A dial, its accept, its connect.
    Connection,
    /// Bytes written, bytes read.
    Payload,
    /// The end of the stream was read.
    Eof,
    /// A process was killed before its peer read the end of the stream.
    Killed,
    /// A process starts, then acts, then ends.
    Process,
    /// A task waited for it.
    Awaited,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) why: Why,
}

/// Edges by one of their nodes, all in one vector.
#[derive(Debug)]
pub(crate) struct Adjacency {
    /// Where the edges of each node begin; one more at the end.
    starts: Vec<u32>,
    others: Vec<u32>,
    whys: Vec<Why>,
}

impl Default for Adjacency {
    fn default() -> Adjacency {
        Adjacency::with_capacity(0, 0)
    }
}

impl Adjacency {
    pub(crate) fn with_capacity(nodes: usize, edges: usize) -> Adjacency {
        let mut starts = Vec::with_capacity(nodes + 1);
        starts.push(0);
        Adjacency {
            starts,
            others: Vec::with_capacity(edges),
            whys: Vec::with_capacity(edges),
        }
    }

    /// Edges in any order: the node of each, the other one, why.
    fn new(nodes: usize, edges: impl Iterator<Item = (u32, u32, Why)> + Clone) -> Adjacency {
        let mut starts = vec![0u32; nodes + 1];
        for (of, _, _) in edges.clone() {
            starts[of as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut others = vec![0; starts[nodes] as usize];
        let mut whys = vec![Why::Task; starts[nodes] as usize];
        for (of, to, why) in edges {
            let slot = &mut next[of as usize];
            others[*slot as usize] = to;
            whys[*slot as usize] = why;
            *slot += 1;
        }
        Adjacency {
            starts,
            others,
            whys,
        }
    }

    /// The first node whose edges are not complete.
    pub(crate) fn open_node(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// Adds an edge of the open node.
    pub(crate) fn push(&mut self, other: u32, why: Why) {
        self.others.push(other);
        self.whys.push(why);
    }

    /// The open node has no more edges; the next one is open.
    pub(crate) fn close_node(&mut self) {
        self.starts.push(self.others.len() as u32);
    }

    #[inline]
    fn of(&self, node: u32) -> impl Iterator<Item = (u32, Why)> + Clone + '_ {
        let node = node as usize;
        let edges = self.starts[node] as usize..self.starts[node + 1] as usize;
        let others = self.others[edges.clone()].iter().copied();
        others.zip(self.whys[edges].iter().copied())
    }
}

/// All edges.
#[derive(Debug)]
pub(crate) struct Relation {
    nodes: usize,
    /// Causes by effect: those that were read together with their effect, and the others.
    direct: Adjacency,
    loose: Adjacency,
    /// Effects by cause.
    after: OnceLock<Adjacency>,
}

impl Relation {
    /// `direct` has the causes of the first nodes, `loose` are further edges of any.
    pub(crate) fn new(nodes: usize, mut direct: Adjacency, loose: &[Edge]) -> Relation {
        while (direct.open_node() as usize) < nodes {
            direct.close_node();
        }
        Relation {
            nodes,
            direct,
            loose: Adjacency::new(nodes, loose.iter().map(|e| (e.to, e.from, e.why))),
            after: OnceLock::new(),
        }
    }

    /// The same with other loose edges.
    pub(crate) fn with_loose(self, loose: &[Edge]) -> Relation {
        Relation::new(self.nodes, self.direct, loose)
    }

    /// The direct causes of a node.
    #[inline]
    pub(crate) fn before(&self, node: u32) -> impl Iterator<Item = (u32, Why)> + Clone + '_ {
        self.direct.of(node).chain(self.loose.of(node))
    }

    /// The direct effects of a node.
    #[inline]
    pub(crate) fn after(&self, node: u32) -> impl Iterator<Item = (u32, Why)> + Clone + '_ {
        self.effects().of(node)
    }

    fn effects(&self) -> &Adjacency {
        self.after.get_or_init(|| {
            let edges = (0..self.nodes as u32).flat_map(|effect| {
                let causes = self.before(effect);
                causes.map(move |(cause, why)| (cause, effect, why))
            });
            Adjacency::new(self.nodes, edges)
        })
    }

    /// By node: how many nodes the longest chain of its causes has. `None` if some node is among
    /// its own causes.
    pub(crate) fn depths(&self) -> Option<Vec<u32>> {
        const UNKNOWN: u32 = NONE;
        const UNDER_WAY: u32 = NONE - 1;
        let mut depths = vec![UNKNOWN; self.nodes];
        // A node stands above those whose cause it is. Mostly all causes are known already: they
        // have lower numbers or were asked for by one of those.
        let mut todo: Vec<u32> = Vec::new();
        for node in 0..self.nodes as u32 {
            todo.push(node);
            while let Some(&node) = todo.last() {
                let seen = depths[node as usize];
                if seen < UNDER_WAY {
                    todo.pop();
                    continue;
                }
                let mut depth = 0;
                let waiting = todo.len();
                for (cause, _) in self.before(node) {
                    match depths[cause as usize] {
                        UNKNOWN => todo.push(cause),
                        UNDER_WAY => return None,
                        known => depth = depth.max(known + 1),
                    }
                }
                if todo.len() == waiting {
                    depths[node as usize] = depth;
                    todo.pop();
                } else {
                    depths[node as usize] = UNDER_WAY;
                }
            }
        }
        Some(depths)
    }

    /// By node: whether it is on a cycle, or on a way from one cycle to another.
    pub(crate) fn cyclic(&self) -> Vec<bool> {
        let mut left = vec![true; self.nodes];
        self.strip(&mut left, |node| self.before(node), |node| self.after(node));
        self.strip(&mut left, |node| self.after(node), |node| self.before(node));
        left
    }

    /// Takes out again and again what nothing that is left leads to.
    fn strip<A, B>(&self, left: &mut [bool], before: impl Fn(u32) -> A, after: impl Fn(u32) -> B)
    where
        A: Iterator<Item = (u32, Why)>,
        B: Iterator<Item = (u32, Why)>,
    {
        let nodes = 0..self.nodes as u32;
        let mut waits: Vec<usize> = nodes
            .clone()
            .map(|node| {
                before(node)
                    .filter(|&(cause, _)| left[cause as usize])
                    .count()
            })
            .collect();
        let mut todo: Vec<u32> = nodes
            .filter(|&node| left[node as usize] && waits[node as usize] == 0)
            .collect();
        while let Some(node) = todo.pop() {
            left[node as usize] = false;
            for (effect, _) in after(node) {
                if left[effect as usize] {
                    waits[effect as usize] -= 1;
                    if waits[effect as usize] == 0 {
                        todo.push(effect);
                    }
                }
            }
        }
    }
}

/// The nodes, causes before effects: by depth, those of one depth by number.
pub(crate) fn by_depth(depths: &[u32]) -> Vec<u32> {
    let deepest = depths.iter().copied().max().unwrap_or(0) as usize;
    let mut next = vec![0u32; deepest + 2];
    for &depth in depths {
        next[depth as usize + 1] += 1;
    }
    for depth in 0..=deepest {
        next[depth + 1] += next[depth];
    }
    let mut order = vec![0u32; depths.len()];
    for (node, &depth) in (0u32..).zip(depths) {
        let slot = &mut next[depth as usize];
        order[*slot as usize] = node;
        *slot += 1;
    }
    order
}
