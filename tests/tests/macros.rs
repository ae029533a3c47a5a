//! What the attributes make, as it runs: tests of all kinds, and roles wherever they may stand.
//!
//! What they refuse is in `ui`.
#![forbid(unsafe_code)]
#![deny(
    warnings,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    unused_results
)]

use std::collections::BTreeMap;

use lonet::{Host, SubNetwork};
use lonet_harness::{Result, Role, Scenario};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The result of a role, played by a process of its own.
async fn play<T: DeserializeOwned + Send + 'static>(
    scenario: &Scenario,
    role: Role<T>,
) -> Result<T> {
    Ok(scenario.spawn("α", role).await?.join().await?)
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Config {
    peers: BTreeMap<String, u16>,
    tick: Option<f64>,
    secret: Vec<u8>,
}

#[lonet::host]
async fn echo(
    _: Host,
    config: Config,
    numbers: (u64, i8, f64),
    text: String,
) -> (Config, (u64, i8, f64), String) {
    (config, numbers, text)
}

/// What goes to a role and comes back is what it was, to the last bit.
#[lonet::test]
async fn values_travel(scenario: Scenario) -> Result<()> {
    let config = || Config {
        peers: [("β".to_owned(), 10), ("\"\n\\".to_owned(), 65535)].into(),
        tick: Some(0.1 + 0.2),
        secret: (0..=255).collect(),
    };
    let numbers = (u64::MAX, i8::MIN, f64::MIN_POSITIVE / 3.0);
    let text = "x".repeat(1 << 20);
    let back = play(&scenario, echo(config(), numbers, text.clone())).await?;
    assert_eq!(back, (config(), numbers, text));
    Ok(())
}

#[lonet::host]
async fn gives_back(_: Host, bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// More than a socket, a pipe or a command line holds.
#[lonet::test]
async fn megabytes_travel(scenario: Scenario) -> Result<()> {
    let bytes: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(play(&scenario, gives_back(bytes.clone())).await? == bytes);
    Ok(())
}

#[lonet::host]
async fn patterns(
    mut host: Host,
    (a, mut b): (u8, u8),
    _: Option<()>,
    mut r#loop: String,
) -> String {
    r#loop.push_str(host.name());
    host = host.clone();
    b += a;
    format!("{loop} {} {b}", host.name(), loop = r#loop)
}

/// Patterns in a role's arguments are patterns.
#[lonet::test]
async fn arguments_have_patterns(scenario: Scenario) -> Result<()> {
    let text = play(&scenario, patterns((1, 2), None, "in ".into())).await?;
    assert_eq!(text, "in α α 3");
    Ok(())
}

#[lonet::host(worker_threads = 3)]
async fn workers(_: Host) -> usize {
    tokio::runtime::Handle::current().metrics().num_workers()
}

#[lonet::host]
async fn one_thread(_: Host) -> bool {
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    flavor == tokio::runtime::RuntimeFlavor::CurrentThread
}

#[lonet::test(worker_threads = 2)]
async fn runtimes_are_as_asked_for(scenario: Scenario) -> Result<()> {
    assert_eq!(tokio::runtime::Handle::current().metrics().num_workers(), 2);
    assert_eq!(play(&scenario, workers()).await?, 3);
    assert!(play(&scenario, one_thread()).await?);
    Ok(())
}

#[lonet::host]
async fn own_error(_: Host, text: String) -> std::result::Result<(), String> {
    Err(text)
}

#[lonet::host]
async fn io_error(_: Host) -> std::io::Result<Vec<()>> {
    Err(std::io::Error::other("disk on fire"))
}

/// Any error will do, and its text arrives.
#[lonet::test]
async fn errors_travel_as_text(scenario: Scenario) -> Result<()> {
    for (error, text) in [
        (
            play(&scenario, own_error("no quorum".into())).await,
            "no quorum",
        ),
        (play(&scenario, io_error()).await.map(drop), "disk on fire"),
    ] {
        let error = error.expect_err("the role returns an error").to_string();
        assert!(error.contains(text), "{error}");
    }
    Ok(())
}

mod inner {
    use lonet::Host;

    #[lonet::host]
    pub(crate) async fn role(_: Host) -> String {
        "inner".into()
    }
}

#[lonet::host]
async fn role(_: Host) -> String {
    "outer".into()
}

macro_rules! roles {
    ($($module:ident),*) => {
        $(mod $module {
            pub(crate) fn role() -> lonet_harness::Role<String> {
                #[lonet::host]
                async fn role(_: lonet::Host) -> String {
                    stringify!($module).into()
                }
                role()
            }
        })*

        /// Made by one call of one macro, in functions of one module.
        fn one() -> Role<u8> {
            #[lonet::host]
            async fn role(_: Host) -> u8 {
                1
            }
            role()
        }

        /// Its name and its place are those of the former.
        fn two() -> Role<u8> {
            #[lonet::host]
            async fn role(_: Host) -> u8 {
                2
            }
            role()
        }
    };
}

roles!(first, second);

/// Roles of one name are as many roles.
#[lonet::test]
async fn roles_stand_anywhere(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn role(_: Host) -> String {
        "in a test".into()
    }

    assert_eq!(play(&scenario, role()).await?, "in a test");
    assert_eq!(play(&scenario, self::role()).await?, "outer");
    assert_eq!(play(&scenario, inner::role()).await?, "inner");
    assert_eq!(play(&scenario, first::role()).await?, "first");
    assert_eq!(play(&scenario, second::role()).await?, "second");
    assert_eq!(play(&scenario, one()).await?, 1);
    assert_eq!(play(&scenario, two()).await?, 2);
    Ok(())
}

#[lonet::host]
async fn forever(_: Host) -> ! {
    std::future::pending().await
}

#[lonet::test]
async fn a_role_may_never_return(scenario: Scenario) -> Result<()> {
    let node = scenario.spawn("α", forever()).await?;
    Ok(node.kill().await?)
}

#[lonet::host]
async fn of_map(_: Host, map: BTreeMap<u8, f64>) -> usize {
    map.len()
}

#[lonet::host]
async fn of_pairs(_: Host, map: BTreeMap<(u8, u8), u8>) -> usize {
    map.len()
}

/// What JSON can't hold is an error that names the role and the argument, not a panic.
#[lonet::test]
async fn what_cannot_travel_is_an_error(scenario: Scenario) -> Result<()> {
    assert_eq!(play(&scenario, of_map([(1, 0.5)].into())).await?, 1);
    let error = play(&scenario, of_pairs([((1, 2), 3)].into()))
        .await
        .expect_err("JSON has strings as keys");
    let error = error.to_string();
    assert!(
        error.contains("of_pairs") && error.contains("argument `map`"),
        "{error}"
    );
    let error = play(&scenario, of_map([(1, f64::NAN)].into()))
        .await
        .expect_err("JSON knows no NaN")
        .to_string();
    assert!(
        error.contains("argument `map`") && error.contains("(at [1])"),
        "{error}"
    );
    Ok(())
}

#[lonet::test]
async fn nothing_is_returned(_: Scenario) {}

#[lonet::test()]
async fn a_network_alone(network: SubNetwork) -> std::result::Result<(), lonet::Error> {
    let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
    let listener = alpha.listen(":10").await?;
    let (dialed, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
    assert_eq!(dialed?.peer_addr(), accepted?.local_addr());
    Ok(())
}

/// The networks that the runs of `repeated` have had.
static RUNS: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

/// Each repetition has a network of its own.
#[lonet::test(repeat = 3, timeout = "10s")]
async fn repeated(network: SubNetwork) {
    let mut runs = RUNS.lock().expect("no run panics before it is dropped");
    assert!(!runs.contains(&network.name().to_owned()), "{runs:?}");
    runs.push(network.name().to_owned());
}

/// It is repeated, and no more once it has failed.
#[lonet::test(repeat = 3)]
#[should_panic(expected = "the third time")]
async fn repeated_till_it_fails(_: SubNetwork) {
    static TIMES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let before = TIMES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    assert!(before < 2, "the third time");
}

#[ignore = "to show that it is"]
#[lonet::test]
async fn ignored_above(_: Scenario) {
    panic!("this test is ignored");
}

#[lonet::test]
#[ignore = "to show that it is"]
async fn ignored_below(_: Scenario) {
    panic!("this test is ignored");
}

#[should_panic(expected = "on purpose")]
#[lonet::test]
async fn panics_above(_: Scenario) {
    panic!("on purpose");
}

#[lonet::test]
#[should_panic(expected = "on purpose")]
async fn panics_below(_: Scenario) {
    panic!("on purpose");
}

#[cfg(any())]
#[lonet::test]
async fn not_there_above(_: NoSuchType) {}

#[lonet::test]
#[cfg(any())]
async fn not_there_below(_: NoSuchType) {}

macro_rules! test {
    ($name:ident, $ty:ty, $timeout:literal) => {
        #[lonet::test(timeout = $timeout)]
        async fn $name(_: $ty) {}
    };
}

test!(from_a_macro, Scenario, "10s");

mod in_a_module {
    use super::*;

    #[lonet::test]
    async fn a_test(scenario: Scenario) -> Result<()> {
        assert_eq!(play(&scenario, role()).await?, "outer");
        Ok(())
    }
}

/// What the test of that name, which is ignored here, prints when it fails.
fn failing(test: &str) -> String {
    let binary = std::env::current_exe().expect("a test binary knows its place");
    let output = std::process::Command::new(binary)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env_remove("UPDATE_EXPECT")
        .output()
        .expect("the binary that runs can be run");
    assert_eq!(output.status.code(), Some(101), "{test} fails");
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    assert!(out.contains("1 failed"), "{out}");
    out + &err
}

async fn listen_and_close(scenario: Scenario) -> Result<()> {
    let alpha = scenario.host("α").await?;
    alpha.listen(":10").await?.close().await?;
    Ok(())
}

#[lonet::test(trace = "
    α:10 listen
    α:10 close
")]
async fn leaves_its_trace(scenario: Scenario) -> Result<()> {
    listen_and_close(scenario).await
}

#[lonet::test(trace_file = "macros.trace")]
async fn leaves_the_trace_of_a_file(scenario: Scenario) -> Result<()> {
    listen_and_close(scenario).await
}

#[lonet::test(trace = "α:10 listen")]
#[ignore = "run by `a_trace_that_does_not_hold_fails_the_test`"]
async fn leaves_more_than_its_trace(scenario: Scenario) -> Result<()> {
    listen_and_close(scenario).await
}

#[test]
fn a_trace_that_does_not_hold_fails_the_test() {
    let text = failing("leaves_more_than_its_trace");
    assert!(text.contains("α:10 close"), "{text}");
}

/// The line of the attribute below.
const OF_NO_TRACE: u32 = line!() + 3;

#[rustfmt::skip]
#[lonet::test(trace = "
    α:10 listen
    α:10 lisen
")]
#[ignore = "run by `an_invalid_trace_names_its_source_position`"]
async fn of_no_trace(_: Scenario) {
    println!("the body runs");
}

#[rustfmt::skip]
#[lonet::test(trace = "α:10 listen\nα:10 lisen")]
#[ignore = "run by `an_invalid_trace_names_its_source_position`"]
async fn of_no_trace_on_one_line(_: Scenario) {
    println!("the body runs");
}

#[lonet::test(trace_file = "no/such.trace")]
#[ignore = "run by `an_invalid_trace_names_its_source_position`"]
async fn of_no_file(_: Scenario) {
    println!("the body runs");
}

#[test]
fn an_invalid_trace_names_its_source_position() {
    let place = |line, column| format!("tests/tests/macros.rs:{line}:{column}: ");
    let cases = [
        ("of_no_trace", place(OF_NO_TRACE + 2, 10)),
        ("of_no_trace_on_one_line", place(OF_NO_TRACE + 10, 42)),
        ("of_no_file", place(OF_NO_TRACE + 16, 28)),
    ];
    for (test, place) in cases {
        let text = failing(test);
        assert!(text.contains(&place), "{place} in {text}");
        assert!(!text.contains("the body runs"), "{text}");
    }
}
