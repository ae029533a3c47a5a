//! One turn of a test: a scenario of its own, from its network to its verdict.
//!
//! Owns the order of things, and what made the turn fail. Writes no text and starts no process itself.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use lonet::trace::now;

use super::schedule::{Before, FaultAt, Point};
use super::{Failed, TestArgument, expected};
use crate::collector::hold::{Kept, Outcome, Patience};
use crate::collector::query::{Query, Report};
use crate::deadline;
use crate::error::{Error, ErrorKind};
use crate::outcome::BodyError;
use crate::process::Entrance;
use crate::report::artifacts::{self, Refused};
use crate::report::order::{self, Named, Unkept};
use crate::report::verdict::{self, Reason, Told};
use crate::report::words::Teardown;
use crate::run::attribute::{Spec, TraceSource};
use crate::run::watchdog::{Failing, Limits, Watchdog};
use crate::scenario::fault::Injected;
use crate::scenario::{Ordered, Scenario};
use crate::session::Session;
use crate::trace::happened::process::Process;
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

/// What distinguishes a turn from others of the same test.
#[derive(Clone)]
pub(super) struct Turn<'a> {
    /// Where an update takes note of expected traces.
    pub(super) learning: Option<&'a Arc<Learning>>,
    /// The fault that is armed before the body starts.
    pub(super) schedule: Option<&'a FaultAt>,
    /// The orders that are kept: an event is held until another has happened.
    pub(super) orders: &'a [Before],
    /// When a hold of these orders is given up.
    pub(super) patience: Patience,
    /// Whether the turn fails if that fault does not act.
    pub(super) must_act: bool,
    /// Whether what is sent and received is recorded from the beginning.
    pub(super) records_data: bool,
    /// The expected trace that is asserted at the end.
    pub(super) trace: Option<&'a TraceSource>,
    /// Where its artifacts go.
    pub(super) artifacts: PathBuf,
}

