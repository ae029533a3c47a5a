//! Tests of several processes on a lonet network. Each process plays a host, kernel TCP carries the
//! bytes, and the test states which network events must happen, and in which causal order.
//!
//! ```
//! use lonet::Host;
//! use lonet_harness::{Result, Scenario};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! #[lonet::host] // a role: plays one host in a process of its own
//! async fn server(host: Host) -> Result<()> {
//!     let listener = host.listen(":10").await?;
//!     let mut conn = listener.accept().await?;
//!     conn.write_all(b"welcome").await?;
//!     Ok(())
//! }
//!
//! #[lonet::host]
//! async fn client(host: Host, to: String) -> Result<String> {
//!     let mut conn = host.dial(&to).await?;
//!     let mut answer = String::new();
//!     conn.read_to_string(&mut answer).await?;
//!     Ok(answer)
//! }
//!
//! #[lonet::main] // in a test: #[lonet::test]
//! async fn main(scenario: Scenario) -> Result<()> {
//!     let alpha = scenario.spawn("α", server()).await?;
//!     scenario.until("α:10 listen").await?;
//!     let beta = scenario.spawn("β", client("α:10".into())).await?;
//!     assert_eq!(beta.join().await?, "welcome");
//!     alpha.join().await?;
//!     scenario.assert_trace(
//!         "
//!         α:10 listen
//!         β:1  dial    α:10
//!         α:1  accept  β:1
//!         β:1  connect α:1
//!         α:1  close   β:1
//!         α:10 close
//!         β:1  close   α:1
//!         ",
//!     );
//!     Ok(())
//! }
//! ```
//!
//! # Start here
//!
//! A test gets a [`Scenario`]. It [`spawn`](Scenario::spawn)s roles and [`Program`]s as hosts, waits
//! for events ([`until`](Scenario::until)), and asserts [`Trace`]s. A [`Node`] is one process, which
//! the test can [`join`](Node::join), [`kill`](Node::kill), [`pause`](Node::pause) and
//! [`restart`](Node::restart). [`Scenario::inject`] cuts, delays and resets connections, and kills
//! processes at exact events; see [`fault`]. With `#[lonet::test(sweep = "kill p")]`, the test runs once
//! for each event of the host `p`, which is killed there. With `#[lonet::test(search = "10s")]`, it runs
//! in both orders of each race. [`Scenario::hold`], [`order`](Scenario::order) and
//! [`lockstep`](Scenario::lockstep) choose the order by hand. A [`Program`] is any program, redis or a
//! Go binary, whose TCP goes through the network unchanged. The crate [`lonet`] provides the network and the attributes
//! `#[lonet::host]`, `#[lonet::test]` and `#[lonet::main]`. The guide (`docs/guide.md` in the
//! repository) starts with a first test and ends with CI; `docs/traces.md` is a two-page
//! introduction to partial orders.
//!
//! # The environment
//!
//! | variable | effect |
//! |---|---|
//! | `LONET_TIMEOUT=3` | multiplies every deadline by this factor |
//! | `LONET_KEEP=1` | keeps the artifacts and the network's directory of tests that pass, too |
//! | `LONET_ARTIFACTS=dir` | writes artifacts to this directory instead of `target/lonet` |
//! | `LONET_DEBUG=α` | α's process waits for a debugger at its start; deadlines are off |
//! | `LONET_BACKTRACES=10` | the time in seconds for taking backtraces with gdb when a test hangs (default 5); `0` takes none |
//! | `LONET_NAMESPACE=0` | uses no PID namespace; set-uid programs need this |
//! | `LONET_IN_MAIN=1` | roles start inside `main` or their test instead of before `main` |
//! | `UPDATE_EXPECT=1` | rewrites `expect![[…]]`, `expect_file![…]` and `trace_file = "…"` with what happened |
//! | `LONET_UPDATE_TURNS=50` | an update ends after this number of runs in a row without a new order (default 20) |
//! | `LONET_REPLAY=file` | runs a test with the schedule in this file: `kill p at p:1 send c:1 #2`, `r:1 recv p:2 before b:1 recv p:1` |
//! | `NO_COLOR=1` | prints no colours |
//!
//! # Features
//!
//! There are no features. The crate runs on Linux only.

// Which module owns what, and what it does not, stands in ARCHITECTURE.md. Start at `scenario`.

mod bridge;
mod collector;
mod deadline;
mod error;
mod names;
mod outcome;
mod process;
mod program;
mod report;
mod role;
mod run;
mod scenario;
mod session;
mod trace;
mod travels;

#[doc(hidden)]
pub mod __private;

pub use bridge::Bridge;
pub use error::{Error, ErrorKind};
/// The macros of the crate `expect-test`, for expected traces that `UPDATE_EXPECT=1` rewrites.
///
/// `expect![[""]]` keeps the expected trace in the source, `expect_file!["x.trace"]` in a file next
/// to it.
pub use expect_test::{expect, expect_file};
pub use outcome::Result;
pub use process::terminate::terminate_requested;
pub use program::Program;
pub use role::Role;
pub use run::run;
pub use scenario::{Hold, Lockstep, Node, Ordered, Play, Scenario, fault, until};
#[doc(inline)]
pub use trace::{Event, Expected, Mismatch, ParseVerbError, Pattern, SyntaxError, Trace, Verb};
