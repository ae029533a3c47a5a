//! What the attributes say of wrong input, word for word.
//!
//! Half of the words are rustc's own, and each rustc frames them a little differently. So the
//! expectations hold for one, [`RUSTC`]; with any other, nothing is compared. What must pass without a
//! warning are tests of their own. `TRYBUILD=overwrite` rewrites the expectations.

use std::process::Command;

/// The rustc that the expectations were written with.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn ui() {
    let version = Command::new("rustc")
        .arg("--version")
        .output()
        .unwrap()
        .stdout;
    let version = String::from_utf8(version).unwrap();
    if version.starts_with(RUSTC) {
        trybuild::TestCases::new().compile_fail("ui/fail/*.rs");
    } else {
        eprintln!("messages are not compared: they are those of {RUSTC}x, this is {version}");
    }
}
