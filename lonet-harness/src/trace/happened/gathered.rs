//! What has been read of all processes: edges, labels, and what is left for `between_processes`
//! to complete.
//!
//! Owns the tables alone: `within_process` writes them, one process after the other.

use std::collections::BTreeMap;

use lonet::trace::EventId;

use crate::trace::happened::contradictions::Problems;
use crate::trace::happened::relation::{Adjacency, Edge};
use crate::trace::intern::labels::Labels;
use crate::trace::intern::symbols::{Symbol, Symbols};

/// What has been read of all processes so far.
#[derive(Default)]
pub(crate) struct Gathered {
    /// The causes that each record was read with, and all other edges.
    pub(crate) direct: Adjacency,
    pub(crate) loose: Vec<Edge>,
    /// What counts in this run alone: (effect, cause).
    pub(crate) in_run: Vec<(u32, u32)>,
    /// Host names.
    pub(crate) hosts: Symbols,
    /// What connections are known by.
    pub(crate) keys: Symbols,
    pub(crate) labels: Labels,
    /// The label of each node, `NONE` for those that are not events.
    pub(crate) label_of: Vec<u32>,
    pub(crate) ends: Vec<End>,
    pub(crate) writes: Vec<Write>,
    /// The records of hosts and processes that come or go.
    pub(crate) lives: Vec<u32>,
    /// By process: the latest time it reported.
    pub(crate) latest: Vec<u64>,
    pub(crate) credits: Vec<Credit>,
    /// Which record learned of which event, and whether for certain.
    pub(crate) learned: Vec<(EventId, u32, bool)>,
    /// The faults that end connections by themselves, and their records.
    pub(crate) cuts: BTreeMap<EventId, u32>,
    /// Which connection's key which dial has.
    pub(crate) links: Vec<(Symbol, u32)>,
    /// Nodes that stand for no record, by the process they belong to.
    pub(crate) joints: Vec<u32>,
    /// Per record: has an edge to, from another of its process.
    pub(crate) has_before: Vec<bool>,
    pub(crate) has_after: Vec<bool>,
    pub(crate) problems: Problems,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) process: u32,
    pub(crate) created: u32,
    pub(crate) is_dialer: bool,
    pub(crate) key: Symbol,
    pub(crate) shutdown: Option<(u64, u32)>,
    pub(crate) close: Option<(u64, u32)>,
    pub(crate) opaque: bool,
    /// Several tasks have written to it: which bytes are whose is chance.
    pub(crate) is_shared: bool,
}

/// From its byte `from` on, an end was written after a record. Of one end, both grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) end: u32,
    pub(crate) node: u32,
    pub(crate) from: u64,
}

/// A record's task had read this much of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credit {
    pub(crate) reader: u32,
    pub(crate) end: u32,
    /// Whether it orders the record in each run, or in this one.
    pub(crate) is_certain: bool,
    pub(crate) certain: u64,
    pub(crate) all: u64,
    pub(crate) eof: bool,
}
