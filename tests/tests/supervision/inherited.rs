//! A test's process that becomes the parent of what its dead supervisor leaves behind.
//!
//! Owns telling that from what the test has started itself.

use std::process::{Command, Stdio};

use lonet::Host;
use lonet_harness::{Program, Result, Scenario};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{MARK, TREE, a_mark, children_of, end, marked};

/// What it starts prints nowhere, and is in no group of a node's: only its environment tells.
#[lonet::host]
async fn hides_a_process(host: Host) {
    let mut shell = Command::new("sh")
        .args(["-c", "setsid sleep 1000 & (setsid sleep 1000 &)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    shell.wait().unwrap();
    host.mark("hidden");
    std::future::pending::<()>().await;
}

/// Kills its own supervisor, and fails of it. Beside it runs what it has started itself as a host.
#[lonet::test]
#[ignore = "fails: another test runs it"]
async fn kills_its_supervisor(scenario: Scenario) -> Result<()> {
    if std::env::var_os("INHERITS").is_some() {
        nix::sys::prctl::set_child_subreaper(true)?;
    }
    let alpha = scenario.spawn("α", hides_a_process()).await?;
    let shell = Program::new("sh").args(["-c", &[TREE, "; wait"].concat()]);
    let beta = scenario.spawn("β", shell).await?;
    scenario.until("α mark hidden").await?;
    while !beta.log().contains("grown") {
        tokio::task::yield_now().await;
    }
    let [supervisor] = children_of(std::process::id() as i32)[..] else {
        panic!("it has other children");
    };
    let _by_hand = Command::new("sleep")
        .arg("1000")
        .env(
            "LONET_NETWORK",
            scenario.network().trim_start_matches("lonet"),
        )
        .env("LONET_HOST", "γ")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    kill(Pid::from_raw(supervisor), Signal::SIGKILL)?;
    Ok(alpha.join().await?)
}

/// Runs after that test, in the same process.
#[test]
#[ignore = "another test runs it"]
fn looks_for_what_is_left() {
    let mark = std::env::var(MARK).unwrap();
    let own = std::process::id() as i32;
    let hosts = marked(&mark).into_iter().filter(|&pid| pid != own);
    let hosts = hosts.map(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        let mut variables = environment.split('\0');
        let host = variables.find_map(|variable| variable.strip_prefix("LONET_HOST="));
        format!(" {}", host.unwrap_or("-"))
    });
    println!("left:{}.", hosts.collect::<String>());
}

/// A test's process may be the first of a container, or a child subreaper: then it inherits what its
/// supervisor leaves behind, beside what it has started itself.
fn nothing_is_left_but_its_own(name: &str, command: &mut Command) {
    let mark = a_mark(name);
    let output = command
        .args([
            "inherited::kills_its_supervisor",
            "inherited::looks_for_what_is_left",
        ])
        .args(["--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(MARK, &mark)
        .env("LONET_NAMESPACE", "0")
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    end(&marked(&mark));
    assert!(said.contains("left: γ."), "{name}: {output:?}");
}

#[test]
fn only_a_dead_supervisors_processes_are_ended() {
    let this = || Command::new(std::env::current_exe().unwrap());
    nothing_is_left_but_its_own("own", &mut this());
    nothing_is_left_but_its_own("own-subreaper", this().env("INHERITS", "1"));
    let namespace = [
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
    ];
    let allowed = Command::new("unshare").args(namespace).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped in part: no `unshare`, or it may not make a PID namespace");
        return;
    }
    let mut first = Command::new("unshare");
    first.args(namespace).arg(std::env::current_exe().unwrap());
    nothing_is_left_but_its_own("own-first", &mut first);
}
