//! Running a test: from an attribute, or from the user's own `main`, with all its repetitions.
//!
//! Owns the entry points, and what a failure looks like to the caller. A map of:
//!
//! - `attribute`: what the attribute of a test says, as data;
//! - `turn`: one turn, from its network to its verdict; `watchdog`: its clock;
//! - `update`: the turns of a test whose expectations are rewritten;
//! - `sweep`: the turns of a test that meets a fault at every point; `schedule`: one such point, or
//!   an order of events, as a line; `plan`: which of these a test is to run;
//! - `search`: the turns of a test whose races are tried in both orders; `progress`: what a terminal
//!   shows meanwhile;
//! - `expected`: the expected trace that an attribute gives.

pub(crate) mod attribute;
mod expected;
mod plan;
mod progress;
mod schedule;
mod search;
mod sweep;
mod turn;
mod update;
mod watchdog;

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::time::Duration;

use lonet::SubNetwork;

use crate::collector::hold::Patience;
use crate::deadline;
use crate::error::{Error, ErrorKind};
use crate::outcome::{BodyError, BoxError, Outcome};
use crate::process::Entrance;
use crate::process::limits;
use crate::report::artifacts;
use crate::scenario::Scenario;
use attribute::{Place, Spec};
use plan::{From, Plan};
use schedule::Schedule;
use turn::Turn;
use update::Update;

/// The argument type of a test: a [`Scenario`] or a [`lonet::SubNetwork`].
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
    fn of(scenario: Scenario) -> impl Future<Output = Result<Self, Error>>;
}

impl TestArgument for Scenario {
    const STARTS_PROCESSES: bool = true;

    async fn of(scenario: Scenario) -> Result<Scenario, Error> {
        Ok(scenario)
    }
}

impl TestArgument for SubNetwork {
    const STARTS_PROCESSES: bool = false;

