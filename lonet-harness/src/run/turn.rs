//! One turn of a test: a scenario of its own, from its network to its verdict.
//!
//! Owns the order of things, and what made the turn fail. Writes no text and starts no process itself.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use lonet::trace::now;

use super::{Failed, TestArgument, expected};
use crate::collector::query::{Query, Report};
use crate::deadline;
use crate::error::{Error, ErrorKind};
use crate::outcome::BodyError;
use crate::process::Entrance;
use crate::report::artifacts::{self, Refused};
use crate::report::verdict::{self, Reason, Told};
use crate::report::words::Teardown;
use crate::run::attribute::Spec;
use crate::run::watchdog::{Failing, Limits, Watchdog};
use crate::scenario::Scenario;
use crate::session::Session;
use crate::trace::update::learning::Learning;

/// How long what a body leaves may take to go: the tasks that it spawned, the values that they hold.
const ENDS: Duration = Duration::from_secs(10);

/// How a body ended.
enum Ended {
    Returned(Result<(), BodyError>),
    Panicked(Box<dyn Any + Send>),
    /// With what there was to say at that moment.
    TimedOut(Option<Arc<Report>>),
}

/// Plays it.
///
/// # Errors
///
/// It failed.
pub(super) fn play<A, F, Fut>(
    spec: &Spec,
    entrance: Entrance,
    learning: Option<&Arc<Learning>>,
    body: &F,
) -> Result<(), Failed>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<(), BodyError>>,
{
    let test = spec.test_name();
    let early = |error: Error| Failed::early(test, &error);
    let expected = spec
        .trace
        .as_ref()
        .map(expected::source)
        .transpose()
        .map_err(|error| early(Error::new(ErrorKind::Pattern, error)))?;
    let after = deadline::scaled(spec.timeout).map_err(early)?;
    let session =
        Session::start(artifacts::place(test), entrance, A::STARTS_PROCESSES).map_err(early)?;
    let leaving = runtime(None).map_err(|error| early(error.into()))?;
    let runtime = runtime(spec.worker_threads).map_err(|error| early(error.into()))?;
    let scenario = Scenario {
        inner: session.inner(),
    };
    if let Some(learning) = learning {
        let _ = scenario.inner.learning.set(learning.clone());
    }

    // Whoever debugs a node needs all the time there is.
    let limits = (!deadline::suspended()).then_some(Limits {
        body: after,
        end: deadline::scaled(ENDS).map_err(early)?,
    });
    let (watchdog, expired) =
        Watchdog::start(spec, limits, &scenario).map_err(|error| early(error.into()))?;
    let (ended, ended_at) = play_body(after, &runtime, &scenario, &watchdog, expired, body);
    let mut reason = match &ended {
        Ended::Returned(Ok(())) => None,
        Ended::Returned(Err(error)) => Some(match error.mismatch() {
            Some(mismatch) => Reason::Trace(scenario.page_of(mismatch), mismatch.place()),
            None => Reason::Returned(error.text(), error.place()),
        }),
        Ended::Panicked(payload) => Some(Reason::Panicked(message(payload.as_ref()))),
        Ended::TimedOut(_) => Some(Reason::TimedOut(after)),
    };
    // Of the body's end, before anything is stopped.
    if let (None, Some(expected)) = (&reason, &expected) {
        let page = scenario.mismatch_page(expected);
        reason = page.map(|page| Reason::Trace(page, None));
    }
    let then = match (&ended, &reason) {
        (Ended::TimedOut(then), _) => then.clone(),
        // What the processes do is asked before anything makes them do something else.
        (_, Some(Reason::Returned(..) | Reason::Panicked(_))) => {
            scenario.inner.report_of_waits().ok().map(Arc::new)
        }
        _ => None,
    };
    let teardown = match (&ended, &reason) {
        (Ended::TimedOut(_), _) => Some(Teardown::of_deadline(ended_at)),
        (Ended::Returned(Ok(())), _) | (_, None) => None,
        (_, Some(_)) => Some(Teardown::of_body(ended_at)),
    };
    if let Some(reason @ (Reason::Returned(..) | Reason::Panicked(_))) = &reason {
        leaving.block_on(scenario.hear_late_listener(&reason.text()));
    }
    let failing = reason.clone().map(|reason| Failing {
        reason,
        then: then.clone(),
        teardown,
    });
    watchdog.ends(failing);
    // The test's own part of the network is closed before the runtime on which it was joined, which
    // would close it too, at any point among the drops of what the body's tasks hold. Those tasks
    // are not played on: the network's end is nothing that they expect.
    leaving.block_on(scenario.leave());
    runtime.shutdown_background();
    watchdog.done();
    let refused = scenario.take_refused();
    let keeps = scenario.keeps_artifacts();
    let adds = scenario.adds_artifacts();
    drop(scenario);
    let mut report = session.end();
    if let Some(then) = &then {
        report.backtraces = then.backtraces.clone();
    }
    let reason = reason.or_else(|| of_others(&report));
    if reason.is_none() && !keeps {
        // It stays with what the test has put there; one that merely asked leaves nothing.
        match adds {
            true => drop(std::fs::remove_dir(artifacts::place(test))),
            false => artifacts::clear(&artifacts::place(test)),
        }
        return Ok(());
    }
    let told = Told {
        test_at: &spec.place.to_string(),
        then: then.as_deref().unwrap_or(&report),
        // A verdict is about the moment of the deadline, not about what the stopping made of it.
        report: match (&ended, &then) {
            (Ended::TimedOut(_), Some(then)) => then,
            _ => &report,
        },
        teardown,
    };
    conclude(test, ended, reason, told, &report, refused, adds)
}

