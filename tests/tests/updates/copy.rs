//! A workspace in which a test of this binary may rewrite its sources: a copy of them, and how a test is
//! run there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

pub(super) const SOURCE: &str = "tests/tests/updates/victims.rs";
pub(super) const FILE: &str = "tests/tests/updates/two_clients.trace";
pub(super) const MANY: &str = "tests/tests/updates/many.trace";

/// A workspace of these sources alone, gone with the value.
pub(super) struct Copy(pub(super) PathBuf);

impl Copy {
    pub(super) fn new(name: &str) -> Copy {
        let root =
            std::env::temp_dir().join(format!("lonet-updates-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("tests/tests/updates")).unwrap();
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for file in [SOURCE, FILE, MANY] {
            fs::copy(workspace.join(file), root.join(file)).unwrap();
        }
        let copy = Copy(root);
        copy.restore(&copy.read(SOURCE));
        copy
    }

    pub(super) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    #[track_caller]
    pub(super) fn update(&self, victim: &str) {
        let output = self.run(victim, true);
        assert!(output.status.success(), "{output:?}");
    }

    /// The source, as old as if it had been compiled.
    pub(super) fn restore(&self, text: &str) {
        fs::write(self.0.join(SOURCE), text).unwrap();
        // What is newer than the executable is not what was compiled.
        let source = File::options().write(true).open(self.0.join(SOURCE));
        source
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
    }

    /// What is printed when it can't be updated.
    #[track_caller]
    pub(super) fn fails(&self, victim: &str) -> String {
        let output = self.run(victim, true);
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether two clients in another process do what the text says, in an order that it allows.
    pub(super) fn is_obeyed(&self, text: &str) -> bool {
        let file = self.0.join("obeyed.trace");
        fs::write(&file, text).unwrap();
        let mut command = self.command("obeys", false);
        let output = command.env("LONET_TESTS_TEXT", file).output().unwrap();
        output.status.success()
    }

    pub(super) fn run(&self, victim: &str, updates: bool) -> Output {
        let mut command = self.command(victim, updates);
        // A few are enough where nothing differs.
        command.env("LONET_UPDATE_TURNS", "3");
        command.output().unwrap()
    }

    pub(super) fn command(&self, victim: &str, updates: bool) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([&format!("victims::{victim}"), "--exact", "--ignored"])
            .env("CARGO_WORKSPACE_DIR", &self.0)
            .env("LONET_ARTIFACTS", self.0.join("artifacts"))
            .env_remove("UPDATE_EXPECT");
        if updates {
            command.env("UPDATE_EXPECT", "1");
        }
        command
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
