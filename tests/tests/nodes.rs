//! What a test may do with its nodes, and what it learns of their ends.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::task::{Context, Poll, Waker};

use lonet::Host;
use lonet_harness::{Error, ErrorKind, Program, Result, Scenario};

#[lonet::host]
async fn says(host: Host, text: String) -> Result<String> {
    host.mark(&text);
    Ok(format!("said {text}"))
}

#[lonet::host]
async fn waits(host: Host) {
    host.mark("waits");
    std::future::pending::<()>().await;
}

#[lonet::host]
async fn panics(_host: Host) {
    panic!("boom");
}

#[lonet::host]
async fn panics_in_a_task(_host: Host) {
    tokio::spawn(async { panic!("boom in a task") });
    std::future::pending::<()>().await;
}

#[lonet::host]
async fn exits(_host: Host, status: i32) {
    std::process::exit(status);
}

#[lonet::host]
async fn fails(_host: Host) -> Result<()> {
    Err("no quorum".into())
}

#[lonet::host]
async fn prints(_host: Host, megabytes: usize) {
    use std::io::Write as _;
    let line = [b'x'; 1023];
    let mut out = std::io::stdout().lock();
    for _ in 0..megabytes * 1024 {
        out.write_all(&line).unwrap();
        out.write_all(b"\n").unwrap();
    }
    drop(out);
    eprintln!("done");
}

#[lonet::test]
async fn a_role_returns_a_value(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", says("hello".into())).await?;
    assert_eq!(alpha.join().await?, "said hello");
    scenario.until("α mark hello").await?;
    Ok(())
}

/// Also one that is not UTF-8; for root, and for an ordinary user.
#[test]
fn a_directory_for_temporary_files_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    let tmp = lonet_tests::tmp::Tmp::new().unwrap();
    let odd = tmp.path().join(std::ffi::OsStr::from_bytes(b"odd \xff"));
    std::fs::create_dir(&odd).unwrap();
    std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o1777)).unwrap();
    for uid in [None, Some(65534)] {
        // Not by its path: that may be out of reach for another user.
        let mut copy = std::process::Command::new("/proc/self/exe");
        copy.args(["--exact", "a_role_returns_a_value"])
            .env("TMPDIR", &odd);
        if let (Some(uid), true) = (uid, nix::unistd::geteuid().is_root()) {
            copy.uid(uid).gid(uid).env("LONET_ARTIFACTS", tmp.path());
        }
        let output = copy.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

#[lonet::test]
async fn arguments_may_be_megabytes(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn length(_host: Host, text: String) -> usize {
        text.len()
    }
    let alpha = scenario.spawn("α", length("x".repeat(5 << 20))).await?;
    assert_eq!(alpha.join().await?, 5 << 20);
    Ok(())
}

/// As in any Rust program, though its `main` is never reached.
#[lonet::test]
async fn a_broken_pipe_does_not_kill_a_role(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn writes(_host: Host) -> Result<(String, String)> {
        use std::io::Write as _;
        let (reader, mut writer) = std::io::pipe()?;
        drop(reader);
        let error = writer.write(b"x").unwrap_err();
        let status = std::fs::read_to_string("/proc/thread-self/status")?;
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        Ok((error.kind().to_string(), blocked.unwrap().trim().to_owned()))
    }
    let (error, blocked) = scenario.spawn("α", writes()).await?.join().await?;
    assert_eq!(error, "broken pipe");
    assert_eq!(blocked, "0000000000000000");
    Ok(())
}

#[lonet::test]
async fn a_killed_node_does_not_fail_the_test(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", waits()).await?;
    scenario.until("α mark waits").await?;
    alpha.kill().await?;
    scenario.until("! kill α").await?;
    let error = alpha.join().await.unwrap_err();
    assert_eq!((error.kind(), error.host()), (ErrorKind::Killed, Some("α")));
    Ok(())
}

#[lonet::test]
async fn a_panicked_role_exits_101(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", panics()).await?;
    // A failure that has been looked at counts as returned.
    assert!(alpha.join().await.is_err());
    assert_eq!(scenario.trace().with_lifecycle().count("α exit 101")?, 1);
    Ok(())
}

/// What it died of was not the scenario's doing.
#[lonet::test]
async fn killing_a_dead_process_does_not_hide_its_failure(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", exits(3)).await?;
    // Its answer may be the failure; either way the end is known.
    let _ = alpha.until("α exit 3").await;
    alpha.kill().await?;
    let error = alpha.join().await.unwrap_err();
    assert_eq!((error.kind(), error.host()), (ErrorKind::Failed, Some("α")));
    Ok(())
}

#[lonet::test]
async fn a_terminated_node_does_not_fail_the_test(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", waits()).await?;
    alpha.terminate().await?;
    let trace = scenario.trace().with_lifecycle();
    let lines: Vec<String> = trace.events().iter().map(ToString::to_string).collect();
    assert!(lines.contains(&"α down".to_owned()), "{lines:?}");
    assert!(lines.contains(&"α exit 0".to_owned()), "{lines:?}");
    let error = alpha.join().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Killed);
    Ok(())
}

