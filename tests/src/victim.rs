//! Tests that fail, or say something, by the doing of other tests: each is ignored, and runs as a process
//! of its own.

use std::process::Command;

use crate::tmp::Tmp;

/// What became of one.
pub struct Ran {
    /// Whether it passed.
    pub passed: bool,
    /// What its body printed.
    pub printed: String,
    /// What the harness printed.
    pub said: String,
}

/// Runs the ignored test of this binary with that name.
///
/// # Panics
///
/// It can't be run, or prints something that is not text.
pub fn run(test: &str) -> Ran {
    run_at(test, &Tmp::new().expect("there is room"), &[])
}

/// The same, with that place for its artifacts and these variables.
///
/// # Panics
///
/// As [`run`].
pub fn run_at(test: &str, place: &Tmp, variables: &[(&str, &str)]) -> Ran {
    let itself = std::env::current_exe().expect("a running program has a file");
    let output = Command::new(itself)
        .args([test, "--exact", "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .env("LONET_ARTIFACTS", place.path())
        .env("RUST_BACKTRACE", "0")
        .env("LONET_BACKTRACES", "0")
        .output()
        .expect("this program can be executed again");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    Ran {
        passed: output.status.success(),
        printed: text(output.stdout),
        said: text(output.stderr),
    }
}

impl Ran {
    /// It passed, or it failed, and the harness has printed these texts.
    ///
    /// # Panics
    ///
    /// It did not.
    #[track_caller]
    pub fn says(&self, passed: bool, texts: &[&str]) {
        let said = &self.said;
        assert_eq!(self.passed, passed, "{said}");
        for text in texts {
            assert!(said.contains(text), "{text:?} is not in:\n{said}");
        }
    }
}
