//! Which reporters broke the trace protocol.
//!
//! Owns who is to blame, and who is excused: a process that the scenario ended, or whose death
//! already is a failure, may leave half a line, and may have lost what it was about to say. The
//! reporter of roles is our own; it is held to the protocol by our tests, not by those of users.

use lonet::trace::{By, Record, Subject, What};

use super::{Analyst, Node, Reported};
use crate::process::wire::Ended;
use crate::trace::happened::contradictions;
use crate::trace::happened::graph::Graph;

impl Analyst {
    /// What reporters said that is no trace, in words; with what only shows once all have spoken.
    pub(super) fn all_problems(&self) -> Vec<String> {
        let mut problems = self.problems.clone();
        problems.extend(self.processes.iter().filter_map(|reported| {
            let half = reported.half.as_ref().filter(|_| !reported.refused)?;
            let ended = self.may_be_blamed(reported)?;
            let name = self.name(reported);
            let shown = String::from_utf8_lossy(&half[..half.len().min(200)]);
            Some(format!(
                "{name} {ended} in the middle of a line to the trace socket; what it said before \
                 is kept: {shown}"
            ))
        }));
        problems.extend(self.contradictions());
        problems
    }

    /// What is wrong with a record by itself: it is left out. A reporter of our own gives none such.
    pub(super) fn forbidden(&self, process: usize, record: &Record) -> Option<String> {
        let node = self.processes[process].node;
        let is_role = node.is_some_and(|node| self.nodes.get(&node).is_some_and(Node::is_role));
        if process == 0 || is_role {
            return None;
        }
        if record.n == 0 {
            return Some("gave a record the number 0; they count from 1".to_owned());
        }
        let parts = record.what.parts();
        let only_test = match parts {
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
        Some(format!("told of a host that can't be: {illegal}"))
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
            return (exited && !node.is_role() && !node.is_caused()).then_some("exited");
        }
        // A child of a node has its environment, and dies with it.
        let host = reported.host.as_deref();
        let excused = self
            .nodes
            .values()
            .any(|node| Some(node.host.as_str()) == host && node.is_caused());
        (!excused).then_some("hung up")
    }

    /// A reporter, as users know it.
    pub(super) fn name(&self, reported: &Reported) -> String {
        let node = reported.node.and_then(|node| self.nodes.get(&node));
        let said = reported
            .records
            .iter()
            .filter_map(|record| match &record.what {
                What::Up { host: h } => Some(h.as_str()),
                _ => None,
            });
        let given = node.map(|node| node.host.as_str());
        let hosts = given.or(reported.host.as_deref()).into_iter().chain(said);
        contradictions::named(reported.pid, hosts)
    }
}
