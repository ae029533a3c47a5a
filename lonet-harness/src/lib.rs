//! Tests of several real processes on a lonet network: each plays a host, real kernel TCP carries
//! the bytes, and the test says which network events must happen, and in which causal order.
//!
//! ```
//! use lonet::Host;
//! use lonet_harness::{Result, Scenario};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! #[lonet::host] // plays one host, in a process of its own
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
//! [`Scenario`] is what a test gets: it [`spawn`](Scenario::spawn)s roles and
//! [`Program`]s as hosts, waits for events ([`until`](Scenario::until)), and
//! asserts [`Trace`]s. A [`Node`] is one running process: [`join`](Node::join),
//! [`kill`](Node::kill), [`pause`](Node::pause), [`restart`](Node::restart). The attributes
//! `#[lonet::host]`, `#[lonet::test]` and `#[lonet::main]` come from the crate [`lonet`], and so
//! does the network. The guide (`docs/guide.md` in the project) leads from the first test to CI,
//! `docs/traces.md` explains partial orders in two screens.
//!
//! # The environment
//!
//! | variable | what for |
//! |---|---|
//! | `LONET_TIMEOUT=3` | every deadline is multiplied by this |
//! | `LONET_KEEP=1` | a test that passes leaves its artifacts and its network, too |
//! | `LONET_ARTIFACTS=dir` | where artifacts are put, instead of `target/lonet` |
//! | `LONET_DEBUG=α` | α's node waits for a debugger at its start; no deadline passes meanwhile |
//! | `LONET_BACKTRACES=10` | for how many seconds a verdict asks a debugger where the processes are (5); `0`: not at all |
//! | `LONET_NAMESPACE=0` | does without a PID namespace; set-uid programs need that |
//! | `UPDATE_EXPECT=1` | `expect![[…]]`, `expect_file![…]` and `trace_file = "…"` are rewritten with what happened |
//!
//! # Features
//!
//! None: what a test needs is always there. Linux only.
//!
//! # To read the code
//!
//! A map of, starting at `scenario`:
//!
//! - `scenario`: the handles of a test;
//! - `bridge`: between a lonet address and a real one;
//! - `program`: programs, as a test describes them;
//! - `travels`: what of a value JSON would lose;
//! - `role`: typed roles, their registration, how arguments and results travel;
//! - `outcome`: what a role, a test or a `main` may return, and how that becomes a result;
//! - `error`: the error of the harness's own operations;
//! - `run`: one test from its start to its verdict; `session`: its network and its collector;
//!   `deadline`: how long anything may take;
//! - `process`: every process: supervisor, its init, the re-executed child, output;
//! - `collector`: what processes tell, and the answers to what is asked;
//! - `trace`: causality, the grammar of expected traces, matching;
//! - `report`: every text that a failing test shows.

mod bridge;
mod collector;
mod deadline;
mod error;
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
/// An expected trace that `UPDATE_EXPECT=1` rewrites in place: the macros of the crate `expect-test`.
///
/// `expect![[""]]` holds it in the source, `expect_file!["x.trace"]` in a file beside it.
pub use expect_test::{expect, expect_file};
pub use outcome::Result;
pub use process::terminate::terminate_requested;
pub use program::Program;
pub use role::Role;
pub use run::run;
pub use scenario::{Node, Play, Scenario, until};
#[doc(inline)]
pub use trace::{Event, Expected, Mismatch, ParseVerbError, Pattern, SyntaxError, Trace, Verb};
