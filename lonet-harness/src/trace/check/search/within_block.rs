//! The part of the search that blocks need: which events a line of a block could match, and whether
//! a block leaves anything open at its end.
//!
//! Pure. Owns nothing but questions; what is taken and undone is the search's business.

use std::collections::BTreeSet;

use super::{Search, State};
use crate::trace::check::outcome::names_port;
use crate::trace::expected::pattern::{Bindings, Fields, unify};
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::{NONE, digest};

/// In longer blocks it is only found out at the end whether what a line waits for has one.
const MOST_LINES_BELOW: usize = 64;

impl Search<'_> {
    pub(super) fn is_assigned(&self, node: u32) -> bool {
        let blocks = self.blocks.as_ref();
        blocks.is_some_and(|blocks| blocks.assigned[node as usize])
    }

    /// All causes of an event that has its line already have theirs now, or no longer.
    pub(super) fn meet(&mut self, node: u32, met: bool) {
        let blocks = self.blocks.as_mut();
        let blocks = blocks.expect("only within a block an event goes before its causes");
        debug_assert!(blocks.assigned[node as usize]);
        blocks.unmet = match met {
            true => blocks.unmet - 1,
            false => blocks.unmet + 1,
        };
    }

    /// The first line of a line's block; itself, where it stands alone.
    pub(super) fn block_start(&self, line: usize) -> usize {
        let block = self.of.lines[line].block;
        let above = self.of.lines[..line].iter().rev();
        line - above
            .take_while(|l| block.is_some() && l.block == block)
            .count()
    }

    /// A state that is another for another state above the block of the latest line.
    pub(super) fn with_block_above(&self, state: State) -> State {
        match self.chosen.len().checked_sub(1) {
            Some(last) if !self.ends_block(last) => {
                let above = self.above[self.block_start(last)];
                (
                    state.0 ^ digest((above, 3u8)),
                    state.1 ^ digest((4u8, above)),
                )
            }
            _ => state,
        }
    }

    /// Whether the next line stands somewhere else.
    pub(super) fn ends_block(&self, line: usize) -> bool {
        let block = self.of.lines[line].block;
        let next = self.of.lines.get(line + 1);
        block.is_none() || next.is_none_or(|next| next.block != block)
    }

    /// Whether nothing above the line waits for what comes from there on.
    pub(super) fn block_is_closed(&self, line: usize) -> bool {
        let (Some(blocks), Some(last)) = (&self.blocks, line.checked_sub(1)) else {
            return true;
        };
        if self.partial.is_some() || !self.ends_block(last) {
            return true;
        }
        let mut lines = self.block_start(last)..line;
        let port_is_free = |line: usize| {
            !names_port(&self.of.lines[line].shape)
                || self.port_waits[self.chosen[line] as usize] == 0
        };
        blocks.unmet == 0 && lines.all(port_is_free)
    }

    /// The events that a line of a block could match.
    pub(super) fn block_candidates(&mut self, line: usize) -> Vec<u32> {
        let shape = &self.of.lines[line].shape;
        let blocks = self.blocks.as_ref().expect("the line is one of a block");
        let open = |node: &u32| {
            let covered = self.partial.as_ref().map(|p| p.covered[*node as usize]);
            !blocks.assigned[*node as usize] && covered != Some(true)
        };
        let mut among: Vec<u32> = match self.labels[line] {
            NONE => self.scope.events.iter().copied().filter(open).collect(),
            label => {
                let alike = blocks.by_label.get(&label).map_or(&[][..], Vec::as_slice);
                alike.iter().copied().filter(open).collect()
            }
        };
        if self.labels[line] == NONE {
            among = self.matching(shape, among);
        }
        among.retain(|&node| self.may_stand(node, line));
        among.sort_unstable_by_key(|&node| self.graph.place(node));
        if self.partial.is_none() && among.len() > 1 {
            self.merge_interchangeable(&mut among);
        }
        among
    }

    /// Whether an event may have that line of a block, for all that its order tells.
    pub(super) fn may_stand(&self, node: u32, line: usize) -> bool {
        let blocks = self.blocks.as_ref().expect("the line is one of a block");
        let (graph, scope, kept) = (self.graph, self.scope, &blocks.kept);
        if self.partial.is_some() {
            let mut above = self.chosen[self.block_start(line)..line].iter();
            return !above.any(|&other| kept.orders(graph, scope, node, other));
        }
        let causes = kept.before(graph, scope, node);
        causes.iter().all(|&cause| blocks.assigned[cause as usize])
            && self.causes_may_follow(node, line)
    }

    /// Whether what the event waits for could have lines further down in the block.
    pub(super) fn causes_may_follow(&self, node: u32, line: usize) -> bool {
        if self.waits[node as usize] == 0 {
            return true;
        }
        let block = self.of.lines[line].block;
        let below = self.of.lines.iter().enumerate().skip(line + 1);
        let below: Vec<usize> = below
            .take_while(|(_, other)| other.block == block)
            .map(|(index, _)| index)
            .collect();
        if below.len() > MOST_LINES_BELOW {
            return true;
        }
        let mut seen = BTreeSet::new();
        let mut causes = 0;
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            for (cause, why) in self.graph.before(node) {
                let index = cause as usize;
                let waited_for = match self.scope.shown[index] {
                    true => !self.is_assigned(cause),
                    false => self.waits[index] > 0,
                };
                let counts = why != Why::Port && self.scope.members[index];
                if !counts || !waited_for || !seen.insert(cause) {
                    continue;
                }
                todo.push(cause);
                if self.scope.shown[index] {
                    causes += 1;
                    let fits = below.iter().any(|&line| self.fits(line, cause));
                    if !fits || causes > below.len() {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Whether a line could match an event, whatever the variables stand for.
    pub(super) fn fits(&self, line: usize, node: u32) -> bool {
        let label = self.graph.label_of[node as usize];
        if self.labels[line] != NONE {
            return self.labels[line] == label;
        }
        let fields = Fields::of_label(self.graph.labels.label(label), &self.graph.hosts);
        let mut free = Bindings::new(self.of.variables.len());
        unify(&self.of.lines[line].shape, self.of, &fields, &mut free)
    }
}
