//! Contradictions in what processes reported, in words, with the process that caused each.
//!
//! Pure. Owns how a process is named. What is found wrong where, is the business of `within_process`,
//! `between_processes` and `graph`; whether a test fails of it, the collector's.

use lonet::trace::What;

use crate::trace::happened::graph::Process;

/// What makes no sense.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    texts: Vec<String>,
    blamed: Vec<Blame>,
}

/// One of these processes has broken the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blame {
    /// By index.
    pub(crate) processes: Vec<usize>,
    pub(crate) text: String,
}

impl Problems {
    /// Something that a correct reporter can come to tell of: what belongs to it was never
    /// reported, because a process was not traced.
    pub(crate) fn note(&mut self, text: String) {
        self.texts.push(text);
    }

    /// Something that no correct reporter tells.
    pub(crate) fn blame(&mut self, processes: Vec<usize>, text: String) {
        self.texts.push(text.clone());
        self.blamed.push(Blame { processes, text });
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(crate) fn blamed(&self) -> &[Blame] {
        &self.blamed
    }
}

/// A process, as users know it: by its pid, and the hosts it said it is.
pub(crate) fn name(process: &Process) -> String {
    let hosts = process
        .records
        .iter()
        .filter_map(|record| match &record.what {
            What::Up { host: h } => Some(h.as_str()),
            _ => None,
        });
    named(process.pid, hosts)
}

/// A process by its pid and its hosts.
pub(crate) fn named<'a>(pid: u32, hosts: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = Vec::new();
    for host in hosts {
        if !known.contains(&host) {
            known.push(host);
        }
    }
    match known.as_slice() {
        [] => format!("process {pid}"),
        hosts => format!("process {pid} ({})", hosts.join(", ")),
    }
}
