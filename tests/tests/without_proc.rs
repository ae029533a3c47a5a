//! Where `/proc` is missing, or speaks of other pids than this process's own, a test works, or says
//! at once what it lacks.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use lonet::Host;
use lonet_harness::{Result, Scenario};
use lonet_tests::tmp::Tmp;
use nix::unistd::getuid;

/// Leaves a process that has no parent any more.
#[lonet::host]
async fn leaves_an_orphan(_host: Host) {
    let status = Command::new("sh")
        .args(["-c", "setsid sleep 1000 & exit 0"])
        .status();
    assert!(status.unwrap().success());
}

#[lonet::test]
#[ignore = "another test runs it"]
async fn orphan(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", leaves_an_orphan()).await?;
    Ok(alpha.join().await?)
}

/// Runs the test `orphan` in namespaces of its own, after those commands of a shell: as this user
/// and, if that is root, as an ordinary one. Nothing where the system forbids such namespaces.
fn outputs(namespaces: &str, commands: &str) -> Vec<Output> {
    let tmp = Tmp::new().unwrap();
    // The binary's own path may be out of reach for another user.
    let binary = tmp.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut outputs = Vec::new();
    for ordinary in [false, true] {
        if ordinary && !getuid().is_root() {
            continue;
        }
        let unshare = |shell: &str| {
            // A hang fails; what hangs ends with `unshare`.
            let mut command = Command::new("timeout");
            command.args(["--signal=KILL", "20", "unshare", "--kill-child"]);
            if ordinary || !getuid().is_root() {
                command.arg("-Ur");
            }
            command
                .args([namespaces, "sh", "-c", shell])
                .arg(&binary)
                .args(["orphan", "--exact", "--ignored", "--nocapture"])
                .env("TMPDIR", tmp.path())
                .env("LONET_ARTIFACTS", tmp.path())
                .env("LONET_NAMESPACE", "0");
            if ordinary {
                command.uid(65534).gid(65534);
            }
            command.output().unwrap()
        };
        if !unshare(commands).status.success() {
            println!("skipped: this user may not `unshare {namespaces}`");
            continue;
        }
        outputs.push(unshare(&format!("{commands}; exec \"$0\" \"$@\"")));
    }
    outputs
}

#[test]
fn a_test_without_proc_says_so_at_once() {
    for output in outputs("-m", "mount -t tmpfs none /proc") {
        assert!(!output.status.success());
        let page = String::from_utf8_lossy(&output.stderr);
        let says = "can't be reached without /proc, which is not mounted; mount it\n";
        assert!(page.contains(says), "{page}");
    }
}

/// Then the supervisor can't find the orphans that it inherits.
#[test]
fn a_test_whose_proc_is_another_namespaces_ends() {
    for output in outputs("-pf", "true") {
        let page = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}");
    }
}