impl<'a> Turn<'a> {
    /// One without a fault.
    pub(super) fn plain(spec: &'a Spec, artifacts: PathBuf) -> Turn<'a> {
        Turn {
            learning: None,
            schedule: None,
            orders: &[],
            patience: Patience::default(),
            must_act: false,
            records_data: false,
            trace: spec.trace.as_ref(),
            artifacts,
        }
    }
}

/// What there is to know of a turn that got as far as its body.
#[derive(Default)]
pub(super) struct Seen {
    /// All records, where data is recorded and there is no fault: a sweep takes its points from them.
    pub(super) records: Vec<Process>,
    /// When the body ended (CLOCK_MONOTONIC in nanoseconds).
    pub(super) ended_at: u64,
    /// Whether the fault of its schedule was set off before that.
    pub(super) reached: bool,
    /// What became of each of its orders.
    pub(super) orders: Vec<Kept>,
}

/// Plays it: whether it failed, and what was seen.
pub(super) fn play<A, F, Fut>(
    spec: &Spec,
    entrance: Entrance,
    turn: &Turn<'_>,
    body: &F,
) -> (Result<(), Failed>, Option<Seen>)
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<(), BodyError>>,
{
    let mut seen = None;
    let ended = play_and_see(spec, entrance, turn, &mut seen, body);
    (ended, seen)
}

fn play_and_see<A, F, Fut>(
    spec: &Spec,
    entrance: Entrance,
    turn: &Turn<'_>,
    seen: &mut Option<Seen>,
    body: &F,
) -> Result<(), Failed>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<(), BodyError>>,
{
    let test = spec.test_name();
    let early = |error: Error| Failed::early(test, &error);
    let place = &turn.artifacts;
    let expected = turn
        .trace
        .map(expected::source)
        .transpose()
        .map_err(|error| early(Error::new(ErrorKind::Pattern, error)))?;
    let after = deadline::scaled(spec.timeout).map_err(early)?;
    let session = Session::start(place.clone(), entrance, A::STARTS_PROCESSES).map_err(early)?;
    let leaving = runtime(None).map_err(|error| early(error.into()))?;
    let runtime = runtime(spec.worker_threads).map_err(|error| early(error.into()))?;
    let scenario = Scenario {
        inner: session.inner(),
    };
    if let Some(learning) = turn.learning {
        // Late or held, not both: a failure is then repeated by the one or the other.
        let perturbs = learning.perturbs().filter(|_| turn.orders.is_empty());
        if let Some(seed) = perturbs {
            scenario.inner.mailbox.ask(Query::Perturb { seed });
        }
        let _ = scenario.inner.learning.set(learning.clone());
    }
    if let Some(schedule) = turn.schedule {
        let _ = scenario.inner.swept.set(schedule.at.event());
    }
    if turn.records_data {
        scenario.record_data().map_err(early)?;
    }

    // Debugging a node takes time: there is no deadline.
    let limits = (!deadline::suspended()).then_some(Limits {
        body: after,
        end: deadline::scaled(ENDS).map_err(early)?,
    });
    let (watchdog, expired) =
        Watchdog::start(spec, limits, &scenario).map_err(|error| early(error.into()))?;
    let guard = RefCell::new(None);
    let orders = RefCell::new(Vec::new());
    let arming = Arming {
        turn,
        guard: &guard,
        orders: &orders,
    };
    let (ended, ended_at) = play_body(
        after, &runtime, &scenario, &watchdog, expired, &arming, body,
    );
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
    let kept = outcomes(&scenario, &orders.borrow());
    // A network on which nothing is withheld or held, for all that comes.
    let mut unacted = scenario.inner.end_faults();
    if turn.must_act {
        let orders = turn.orders.iter().zip(&kept);
        for unkept in orders.filter_map(|(order, outcome)| unkept(&scenario, order, outcome)) {
            match unkept {
                Unkept::Wrong(why) => unacted.push(why),
                Unkept::Ordered(why) => eprintln!("{test}: the schedule has no race to try: {why}"),
            }
        }
    }
    if let Some(schedule) = turn.schedule {
        // What its fault prevents may be what other faults wait for.
        let own = format!("`! {}`", schedule.fault);
        unacted.retain(|why| turn.must_act && why.starts_with(&own));
    }
    let unacted = (!unacted.is_empty()).then(|| unacted.join("\n"));
    // A body that fails may do so because its schedule is not the one that was meant.
    let also = unacted
        .clone()
        .filter(|_| reason.is_some() && (turn.schedule.is_some() || !turn.orders.is_empty()));
    reason = reason.or(unacted.map(Reason::Fault));
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
    let fault = guard.take().map(|guard: Injected| guard.number());
    // They hold the scenario.
    drop(orders.take());
    drop(scenario);
    let mut report = session.end();
    if let Some(then) = &then {
        report.backtraces = then.backtraces.clone();
    }
    let reason = reason.or_else(|| of_others(&report));
    let reached = fault.is_some_and(|fault| {
        let records = report.records.iter().flat_map(|process| &process.records);
        let mut fires = records.filter(|record| record.fires.contains(&fault));
        fires.any(|record| record.t <= ended_at)
    });
    let records = match (turn.records_data, turn.schedule) {
        (true, None) => report.records.clone(),
        _ => Vec::new(),
    };
    *seen = Some(Seen {
        records,
        ended_at,
        reached,
        orders: kept.iter().map(|outcome| outcome.kept).collect(),
    });
    if reason.is_none() && !keeps {
        // It stays with what the test has put there; one that merely asked leaves nothing.
        match adds {
            true => drop(std::fs::remove_dir(place)),
            false => artifacts::clear(place),
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
    let keeps = Keeps { place, adds };
    let concluded = conclude(test, keeps, ended, reason, told, &report, refused);
    concluded.map_err(|mut failed| {
        if let Some(also) = also {
            let _ = writeln!(failed.page, "\nalso: {also}");
        }
        failed
    })
}

/// What is armed before the body starts, and where its guard stays: a fault ends with that.
struct Arming<'a> {
    turn: &'a Turn<'a>,
    guard: &'a RefCell<Option<Injected>>,
    orders: &'a RefCell<Vec<Ordered>>,
}

impl Arming<'_> {
    async fn arm(&self, scenario: &Scenario) -> Result<(), Error> {
        if let Some(schedule) = self.turn.schedule {
            let fault = match self.turn.must_act {
                true => schedule.fault(),
                false => schedule.fault().may_not_fire(),
            };
            let guard = scenario.inject(fault).await?;
            self.guard.replace(Some(guard));
        }
        for Before { first, then } in self.turn.orders {
            let (first, then) = ((&*first.pattern, first.nth), (&*then.pattern, then.nth));
            let patience = Some(self.turn.patience);
            let ordered = scenario.ordered(first, then, patience).await?;
            self.orders.borrow_mut().push(ordered);
        }
        Ok(())
    }
}

/// What is wrong with an order that was not kept.
fn unkept(scenario: &Scenario, order: &Before, outcome: &Outcome) -> Option<Unkept> {
    let named = |point: &'_ Point| Named {
        text: point.to_string(),
        pattern: point.pattern.clone(),
        nth: point.nth,
    };
    let records = || {
        let records = scenario.inner.ask_now(|reply| Query::Records { reply });
        records.unwrap_or_default()
    };
    order::unkept(
        (&named(&order.first), &named(&order.then)),
        outcome,
        records,
    )
}

