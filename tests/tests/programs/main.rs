//! Programs as hosts: what they are given, when `spawn` returns, what becomes of them.
//!
//! Leaves what they may send to the trace socket to `foreign.rs`, and other languages to
//! `two_languages.rs`.

mod carrier;
mod faults;
mod unfit;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use lonet::Host;
use lonet_harness::{ErrorKind, Node, Program, Result, Scenario};
use lonet_tests::processes::who_writes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[lonet::host]
async fn waits(_: Host) {
    std::future::pending::<()>().await;
}

#[lonet::test]
async fn of_a_program_all_is_honoured(scenario: Scenario) -> Result<()> {
    let dir = scenario.data_dir("α").canonicalize()?;
    let program = Program::new("sh")
        .args([
            "-c",
            r#"echo "$0 $1"; pwd; echo "$GIVEN-${HOME-none}"; env | grep -c ^LONET; cat"#,
            "a b",
        ])
        .arg("ü")
        .env("GIVEN", "x y")
        .env_remove("HOME")
        .current_dir(&dir);
    let alpha = scenario.spawn("α", program.clone()).await?;
    alpha.until("α exit 0").await?;
    assert_eq!(
        alpha.log(),
        format!("a b ü\n{}\nx y-none\n0\n", dir.display())
    );
    assert!(alpha.await?.success());
    Ok(())
}

/// A program that knows nothing of lonet must not take them for its own, nor use a proxy.
#[test]
fn variables_are_withheld_from_programs() {
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["tells_its_environment", "--exact", "--ignored"])
        .envs([("LONET_KEEP", "0"), ("http_proxy", "p"), ("ALL_PROXY", "p")])
        .output()
        .unwrap();
    assert!(victim.status.success(), "{victim:?}");
}

#[lonet::test]
#[ignore = "is run by another test"]
async fn tells_its_environment(scenario: Scenario) -> Result<()> {
    let env = Program::new("sh").args(["-c", "env | grep -i 'lonet_\\|_proxy' | sort"]);
    let alpha = scenario.spawn("α", env.clone()).await?;
    alpha.until("α exit 0").await?;
    assert_eq!(alpha.log(), "");
    // What the test itself says holds.
    let told = env.env("LONET_MINE", "1").env("no_proxy", "*");
    let beta = scenario.spawn("β", told).await?;
    beta.until("β exit 0").await?;
    assert_eq!(beta.log(), "LONET_MINE=1\nno_proxy=*\n");
    Ok(())
}

#[lonet::test]
async fn of_a_program_a_cleared_environment_is_honoured(scenario: Scenario) -> Result<()> {
    let program = Program::new("/usr/bin/env")
        .env("GONE", "x")
        .current_dir("/");
    let program = program.env_clear().env("GIVEN", "x");
    let names = |log: &str| {
        let names = log.lines().filter_map(|line| line.split('=').next());
        // Where profiles are written.
        let names = names.filter(|name| *name != "LLVM_PROFILE_FILE");
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    let alpha = scenario.spawn("α", program.clone()).await?;
    alpha.until("α exit 0").await?;
    assert_eq!(names(&alpha.log()), ["GIVEN"]);
    // One that is to join has its place, and this one never takes it.
    let error = scenario.spawn("β", program.joins()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "β (program `/usr/bin/env`) exited with status 0 before its host was up"
    );
    Ok(())
}

#[lonet::test]
async fn a_program_that_joins_finds_its_place(scenario: Scenario) -> Result<()> {
    let places = "import os, lonet; host = lonet.from_env(); print(*sorted(os.environ))";
    let alpha = Program::new("python3")
        .args(["-c", places])
        .env_clear()
        .env("LC_ALL", "C")
        .env(
            "PYTHONPATH",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../lonet/python/src"),
        )
        .joins();
    let alpha = scenario.spawn("α", alpha).await?;
    alpha.until("α exit 0").await?;
    let log = alpha.log();
    let names = log
        .split_whitespace()
        .filter(|name| *name != "LLVM_PROFILE_FILE");
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "LC_ALL",
            "LONET_HOST",
            "LONET_NETWORK",
            "PYTHONPATH",
            "TMPDIR"
        ]
    );
    Ok(())
}

