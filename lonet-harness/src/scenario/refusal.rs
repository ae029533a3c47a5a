//! The page of an expected trace that does not match.
//!
//! Owns what surrounds the mismatch on its page, and passes the latest one to the artifacts.
//! `report::mismatch` writes the text.

use std::io::{self, IsTerminal};
use std::sync::PoisonError;

use super::Scenario;
use crate::process::output::last_lines;
use crate::report::artifacts::Refused;
use crate::report::mismatch::{self, Surroundings};
use crate::report::words::whose;
use crate::trace::Mismatch;
use crate::trace::update::source::Source;

/// How many lines of each log a page shows.
const LINES: usize = 8;

impl Scenario {
    /// The page of an expectation that does not hold, with each host's last lines.
    pub(crate) fn page_of(&self, mismatch: &Mismatch) -> String {
        let nodes = self
            .inner
            .report()
            .map(|report| report.nodes)
            .unwrap_or_default();
        let printed = whose(&nodes)
            .zip(&nodes)
            .filter(|(_, node)| !node.log.is_empty());
        let logs = printed.map(|(whose, node)| (whose, last_lines(&node.log, LINES).join("\n")));
        let plain = Surroundings {
            logs: logs.collect(),
            artifacts: Some(self.inner.artifacts.clone()),
            colours: false,
        };
        let page = mismatch::page(mismatch, &plain);
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let shown = Surroundings {
            colours: wanted && io::stderr().is_terminal(),
            ..plain
        };
        let shown = mismatch::page(mismatch, &shown);
        let refused = Refused::new(mismatch, page, &shown);
        *self
            .inner
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(refused);
        shown
    }

    /// The latest expected trace that did not hold, if any.
    pub(crate) fn take_refused(&self) -> Option<Refused> {
        self.inner
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// What is to be shown of an expected trace that does not hold of what happens before this
    /// moment.
    pub(crate) fn mismatch_page(&self, expected: &Source<'_>) -> Option<String> {
        self.trace()
            .check_source(expected)
            .err()
            .map(|mismatch| self.page_of(&mismatch))
    }
}
