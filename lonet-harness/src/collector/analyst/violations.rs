//! Which reporters broke the trace protocol.
//!
//! Owns which process broke the protocol and which did not. A process that the scenario ended, or
//! whose death already is a failure, may leave half a line, and may have lost further lines. The
//! reporters of roles and of programs that are carried are our own; our tests hold them to the
//! protocol, not those of users.
//!
//! Only the death of the process excuses half a line, on any of its connections. A process that
//! disconnects in the middle of a line and lives on broke the protocol, even if it is a role and
//! whatever happens to it later; unless the scenario had killed it, or asked it to finish, before
//! it disconnected.

use lonet::trace::{By, Record, Subject, What};

use super::{Analyst, Node, Reported};
use crate::process::kernel_state;
use crate::process::wire::Ended;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process;

impl Analyst {
    /// The beginning of a line whose end will never come.
    pub(super) fn handle_partial_line(&mut self, process: usize, half: Vec<u8>) {
        let reported = &self.processes[process];
        if reported.refused {
            return;
        }
        if kernel_state::lives(reported.carried_by.unwrap_or(reported.pid))
            && !self.is_caused(reported)
        {
            let what = in_a_line("disconnected", &half);
            return self.report_violation(process, &what);
        }
        // Its death may yet turn out to be the scenario's doing, or a failure.
        self.processes[process].partial_line = Some(half);
    }

    /// The reader has left out a line that begins so.
    pub(super) fn handle_long_line(&mut self, process: usize, begin: &[u8]) {
        let reported = &mut self.processes[process];
        if reported.refused {
            return;
        }
        // As for any other invalid line.
        reported.refused = !reported.greeted;
        let begin = String::from_utf8_lossy(begin);
        let what = format!("sent a line longer than 1 MiB to the trace socket: {begin}…");
        self.report_violation(process, &what);
    }

    /// The problems with what reporters sent, in words, including those that only show once
    /// everything has arrived.
    pub(super) fn all_problems(&self) -> Vec<String> {
        let mut problems = self.problems.clone();
        problems.extend(self.processes.iter().filter_map(|reported| {
            let half = reported.partial_line.as_ref()?;
            let ended = self.may_be_blamed(reported)?;
            let name = self.name(reported);
            Some(format!("{name} {}", in_a_line(ended, half)))
        }));
        problems.extend(self.contradictions());
        problems
    }

    /// What is wrong with a record by itself: it is left out. A reporter of our own gives none such.
    pub(super) fn forbidden(&self, process: usize, record: &Record) -> Option<String> {
        let node = self.processes[process].node;
        let is_ours = node.is_some_and(|node| self.nodes.get(&node).is_some_and(Node::is_ours));
        if process == 0 || is_ours {
            return None;
        }
        if record.n == 0 {
            return Some("sent a record with the number 0; numbers start at 1".to_owned());
        }
        let parts = record.what.parts();
        let only_test = match parts {
            // Whichever verb it names.
            Some(_) if matches!(record.what, What::Fault { .. }) => Some("fault"),
            Some(parts) => (parts.verb.rules().by == By::Test).then(|| parts.verb.as_str()),
            None => matches!(record.what, What::Here {}).then_some("here"),
        };
        if let Some(kind) = only_test {
            return Some(format!(
                "sent a `{kind}` record, which only the test itself does"
            ));
        }
        let Subject::Host(host) = parts?.subject else {
            return None;
        };
        let illegal = lonet::check_name(host).err()?;
        Some(format!("reported an illegal host: {illegal}"))
    }

    /// What can't be true of what they reported.
    fn contradictions(&self) -> Vec<String> {
        let blamable = |&index: &usize| {
            index > 0
                && self
                    .processes
                    .get(index)
                    .is_some_and(|reported| self.may_be_blamed(reported).is_some())
        };
        if !(0..self.processes.len()).any(|index| blamable(&index)) {
            return Vec::new();
        }
        let graph = Graph::build(self.records());
        let blamed = graph.problems.blamed().iter();
        blamed
            .filter(|blame| blame.processes.iter().any(blamable))
            .map(|blame| blame.text.clone())
            .collect()
    }

    /// If it is its own doing how it ended: what to say it did.
    fn may_be_blamed(&self, reported: &Reported) -> Option<&'static str> {
        if let Some(number) = reported.node {
            let node = self.nodes.get(&number)?;
            let exited = matches!(node.ended, Some(Ended::Status(_)));
            return (exited && !node.is_ours() && !node.is_caused()).then_some("exited");
        }
        (!self.is_caused(reported)).then_some("disconnected")
    }

    /// Whether the scenario has ended it, or is about to.
    fn is_caused(&self, reported: &Reported) -> bool {
        let host = reported.host.as_deref();
        self.nodes.values().any(|node| {
            let its = match reported.node {
                Some(number) => number == node.process,
                // A child of a node has its environment, and dies with it.
                None => Some(node.host.as_str()) == host,
            };
            its && node.is_caused()
        })
    }

    /// A reporter, as users know it.
    pub(super) fn name(&self, reported: &Reported) -> String {
        let node = reported.node.and_then(|node| self.nodes.get(&node));
        let joined = reported
            .records
            .iter()
            .filter_map(|record| match &record.what {
                What::Up { host: h } => Some(h.as_str()),
                _ => None,
            });
        let given = node.map(|node| node.host.as_str());
        let hosts = given.or(reported.host.as_deref()).into_iter().chain(joined);
        process::named(reported.pid, hosts)
    }
}

fn in_a_line(ended: &str, half: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&half[..half.len().min(200)]);
    format!(
        "{ended} in the middle of a line to the trace socket; what it sent before is kept: {shown}"
    )
}