/// A program of this binary that joins: a test that no harness runs.
#[test]
#[ignore = "is a program"]
fn joins_and_stays() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let _host = lonet::from_env().await.unwrap();
        std::future::pending::<()>().await;
    });
}

/// The same of one that ends.
#[test]
#[ignore = "is a program"]
fn joins_and_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _host = runtime.block_on(lonet::from_env()).unwrap();
}

/// A program that joins is waited for until its host is up; any other is not waited for at all.
#[lonet::test(repeat = 5)]
async fn a_program_that_joins_is_up(scenario: Scenario) -> Result<()> {
    let joins = ["joins_and_stays", "--exact", "--ignored"];
    let alpha = Program::new("/proc/self/exe").args(joins).joins();
    let alpha = scenario.spawn("α", alpha).await?;
    scenario
        .trace()
        .with_lifecycle()
        .only_hosts(&["α"])
        .assert("! spawn α\n α up");
    alpha.terminate().await?;
    let sleeps = Program::new("sleep").arg("1000");
    let beta = scenario.spawn("β", sleeps).await?;
    Ok(beta.kill().await?)
}

/// One that starts another that joins for it is up with that one.
#[lonet::test(repeat = 5)]
async fn a_program_may_have_another_join(scenario: Scenario) -> Result<()> {
    let shell = Program::new("sh")
        .args(["-c", "\"$0\" \"$@\"; :"])
        .arg(std::env::current_exe()?)
        .args(["joins_and_stays", "--exact", "--ignored"])
        .joins();
    let alpha = scenario.spawn("α", shell).await?;
    scenario
        .trace()
        .with_lifecycle()
        .only_hosts(&["α"])
        .assert("! spawn α\n α up");
    Ok(alpha.kill().await?)
}

#[lonet::test]
async fn a_terminated_program_gets_sigterm(scenario: Scenario) -> Result<()> {
    let traps = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let alpha = scenario
        .spawn("α", Program::new("sh").args(["-c", traps]))
        .await?;
    while !alpha.log().contains("ready") {
        tokio::task::yield_now().await;
    }
    alpha.terminate().await?;
    assert!(alpha.log().ends_with("asked\n"), "{}", alpha.log());
    assert_eq!(alpha.join().await?.code(), Some(5));
    Ok(())
}

/// What it has started, it may want to end itself.
#[lonet::test]
async fn a_terminated_programs_children_are_not_asked(scenario: Scenario) -> Result<()> {
    let fifo = scenario.data_dir("α").join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    let child = "trap 'echo child asked; exit' TERM; echo ready; read line < \"$0\"; echo told";
    let parent = "trap 'echo done > \"$0\"; wait; exit 5' TERM; sh -c \"$1\" \"$0\" & wait";
    let program = Program::new("sh")
        .args(["-c", parent])
        .arg(&fifo)
        .arg(child);
    let alpha = scenario.spawn("α", program).await?;
    while !alpha.log().contains("ready") {
        tokio::task::yield_now().await;
    }
    alpha.terminate().await?;
    assert_eq!(alpha.log(), "ready\ntold\n");
    assert_eq!(alpha.await?.code(), Some(5));
    Ok(())
}

#[lonet::test]
async fn a_killed_program_does_not_fail_the_test(scenario: Scenario) -> Result<()> {
    let alpha = scenario
        .spawn("α", Program::new("sleep").arg("1000"))
        .await?;
    // The kernel gives it that name after it has begun.
    let name = format!("/proc/{}/comm", alpha.pid());
    while std::fs::read_to_string(&name)? != "sleep\n" {
        tokio::task::yield_now().await;
    }
    alpha.kill().await?;
    assert_eq!(alpha.join().await.unwrap_err().kind(), ErrorKind::Killed);
    Ok(())
}

