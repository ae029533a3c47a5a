//! Which nodes lead directly to which: all edges, by effect and by cause, and the order they make.
//!
//! There are two kinds. The certain ones hold in every run of the same behaviour, and only they
//! reject an expectation. Beside them stand those of this run: what a task did one after the other
//! though it need not, and bytes that came together though they might have come apart.
//!
//! Pure. Owns the tables. Which edges there are is the business of `within_process` and
//! `between_processes`. A trace of a million events is larger than any cache: tables are narrow, written and read from front to
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
    pub(crate) fn of(&self, node: u32) -> impl Iterator<Item = (u32, Why)> + Clone + '_ {
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
    /// The same of what counts in this run alone.
    in_run: Adjacency,
    /// Effects by cause: the certain ones, and all.
    after: OnceLock<Adjacency>,
    after_in_run: OnceLock<Adjacency>,
}

impl Relation {
    /// `direct` has the causes of the first nodes, `loose` are further edges of any, `in_run` are
    /// those that count in this run, each with its effect first.
    pub(crate) fn new(
        nodes: usize,
        mut direct: Adjacency,
        loose: &[Edge],
        in_run: &[(u32, u32)],
    ) -> Relation {
        while (direct.open_node() as usize) < nodes {
            direct.close_node();
        }
        let in_run = in_run.iter().map(|&(to, from)| (to, from, Why::Task));
        Relation {
            nodes,
            direct,
            loose: Adjacency::new(nodes, loose.iter().map(|e| (e.to, e.from, e.why))),
            in_run: Adjacency::new(nodes, in_run),
            after: OnceLock::new(),
            after_in_run: OnceLock::new(),
        }
    }

    /// The same with other loose edges and others of this run.
    pub(crate) fn with(self, loose: &[Edge], in_run: &[(u32, u32)]) -> Relation {
        Relation::new(self.nodes, self.direct, loose, in_run)
    }

    /// The direct causes of a node.
    #[inline]
    pub(crate) fn before(&self, node: u32) -> impl Iterator<Item = (u32, Why)> + Clone + '_ {
        self.direct.of(node).chain(self.loose.of(node))
    }

    /// The direct causes of a node in this run.
    #[inline]
    pub(crate) fn before_in_run(&self, node: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        let certain = self.before(node).map(|(cause, _)| cause);
        certain.chain(self.in_run.of(node).map(|(cause, _)| cause))
    }

    /// The direct effects of a node in this run.
    pub(crate) fn after_in_run(&self, node: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        let after = self.after_in_run.get_or_init(|| {
            let edges = (0..self.nodes as u32).flat_map(|effect| {
                let causes = self.before_in_run(effect);
                causes.map(move |cause| (cause, effect, Why::Task))
            });
            Adjacency::new(self.nodes, edges)
        });
        after.of(node).map(|(effect, _)| effect)
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

    /// All nodes, causes before effects, else in the sequence that is given: a node that comes too
    /// late there comes just before the first of its effects. `None` if some node is among its own
    /// causes, those for certain or those in this run.
    pub(crate) fn order(&self, sequence: &[u32], in_run: bool) -> Option<Order> {
        const UNKNOWN: u32 = NONE;
        const UNDER_WAY: u32 = NONE - 1;
        let mut order = Vec::with_capacity(self.nodes);
        let mut stands = vec![UNKNOWN; self.nodes];
        // Mostly all causes have their place already.
        let mut todo: Vec<u32> = Vec::new();
        for &node in sequence {
            todo.push(node);
            while let Some(&node) = todo.last() {
                if stands[node as usize] < UNDER_WAY {
                    todo.pop();
                    continue;
                }
                let waiting = todo.len();
                let certain = self.before(node).map(|(cause, _)| cause);
                let others = in_run.then(|| self.in_run.of(node)).into_iter().flatten();
                for cause in certain.chain(others.map(|(cause, _)| cause)) {
                    match stands[cause as usize] {
                        UNKNOWN => todo.push(cause),
                        UNDER_WAY => return None,
                        _ => {}
                    }
                }
                if todo.len() == waiting {
                    stands[node as usize] = order.len() as u32;
                    order.push(node);
                    todo.pop();
                } else {
                    stands[node as usize] = UNDER_WAY;
                }
            }
        }
        Some(Order { order, stands })
    }

    /// By node: whether it is on a cycle, or on a way from one cycle to another.
    pub(crate) fn cyclic(&self) -> Vec<bool> {
        let certain = |(node, _)| node;
        self.on_cycles(
            |node| self.before(node).map(certain),
            |node| self.after(node).map(certain),
        )
    }

    /// The same of what counts in this run.
    pub(crate) fn cyclic_in_run(&self) -> Vec<bool> {
        self.on_cycles(
            |node| self.before_in_run(node),
            |node| self.after_in_run(node),
        )
    }

    fn on_cycles<A, B>(&self, before: impl Fn(u32) -> A, after: impl Fn(u32) -> B) -> Vec<bool>
    where
        A: Iterator<Item = u32>,
        B: Iterator<Item = u32>,
    {
        let mut left = vec![true; self.nodes];
        self.strip(&mut left, &before, &after);
        self.strip(&mut left, &after, &before);
        left
    }

    /// Takes out again and again what nothing that is left leads to.
    fn strip<A, B>(&self, left: &mut [bool], before: impl Fn(u32) -> A, after: impl Fn(u32) -> B)
    where
        A: Iterator<Item = u32>,
        B: Iterator<Item = u32>,
    {
        let nodes = 0..self.nodes as u32;
        let mut waits: Vec<usize> = nodes
            .clone()
            .map(|node| before(node).filter(|&cause| left[cause as usize]).count())
            .collect();
        let mut todo: Vec<u32> = nodes
            .filter(|&node| left[node as usize] && waits[node as usize] == 0)
            .collect();
        while let Some(node) = todo.pop() {
            left[node as usize] = false;
            for effect in after(node) {
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

/// All nodes in one order.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) order: Vec<u32>,
    /// By node: where it stands there.
    pub(crate) stands: Vec<u32>,
}
