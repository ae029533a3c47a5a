//! End-to-end and conformance tests of lonet; see `tests/`. Also holds the README's code to
//! account: it compiles, and what can run by itself, runs. (What stands in a `#[lonet::test]` is
//! compiled and run by the test binary `documents`.) What several test binaries need to play with
//! other processes is in the modules; it knows nothing of lonet. `register` is the guide's.

pub mod child;
pub mod processes;
pub mod register;
pub mod size;
pub mod tmp;
pub mod victim;

/// The README's code.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The code of the guide to traces.
#[cfg(doctest)]
#[doc = include_str!("../../docs/traces.md")]
pub struct Traces;

/// Says what a test needs and does not find here. With `SKIPS_FAIL`, which `.ci/run` sets, it fails.
///
/// # Panics
///
/// With `SKIPS_FAIL`.
pub fn skip(why: &str) {
    let fails = std::env::var_os("SKIPS_FAIL").is_some_and(|fails| !fails.is_empty());
    assert!(!fails, "can't be skipped: {why}");
    println!("skipped: {why}");
}

/// Whether that program is here. If it is not, the test is [skipped](skip), and the package named.
///
/// # Panics
///
/// As [`skip`].
pub fn has(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|place| place.join(program).is_file());
    if !found {
        skip(&format!(
            "no {program} in PATH: install Debian's package {package}"
        ));
    }
    found
}
