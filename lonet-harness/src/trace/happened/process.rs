//! What one process reported, and what a process is called.
//!
//! Pure. What its records mean is `within_process`' business.

use lonet::trace::{Record, What};
use serde::{Deserialize, Serialize};

/// What one process reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id, as users see it.
    pub pid: u32,
    /// The number by which the scenario's `spawn`, `exit` and `kill` records name it, if the
    /// scenario started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// What it reported, in any order.
    pub records: Vec<Record>,
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
