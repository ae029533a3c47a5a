//! The attributes of lonet: [`macro@host`], [`macro@test`], [`macro@main`] and [`macro@before_role`].
//!
//! Use them as `lonet::host`, `lonet::test` and so on: the crate `lonet` re-exports them, and
//! what they expand to needs `lonet-harness`. There are no features.
//!
//! They are thin: they check tokens, report an error on the wrong token, and generate calls to
//! `lonet_harness::__private`, which does all the work at run time. A map of:
//!
//! - `args`: the arguments of an attribute;
//! - `function`: the function under it, whose body is not parsed;
//! - `owned_types`: which types can be sent between processes, as far as tokens show;
//! - `renamed`: the name of the harness in the compiled crate;
//! - `literal`: where the lines of a string literal stand in the source;
//! - `expand_host`, `expand_test`, `expand_main`, `expand_before_role`: what each attribute makes; `spec`: what the
//!   tests and `main` share.

mod args;
mod expand_before_role;
mod expand_host;
mod expand_main;
mod expand_test;
mod function;
mod literal;
mod owned_types;
mod renamed;
mod spec;

use proc_macro::TokenStream;

/// Makes an `async fn` a role: a function that plays one host, in a process of its own.
///
/// `async fn f(host: Host, a: A, …) -> R` becomes `fn f(a: A, …) -> Role<T>`. Calling it starts
/// nothing; it returns a `Role` for `Scenario::spawn`.
///
/// If `R` is a `Result<T, E>`, or an alias of one, `E` must implement `Debug` and `Display`: any
/// error, boxed or not, `String`, `anyhow::Error` or `eyre::Report`. An `Err` fails the role, and the
/// message contains all of its sources. For any other return type, `T` is `R`.
///
/// `T` and the arguments must be owned serde types. They are sent between the processes as JSON. A
/// role may be defined in a module or inside a test function. The binary registers every role, so
/// rustc does not warn about a role that is never used; it does warn about a `Role` that is made but
/// not spawned.
///
/// ```
/// use lonet::Host;
/// use lonet_harness::{Result, Scenario};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// #[lonet::host]
/// async fn server(host: Host) -> Result<()> {
///     let mut conn = host.listen(":10").await?.accept().await?;
///     conn.write_all(b"welcome").await?;
///     Ok(())
/// }
///
/// #[lonet::host]
/// async fn client(host: Host, to: String) -> Result<String> {
///     let mut conn = host.dial(&to).await?;
///     let mut answer = String::new();
///     conn.read_to_string(&mut answer).await?;
///     Ok(answer)
/// }
/// # #[lonet::main]
/// # async fn main(scenario: Scenario) -> Result<()> {
/// #     let alpha = scenario.spawn("α", server()).await?;
/// #     scenario.until("α:10 listen").await?;
/// #     let beta = scenario.spawn("β", client("α:10".into())).await?;
/// #     assert_eq!(beta.join().await?, "welcome");
/// #     Ok(alpha.join().await?)
/// # }
/// ```
///
/// # Panics
///
/// A panic in any task or thread of a role fails it. There is one exception: a panic that the role's
/// own future catches with `catch_unwind`. A panic that a spawned task or a thread catches fails the
/// role, too, because the harness can't see that it is caught.
///
/// # Before `main`
///
/// A role's process runs the same binary. The role starts before `main`, so the test framework and
/// `main` do not run in that process. Constructors of statically linked C++ libraries may not have
/// run yet; if the linker places them after lonet's, they never run. With `LONET_IN_MAIN=1` in the
/// environment, the roles of a `#[lonet::test]` start in that test, through libtest, and those of a
/// `#[lonet::main]` start at the beginning of `main`. Roles of `lonet_harness::run` always start
/// before `main`.
///
/// # Arguments
///
/// - `worker_threads = 2`: run the role on a multi-thread runtime with this number of workers. The
///   default is a current-thread runtime.
/// - `crate = "path"`: the path of the crate `lonet_harness`, if another crate or a module re-exports
///   it. A dependency that is renamed in `Cargo.toml` is found without this.
#[proc_macro_attribute]
pub fn host(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_host::expand(args.into(), item.into()).into()
}

