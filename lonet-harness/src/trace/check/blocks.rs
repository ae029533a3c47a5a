//! The orders that a block of an expected trace still demands.
//!
//! Pure. The lines of a block stand in no order among themselves, whatever happens before what,
//! except: a `listen` stands above its accepts, and the events of one connection, of both its ends,
//! keep the order that this connection alone gives them. Owns these two exceptions.
//!
//! Towards lines outside a block, all of its lines stand at one place. So what a line outside
//! comes after stands above it, and what comes after that line below it; two lines of a block with
//! such a line between them can't hold. An example, of marks of which each happens before the next:
//!
//! ```text
//! | α mark one          | α mark one
//! | β mark three        | β mark two
//! β mark two            | β mark three
//! ```
//!
//! The left one can't hold: `two` comes before `three`, which stands above. The right one holds, and
//! would in a run in which `three` was first.

use std::collections::BTreeSet;

use lonet::trace::What;

use crate::trace::expected::grammar::Expectation;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::{FastMap, NONE};
use crate::trace::scope::Scope;

/// The orders that hold within a block.
pub(crate) struct Kept {
    /// By node: its connection, `NONE` for what belongs to none.
    connection: Vec<u32>,
    /// By node of an accept: the node of its listen.
    listens: FastMap<u32, u32>,
}

impl Kept {
    /// Nothing without a block.
    pub(crate) fn for_blocks(graph: &Graph, of: &Expectation) -> Option<Kept> {
        let has_blocks = of.lines.iter().any(|line| line.block.is_some());
        has_blocks.then(|| Kept::find(graph))
    }

    pub(crate) fn find(graph: &Graph) -> Kept {
        let mut kept = Kept {
            connection: vec![NONE; graph.label_of.len()],
            listens: FastMap::default(),
        };
        let mut joined = Joined::default();
        for (process, &first) in graph.processes.iter().zip(&graph.firsts) {
            let mut dials: FastMap<u64, u32> = FastMap::default();
            let mut sockets: FastMap<u64, u32> = FastMap::default();
            let mut listeners: FastMap<u64, u32> = FastMap::default();
            for (node, record) in (first..).zip(&process.records) {
                let connection = match &record.what {
                    What::Dial { .. } => {
                        let fresh = joined.fresh();
                        dials.insert(record.n, fresh);
                        Some(fresh)
                    }
                    What::Link { dial: d, .. } | What::Fail { dial: d, .. } => {
                        dials.get(d).copied()
                    }
                    What::Connect {
                        dial: d, socket: s, ..
                    } => {
                        let known = dials.get(d).copied();
                        let known = known.unwrap_or_else(|| joined.fresh());
                        sockets.insert(*s, known);
                        Some(known)
                    }
                    What::Accept {
                        listener: l,
                        socket: s,
                        ..
                    } => {
                        let fresh = joined.fresh();
                        sockets.insert(*s, fresh);
                        if let Some(&listen) = listeners.get(l) {
                            kept.listens.insert(node, listen);
                        }
                        Some(fresh)
                    }
                    What::Listen { socket: s, .. } => {
                        listeners.insert(*s, node);
                        None
                    }
                    What::Close { socket: s, .. }
                    | What::Shutdown { socket: s, .. }
                    | What::Send { socket: s, .. }
                    | What::Recv { socket: s, .. }
                    | What::Note { socket: s, .. } => sockets.get(s).copied(),
                    _ => None,
                };
                kept.connection[node as usize] = connection.unwrap_or(NONE);
            }
        }
        for node in 0..graph.len() as u32 {
            let own = kept.connection[node as usize];
            for (cause, why) in graph.before(node) {
                let other = kept.connection[cause as usize];
                if why == Why::Connection && own != NONE && other != NONE {
                    joined.join(own, other);
                }
            }
        }
        for connection in &mut kept.connection {
            if *connection != NONE {
                *connection = joined.of(*connection);
            }
        }
        kept
    }

    pub(crate) fn connection(&self, node: u32) -> u32 {
        self.connection[node as usize]
    }

    /// The latest events that stand above this one even within a block.
    pub(crate) fn before(&self, graph: &Graph, scope: &Scope, event: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let shown = |node: u32| scope.shown[node as usize];
        found.extend(self.listens.get(&event).filter(|&&listen| shown(listen)));
        let own = self.connection(event);
        if own == NONE {
            return found;
        }
        let mut seen = BTreeSet::new();
        let mut todo = vec![event];
        while let Some(node) = todo.pop() {
            for (cause, _) in graph.before(node) {
                let is_joint = cause as usize >= graph.len();
                let inside = is_joint || self.connection(cause) == own;
                if !inside || !scope.members[cause as usize] || !seen.insert(cause) {
                    continue;
                }
                if shown(cause) {
                    found.push(cause);
                } else {
                    todo.push(cause);
                }
            }
        }
        found
    }

    /// Whether the first stands above the second even within a block.
    pub(crate) fn orders(&self, graph: &Graph, scope: &Scope, above: u32, below: u32) -> bool {
        let mut seen = BTreeSet::new();
        let mut todo = vec![below];
        while let Some(event) = todo.pop() {
            for cause in self.before(graph, scope, event) {
                if cause == above && (event == below || self.connection(above) != NONE) {
                    return true;
                }
                if self.connection(cause) != NONE && seen.insert(cause) {
                    todo.push(cause);
                }
            }
        }
        false
    }
}

/// Numbers of which some turn out to be the same connection's.
#[derive(Default)]
struct Joined(Vec<u32>);

impl Joined {
    fn fresh(&mut self) -> u32 {
        let fresh = self.0.len() as u32;
        self.0.push(fresh);
        fresh
    }

    fn of(&self, mut number: u32) -> u32 {
        while self.0[number as usize] != number {
            number = self.0[number as usize];
        }
        number
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.of(a), self.of(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}