/// What it started and did not put elsewhere is gone with it.
#[lonet::test]
async fn a_kill_takes_the_process_group(scenario: Scenario) -> Result<()> {
    let fifo = scenario.data_dir("α").join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    let shell = Program::new("sh").args(["-c", "sleep 1000 > \"$0\" & wait"]);
    let alpha = scenario.spawn("α", shell.arg(&fifo)).await?;
    // Opens once the grandchild has it open, and is read to its end when that is gone.
    let mut open = tokio::fs::File::open(&fifo).await?;
    alpha.kill().await?;
    open.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Scripts that start `sleep`, whose output is the pipe `$0`, in different places.
const PLACES: [&str; 4] = [
    // In the shell's group.
    "sleep 1000 > $0 & ",
    // Outside of it, and below an orphan.
    "setsid sleep 1000 > $0 & ",
    "(setsid sh -c 'sleep 1000 > $0; :' $0 &); ",
    // As a daemon does, which gives up its output as well.
    "(setsid sh -c 'sleep 1000 > $0 2>&1; :' $0 > /dev/null 2>&1 &); ",
];

/// A host for each of these, with the directory in `/proc` of that `sleep`; what the shell does then.
async fn in_all_places(
    scenario: &Scenario,
    then: &str,
) -> Result<Vec<(Node<ExitStatus>, PathBuf)>> {
    let mut nodes = Vec::new();
    for (index, script) in PLACES.into_iter().enumerate() {
        let host = format!("h{index}");
        let fifo = scenario.data_dir(&host).join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
        let script = [script, then].concat();
        let shell = Program::new("sh").args(["-c", &script]).arg(&fifo);
        let node = scenario.spawn(&host, shell).await?;
        // Opens once the other end is open, too.
        let open = tokio::fs::File::open(&fifo).await?;
        nodes.push((node, sleeping(&fifo).await));
        drop(open);
    }
    Ok(nodes)
}

/// The `sleep` that prints there.
async fn sleeping(fifo: &Path) -> PathBuf {
    // A shell opens it first.
    let sleeps = |process: &PathBuf| {
        std::fs::read_to_string(process.join("comm")).is_ok_and(|name| name == "sleep\n")
    };
    loop {
        match who_writes(fifo).into_iter().find(sleeps) {
            Some(process) => return process,
            None => tokio::task::yield_now().await,
        }
    }
}

/// Whether it has not ended: what waits to be reaped has no program any more.
fn runs(process: &Path) -> bool {
    process.join("exe").read_link().is_ok()
}

#[lonet::test]
async fn a_kill_takes_all_that_a_program_started(scenario: Scenario) -> Result<()> {
    let nodes = in_all_places(&scenario, "exec sleep 1000").await?;
    for (at, (node, sleeps)) in nodes.iter().enumerate() {
        assert!(runs(sleeps), "{:?}", PLACES[at]);
        node.kill().await?;
        assert!(!runs(sleeps), "{:?}", PLACES[at]);
    }
    Ok(())
}

/// A program's host ends with the process that was started.
#[lonet::test]
async fn what_a_program_leaves_ends_with_it(scenario: Scenario) -> Result<()> {
    let wait = "until test -e ${0%fifo}go; do sleep 0.01; done; exit 3";
    let nodes = in_all_places(&scenario, wait).await?;
    for (at, (node, sleeps)) in nodes.into_iter().enumerate() {
        assert!(runs(&sleeps), "{:?}", PLACES[at]);
        std::fs::write(scenario.data_dir(&format!("h{at}")).join("go"), "")?;
        assert_eq!(node.await?.code(), Some(3));
        assert!(!runs(&sleeps), "{:?}", PLACES[at]);
    }
    Ok(())
}

/// What goes on when a program that joins has ended, a kill still reaches.
#[lonet::test]
async fn a_kill_takes_what_a_program_that_joins_has_left(scenario: Scenario) -> Result<()> {
    let fifo = scenario.data_dir("α").join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    let script = "sleep 1000 > $0 & \"$1\" joins_and_ends --exact --ignored";
    let shell = Program::new("sh").args(["-c", script]).arg(&fifo);
    let shell = shell.arg(std::env::current_exe()?).joins();
    let alpha = scenario.spawn("α", shell).await?;
    let _open = tokio::fs::File::open(&fifo).await?;
    let sleeps = sleeping(&fifo).await;
    alpha.until("α exit 0").await?;
    assert!(runs(&sleeps));
    alpha.kill().await?;
    assert!(!runs(&sleeps));
    Ok(())
}

#[lonet::test]
async fn a_restart_leaves_nothing_of_the_program_before(scenario: Scenario) -> Result<()> {
    let fifo = scenario.data_dir("α").join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    // The second time there is a file, and no pipe to wait for.
    let script = "test -e $0.run && exec sleep 1000; touch $0.run; setsid sleep 1000 > $0 & wait";
    let shell = Program::new("sh").args(["-c", script]).arg(&fifo);
    let alpha = scenario.spawn("α", shell).await?;
    let _open = tokio::fs::File::open(&fifo).await?;
    let sleeps = sleeping(&fifo).await;
    alpha.restart().await?;
    assert!(!runs(&sleeps));
    Ok(alpha.kill().await?)
}

#[lonet::test]
async fn a_pause_stops_all_that_a_program_started(scenario: Scenario) -> Result<()> {
    let nodes = in_all_places(&scenario, "exec sleep 1000").await?;
    let state = |process: &Path| {
        let stat = std::fs::read_to_string(process.join("stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1[..1].to_owned()
    };
    // They have the signal when the call returns, and act on it at their next moment.
    for (node, sleeps) in &nodes {
        node.pause().await?;
        while state(sleeps) != "T" {
            tokio::task::yield_now().await;
        }
        node.resume().await?;
        while state(sleeps) == "T" {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// What a status means, only the test knows.
#[lonet::test]
async fn no_status_of_a_program_fails_a_test(scenario: Scenario) -> Result<()> {
    for (host, script, exit) in [
        ("α", "exit 1", "α exit 1"),
        ("β", "kill -KILL $$", "β exit signal 9"),
    ] {
        let program = Program::new("sh").args(["-c", script]);
        let node = scenario.spawn(host, program).await?;
        node.until(exit).await?;
    }
    // Calls that wait for something else don't return the failure.
    scenario.host("γ").await?.mark("here");
    scenario.until("γ mark here").await?;
    Ok(())
}

#[lonet::test]
async fn execution_errors_name_the_cause(scenario: Scenario) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = scenario.data_dir("α");
    let file = |name: &str, content: &str, mode: u32| -> std::io::Result<_> {
        let file = dir.join(name);
        std::fs::write(&file, content)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
        Ok(file)
    };
    let plain = file("plain", "#!/bin/sh\n", 0o644)?;
    let script = file("script", "#!/no/such/interpreter\n", 0o755)?;
    let at = dir.display();
    for (program, expected) in [
        (
            Program::new(&plain),
            format!("{at}/plain is not executable: permission denied"),
        ),
        (Program::new(&dir), format!("{at} is a directory")),
        (
            Program::new("./plain").current_dir(&dir),
            format!("{at}/./plain is not executable: permission denied"),
        ),
        (
            Program::new("./gone").current_dir(&dir),
            format!("no such file: {at}/./gone"),
        ),
        (
            Program::new("no-such-program"),
            "no such program in PATH".to_owned(),
        ),
        (
            Program::new("plain").env("PATH", &dir),
            "the only such program in PATH is not executable: permission denied".to_owned(),
        ),
        (
            Program::new(&script),
            "its interpreter, named in its first line or its ELF header, does not exist".to_owned(),
        ),
        (
            Program::new("true").current_dir(dir.join("gone")),
            format!("its working directory {at}/gone: No such file or directory (os error 2)"),
        ),
        (
            Program::new("true").current_dir(&plain),
            format!("its working directory {at}/plain is a file"),
        ),
        (
            Program::new("true").arg("a\0b"),
            "nul byte found in provided data".to_owned(),
        ),
    ] {
        let error = scenario.spawn("α", program).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        let text = error.to_string();
        let (_, why) = text.split_once(" could not be started: ").unwrap();
        assert_eq!(why, expected);
    }
    // The name is free again.
    scenario.spawn("α", waits()).await?;
    Ok(())
}
