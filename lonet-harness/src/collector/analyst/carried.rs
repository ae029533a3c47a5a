//! Programs whose traffic is carried: their reporters, and the death of the carrier.
//!
//! Owns which reporter belongs to which program. The carrier has one for each.

use super::Analyst;
use crate::collector::failure::Past;
use crate::process::wire::Ended;

impl Analyst {
    /// The carrier runs. What it reports may have arrived before.
    pub(super) fn carrier_started(&mut self, pid: u32) {
        self.carrier = Some(pid);
        for at in 0..self.processes.len() {
            self.check_carries(at);
        }
    }

    /// A reporter says for which process it reports.
    pub(super) fn carries(&mut self, at: usize, process: u64) {
        let mut others = self.processes.iter();
        let has_another = others.any(|other| other.node == Some(process));
        match self.nodes.get(&process) {
            Some(node) if node.is_carried() && !has_another => {
                self.processes[at].carried_by = Some(self.processes[at].pid);
                self.processes[at].node = Some(process);
                self.check_carries(at);
                self.show_as(process);
            }
            _ => self.refuse_carrier(at),
        }
    }

    /// Only the carrier may report for programs; this is asked again once its pid is known.
    fn check_carries(&mut self, at: usize) {
        let by = self.processes[at].carried_by;
        if let (Some(by), Some(carrier)) = (by, self.carrier)
            && by != carrier
        {
            let reported = &mut self.processes[at];
            (reported.node, reported.carried_by, reported.pid) = (None, None, by);
            self.refuse_carrier(at);
        }
    }

    fn refuse_carrier(&mut self, at: usize) {
        self.processes[at].refused = true;
        let what = "says in its `hello` that it carries a process (`carries`), and does not";
        self.report_violation(at, what);
    }

    /// To users, what the carrier reports for a program comes from the program.
    pub(super) fn show_as(&mut self, process: u64) {
        let pid = self.nodes.get(&process).and_then(|node| node.pid);
        let mut reported = self.processes.iter_mut();
        let reported = reported.find(|r| r.node == Some(process) && r.carried_by.is_some());
        if let (Some(pid), Some(reported)) = (pid, reported) {
            reported.pid = pid;
        }
    }

    /// All that it carried ends with it, and is reported so next.
    pub(super) fn carrier_died(&mut self, status: Ended, error: Option<String>) {
        let how = error.unwrap_or_else(|| format!("it {}", Past(status)));
        let carried = self.nodes.values_mut().filter(|node| node.is_carried());
        for node in carried.filter(|node| node.ended.is_none()) {
            node.uncarried = Some(how.clone());
        }
    }
}
