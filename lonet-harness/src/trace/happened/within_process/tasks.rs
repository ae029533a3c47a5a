//! The task rule: what a record comes after because its task did or learned it before.
//!
//! Pure. Owns what is known of each task while its process is read.

use std::collections::BTreeMap;

use lonet::trace::{EventId, ReadCredit, Record, What};

use super::Gathering;
use crate::trace::happened::relation::Why;

/// What is known of one task.
#[derive(Default)]
pub(super) struct Task {
    /// The latest record in the task's order: all that is in order so far comes before it, other
    /// strands apart.
    latest: Option<u32>,
    /// The latest of all.
    last: Option<u32>,
    /// By listener, what comes before each strand that begins with an accept there.
    strands: BTreeMap<u64, Strand>,
    /// The latest look at the trace; since then: what nothing else of the task comes after, and
    /// what has learned something that orders nothing by task.
    here: Option<u32>,
    loose: Vec<u32>,
    learned: Vec<u32>,
}

/// What comes before each strand of a listener: what the task did before its first accept there,
/// and what that accept had learned.
#[derive(Clone, Copy)]
struct Strand {
    before: Option<u32>,
    first: Option<u32>,
}

impl Gathering<'_, '_> {
    /// What a record comes after as its task's.
    pub(super) fn task(&mut self, task: &mut Task, node: u32, record: &Record) {
        if matches!(record.what, What::Here {}) {
            return self.here(task, node);
        }
        let mut before = task.latest;
        let mut begins_strand = false;
        if let What::Accept { listener: l, .. } = record.what {
            match task.strands.get(&l).copied() {
                Some(strand) => {
                    begins_strand = true;
                    task.loose.extend(task.latest);
                    before = strand.before;
                    if let Some(first) = strand.first.filter(|_| !record.unordered) {
                        self.causes(first, node, true);
                    }
                }
                None => {
                    let first = (!record.unordered).then_some(node);
                    task.strands.insert(l, Strand { before, first });
                }
            }
        }
        let certain = before.filter(|_| !record.unordered);
        if let Some(before) = certain {
            self.edge(before, node, Why::Task);
        }
        if let Some(last) = task.last.replace(node)
            && certain != Some(last)
        {
            self.edge_in_run(last, node);
        }
        // What the task has learned before it accepts belongs to the strand before.
        let is_certain = !record.unordered && !begins_strand;
        self.causes(node, node, is_certain);
        self.causes_beside(node, node, false);
        if !record.reads_beside.is_empty() || !record.learned_beside.is_empty() || !is_certain {
            task.learned.push(node);
        }
        if record.unordered {
            task.loose.push(node);
            task.latest = before;
        } else {
            task.latest = Some(node);
        }
    }

    /// A task looks at the trace: all it did and learned comes before, in whichever order. The look
    /// itself orders nothing.
    fn here(&mut self, task: &mut Task, node: u32) {
        let before = task.here.replace(node);
        let loose = std::mem::take(&mut task.loose);
        for before in before.into_iter().chain(task.latest).chain(loose) {
            self.edge(before, node, Why::Task);
        }
        let learned = std::mem::take(&mut task.learned);
        for of in learned.into_iter().chain([node]) {
            self.causes(of, node, true);
            self.causes_beside(of, node, true);
        }
    }

    /// What the record `of` says that its task had learned alone comes before `to`; for certain, or
    /// in this run.
    fn causes(&mut self, of: u32, to: u32, is_certain: bool) {
        let record = &self.process.records[(of - self.process.first) as usize];
        self.learned(record.n, &record.reads, &record.learned, to, is_certain);
    }

    /// The same of what it had learned beside other operations.
    fn causes_beside(&mut self, of: u32, to: u32, is_certain: bool) {
        let record = &self.process.records[(of - self.process.first) as usize];
        self.learned(
            record.n,
            &record.reads_beside,
            &record.learned_beside,
            to,
            is_certain,
        );
    }

    fn learned(
        &mut self,
        n: u64,
        reads: &[ReadCredit],
        events: &[EventId],
        to: u32,
        is_certain: bool,
    ) {
        for &event in events {
            self.into.learned.push((event, to, is_certain));
        }
        for read in reads {
            let Some(&end) = self.sockets.get(&read.socket) else {
                self.unknown("a read from a socket", n);
                continue;
            };
            let created = self.into.ends[end as usize].created;
            match is_certain {
                true => self.edge(created, to, Why::Socket),
                false => self.edge_in_run(created, to),
            }
            self.credit(to, end, read, is_certain);
        }
    }
}