/// Plays the body, to its end or its deadline, and says that it has ended. How it ended, and when
/// (CLOCK_MONOTONIC in nanoseconds).
fn play_body<A, F, Fut>(
    after: Duration,
    runtime: &Runtime,
    scenario: &Scenario,
    watchdog: &Watchdog,
    mut expired: oneshot::Receiver<u64>,
    body: &F,
) -> (Ended, u64)
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<(), BodyError>>,
{
    let report_of = |deadline| scenario.inner.report_of_hang(deadline).ok().map(Arc::new);
    let last_poll = Cell::new(0);
    let (ended, at) = runtime.block_on(async {
        let playing = async {
            let argument = A::of(scenario.clone()).await?;
            body(argument).await
        };
        let mut playing = std::pin::pin!(playing);
        tokio::select! {
            biased;
            ended = caught(playing.as_mut(), &last_poll) => (ended, now()),
            // Before the body is dropped, and with it what it held open.
            deadline = &mut expired => {
                // What follows may take longer than a body that is not blocked.
                watchdog.noted();
                // A clock that has ended without a word has run out, too.
                let deadline = deadline.unwrap_or_else(|_| now());
                let then = report_of(deadline);
                watchdog.ends(Some(Failing {
                    reason: Reason::TimedOut(after),
                    then: then.clone(),
                    teardown: Some(Teardown::of_deadline(deadline)),
                }));
                (Ended::TimedOut(then), deadline)
            }
        }
    });
    watchdog.noted();
    // One that returned too late did so because its nodes were stopped, or was not failed only
    // because it blocked its thread.
    let (ended, at) = match (ended, expired.try_recv()) {
        (Ended::Returned(Ok(())), Ok(deadline)) => (Ended::TimedOut(report_of(deadline)), deadline),
        (ended, _) => (ended, at),
    };
    // First of all: whatever fails from here on may do so because the body is gone.
    // Waited for: the failure may arrive before the end of the body does.
    let last_poll = last_poll.get();
    let _ = scenario
        .inner
        .ask_now(|reply| Query::BodyEnded { last_poll, reply });
    (ended, at)
}

