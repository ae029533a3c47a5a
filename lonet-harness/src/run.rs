//! One test from its start to its verdict.
//!
//! Owns the order of things: network, collector, body, deadline, what failed, the stopping of what
//! still runs, artifacts, and the page. Words nothing and starts no process itself.

use std::any::Any;
use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::task::Poll;

use lonet::SubNetwork;
use tokio::runtime::Runtime;

use crate::Result;
use crate::collector::query::{Query, Report};
use crate::deadline;
use crate::outcome::Outcome;
use crate::process::launch::Entrance;
use crate::report::artifacts;
use crate::report::verdict::{self, Reason};
use crate::scenario::Scenario;
use crate::session::Session;
use crate::spec::{Place, Spec, TraceSource};
use crate::trace::grammar::check_syntax;
use crate::watchdog::Watchdog;

/// What the function of a test may take: a [`Scenario`] or a [`lonet::SubNetwork`].
#[diagnostic::on_unimplemented(
    message = "a test can't take a `{Self}`",
    label = "must be a `lonet_harness::Scenario` or a `lonet::SubNetwork`"
)]
pub trait TestArgument: sealed::Sealed + Sized + 'static {
    /// Whether it can start processes.
    #[doc(hidden)]
    const STARTS_PROCESSES: bool;

    /// It, on the network of that scenario.
    #[doc(hidden)]
    fn of(scenario: Scenario) -> impl Future<Output = Result<Self>>;
}

impl TestArgument for Scenario {
    const STARTS_PROCESSES: bool = true;

    async fn of(scenario: Scenario) -> Result<Scenario> {
        Ok(scenario)
    }
}

impl TestArgument for SubNetwork {
    const STARTS_PROCESSES: bool = false;

    async fn of(scenario: Scenario) -> Result<SubNetwork> {
        scenario.subnetwork().await
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Scenario {}
    impl Sealed for lonet::SubNetwork {}
}

/// Runs a test, as often as it says.
///
/// # Panics
///
/// When it fails, after its page has been printed.
pub fn run_test<A, F, Fut>(spec: Spec, body: F)
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    crate::process::child::run_late();
    if let Err(failed) = repeated(&spec, Entrance::Libtest(spec.test_name()), &body) {
        eprint!("{}", failed.page);
        // The page says all; a second message from the panic hook would only hide it.
        resume_unwind(failed.payload);
    }
}

/// Runs the body of a `main`.
pub fn run_main<A, F, Fut>(spec: Spec, body: F) -> ExitCode
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    crate::process::child::run_late();
    match repeated(&spec, Entrance::Main, &body) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprint!("{}", failed.page);
            ExitCode::from(if failed.panicked { 101 } else { 1 })
        }
    }
}

/// Runs a scenario in a program whose `main` is its own: once, under that name, with the default
/// deadline. The page of a failure is printed.
///
/// `body` takes what a test may take, a [`Scenario`] or a [`lonet::SubNetwork`].
///
/// # Errors
///
/// The scenario failed: why, in short.
#[track_caller]
pub fn run<A, F, Fut, R>(name: &'static str, body: F) -> Result<()>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = R>,
    R: Outcome,
{
    let caller = std::panic::Location::caller();
    let spec = Spec {
        name,
        place: Place {
            file: caller.file(),
            line: caller.line(),
            column: caller.column(),
        },
        timeout: Spec::DEFAULT_TIMEOUT,
        trace: None,
        worker_threads: None,
        repeat: 1,
    };
    let body = |argument: A| {
        let body = body(argument);
        async move { body.await.into_outcome() }
    };
    repeated(&spec, Entrance::None, &body).map_err(|failed| {
        eprint!("{}", failed.page);
        failed.why.into()
    })
}

/// A test that failed.
struct Failed {
    page: String,
    why: String,
    payload: Box<dyn Any + Send>,
    panicked: bool,
}

impl Failed {
    /// One that failed before there was anything to tell of.
    fn early(test: &str, error: &crate::BoxError) -> Failed {
        Failed {
            page: format!("\n{test} failed: {error}\n"),
            why: error.to_string(),
            payload: Box::new(error.to_string()),
            panicked: false,
        }
    }
}

fn repeated<A, F, Fut>(spec: &Spec, entrance: Entrance, body: &F) -> std::result::Result<(), Failed>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let test = spec.test_name();
    if crate::process::child::directory().is_some() {
        let error = "a role can't run a scenario of its own: only the test's process starts others";
        return Err(Failed::early(test, &error.into()));
    }
    for turn in 1..=spec.repeat {
        once::<A, F, Fut>(spec, entrance, body).map_err(|mut failed| {
            if spec.repeat > 1 {
                let _ = writeln!(failed.page, "it was repetition {turn} of {}", spec.repeat);
            }
            failed
        })?;
    }
    Ok(())
}

/// How a body ended.
enum Ended {
    Returned(Result<()>),
    Panicked(Box<dyn Any + Send>),
    /// With what there was to say at that moment.
    TimedOut(Option<Report>),
}

