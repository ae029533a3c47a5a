//! The report of a scenario that has failed: what its processes do at that moment.
//!
//! Owns what to ask, in which order, and for how long: the processes themselves, the kernel about
//! those that don't answer, a debugger about those that run. Writes no text.

use std::sync::mpsc;
use std::time::Duration;

use crate::collector::query::{Query, Report};
use crate::error::Error;
use crate::process::backtrace::Backtraces;
use crate::process::kernel_state;
use crate::session::Inner;

/// How long processes may take to say what they wait for.
const WAITS_TO_HEAR: Duration = Duration::from_millis(300);

impl Inner {
    /// With what every process waits for: as it says, if it answers at once, or as the kernel says.
    pub(crate) fn report_of_waits(&self) -> Result<Report, Error> {
        let (reply, said) = mpsc::channel();
        self.mailbox.ask(Query::Waits { reply });
        // A process that does not answer is blocked in a system call, or stopped: the page says what the
        // records tell.
        let _ = said.recv_timeout(WAITS_TO_HEAR);
        let mut report = self.report()?;
        report.test.calls = self.pending_calls();
        let nodes = report.nodes.iter_mut();
        let nodes = nodes.filter(|node| node.ended.is_none() && !node.stopped);
        let silent = nodes.filter(|node| node.carried || node.waits.said.is_none());
        for node in silent {
            node.kernel = node.pid.and_then(kernel_state::of);
        }
        let others = report.others.iter_mut();
        for other in others.filter(|other| other.waits.said.is_none()) {
            other.kernel = kernel_state::of(other.pid);
        }
        Ok(report)
    }

    /// The same, with where each process that runs is, as a debugger sees it.
    ///
    /// `deadline` is the moment of the report: asking takes time, a debugger takes seconds, and that
    /// time must not count as waiting.
    pub(crate) fn report_of_hang(&self, deadline: u64) -> Result<Report, Error> {
        // What the kernel says of them comes before a debugger holds them.
        let mut report = self.report_of_waits()?;
        report.at = deadline;
        // A stopped one would go on after a debugger has had it.
        let running = report
            .nodes
            .iter()
            .filter(|node| node.ended.is_none() && !node.stopped);
        let running: Vec<(String, u32)> = running
            .filter_map(|node| Some((node.host.clone(), node.pid?)))
            .collect();
        report.backtraces = Backtraces::take(&running);
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use crate::process::Entrance;
    use crate::session::Session;

    #[test]
    fn the_report_speaks_of_the_deadline() {
        let session = Session::start("hang".into(), Entrance::BeforeMain, false).unwrap();
        let report = session.inner().report_of_hang(42).unwrap();
        assert_eq!(report.at, 42);
        assert!(session.end().at > 42);
    }
}
