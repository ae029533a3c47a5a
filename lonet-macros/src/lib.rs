//! The attributes of lonet: [`macro@host`], [`macro@test`], [`macro@main`] and [`macro@before_role`].
//!
//! Use them as `lonet::host`, `lonet::test` and so on: the crate `lonet` re-exports them, and
//! what they expand to needs `lonet-harness`. There are no features.
//!
//! They are thin: they look at tokens, complain on the token that is wrong, and call into
//! `lonet_harness::__private`, where everything that happens at run time lives. A map of:
//!
//! - `args`: what stands in the parentheses of an attribute;
//! - `function`: the function under it, whose body is never looked into;
//! - `owned_types`: which types may travel between processes, as far as tokens tell;
//! - `renamed`: what the harness is called in the crate that is compiled;
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
/// `async fn f(host: Host, a: A, …) -> R` becomes `fn f(a: A, …) -> Role<T>`: calling it starts
/// nothing, it makes what `Scenario::spawn` takes. A return type that is a `Result`, under whatever
/// name, is a `Result<T, E>` with `E: Debug + Display`: any error, in a box or not, `String`,
/// `anyhow::Error`, `eyre::Report`. Its `Err` fails the role, with the text of every source. Any
/// other return type is `T` itself.
///
/// `T` and the arguments are owned serde types; they travel between the processes as JSON. A role
/// may stand in a module or inside a test function. Since the binary registers it, a role that
/// nothing spawns gets no warning of dead code; one that is made and not spawned does.
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
/// A panic in any task or thread of a role fails it. One that the role's own future catches
/// (`catch_unwind`) does not; of a spawned task or a thread it can't be known whether it catches
/// its own, so there it fails the role all the same.
///
/// # Before `main`
///
/// A role's process is the same binary, and begins before `main`, so that no test framework and
/// nothing of a `main` runs there. Constructors of statically linked C++ libraries may not have run
/// by then: where the linker puts them behind ours, they never do. With `LONET_IN_MAIN=1` in the
/// environment, the roles of a `#[lonet::test]` begin in that test, through libtest, and those of a
/// `#[lonet::main]` at the beginning of `main`; roles of `lonet_harness::run` always begin before.
///
/// # Arguments
///
/// - `worker_threads = 2`: the role's runtime is a multi-thread one with that many workers;
///   without it, it runs on a current-thread runtime.
/// - `crate = "path"`: where the crate `lonet_harness` is, if it is reached through another crate or a
///   module. A dependency that `Cargo.toml` gives another name is found without it.
#[proc_macro_attribute]
pub fn host(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_host::expand(args.into(), item.into()).into()
}

/// Makes an `async fn` an ordinary `#[test]`, on a fresh random network of its own.
///
/// The argument of the function decides what it gets: a `lonet_harness::Scenario` plays hosts in
/// processes of their own, a `lonet::SubNetwork` is a network for this process alone. It returns
/// nothing, or a `Result<(), E>`. Other attributes (`#[ignore]`, `#[should_panic]`, `#[cfg]`, …)
/// keep working, above it and below.
///
/// ```
/// # // rustdoc leaves out what has `#[test]`, so that of this only the attribute is checked; what it
/// # // does is shown by every test of the project.
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
/// - `timeout = "30s"`: how long the test may take, as a whole number of `ms`, `s` or `m`; 30 s
///   without it.
/// - `trace = "…"`: the trace that the test must leave; its syntax is checked before anything is
///   spawned. `trace_file = "…"`: the same in a file, relative to the source file, which
///   `UPDATE_EXPECT=1` writes.
/// - `worker_threads = 2`: the test's runtime is a multi-thread one with that many workers;
///   without it, it runs on a current-thread runtime.
/// - `repeat = 100`: so many runs, one after the other, each on a fresh network, till one fails.
/// - `crate = "path"`: where the crate `lonet_harness` is, if it is reached through another crate or a
///   module. A dependency that `Cargo.toml` gives another name is found without it.
///
/// There is no `start_paused`: real processes and real sockets need real time.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_test::expand(args.into(), item.into()).into()
}

/// Makes `async fn main` of an example or a binary play a scenario.
///
/// Takes the arguments of [`macro@test`], and gives the function the same. The program's exit
/// code tells whether it went well.
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

/// Has a `fn()` called in every role's process before its role starts: to set up logging, say.
///
/// It runs once in each process that plays a role of this binary, on the role's thread and inside
/// its runtime, before the host joins the network. It does not run in the test's own process. If
/// there are several, they run in an unspecified order. A panic in it fails the role. The host's
/// name is in the environment variable `LONET_HOST`.
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
/// - `crate = "path"`: where the crate `lonet_harness` is, if it was renamed.
#[proc_macro_attribute]
pub fn before_role(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_before_role::expand(args.into(), item.into()).into()
}