fn once<A, F, Fut>(spec: &Spec, entrance: Entrance, body: &F) -> std::result::Result<(), Failed>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let test = spec.test_name();
    let early = |error: crate::BoxError| Failed::early(test, &error);
    let expected = spec
        .trace
        .as_ref()
        .map(expected_trace)
        .transpose()
        .map_err(early)?;
    let after = deadline::scaled(spec.timeout).map_err(early)?;
    let session = Session::start(test, entrance, A::STARTS_PROCESSES).map_err(early)?;
    let runtime = runtime(spec.worker_threads).map_err(|error| early(error.into()))?;
    let scenario = session.scenario();

    // Whoever debugs a node needs all the time there is.
    let limit = (!deadline::suspended()).then_some(after);
    let (watchdog, expired) =
        Watchdog::start(test, limit, &scenario).map_err(|error| early(error.into()))?;
    let mut watchdog = Some(watchdog);
    let last_poll = Cell::new(0);
    let ended = runtime.block_on(async {
        let playing = async {
            let argument = A::of(scenario.clone()).await?;
            body(argument).await
        };
        let mut playing = std::pin::pin!(playing);
        tokio::select! {
            biased;
            ended = caught(playing.as_mut(), &last_poll) => ended,
            // Before the body is dropped, and with it what it held open.
            _ = expired => {
                // What follows may take longer than a body that is not blocked.
                if let Some(watchdog) = watchdog.take() {
                    watchdog.acknowledge();
                }
                Ended::TimedOut(scenario.inner.report_of_hang().ok())
            }
        }
    });
    // First of all: whatever fails from here on may do so because the body is gone.
    // Waited for: whoever hears of both may hear of the failure first.
    let last_poll = last_poll.get();
    let _ = scenario
        .inner
        .ask_now(|reply| Query::BodyEnded { last_poll, reply });
    if let Some(watchdog) = watchdog {
        watchdog.acknowledge();
    }
    let mut reason = match &ended {
        Ended::Returned(Ok(())) => None,
        Ended::Returned(Err(error)) => Some(Reason::Returned(error.to_string())),
        Ended::Panicked(payload) => Some(Reason::Panicked(message(payload.as_ref()))),
        Ended::TimedOut(_) => Some(Reason::TimedOut(after)),
    };
    // Of the body's end, before anything is stopped.
    if let (None, Some(expected)) = (&reason, &expected) {
        reason = scenario.mismatch_page(expected.as_str()).map(Reason::Trace);
    }
    runtime.block_on(scenario.leave());
    let refused = scenario.take_refused();
    drop(scenario);
    runtime.shutdown_background();
    let mut report = session.end();
    if let Ended::TimedOut(Some(then)) = &ended {
        report.backtraces = then.backtraces.clone();
    }

    let reason = reason.or_else(|| {
        let undelivered = report
            .undelivered
            .as_ref()
            .map(|f| Reason::Node(f.to_string()));
        undelivered.or_else(|| report.problems.first().cloned().map(Reason::Reporter))
    });
    let keeps = std::env::var_os("LONET_KEEP").is_some_and(|keep| keep == "1");
    let place = artifacts::place(test);
    if reason.is_none() && !keeps {
        return Ok(());
    }
    let message = match &reason {
        Some(reason) => format!("{test} failed: {}", reason.text()),
        None => format!("{test} passed"),
    };
    // One that was refused and led to no failure is not what this test is about.
    let refused =
        refused.filter(|_| matches!(reason, Some(Reason::Panicked(_) | Reason::Trace(_))));
    let written = artifacts::write(&place, test, &message, &report, refused.as_ref());
    let Some(reason) = reason else { return Ok(()) };
    // A verdict is about the moment of the deadline, not about what the stopping made of it.
    let shown = match &ended {
        Ended::TimedOut(Some(then)) => then,
        _ => &report,
    };
    let mut page = verdict::page(
        test,
        &reason,
        shown,
        now(),
        written.is_ok().then_some(place.as_path()),
    );
    if let Err(error) = written {
        let _ = writeln!(
            page,
            "the artifacts can't be written to {}: {error}",
            place.display()
        );
    }
    let panicked = matches!(ended, Ended::Panicked(_));
    let payload = match ended {
        Ended::Panicked(payload) => payload,
        _ => Box::new(reason.text()),
    };
    Err(Failed {
        page,
        why: reason.text(),
        payload,
        panicked,
    })
}

/// The expected trace of an attribute, whose syntax is right.
///
/// # Errors
///
/// The file can't be read, or a line is none: where it stands in the source, and what is legal.
fn expected_trace(source: &TraceSource) -> Result<String> {
    let (text, file) = match source {
        TraceSource::Text { text, .. } => ((*text).to_owned(), None),
        TraceSource::File { path, place } => {
            let path = beside(place.file, path);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("{place}: {} can't be read: {error}", path.display()))?;
            (text, Some(path))
        }
    };
    if let Err(error) = check_syntax(&text) {
        let (line, column) = (error.line, error.column);
        let place = match file {
            Some(path) => format!("{}:{line}:{column}", path.display()),
            None => source.place_of(narrow(line), narrow(column)).to_string(),
        };
        return Err(format!("{place}: {}", error.message).into());
    }
    Ok(text)
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A file that is named relative to the directory of a source file. rustc names the latter
/// relative to the workspace, cargo runs tests in the package.
fn beside(source: &str, path: &str) -> PathBuf {
    let beside = Path::new(source).with_file_name(path);
    let here = std::env::current_dir().unwrap_or_default();
    let found = here
        .ancestors()
        .map(|dir| dir.join(&beside))
        .find(|path| path.exists());
    found.unwrap_or(beside)
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
    builder.enable_all().build()
}

/// Polls the body, and notes when; a panic is an outcome.
async fn caught<F>(mut future: Pin<&mut F>, last_poll: &Cell<u64>) -> Ended
where
    F: Future<Output = Result<()>>,
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
        .unwrap_or("with something that is no text")
        .to_owned()
}

/// CLOCK_MONOTONIC, in nanoseconds, as events have it.
pub(crate) fn now() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| {
        t.tv_sec().cast_unsigned() * 1_000_000_000 + t.tv_nsec().cast_unsigned()
    })
}
