//! What the attributes say of wrong input, word for word, and what they let pass without a
//! warning.
//!
//! Half of the words are rustc's own, and each rustc frames them a little differently. So the
//! expectations hold for one, [`RUSTC`]; any other is only asked for what must pass.
//! `TRYBUILD=overwrite` rewrites the expectations.

use std::process::Command;

/// The rustc that the expectations were written with.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    let version = Command::new("rustc")
        .arg("--version")
        .output()
        .unwrap()
        .stdout;
    let version = String::from_utf8(version).unwrap();
    if version.starts_with(RUSTC) {
        cases.compile_fail("ui/fail/*.rs");
    } else {
        eprintln!("messages are not compared: they are those of {RUSTC}x, this is {version}");
    }
}