/// Makes an `async fn` an ordinary `#[test]` with its own new random network.
///
/// The function takes one argument: a `lonet_harness::Scenario`, which can run hosts in processes of
/// their own, or a `lonet::SubNetwork`, which is a network for this process alone. It returns
/// nothing, or a `Result<(), E>`. Other attributes (`#[ignore]`, `#[should_panic]`, `#[cfg]`, …)
/// work as usual, above it and below.
///
/// ```
/// # // rustdoc does not run functions with `#[test]`, so this example only checks that the attribute
/// # // compiles.
/// use lonet_harness::{Result, Scenario};
///
/// #[lonet::host]
/// async fn doubles(_host: lonet::Host, n: u32) -> u32 {
///     2 * n
/// }
///
/// #[lonet::test(timeout = "5s")]
/// async fn doubling(scenario: Scenario) -> Result<()> {
///     let alpha = scenario.spawn("α", doubles(21)).await?;
///     assert_eq!(alpha.join().await?, 42);
///     Ok(())
/// }
/// ```
///
/// # Arguments
///
/// - `timeout = "30s"`: the deadline of the test, a whole number of `ms`, `s` or `m`. The default is
///   30 s.
/// - `trace = "…"`: the expected trace, which is asserted when the body has returned. Its syntax is
///   checked before the body starts.
/// - `trace_file = "…"`: the same in a file, relative to the source file. `UPDATE_EXPECT=1` writes it.
/// - `worker_threads = 2`: run the test on a multi-thread runtime with this number of workers. The
///   default is a current-thread runtime.
/// - `repeat = 100`: run the test this many times in sequence, each time on a new network, until a
///   run fails.
/// - `sweep = "kill p"`: run the test once without a fault, then once for each point of the host `p`,
///   and let the fault act there. The points are right after `p up`, and each event of `p` in the first
///   run, before the effect of that event: the events of the default view, sends and shutdowns. The
///   test fails if a point fails; the message has a `schedule` for each. A point that a run does not
///   reach is tried three times, then listed as not reached. `timeout` applies to each run, `trace` to
///   the first. Legal are `kill p`, `pause p`, `vanish p`, `reset p _` and `partition p _`. The body asks
///   `Scenario::swept` for its point.
/// - `search = "10s"`: look for races for this time, a whole number of `ms`, `s` or `m`. Two arrivals at
///   one host race if nothing orders them. The test runs three times as it is, then again and again
///   with a race reversed: the arrival that came first is held until the other has happened. The test
///   fails if a run fails; the message names the two events and has a `schedule` that replays the run.
///   `timeout` and `trace` apply to each run.
/// - `schedule = "kill p at p:1 send c:1 #2"`: run the test with a fault at one event: here, kill `p` at
///   the second event of its process that matches `p:1 send c:1`. The event is a line of an expected
///   trace, or `up`. The test fails if the event does not happen. `LONET_REPLAY=<file>` replays the
///   schedule in a file, instead of what the attribute says.
/// - `schedule = "r:1 recv p:2 before b:1 recv p:1"`: run the test with two events in this order: the
///   second is held before its effect until the first has happened. Each is a line of an expected trace
///   whose host is given by name; `send` and `recv` without a number mean any number of bytes, and `#2`
///   behind a line means its second match. What can be held is `listen`, `dial`, `accept`, `connect`,
///   `send`, `shutdown` and `recv`. Several orders are joined by `; `. Quote the word `before` in a mark,
///   and a word that ends with `;`: `p mark "before"`. The test fails if one of the events does not
///   happen. If causes order the two the other way round, the race is gone: the test prints the chain of
///   causes.
/// - `crate = "path"`: the path of the crate `lonet_harness`, if another crate or a module re-exports
///   it. A dependency that is renamed in `Cargo.toml` is found without this.
///
/// A test has only one of `repeat`, `sweep`, `search` and `schedule`. `UPDATE_EXPECT=1` runs the body
/// without the faults and orders of a `sweep`, a `search` or a `schedule`; only if it rewrites an
/// expected trace of a test with a `search`, further runs have its races in the other order.
///
/// `start_paused` is not supported: real processes and real sockets need real time.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_test::expand(args.into(), item.into()).into()
}

/// Makes the `async fn main` of an example or a binary run a scenario.
///
/// It takes the same arguments as [`macro@test`], and the function takes the same argument as a
/// test. The program exits with 0 if the scenario succeeds, and with another code if it fails.
///
/// ```
/// use lonet_harness::{Result, Scenario};
///
/// #[lonet::host]
/// async fn doubles(_host: lonet::Host, n: u32) -> u32 {
///     2 * n
/// }
///
/// #[lonet::main]
/// async fn main(scenario: Scenario) -> Result<()> {
///     let alpha = scenario.spawn("α", doubles(21)).await?;
///     println!("{}", alpha.join().await?);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_main::expand(args.into(), item.into()).into()
}

/// Calls a `fn()` in every role's process before the role starts, for example to set up logging.
///
/// The function runs once in each process that plays a role of this binary, on the role's thread and
/// inside its runtime, before the host joins the network. It does not run in the test's own process.
/// Several such functions run in an unspecified order. A panic in one fails the role. The
/// environment variable `LONET_HOST` contains the host's name.
///
/// ```
/// #[lonet::before_role]
/// fn log() {
///     // With the crate `tracing-subscriber`:
///     // tracing_subscriber::fmt().with_writer(std::io::stderr).init();
///     eprintln!("{} starts", std::env::var("LONET_HOST").unwrap_or_default());
/// }
/// # fn main() {}
/// ```
///
/// # Arguments
///
/// - `crate = "path"`: the path of the crate `lonet_harness`, if another crate or a module re-exports
///   it. A dependency that is renamed in `Cargo.toml` is found without this.
#[proc_macro_attribute]
pub fn before_role(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_before_role::expand(args.into(), item.into()).into()
}