    async fn of(scenario: Scenario) -> Result<SubNetwork, Error> {
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
    Fut: Future<Output = Result<(), BodyError>>,
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
    Fut: Future<Output = Result<(), BodyError>>,
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

/// Runs a scenario once from a program with its own `main`. The test's name is `name`, and the
/// default deadline applies. If the scenario fails, its failure report is printed.
///
/// `body` takes a [`Scenario`] or a [`lonet::SubNetwork`], as a test does. It returns nothing, or a
/// `Result` whose error converts into a boxed error: any error that is `Send`, a string,
/// `anyhow::Error` or `eyre::Report`.
///
/// # Errors
///
/// The scenario failed; the error says why, with all sources of the body's error. Its kind is
/// [`Deadline`](ErrorKind::Deadline) if the deadline passed,
/// [`Environment`](ErrorKind::Environment) if an environment variable has an illegal value,
/// [`Misplaced`](ErrorKind::Misplaced) if called inside a role, otherwise
/// [`Failed`](ErrorKind::Failed).
///
/// # Examples
///
/// ```
/// use lonet_harness::{Result, Scenario};
///
/// #[lonet::host]
/// async fn doubles(_host: lonet::Host, n: u32) -> u32 {
///     2 * n
/// }
///
/// fn main() -> Result<(), lonet_harness::Error> {
///     lonet_harness::run("doubling", async |scenario: Scenario| -> Result<()> {
///         let node = scenario.spawn("α", doubles(2)).await?;
///         assert_eq!(node.join().await?, 4);
///         Ok(())
///     })
/// }
/// ```
#[track_caller]
pub fn run<A, F, Fut, R>(name: impl Into<Cow<'static, str>>, body: F) -> Result<(), Error>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = R>,
    R: Outcome<Err: Into<BoxError>>,
{
    let caller = std::panic::Location::caller();
    let spec = Spec {
        name: match name.into() {
            Cow::Borrowed(name) => name,
            // As long as its process: there are as many as cases in tables.
            Cow::Owned(name) => name.leak(),
        },
        place: Place {
            file: caller.file(),
            line: caller.line(),
            column: caller.column(),
        },
        timeout: Spec::DEFAULT_TIMEOUT,
        trace: None,
        worker_threads: None,
        repeat: 1,
        sweep: None,
        search: None,
        schedule: None,
    };
    let body = |argument: A| {
        let body = body(argument);
        async move { body.await.into_result().map_err(BodyError::of_boxed) }
    };
    repeated(&spec, Entrance::BeforeMain, &body).map_err(|failed| {
        eprint!("{}", failed.page);
        Error::new(failed.kind, failed.why)
    })
}

/// A test that failed.
struct Failed {
    page: String,
    why: String,
    kind: ErrorKind,
    payload: Box<dyn Any + Send>,
    panicked: bool,
}

impl Failed {
    /// One that failed before there was anything to tell of.
    fn early(test: &str, error: &Error) -> Failed {
        let why = limits::explained_start(error);
        Failed {
            page: format!("\n{test} failed: {why}\n"),
            why: why.clone(),
            kind: error.kind(),
            payload: Box::new(why),
            panicked: false,
        }
    }
}

/// How long nothing happens until an order of a schedule is given up, and with it the test. Long, as
/// nothing is to be lost by waiting: it is the test that is wrong.
const REPLAY_QUIET: Duration = Duration::from_secs(2);

fn repeated<A, F, Fut>(spec: &Spec, entrance: Entrance, body: &F) -> Result<(), Failed>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<(), BodyError>>,
{
    let test = spec.test_name();
    if crate::process::child::directory().is_some() {
        let error =
            "a role can't run a scenario of its own: only the test's process can start others";
        return Err(Failed::early(
            test,
            &Error::new(ErrorKind::Misplaced, error),
        ));
    }
    let early = |error: Error| Failed::early(test, &error);
    let plan = Plan::of(spec).map_err(early)?;
    match &plan {
        Plan::Sweep(fault) => return sweep::play::<A, F, Fut>(spec, entrance, fault, body),
        Plan::Search(time) => return search::play::<A, F, Fut>(spec, entrance, *time, body),
        Plan::Plain | Plan::Schedule(..) => {}
    }
    let mut update = Update::of(spec, entrance).map_err(early)?;
    let learning = update.as_ref().map(|update| update.learning().clone());
    let plain = || Turn::plain(spec, artifacts::place(test));
    let turn = match &plan {
        Plan::Schedule(schedule, from) => {
            let (fault, orders) = match schedule {
                Schedule::Fault(fault) => (Some(fault), &[][..]),
                Schedule::Orders(orders) => (None, &orders[..]),
            };
            Turn {
                schedule: fault,
                orders,
                patience: Patience {
                    quiet: deadline::scaled(REPLAY_QUIET).map_err(early)?,
                    most: deadline::scaled(spec.timeout).map_err(early)?,
                },
                must_act: true,
                records_data: true,
                trace: spec.trace.as_ref().filter(|_| *from == From::Attribute),
                ..plain()
            }
        }
        _ => Turn {
            learning: learning.as_ref(),
            records_data: update.as_ref().is_some_and(Update::reverses),
            ..plain()
        },
    };
    let play = |turn: &Turn<'_>| turn::play::<A, F, Fut>(spec, entrance, turn, body);
    for number in 1..=spec.repeat {
        let (ended, seen) = play(&turn);
        let ended = ended.and_then(|()| match &mut update {
            Some(update) => update.end_turn(test, number as usize, &[], seen).map(drop),
            None => Ok(()),
        });
        ended.map_err(|mut failed| {
            if let Plan::Schedule(schedule, from) = &plan {
                let from = match from {
                    From::Attribute => "of the attribute",
                    From::Variable => "that LONET_REPLAY names",
                };
                let _ = writeln!(failed.page, "it ran with the schedule {from}: {schedule}");
            }
            if spec.repeat > 1 {
                let _ = writeln!(failed.page, "it was repetition {number} of {}", spec.repeat);
            }
            failed
        })?;
    }
    match &mut update {
        Some(update) => update.finish(test, spec.repeat as usize, |orders, patience| {
            play(&Turn {
                orders,
                patience,
                ..turn.clone()
            })
        }),
        None => Ok(()),
    }
}
