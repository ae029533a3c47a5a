//! `UPDATE_EXPECT=1`, end to end: expectations are rewritten where they stand, once and for all.
//!
//! The rewritten tests are ignored tests of this binary, run as a process of their own that takes a
//! copy of these sources for the workspace: `expect_test` finds the file to rewrite there.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod victims;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lonet_harness::trace::check_syntax;
use lonet_tests::size::is_full;

const SOURCE: &str = "tests/tests/updates/victims.rs";
const FILE: &str = "tests/tests/updates/two_clients.trace";
const MANY: &str = "tests/tests/updates/many.trace";

/// A workspace of these sources alone, gone with the value.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Copy {
        let root =
            std::env::temp_dir().join(format!("lonet-updates-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("tests/tests/updates")).unwrap();
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for file in [SOURCE, FILE, MANY] {
            fs::copy(workspace.join(file), root.join(file)).unwrap();
        }
        Copy(root)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    #[track_caller]
    fn update(&self, victim: &str) {
        let output = self.run(victim, true);
        assert!(output.status.success(), "{output:?}");
    }

    fn run(&self, victim: &str, updates: bool) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([&format!("victims::{victim}"), "--exact", "--ignored"])
            .env("CARGO_WORKSPACE_DIR", &self.0)
            .env("LONET_ARTIFACTS", self.0.join("artifacts"))
            .env_remove("UPDATE_EXPECT");
        if updates {
            command.env("UPDATE_EXPECT", "1");
        }
        command.output().unwrap()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How often an update is made again: it must never change anything.
fn times() -> usize {
    if is_full() { 1000 } else { 5 }
}

/// The same for a scenario of some size: of 1000 a tenth, where not all are asked for.
fn times_of_many() -> usize {
    if is_full() { 1000 } else { 100 }
}

/// What stands between `expect![[` and `]]` in a function of the sources.
#[track_caller]
fn literal(source: &str, function: &str) -> String {
    let body = source
        .split(&format!("async fn {function}("))
        .nth(1)
        .unwrap_or_else(|| panic!("no {function}"));
    let literal = body.split("expect![[").nth(1).unwrap();
    literal.split("]]").next().unwrap().to_owned()
}

#[test]
fn an_expect_is_rewritten_in_place() {
    let copy = Copy::new("expect");
    let before = copy.read(SOURCE);
    assert!(!copy.run("out_of_date", false).status.success());
    assert_eq!(copy.read(SOURCE), before, "rewritten unasked");

    copy.update("out_of_date");
    let after = copy.read(SOURCE);
    assert_eq!(
        literal(&after, "out_of_date"),
        literal(&after, "up_to_date")
    );
    // Nothing else of the file has changed.
    let expected = before.replace(
        &literal(&before, "out_of_date"),
        &literal(&before, "up_to_date"),
    );
    assert_eq!(after, expected);
}

#[test]
fn what_an_update_wrote_wants_no_other() {
    let copy = Copy::new("again");
    let before = copy.read(SOURCE);
    for _ in 0..times() {
        copy.update("up_to_date");
        assert_eq!(copy.read(SOURCE), before);
        assert!(copy.run("up_to_date", false).status.success());
    }
}

/// Five hosts, tasks that dial at once, ports that race, and variables of the user's own.
#[test]
fn an_update_of_many_wants_no_other() {
    let copy = Copy::new("many");
    let old = copy.read(MANY);
    copy.update("many");
    let text = copy.read(MANY);
    assert!(text.starts_with("# Everyone asks twice; the variables are their author's.\n"));
    assert!(text.contains("\nβ:$one"), "{text}");
    assert!(text.lines().count() > 80, "{text}");
    for turn in 1..times_of_many() {
        match turn % 5 {
            // The same old text is rewritten in the same way, whatever this run was like.
            0 => {
                fs::write(copy.0.join(MANY), &old).unwrap();
                copy.update("many");
            }
            1 => copy.update("many"),
            _ => {
                let output = copy.run("many", false);
                let shown = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "run {turn}: {shown}");
            }
        }
        assert_eq!(copy.read(MANY), text, "run {turn}");
    }
}

#[test]
fn an_expect_file_is_rewritten_and_stays() {
    let copy = Copy::new("file");
    assert!(!copy.run("beside", false).status.success());
    copy.update("beside");
    let text = copy.read(FILE);
    assert_eq!(
        text,
        "# The listener is there before anyone dials.\n\
         α:10 listen\n\
         # Two dial at once; who is accepted first is a race.\n\
         β:1  dial   α:10\n\
         α:$a accept β:1\n\
         γ:1  dial   α:10\n\
         α:$b accept γ:1\n"
    );
    check_syntax(&text).unwrap();
    for _ in 0..times() {
        assert!(copy.run("beside", false).status.success());
        copy.update("beside");
        assert_eq!(copy.read(FILE), text);
    }
    fs::remove_file(copy.0.join(FILE)).unwrap();
    copy.update("beside");
    assert!(copy.run("beside", false).status.success());
}
