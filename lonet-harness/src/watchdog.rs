//! The clock of a test, on a thread of its own: no runtime that is blocked, or whose clock is
//! paused, can stall it.
//!
//! Owns what happens when a body can't be failed from inside: the verdict, and the process's end.
//! In all other cases it only says that the deadline has passed.

use std::io::Write as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::collector::query::{Effect, Query};
use crate::report::artifacts;
use crate::report::verdict::{self, Reason};
use crate::scenario::Scenario;

/// How long a body that is told of its deadline may take to take note, before it counts as
/// blocked.
const TAKES_NOTE: Duration = Duration::from_millis(500);

/// How long a blocked body has to come to itself once its nodes are stopped.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// A test's clock.
pub(crate) struct Watchdog {
    done: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Starts the clock. The receiver says that the deadline has passed, and when (CLOCK_MONOTONIC in
    /// nanoseconds); without one it never does.
    ///
    /// # Errors
    ///
    /// The system's, if there can be no thread.
    pub(crate) fn start(
        test: &str,
        after: Option<Duration>,
        scenario: &Scenario,
    ) -> std::io::Result<(Watchdog, oneshot::Receiver<u64>)> {
        let (done, finished) = channel::<()>();
        let (expire, expired) = oneshot::channel();
        let (test, scenario) = (test.to_owned(), scenario.clone());
        let thread = std::thread::Builder::new().name("lonet-watchdog".into()).spawn(move || {
            let still = |patience| {
                matches!(finished.recv_timeout(patience), Err(RecvTimeoutError::Timeout))
            };
            let Some(after) = after else {
                // Kept, since its end would look like the deadline's.
                let _keep = expire;
                let _ = finished.recv();
                return;
            };
            if !still(after) {
                return;
            }
            let deadline = crate::run::now();
            let _ = expire.send(deadline);
            if !still(TAKES_NOTE) {
                return;
            }
            give_verdict(&test, after, deadline, &scenario);
            if still(LAST_CHANCE) {
                say(&format!(
                    "{test}: its body blocks its thread, so that it can't be failed from inside: \
                     the process exits\n"
                ));
                std::process::exit(101);
            }
        })?;
        Ok((Watchdog { done, thread }, expired))
    }

    /// The body has ended, or knows that it must.
    pub(crate) fn acknowledge(self) {
        drop(self.done);
        let _ = self.thread.join();
    }
}

/// Prints the verdict, and stops the nodes: that may be what the body waits for.
fn give_verdict(test: &str, after: Duration, deadline: u64, scenario: &Scenario) {
    let Ok(report) = scenario.inner.report_of_hang(deadline) else {
        return;
    };
    let place = artifacts::place(test);
    let reason = Reason::TimedOut(after);
    let written = artifacts::write(&place, test, &reason.text(), false, &report, None).is_ok();
    let place = written.then_some(place.as_path());
    say(&verdict::page(test, &reason, &report, place));
    for node in report.nodes.iter().filter(|node| node.ended.is_none()) {
        let (reply, _) = oneshot::channel();
        let (process, signal) = (node.process, Signal::SIGKILL as i32);
        scenario.inner.mailbox.ask(Query::Signal {
            process,
            signal,
            until: Effect::Killed,
            reply,
        });
    }
}

/// Past libtest's capture, which would take it to the grave.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