/// Why a turn fails whose body did not.
fn of_others(report: &Report) -> Option<Reason> {
    let undelivered = report.undelivered.as_ref();
    let undelivered = undelivered.map(|failure| Reason::Node(failure.to_string()));
    undelivered.or_else(|| report.problems.first().cloned().map(Reason::Reporter))
}

/// Writes the artifacts, and the page of a failure.
fn conclude(
    test: &str,
    ended: Ended,
    reason: Option<Reason>,
    told: Told<'_>,
    report: &Report,
    refused: Option<Refused>,
    adds: bool,
) -> Result<(), Failed> {
    let place = artifacts::place(test);
    // One that was refused and led to no failure is not what this test is about.
    let refused =
        refused.filter(|_| matches!(reason, Some(Reason::Panicked(_) | Reason::Trace(..))));
    let page = |reason: &Reason, kept| verdict::page(test, reason, told, kept);
    let reason = match (reason, &refused) {
        (Some(Reason::Panicked(message)), Some(refused)) if message == refused.headline => {
            Some(Reason::Mismatched(message))
        }
        (reason, _) => reason,
    };
    // In files nothing is coloured, and the mismatch is written in full.
    let whole = match (&reason, &refused) {
        (None, _) => format!("{test} passed"),
        (Some(Reason::Trace(_, call)), Some(refused)) => {
            let plain = Reason::Trace(refused.page.clone(), *call);
            page(&plain, Some(&*place))
        }
        (Some(Reason::Mismatched(_)), Some(Refused { page: told, .. })) => {
            let plain = told.lines().next().unwrap_or_default();
            let verdict = page(&Reason::Mismatched(plain.to_owned()), Some(&*place));
            format!("{told}{verdict}")
        }
        (Some(reason), refused) => {
            let told = refused.as_ref().map(|refused| refused.page.as_str());
            let verdict = page(reason, Some(&*place));
            format!("{}{verdict}", told.unwrap_or_default())
        }
    };
    let became = artifacts::Became {
        verdict: &whole,
        passed: reason.is_none(),
        teardown: told.teardown,
    };
    let written = artifacts::write(&place, test, &became, report, refused.as_ref(), adds);
    let lost = written.err().map(|error| {
        let place = place.display();
        format!("the artifacts can't be written to {place}: {error}\n")
    });
    let Some(reason) = reason else {
        if let Some(lost) = lost {
            eprint!("{lost}");
        }
        return Ok(());
    };
    let kept = lost.is_none().then_some(place.as_path());
    let mut page = page(&reason, kept);
    page.extend(lost);
    Err(Failed {
        page,
        why: reason.text(),
        kind: match reason {
            Reason::TimedOut(_) => ErrorKind::Deadline,
            _ => ErrorKind::Failed,
        },
        panicked: matches!(ended, Ended::Panicked(_)),
        payload: match ended {
            Ended::Panicked(payload) => payload,
            _ => Box::new(reason.text()),
        },
    })
}

fn runtime(worker_threads: Option<usize>) -> std::io::Result<Runtime> {
    let mut builder = match worker_threads {
        None => tokio::runtime::Builder::new_current_thread(),
        Some(workers) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    // Out of descriptors or threads it panics.
    let built = catch_unwind(AssertUnwindSafe(|| builder.enable_all().build()));
    built.unwrap_or_else(|panic| {
        let why = format!("the runtime can't be started: {}", message(&*panic));
        Err(std::io::Error::other(why))
    })
}

/// Polls the body, and notes when; a panic is an outcome.
async fn caught<F>(mut future: Pin<&mut F>, last_poll: &Cell<u64>) -> Ended
where
    F: Future<Output = Result<(), BodyError>>,
{
    std::future::poll_fn(|cx| {
        last_poll.set(now());
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(returned)) => Poll::Ready(Ended::Returned(returned)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(payload) => Poll::Ready(Ended::Panicked(payload)),
        }
    })
    .await
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    // The panic hook has shown all of it.
    text.and_then(|text| text.lines().find(|line| !line.is_empty()))
        .unwrap_or("with a value that is not a string")
        .to_owned()
}
