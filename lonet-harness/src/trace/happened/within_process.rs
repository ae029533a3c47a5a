//! What one process reports: its records in sequence → edges among them, and what is left for the
//! others to complete.
//!
//! Pure. Owns the walk along the records, and what was read from sockets; `tasks` is the task rule,
//! `sockets` the socket rule, `faults` what a fault takes from them. Edges here only ever lead from a lower number to a higher one, so that
//! they can't form a cycle, whatever a process reports.

mod faults;
mod sockets;
mod tasks;

use std::collections::BTreeMap;

use lonet::trace::{ReadCredit, Record};

use self::sockets::Socket;
use self::tasks::Task;
use crate::trace::happened::gathered::{Credit, Gathered};
use crate::trace::happened::process::{self, Process};
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::FastMap;
use crate::trace::intern::symbols::Symbol;

/// The records of one process, sorted, each with its node: `first` and on.
pub(crate) struct OneProcess<'a> {
    pub(crate) index: u32,
    pub(crate) first: u32,
    pub(crate) process: &'a Process,
    pub(crate) records: &'a [Record],
}

impl OneProcess<'_> {
    /// The node of the record with that number.
    pub(crate) fn node(&self, n: u64) -> Option<u32> {
        let index = self.records.binary_search_by_key(&n, |r| r.n).ok()?;
        Some(self.first + index as u32)
    }

    /// Adds what this process tells.
    pub(crate) fn gather(&self, into: &mut Gathered) {
        Gathering {
            process: self,
            tasks: FastMap::default(),
            task_states: Vec::new(),
            first_end: into.ends.len() as u32,
            sockets: FastMap::default(),
            open: Vec::new(),
            listeners: FastMap::default(),
            released: FastMap::default(),
            limits: Vec::new(),
            unknown: BTreeMap::new(),
            into,
        }
        .run();
    }
}

struct Gathering<'a, 'b> {
    process: &'a OneProcess<'b>,
    into: &'a mut Gathered,
    /// Where in `task_states` each task is.
    tasks: FastMap<u64, usize>,
    task_states: Vec<Task>,
    /// Which end a socket is; the ends of this process follow one another, from the first on.
    sockets: FastMap<u64, u32>,
    first_end: u32,
    open: Vec<Socket>,
    /// The record of each listener's creation.
    listeners: FastMap<u64, u32>,
    /// Which record freed a port.
    released: FastMap<(Symbol, u16), u32>,
    /// The limits that the process has learned of, by record.
    limits: Vec<u32>,
    /// Unknown things that the process refers to, with the first record that does, counted.
    unknown: BTreeMap<&'static str, (u64, usize)>,
}

impl Gathering<'_, '_> {
    fn run(mut self) {
        let mut latest = 0;
        // A record is looked at once: a million of them are more than any cache holds.
        for (index, record) in self.process.records.iter().enumerate() {
            let node = self.process.first + index as u32;
            let label = self.into.labels.intern(record, &mut self.into.hosts);
            self.into.label_of.push(label);
            latest = latest.max(record.t);
            self.cut_by_faults(record);
            if let Some(k) = record.task {
                let fresh = self.task_states.len();
                let index = *self.tasks.entry(k).or_insert(fresh);
                if index == fresh {
                    self.task_states.push(Task::default());
                }
                let mut task = std::mem::take(&mut self.task_states[index]);
                self.task(&mut task, node, record);
                self.task_states[index] = task;
            }
            self.reads_seen(record);
            self.socket(node, record);
            self.into.direct.close_node();
        }
        self.into.latest.push(latest);
        for (what, (n, times)) in std::mem::take(&mut self.unknown) {
            self.blame(format!(
                "refers to {what} that it has not reported, {times} times, first in record {n}"
            ));
        }
    }

    fn edge(&mut self, from: u32, to: u32, why: Why) {
        debug_assert_eq!(
            to,
            self.into.direct.open_node(),
            "a node's causes are read with it"
        );
        self.into.direct.push(from, why);
        if why == Why::Port {
            // Matching may leave this one out; what a process's start and end order must not.
            return;
        }
        if let Some(flag) = self.into.has_after.get_mut(from as usize) {
            *flag = true;
        }
        if let Some(flag) = self.into.has_before.get_mut(to as usize) {
            *flag = true;
        }
    }

    /// An edge that counts in this run.
    fn edge_in_run(&mut self, from: u32, to: u32) {
        self.into.in_run.push((to, from));
    }

    fn credit(&mut self, reader: u32, end: u32, read: &ReadCredit, is_certain: bool) {
        let (certain, eof) = self.of_peer(end, read);
        self.into.credits.push(Credit {
            reader,
            end,
            is_certain,
            certain,
            all: read.all.max(certain),
            eof,
        });
    }

    fn blame(&mut self, what: String) {
        let name = process::name(self.process.process);
        let index = self.process.index as usize;
        self.into
            .problems
            .blame(vec![index], format!("{name} {what}"));
    }

    fn unknown(&mut self, what: &'static str, n: u64) {
        self.unknown.entry(what).or_insert((n, 0)).1 += 1;
    }
}
