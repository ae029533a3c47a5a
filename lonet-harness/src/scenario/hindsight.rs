//! Waiting after a body has failed, so that its page can say what was missing.
//!
//! Owns waiting for it, and for how long: the listener that a dial came too early for may be a
//! moment away, and the test's end would stop the process before it gets there. Writes no text.

use std::time::Duration;

use super::Scenario;
use crate::collector::query::{Query, Wanted};
use crate::deadline;
use crate::report::advice;
use crate::trace::Pattern;

/// How long a failed test goes on for the sake of its page.
const LISTENS: Duration = Duration::from_secs(1);

impl Scenario {
    /// Waits, if the failure is of a dial that nothing listened for, while a process runs that may
    /// yet listen there, until it does.
    pub(crate) async fn hear_late_listener(&self, failure: &str) {
        let Ok(report) = self.inner.report() else {
            return;
        };
        let Some((process, text)) = advice::may_listen_yet(&report, failure) else {
            return;
        };
        let Ok(pattern) = Pattern::parse(&text) else {
            return;
        };
        let wanted = Box::new(Wanted {
            text,
            pattern,
            after: None,
            of: Some(process),
        });
        // Whichever comes first. If nothing does, the page says that nothing listened.
        let heard = async {
            tokio::select! {
                _ = self.inner.ask(|reply| Query::Until { wanted, reply }) => {}
                _ = self.inner.ask(|reply| Query::End { process, deliver: false, reply }) => {}
            }
        };
        let patience = deadline::scaled(LISTENS).unwrap_or(LISTENS);
        let _ = tokio::time::timeout(patience, heard).await;
    }
}
