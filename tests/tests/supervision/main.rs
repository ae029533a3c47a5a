//! No process outlives its test, whatever happens to the test's process.
//!
//! Each test runs a test of this binary that never ends, as a process that carries a mark in its
//! environment, ends it, and looks for what still carries the mark. The control does the same
//! without a supervisor, and must find something.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod inherited;
mod other_users;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lonet::Host;
use lonet_harness::{Program, Result, Scenario};
use lonet_tests::processes::who_writes;
use lonet_tests::tmp::Tmp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getuid};

/// The variable that all processes of one victim inherit.
const MARK: &str = "SUPERVISION_TEST_TREE";

/// A tree that tries to get away: a child of another session, one whose parent is gone, and one that
/// has also given up its output, as a daemon does.
const TREE: &str = "sleep 1000 & setsid sleep 1000 & \
                    (setsid sleep 1000 > /dev/null 2>&1 &); \
                    (setsid sh -c 'sleep 1000 & echo grown; exec sleep 1000' &)";

#[lonet::host]
async fn grows(host: Host) {
    let mut tree = Command::new("sh")
        .args(["-c", TREE])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(tree.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "grown\n");
    tree.wait().unwrap();
    host.mark("grown");
    std::future::pending::<()>().await;
}

#[lonet::test]
#[ignore = "never ends: the other tests run it"]
async fn victim(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", grows()).await?;
    let _beta = scenario.spawn("β", grows()).await?;
    let gamma = scenario
        .spawn(
            "γ",
            Program::new("sh").args(["-c", &[TREE, "; wait"].concat()]),
        )
        .await?;
    scenario.until("α mark grown").await?;
    scenario.until("β mark grown").await?;
    tokio::select! {
        () = async { while !gamma.log().contains("grown") { tokio::task::yield_now().await } } => {}
        // The supervisor may be killed at any moment.
        _ = gamma.until("γ exit _") => {}
    }
    println!("ready");
    Ok(alpha.join().await?)
}

/// The test `victim` as a process; what it may do, these changes say.
fn start_victim(mark: &str, change: impl FnOnce(&mut Command)) -> Child {
    start(mark, "victim", change)
}

/// A test of this binary as a process.
fn start(mark: &str, test: &str, change: impl FnOnce(&mut Command)) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(MARK, mark)
        .env_remove("LONET_NAMESPACE")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    change(&mut command);
    command.spawn().unwrap()
}

fn wait_until_ready(victim: &mut Child) {
    let output = BufReader::new(victim.stdout.as_mut().unwrap());
    let ready = output
        .lines()
        .map_while(|line| line.ok())
        .any(|line| line.ends_with("ready"));
    assert!(ready, "the victim ended before it was ready");
}

/// The processes whose environment has the mark.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}").into_bytes();
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        // A zombie has no environment: it runs no more, and waits only to be reaped.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|&b| b == 0)
            .any(|variable| variable == wanted)
    })
    .collect()
}

/// Waits until nothing has the mark; how long that took, or what is left after ten seconds.
fn gone(mark: &str) -> std::result::Result<Duration, Vec<i32>> {
    let began = Instant::now();
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return Ok(began.elapsed());
        }
        if began.elapsed() > Duration::from_secs(10) {
            return Err(left);
        }
        std::thread::yield_now();
    }
}

