//! The clock of a test, on a thread of its own: no runtime that is blocked, or whose clock is
//! paused, can stall it.
//!
//! Owns what happens when a body, or what it leaves behind, blocks: the verdict, and the process's
//! end. In all other cases it only reports that the deadline has passed.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::collector::query::{Effect, Query, Report};
use crate::report::artifacts;
use crate::report::verdict::{self, Reason, Told};
use crate::report::words::Teardown;
use crate::run::attribute::Spec;
use crate::scenario::Scenario;

/// How long a body may take to react to its deadline before it counts as blocked.
const TAKES_NOTE: Duration = Duration::from_millis(500);

/// How long a blocked body has to come to itself once its nodes are stopped.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// The limits of a test.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// How long its body may take.
    pub(crate) body: Duration,
    /// How long it may take, once its body has ended, till what that left is gone.
    pub(crate) end: Duration,
}

/// A test's clock.
pub(crate) struct Watchdog {
    steps: Sender<Step>,
    thread: JoinHandle<()>,
}

/// How far a test has got.
enum Step {
    /// The body has ended, or knows that it must. What the harness does then has no limit.
    Noted,
    /// What the body left is to go now: its tasks, the values that they hold.
    Ends(Option<Failing>),
}

/// Why a body failed, and what there was to say then.
pub(crate) struct Failing {
    pub(crate) reason: Reason,
    pub(crate) then: Option<Arc<Report>>,
    pub(crate) teardown: Option<Teardown>,
}

impl Watchdog {
    /// Starts the clock. The receiver says that the deadline has passed, and when (CLOCK_MONOTONIC in
    /// nanoseconds); without limits it never does.
    ///
    /// # Errors
    ///
    /// The system's, if there can be no thread.
    pub(crate) fn start(
        spec: &Spec,
        limits: Option<Limits>,
        scenario: &Scenario,
    ) -> std::io::Result<(Watchdog, oneshot::Receiver<u64>)> {
        let (steps, heard) = channel();
        let (expire, expired) = oneshot::channel();
        let watched = Watched {
            test: spec.test_name(),
            test_at: spec.place.to_string(),
            scenario: scenario.clone(),
            steps: heard,
        };
        let watch = move || match limits {
            Some(limits) => watched.watch(limits, expire),
            None => {
                // Kept, since its end would look like the deadline's.
                let _keep = expire;
                while watched.steps.recv().is_ok() {}
            }
        };
        let thread = std::thread::Builder::new().name("lonet-watchdog".into());
        let thread = thread.spawn(watch)?;
        Ok((Watchdog { steps, thread }, expired))
    }

    /// The body has ended, or knows that it must.
    pub(crate) fn noted(&self) {
        // A thread that is gone has nothing more to watch.
        let _ = self.steps.send(Step::Noted);
    }

    /// What the body left is to go from now on. That is to be said if it does not.
    pub(crate) fn ends(&self, failing: Option<Failing>) {
        let _ = self.steps.send(Step::Ends(failing));
    }

    /// It is gone.
    pub(crate) fn done(self) {
        drop(self.steps);
        let _ = self.thread.join();
    }
}

/// A test, as its clock sees it.
struct Watched {
    test: &'static str,
    test_at: String,
    scenario: Scenario,
    steps: Receiver<Step>,
}

impl Watched {
    fn watch(&self, limits: Limits, expire: oneshot::Sender<u64>) {
        let still = |patience| {
            let step = self.steps.recv_timeout(patience);
            matches!(step, Err(RecvTimeoutError::Timeout))
        };
        if still(limits.body) {
            let deadline = lonet::trace::now();
            let _ = expire.send(deadline);
            if still(TAKES_NOTE) {
                let report = self.scenario.inner.report_of_hang(deadline);
                if let Ok(report) = report {
                    let teardown = Some(Teardown::of_deadline(deadline));
                    self.give_verdict(&Reason::TimedOut(limits.body), &report, teardown);
                }
                if still(LAST_CHANCE) {
                    self.exit("the test body blocks its thread");
                }
            }
        }
        self.watch_end(limits.end);
    }

    /// Of a body that has ended, or knows that it must.
    fn watch_end(&self, patience: Duration) {
        let mut failing = loop {
            match self.steps.recv() {
                Ok(Step::Noted) => {}
                Ok(Step::Ends(failing)) => break failing,
                Err(_) => return,
            }
        };
        loop {
            match self.steps.recv_timeout(patience) {
                Ok(Step::Noted) => {}
                Ok(Step::Ends(by_now)) => failing = by_now,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        if let Some(Failing {
            reason,
            then,
            teardown,
        }) = failing
        {
            let report = then.or_else(|| self.scenario.inner.report().ok().map(Arc::new));
            if let Some(report) = report {
                self.give_verdict(&reason, &report, teardown);
            }
        }
        self.exit(
            "the test body has ended, but a task or a value that it left behind blocks the thread",
        );
    }

    /// Prints the verdict, and stops the nodes: that may be what the body waits for.
    fn give_verdict(&self, reason: &Reason, report: &Report, teardown: Option<Teardown>) {
        let Watched { test, scenario, .. } = self;
        let place = scenario.inner.artifacts.clone();
        let adds = scenario.adds_artifacts();
        let told = Told {
            test_at: &self.test_at,
            then: report,
            report,
            teardown,
        };
        let became = artifacts::Became {
            verdict: &verdict::page(test, reason, told, Some(&place)),
            passed: false,
            teardown,
        };
        let written = artifacts::write(&place, test, &became, report, None, adds).is_ok();
        let place = written.then_some(place.as_path());
        say(&verdict::page(test, reason, told, place));
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

    fn exit(&self, why: &str) -> ! {
        say(&format!("{}: {why}; aborting the process\n", self.test));
        std::process::exit(101);
    }
}

/// Past libtest's capture, whose text would be lost when the process exits.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