#[lonet::test]
async fn a_paused_node_goes_on(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", waits()).await?;
    alpha.pause().await?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", alpha.pid()))?;
    assert!(stat.rsplit(')').next().unwrap().starts_with(" T"), "{stat}");
    alpha.resume().await?;
    alpha.terminate().await?;
    Ok(())
}

#[lonet::test]
async fn a_restarted_node_is_another_process(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", waits()).await?;
    let first = alpha.pid();
    alpha.until("α mark waits").await?;
    alpha.restart().await?;
    assert_ne!(alpha.pid(), first);
    alpha.until("α mark waits").await?;
    Ok(())
}

#[track_caller]
fn check(error: &Error, expected: &str) {
    assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
    assert_eq!(unplaced(&error.to_string()), expected);
}

/// Without the line at which the role stands; that it is said must be so where `…` is expected.
fn unplaced(text: &str) -> String {
    let Some((before, rest)) = text.split_once("tests/tests/nodes.rs:") else {
        return text.to_owned();
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}…{rest}")
}

#[lonet::test]
async fn a_failure_says_what_failed(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", fails()).await?;
    check(
        &alpha.join().await.unwrap_err(),
        "α (role `fails`, …) returned an error: no quorum",
    );
    let alpha = scenario.spawn("α", exits(3)).await?;
    let expected = "α (role `exits`, …) exited with status 3 before its role returned";
    check(&alpha.join().await.unwrap_err(), expected);
    let alpha = scenario.spawn("α", panics()).await?;
    let error = alpha.join().await.unwrap_err().to_string();
    assert!(
        error.starts_with("α (role `panics`) panicked at tests/tests/nodes.rs:"),
        "{error}"
    );
    assert!(error.ends_with(": boom"), "{error}");
    let alpha = scenario.spawn("α", panics_in_a_task()).await?;
    let error = alpha.join().await.unwrap_err().to_string();
    assert!(error.ends_with(": boom in a task"), "{error}");
    Ok(())
}

#[lonet::test]
async fn a_stranger_kills(scenario: Scenario) -> Result<()> {
    use nix::sys::signal::{Signal, kill};
    let alpha = scenario.spawn("α", waits()).await?;
    kill(
        nix::unistd::Pid::from_raw(alpha.pid() as i32),
        Signal::SIGKILL,
    )?;
    let expected = "α (role `waits`, …) was killed by signal 9 (SIGKILL) before its role returned";
    check(&alpha.join().await.unwrap_err(), expected);
    Ok(())
}

#[lonet::test]
async fn until_returns_the_failure_of_a_node(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", fails()).await?;
    let error = scenario.until("β mark never").await.unwrap_err();
    check(&error, "α (role `fails`, …) returned an error: no quorum");
    alpha.join().await.unwrap_err();
    Ok(())
}

#[lonet::test]
async fn output_is_drained_and_bounded(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", prints(100)).await?;
    alpha.until("α down").await?;
    let log = alpha.log();
    assert!(log.len() < 3 << 20, "{}", log.len());
    assert!(log.ends_with("done\n"));
    Ok(alpha.join().await?)
}