/// What became of these orders by now; of one that was not even given, nothing.
fn outcomes(scenario: &Scenario, orders: &[Ordered]) -> Vec<Outcome> {
    if orders.is_empty() {
        return Vec::new();
    }
    let all = scenario.inner.ask_now(|reply| Query::Outcomes { reply });
    let mut all = all.unwrap_or_default();
    let outcome = |order: &Ordered| all.remove(&order.number());
    orders.iter().filter_map(outcome).collect()
}

/// Plays the body, to its end or its deadline, and says that it has ended. How it ended, and when
/// (CLOCK_MONOTONIC in nanoseconds).
fn play_body<A, F, Fut>(
    after: Duration,
    runtime: &Runtime,
    scenario: &Scenario,
    watchdog: &Watchdog,
    mut expired: oneshot::Receiver<u64>,
    arming: &Arming<'_>,
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
            arming.arm(scenario).await?;
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

/// Where the artifacts go, and whether the test has put something there, too.
#[derive(Clone, Copy)]
struct Keeps<'a> {
    place: &'a Path,
    adds: bool,
}

/// Writes the artifacts, and the page of a failure.
fn conclude(
    test: &str,
    Keeps { place, adds }: Keeps<'_>,
    ended: Ended,
    reason: Option<Reason>,
    told: Told<'_>,
    report: &Report,
    refused: Option<Refused>,
) -> Result<(), Failed> {
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
            page(&plain, Some(place))
        }
        (Some(Reason::Mismatched(_)), Some(Refused { page: told, .. })) => {
            let plain = told.lines().next().unwrap_or_default();
            let verdict = page(&Reason::Mismatched(plain.to_owned()), Some(place));
            format!("{told}{verdict}")
        }
        (Some(reason), refused) => {
            let told = refused.as_ref().map(|refused| refused.page.as_str());
            let verdict = page(reason, Some(place));
            format!("{}{verdict}", told.unwrap_or_default())
        }
    };
    let became = artifacts::Became {
        verdict: &whole,
        passed: reason.is_none(),
        teardown: told.teardown,
    };
    let written = artifacts::write(place, test, &became, report, refused.as_ref(), adds);
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
    let kept = lost.is_none().then_some(place);
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