/// Ends what is left of a test that fails, so that nothing of it disturbs another.
fn end(left: &[i32]) {
    for &pid in left {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn a_mark(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn end_by(name: &str, signal: Signal, change: impl FnOnce(&mut Command)) {
    let mark = a_mark(name);
    let mut victim = start_victim(&mark, change);
    wait_until_ready(&mut victim);
    // The victim, its supervisor, two nodes, and at least three of each one's tree.
    let before = marked(&mark).len();
    assert!(before >= 10, "only {before} processes carry the mark");
    kill(Pid::from_raw(victim.id() as i32), signal).unwrap();
    victim.wait().unwrap();
    if let Err(left) = gone(&mark) {
        panic!("{} of {before} processes are left: {left:?}", left.len());
    }
}

#[test]
fn nothing_is_left_after_sigkill() {
    end_by("sigkill", Signal::SIGKILL, |_| {});
}

#[test]
fn nothing_is_left_after_sigkill_without_a_namespace() {
    end_by("subreaper", Signal::SIGKILL, |command| {
        command.env("LONET_NAMESPACE", "0");
    });
}

#[test]
fn nothing_is_left_after_ctrl_c() {
    end_by("sigint", Signal::SIGINT, |_| {});
}

#[test]
fn nothing_is_left_after_an_abort() {
    end_by("sigabrt", Signal::SIGABRT, |_| {});
}

#[test]
fn nothing_is_left_of_an_ordinary_user() {
    if !getuid().is_root() {
        // Then all the other tests are of an ordinary user.
        return;
    }
    // Its networks are swept by its later joins alone, of which there are none.
    let tmp = Tmp::new().unwrap();
    for namespace in [None, Some("0")] {
        end_by("user", Signal::SIGKILL, |command| {
            command.env("TMPDIR", tmp.path()).uid(65534).gid(65534);
            if let Some(value) = namespace {
                command.env("LONET_NAMESPACE", value);
            }
        });
    }
}

#[lonet::host]
async fn idles(_host: Host) {
    std::future::pending::<()>().await;
}

/// A role and a program that start nothing themselves.
#[lonet::test]
#[ignore = "never ends: the other tests run it"]
async fn idle(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", idles()).await?;
    let _beta = scenario
        .spawn("β", Program::new("sleep").arg("1000"))
        .await?;
    println!("ready");
    Ok(alpha.join().await?)
}

/// Runs `check` as this user and, if that is root, as an ordinary one; each with a PID namespace
/// and without.
fn as_every_user(check: impl Fn(&str, &dyn Fn(&mut Command))) {
    let tmp = Tmp::new().unwrap();
    for ordinary in [false, true] {
        if ordinary && !getuid().is_root() {
            continue;
        }
        for namespace in [None, Some("0")] {
            let change = |command: &mut Command| {
                if ordinary {
                    command.env("TMPDIR", tmp.path()).uid(65534).gid(65534);
                    command.env("LONET_ARTIFACTS", tmp.path());
                }
                if let Some(value) = namespace {
                    command.env("LONET_NAMESPACE", value);
                }
            };
            let user = if ordinary { "user" } else { "self" };
            let namespace = namespace.unwrap_or("1");
            check(&format!("{user}-{namespace}"), &change);
        }
    }
}

/// The supervisor, as the only process that a victim has started.
fn supervisor_of(victim: &Child) -> Option<Pid> {
    let children = children_of(victim.id() as i32);
    assert!(children.len() < 2, "{children:?}");
    children.first().map(|&pid| Pid::from_raw(pid))
}

#[test]
fn nothing_is_left_when_the_supervisor_is_killed() {
    as_every_user(|name, change| {
        let mark = a_mark(&format!("unsupervised-{name}"));
        let mut victim = start_victim(&mark, change);
        wait_until_ready(&mut victim);
        let supervisor = supervisor_of(&victim).unwrap();
        kill(supervisor, Signal::SIGKILL).unwrap();
        // The test fails of it, and ends.
        assert!(!victim.wait().unwrap().success());
        if let Err(left) = gone(&mark) {
            end(&left);
            panic!("{name}: {left:?} are left");
        }
    });
}

/// Without help from the test's process, which may be stopped, or dead.
#[test]
fn roles_and_programs_end_with_the_supervisor() {
    as_every_user(|name, change| {
        let mark = a_mark(&format!("pdeathsig-{name}"));
        let mut victim = start(&mark, "idle", change);
        wait_until_ready(&mut victim);
        let supervisor = supervisor_of(&victim).unwrap();
        // The kernel signals to its children the end of the thread that forked them.
        let threads = std::fs::read_dir(format!("/proc/{supervisor}/task")).unwrap();
        assert_eq!(threads.count(), 1);
        let pid = Pid::from_raw(victim.id() as i32);
        kill(pid, Signal::SIGSTOP).unwrap();
        kill(supervisor, Signal::SIGKILL).unwrap();
        let began = Instant::now();
        let mut left = marked(&mark);
        while left.len() > 1 && began.elapsed() < Duration::from_secs(10) {
            left = marked(&mark);
        }
        kill(pid, Signal::SIGCONT).unwrap();
        assert!(!victim.wait().unwrap().success());
        left.retain(|&left| left != pid.as_raw());
        end(&left);
        assert!(left.is_empty(), "{name}: {left:?} are left");
    });
}

/// Waits for the victim to start its supervisor; the status of one that has ended before.
fn await_supervisor(victim: &mut Child) -> std::result::Result<Pid, ExitStatus> {
    loop {
        if let Some(supervisor) = supervisor_of(victim) {
            return Ok(supervisor);
        }
        if let Some(status) = victim.try_wait().unwrap() {
            return Err(status);
        }
    }
}

#[test]
fn a_victim_that_ends_early_is_not_waited_for() {
    let mut victim = Command::new("false").spawn().unwrap();
    assert_eq!(await_supervisor(&mut victim).unwrap_err().code(), Some(1));
}

/// The supervisor is killed at a random moment, without a namespace: ten times, a hundred times
/// with `LONET_FULL=1`, as each user.
#[test]
fn a_randomly_killed_supervisor_leaves_nothing() {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    as_every_user(|name, change| {
        if name.ends_with("1") {
            return;
        }
        for round in 0..lonet_tests::size::of(100) {
            let mark = a_mark(&format!("{name}-{round}"));
            let mut victim = start(
                &mark,
                if round % 2 == 0 { "victim" } else { "idle" },
                change,
            );
            let supervisor = await_supervisor(&mut victim).unwrap();
            // Not to wait for anything: this is the moment.
            let moment = Duration::from_micros(random.hash_one((name, round)) % 60_000);
            std::thread::sleep(moment);
            kill(supervisor, Signal::SIGKILL).unwrap();
            assert!(!victim.wait().unwrap().success());
            if let Err(left) = gone(&mark) {
                end(&left);
                panic!("{name}: killed after {moment:?}, {left:?} are left");
            }
        }
    });
}

#[lonet::test(timeout = "20s")]
#[ignore = "kills its supervisor: another test runs it"]
async fn spawns_while_the_supervisor_dies(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", grows()).await?;
    let supervisor = Pid::from_raw(children_of(std::process::id() as i32)[0]);
    // So that the request is there, and no answer. It is there once the process has its pipe.
    kill(supervisor, Signal::SIGSTOP)?;
    let network = scenario.network().strip_prefix("lonet").unwrap();
    let directory = std::env::temp_dir().join("lonet").join(network);
    let is_asked = || {
        let names = std::fs::read_dir(&directory).unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.any(|name| name.starts_with("output-"))
    };
    assert!(!is_asked());
    let kills = async {
        while !is_asked() {
            tokio::task::yield_now().await;
        }
        kill(supervisor, Signal::SIGKILL)
    };
    let (beta, killed) = tokio::join!(biased; scenario.spawn("β", grows()), kills);
    killed?;
    println!("spawn says: {}", beta.map(drop).unwrap_err());
    Ok(())
}

#[test]
fn a_pending_spawn_fails_when_the_supervisor_dies() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "spawns_while_the_supervisor_dies",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let says = said
        .lines()
        .find(|line| line.contains("spawn says: "))
        .unwrap_or(&said);
    assert!(says.contains("the supervisor has died"), "{says}");
}

fn children_of(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .flat_map(|task| {
            let list = task.unwrap().path().join("children");
            let list = std::fs::read_to_string(list).unwrap_or_default();
            list.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// Whoever inherits an orphan reaps it when it ends: a scenario may see many.
#[lonet::test]
async fn an_orphan_that_ends_is_reaped(scenario: Scenario) -> Result<()> {
    let [until, from] = ["until", "from"].map(|name| scenario.data_dir("α").join(name));
    for fifo in [&until, &from] {
        nix::unistd::mkfifo(fifo, nix::sys::stat::Mode::S_IRWXU)?;
    }
    let shell = Program::new("sh")
        .args(["-c", "(cat \"$0\" > \"$1\" &); exec sleep 1000"])
        .args([&until, &from]);
    let _alpha = scenario.spawn("α", shell).await?;
    // It has its end of this one open, and reads the other one, to its end.
    let _open = tokio::fs::File::open(&from).await?;
    let orphan = loop {
        // The shell first opens it, then makes it the standard output.
        match who_writes(&from).pop() {
            Some(orphan) => break orphan,
            None => tokio::task::yield_now().await,
        }
    };
    drop(std::fs::File::create(&until)?);
    while orphan.exists() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// SIGKILL at a random moment of the victim's life, a hundred times; a thousand with `LONET_FULL=1`.
#[test]
fn nothing_is_left_after_sigkill_at_a_random_moment() {
    use std::hash::{BuildHasher, RandomState};
    let rounds = lonet_tests::size::of(1000);
    let random = RandomState::new();
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let mark = a_mark(&format!("moment-{round}"));
        let mut victim = start_victim(&mark, |_| {});
        // Not to wait for anything: this is the moment.
        let moment = Duration::from_micros(random.hash_one(round) % 40_000);
        std::thread::sleep(moment);
        let _ = victim.kill();
        victim.wait().unwrap();
        match gone(&mark) {
            Ok(after) => slowest = slowest.max(after),
            Err(left) => panic!("killed after {moment:?}, {left:?} are left"),
        }
    }
    println!("{rounds} rounds; all were gone {slowest:?} after the kill at the latest");
}

/// The control: without a supervisor the same tree gets away, and is seen.
#[test]
fn without_a_supervisor_something_is_left() {
    let mark = a_mark("control");
    let mut victim = Command::new("sh")
        .args(["-c", &format!("{TREE}; sleep 1000")])
        .env(MARK, &mark)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = [0; 6];
    victim
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    let left = marked(&mark);
    let mut living = left.clone();
    while !living.is_empty() {
        for pid in living {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        living = marked(&mark);
    }
    assert!(left.len() >= 3, "{left:?}");
}