#[lonet::test]
async fn a_program_has_a_status(scenario: Scenario) -> Result<()> {
    let program = Program::new("sh").args(["-c", "echo one; echo more >/dev/stdout; exit 7"]);
    let alpha = scenario.spawn("α", program).await?;
    alpha.until("α exit 7").await?;
    assert_eq!(alpha.log(), "one\nmore\n");
    assert_eq!(alpha.await?.code(), Some(7));
    Ok(())
}

#[lonet::test]
async fn start_errors_name_the_cause(scenario: Scenario) -> Result<()> {
    let missing = Program::new("/no/such");
    let error = scenario.spawn("α", missing).await.unwrap_err();
    check(
        &error,
        "α (program `/no/such`) could not be started: no such file: /no/such",
    );
    let error = scenario
        .spawn("a:b", waits())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("illegal host name \"a:b\": invalid name"),
        "{error}"
    );
    let alpha = scenario.spawn("α", waits()).await?;
    let error = scenario.spawn("α", waits()).await.unwrap_err().to_string();
    let pid = alpha.pid();
    assert_eq!(
        error,
        format!(
            "α (role `waits`) could not be started: another process of this scenario plays α (pid {pid})"
        )
    );
    Ok(())
}

/// Its task would go round for ever once the host is closed.
#[lonet::test]
async fn a_task_that_accepts_whatever_the_error_keeps_no_role(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn serves(host: Host, returns: bool) -> Result<u8> {
        let listener = host.listen(":10").await?;
        tokio::spawn(async move {
            loop {
                let _ = listener.accept().await;
            }
        });
        tokio::task::yield_now().await;
        host.mark("serves");
        match returns {
            true => Ok(7),
            false => std::future::pending().await,
        }
    }
    let alpha = scenario.spawn("α", serves(true)).await?;
    assert_eq!(alpha.join().await?, 7);
    let alpha = scenario.spawn("α", serves(false)).await?;
    alpha.until("α mark serves").await?;
    alpha.terminate().await?;
    // It closed its host itself, rather than being killed.
    scenario
        .trace()
        .only_hosts(&["α"])
        .with_lifecycle()
        .assert_contains("! terminate α\nα down\nα exit 0");
    Ok(())
}

#[lonet::test]
async fn a_node_outlives_the_thread_that_spawned_it(scenario: Scenario) -> Result<()> {
    let other = scenario.clone();
    let spawning = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(other.spawn("α", waits())).unwrap()
    });
    let alpha = spawning.join().unwrap();
    alpha.until("α mark waits").await?;
    alpha.pause().await?;
    alpha.resume().await?;
    Ok(())
}

#[lonet::test(timeout = "300ms")]
#[should_panic(expected = "it did not end within 0.3 s")]
async fn a_deadline_passes(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", waits()).await?;
    Ok(alpha.join().await?)
}

#[lonet::test]
#[should_panic(expected = ") returned an error: no quorum")]
async fn an_unjoined_failure_fails_the_test(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", fails()).await?;
    let beta = scenario.spawn("β", waits()).await?;
    while scenario.until("β mark never").await.is_ok() {}
    drop(beta);
    Ok(())
}

#[lonet::test]
async fn a_grandchild_finds_a_spent_ticket(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn runs_itself(_host: Host) -> String {
        let itself = std::process::Command::new("/proc/self/exe")
            .arg("--list")
            .output()
            .unwrap();
        String::from_utf8(itself.stdout).unwrap()
    }
    let alpha = scenario.spawn("α", runs_itself()).await?;
    let listed = alpha.join().await?;
    assert!(
        listed.contains("a_grandchild_finds_a_spent_ticket: test"),
        "{listed}"
    );
    Ok(())
}

/// What a program with a `main` of its own calls.
#[test]
fn a_scenario_runs_outside_of_a_test() {
    let ran = lonet_harness::run("main", |scenario: Scenario| async move {
        let alpha = scenario.spawn("α", says("hello".into())).await?;
        assert_eq!(alpha.join().await?, "said hello");
        Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    });
    ran.unwrap();
    let failed = lonet_harness::run("main", |scenario: Scenario| async move {
        scenario.spawn("α", fails()).await?.join().await
    });
    let error = failed.unwrap_err().to_string();
    assert_eq!(
        unplaced(&error),
        "α (role `fails`, …) returned an error: no quorum"
    );
}

/// Also of an error of the test's own, in no box.
#[test]
fn a_scenario_outside_of_a_test_lists_every_source() {
    #[derive(Debug)]
    struct Unreadable(std::io::Error);
    impl std::fmt::Display for Unreadable {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("reading the config")
        }
    }
    impl std::error::Error for Unreadable {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let failed = lonet_harness::run("main", |_: Scenario| async {
        Err::<(), _>(Unreadable(std::io::Error::other("disk on fire")))
    });
    let error = failed.unwrap_err();
    assert_eq!(error.to_string(), "reading the config: disk on fire");
    let failed = lonet_harness::run("main", |_: Scenario| async { Err::<(), _>("late") });
    assert_eq!(failed.unwrap_err().to_string(), "late");
    let failed = lonet_harness::run("main", |_: Scenario| async {
        let error = std::io::Error::other("disk on fire");
        Err::<(), _>(anyhow::Error::from(error).context("reading the config"))
    });
    let error = failed.unwrap_err();
    assert_eq!(error.to_string(), "reading the config: disk on fire");
}

#[lonet::test]
async fn a_role_starts_no_scenario(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn starts(_host: Host) -> String {
        // On a thread of its own: a runtime can't start inside another.
        let run = || lonet_harness::run("inner", |_: Scenario| async {});
        std::thread::spawn(move || run().unwrap_err().to_string())
            .join()
            .unwrap()
    }
    let alpha = scenario.spawn("α", starts()).await?;
    assert_eq!(
        alpha.join().await?,
        "a role can't run a scenario of its own: only the test's process can start others"
    );
    Ok(())
}

#[lonet::test]
async fn a_host_in_the_tests_own_process(scenario: Scenario) -> Result<()> {
    let gamma = scenario.host("γ").await?;
    gamma.mark("here");
    scenario.until("γ mark here").await?;
    let error = scenario.spawn("γ", waits()).await.unwrap_err().to_string();
    assert_eq!(error, "the test's own process already plays γ");
    scenario.assert_trace("γ mark here");
    Ok(())
}

#[lonet::test]
async fn a_role_waits_for_an_event(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn follows(host: Host) -> Result<()> {
        let event = lonet_harness::until("α mark go").await?;
        assert_eq!(event.text(), "go");
        host.mark("went");
        Ok(())
    }
    let beta = scenario.spawn("β", follows()).await?;
    let alpha = scenario.spawn("α", says("go".into())).await?;
    beta.join().await?;
    alpha.join().await?;
    scenario.assert_trace(
        "α mark go
         β mark went",
    );
    Ok(())
}

#[lonet::test]
async fn until_after_looks_past_an_event(scenario: Scenario) -> Result<()> {
    let first = scenario.spawn("α", says("go".into())).await?;
    let event = scenario.until("α mark go").await?;
    first.join().await?;
    let second = scenario.spawn("α", says("go".into())).await?;
    let later = scenario.until_after(&event, "α mark go").await?;
    assert_ne!(event, later);
    second.join().await?;
    Ok(())
}

/// What a task of the body holds is dropped with the runtime; by then the test has left the network.
#[test]
fn the_tests_hosts_close_before_its_tasks_are_dropped() {
    static LISTENED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

    struct ListensWhenDropped(lonet::Host);

    impl Drop for ListensWhenDropped {
        fn drop(&mut self) {
            let mut listening = std::pin::pin!(self.0.listen(""));
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(listened) = listening.as_mut().poll(&mut cx) {
                let _ = LISTENED.set(listened.map_or_else(
                    |error| error.cause().to_string(),
                    |listener| listener.addr().to_string(),
                ));
            }
        }
    }

    let ran = lonet_harness::run("leaves", |scenario: Scenario| async move {
        let held = ListensWhenDropped(scenario.host("τ").await?);
        tokio::spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        Ok::<_, lonet_harness::Error>(())
    });
    ran.unwrap();
    assert_eq!(LISTENED.get().map(String::as_str), Some("network is down"));
}
