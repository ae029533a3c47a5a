//! What the harness promises of processes, in small: one promise a test.
//!
//! Pages of failures are in `failing`, trees of processes in `supervision`.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::path::PathBuf;
use std::process::Command;

use lonet::Host;
use lonet_harness::{ErrorKind, Program, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[lonet::host]
async fn waits(host: Host) {
    host.mark("waits");
    std::future::pending::<()>().await;
}

/// Fails as soon as its peer hangs up.
#[lonet::host]
async fn reads(host: Host) -> Result<u8> {
    let mut conn = host.listen(":10").await?.accept().await?;
    host.mark("reads");
    Ok(conn.read_u8().await?)
}

#[lonet::host]
async fn counts(host: Host, dir: PathBuf) -> Result<()> {
    let file = dir.join("count");
    let before: u32 = std::fs::read_to_string(&file).map_or(0, |text| text.parse().unwrap());
    std::fs::write(&file, (before + 1).to_string())?;
    let listener = host.listen("").await?;
    host.mark(format!("start {before} at {}", listener.addr()));
    std::future::pending().await
}

/// Nodes that still run when the body returns are stopped, and don't fail, whatever they make of
/// it that the test's own host is closed.
#[lonet::test(repeat = 20)]
async fn failures_caused_by_the_teardown_do_not_count(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", reads()).await?;
    scenario.until("α:10 listen").await?;
    let conn = scenario.host("τ").await?.dial("α:10").await?;
    scenario.until("α mark reads").await?;
    // It is closed with the host, after the body.
    std::mem::forget(conn);
    Ok(())
}

/// What the body had is dropped before it returns, and a role that fails of it may be gone by
/// then; here it is, since the body's last drop waits for that.
#[lonet::test(repeat = 5)]
async fn failures_caused_by_the_last_drops_do_not_count(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", reads()).await?;
    let _waits_for_the_end = UntilDropped(scenario.clone(), "α exit 1");
    scenario.until("α:10 listen").await?;
    let _conn = scenario.host("τ").await?.dial("α:10").await?;
    scenario.until("α mark reads").await?;
    Ok(())
}

/// The control: the same role fails of something else while the body still runs.
#[lonet::test]
#[should_panic(expected = ") returned an error: ")]
async fn what_fails_before_the_bodys_end_is_a_failure(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", reads()).await?;
    scenario.until("α:10 listen").await?;
    let conn = scenario.host("τ").await?.dial("α:10").await?;
    let _held = scenario.host("σ").await?.listen(":1").await?;
    scenario.until("α mark reads").await?;
    drop(conn);
    // Whoever waits learns of it; what the body then drops changes nothing.
    while scenario.until("β mark never").await.is_ok() {}
    Ok(())
}

/// Waits for an event when it is dropped.
struct UntilDropped(Scenario, &'static str);

impl Drop for UntilDropped {
    fn drop(&mut self) {
        let (scenario, event) = (self.0.clone(), self.1);
        let waiting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            // Also when it says that α has failed, that has been heard.
            drop(runtime.unwrap().block_on(scenario.until(event)));
        });
        waiting.join().unwrap();
    }
}

#[lonet::test]
async fn to_pause_what_is_paused_changes_nothing(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", waits()).await?;
    alpha.resume().await?;
    alpha.pause().await?;
    alpha.pause().await?;
    alpha.resume().await?;
    alpha.resume().await?;
    alpha.pause().await?;
    alpha.kill().await?;
    assert_eq!(alpha.join().await.unwrap_err().kind(), ErrorKind::Killed);
    Ok(())
}

#[lonet::test]
async fn a_paused_node_can_be_terminated(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", waits()).await?;
    alpha.pause().await?;
    alpha.terminate().await?;
    assert_eq!(alpha.join().await.unwrap_err().kind(), ErrorKind::Killed);
    Ok(())
}

#[lonet::test]
async fn a_restart_begins_anew_but_for_its_data(scenario: Scenario) -> Result<()> {
    let dir = scenario.data_dir("α");
    let alpha = scenario.spawn("α", counts(dir.clone())).await?;
    alpha.until("α mark start 0 at α:1").await?;
    alpha.restart().await?;
    alpha.until("α mark start 1 at α:1").await?;
    alpha.kill().await?;
    alpha.restart().await?;
    alpha.until("α mark start 2 at α:1").await?;
    alpha.terminate().await?;
    assert_eq!(std::fs::read_to_string(dir.join("count"))?, "3");
    scenario.trace().assert_contains(
        "α mark start 0 at α:1
         ! restart α
         α mark start 1 at α:1
         ! kill α
         ! restart α
         α mark start 2 at α:1
         ! terminate α",
    );
    Ok(())
}

/// What the test's own host does is ordered with what its processes do, by its bytes and theirs.
#[lonet::test]
async fn the_tests_own_host_is_traced_with_its_causes(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn echoes(host: Host) -> Result<()> {
        let mut conn = host.listen(":10").await?.accept().await?;
        let byte = conn.read_u8().await?;
        host.mark("read");
        conn.write_u8(byte).await?;
        Ok(())
    }
    let alpha = scenario.spawn("α", echoes()).await?;
    scenario.until("α:10 listen").await?;
    let tau = scenario.host("τ").await?;
    let mut conn = tau.dial("α:10").await?;
    tau.mark("before");
    conn.write_u8(7).await?;
    assert_eq!(conn.read_u8().await?, 7);
    tau.mark("after");
    // Without a `join`: what α did before it wrote is known by what was read.
    scenario
        .trace()
        .only_verbs(&[lonet_harness::Verb::Mark])
        .assert(
            "τ mark before
         α mark read
         τ mark after",
        );
    alpha.join().await?;
    Ok(())
}

#[lonet::test]
async fn nothing_happened(scenario: Scenario) -> Result<()> {
    assert_eq!(scenario.trace().events().len(), 0);
    scenario.assert_trace("");
    assert!(scenario.check_trace("α:1 listen").is_err());
    Ok(())
}

#[lonet::test]
async fn several_are_spawned_at_once(scenario: Scenario) -> Result<()> {
    let (alpha, beta) =
        tokio::try_join!(scenario.spawn("α", waits()), scenario.spawn("β", waits()))?;
    tokio::try_join!(alpha.until("α mark waits"), beta.until("β mark waits"))?;
    let (one, two) = tokio::join!(alpha.kill(), beta.kill());
    Ok(one.and(two)?)
}

/// Of two that want one name at once, one gets it.
#[lonet::test]
async fn one_name_has_one_process(scenario: Scenario) -> Result<()> {
    let (one, two) = tokio::join!(scenario.spawn("α", waits()), scenario.spawn("α", waits()));
    assert!(one.is_ok() != two.is_ok());
    Ok(())
}

/// Nothing of a role is to be read in its environment, and a ticket is good once.
#[lonet::test]
async fn the_environment_holds_a_ticket_alone(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn environment(_: Host, _secret: String) -> String {
        let environment = std::fs::read("/proc/self/environ").unwrap();
        String::from_utf8_lossy(&environment).replace('\0', "\n")
    }
    let alpha = scenario.spawn("α", environment("s3cret".into())).await?;
    let text = alpha.join().await?;
    assert!(
        !text.contains("s3cret") && !text.contains("environment("),
        "{text}"
    );
    let own = text.lines().filter(|line| {
        let name = line.split('=').next().unwrap();
        name.starts_with("LONET_") && std::env::var_os(name).is_none()
    });
    let mut own: Vec<&str> = own.filter_map(|line| line.split('=').next()).collect();
    own.sort_unstable();
    assert_eq!(own, ["LONET_HOST", "LONET_NETWORK", "LONET_TICKET"]);
    Ok(())
}

/// What still runs when the body has ended is asked to finish before it is killed.
#[test]
fn what_is_left_over_is_asked_to_finish() {
    let place = lonet_tests::tmp::Tmp::new().unwrap();
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["leaves_one_over", "--exact", "--ignored"])
        .current_dir(place.path())
        // However slow this machine is.
        .env("LONET_TIMEOUT", "60")
        .output()
        .unwrap();
    assert!(victim.status.success(), "{victim:?}");
    let said = std::fs::read_to_string(place.path().join("said")).unwrap();
    assert_eq!(said, "asked\n");
}

#[lonet::test]
#[ignore = "is run by another test"]
async fn leaves_one_over(scenario: Scenario) -> Result<()> {
    let fifo = scenario.data_dir("α").join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    let traps = r#"trap 'echo asked > said; exit 0' TERM
        : > "$0"
        while :; do sleep 0.01; done"#;
    let shell = Program::new("sh").args(["-c", traps]).arg(&fifo);
    let _alpha = scenario.spawn("α", shell).await?;
    tokio::fs::File::open(&fifo).await?;
    Ok(())
}

/// In its PID namespace every scenario has the same pids.
#[test]
fn each_process_has_a_profile_of_its_own() {
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["tell_their_profiles", "--exact", "--ignored"])
        .env("LLVM_PROFILE_FILE", "/nowhere/%p.profraw")
        .output()
        .unwrap();
    assert!(victim.status.success(), "{victim:?}");
}

#[lonet::test]
#[ignore = "is run by another test"]
async fn tell_their_profiles(scenario: Scenario) -> Result<()> {
    let mut profiles = std::collections::BTreeSet::new();
    for host in ["α", "β"] {
        let shell = Program::new("sh").args(["-c", "echo $LLVM_PROFILE_FILE"]);
        let node = scenario.spawn(host, shell).await?;
        node.until("_ exit 0").await?;
        let network = scenario.network().trim_start_matches("lonet");
        let (begin, profile) = (format!("/nowhere/%p-{network}-"), node.log());
        assert!(profile.starts_with(&begin), "{profile}");
        assert!(profiles.insert(profile), "{profiles:?}");
    }
    Ok(())
}

/// A panic in a task whose handle nobody awaits fails the role, and it says where.
#[lonet::test]
async fn a_panic_in_a_task_has_a_place(scenario: Scenario) -> Result<()> {
    #[lonet::host(worker_threads = 2)]
    async fn panics_later(host: Host) -> Result<()> {
        let _listener = host.listen(":10").await?;
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            panic!("late {}", 7);
        });
        std::future::pending().await
    }
    let alpha = scenario.spawn("α", panics_later()).await?;
    let error = alpha.join().await.unwrap_err().to_string();
    assert!(
        error.contains("panicked at tests/tests/contract.rs:"),
        "{error}"
    );
    assert!(error.ends_with(": late 7"), "{error}");
    Ok(())
}

/// What the role's own future catches is its own affair. What a task or a thread catches is not
/// known to be caught, and counts.
#[lonet::test]
async fn a_panic_that_the_role_catches(scenario: Scenario) -> Result<()> {
    fn panics() -> bool {
        std::panic::catch_unwind(|| panic!("caught")).is_err()
    }
    #[lonet::host]
    async fn catches(_: Host) -> bool {
        let caught = panics();
        tokio::task::yield_now().await;
        caught && panics()
    }
    #[lonet::host]
    async fn catches_in_a_task(_: Host) -> Result<bool> {
        Ok(tokio::spawn(async { panics() }).await?)
    }
    #[lonet::host]
    async fn catches_and_panics(_: Host) {
        panics();
        panic!("not caught");
    }
    assert!(scenario.spawn("α", catches()).await?.join().await?);
    let alpha = scenario.spawn("α", catches_in_a_task()).await?;
    let error = alpha.join().await.unwrap_err().to_string();
    assert!(error.ends_with(": caught"), "{error}");
    let alpha = scenario.spawn("α", catches_and_panics()).await?;
    let error = alpha.join().await.unwrap_err().to_string();
    assert!(error.ends_with(": not caught"), "{error}");
    Ok(())
}

#[lonet::test]
async fn a_dead_hosts_name_is_free_for_the_test_too(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", waits()).await?;
    assert!(scenario.host("α").await.is_err());
    alpha.kill().await?;
    let own = scenario.host("α").await?;
    own.close().await?;
    Ok(())
}

/// Every event of an operation that returned is in the trace, though the process is killed in the
/// next instant. A hundred times; a thousand with `LONET_FULL=1`.
#[lonet::test(timeout = "5m")]
async fn events_before_a_kill_are_recorded(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn dials_and_dies(host: Host) -> Result<()> {
        let mut conn = host.dial("τ:10").await?;
        let pid = nix::unistd::Pid::this();
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL)?;
        conn.write_u8(0).await?;
        Ok(())
    }
    let rounds = lonet_tests::size::of(1000);
    let listener = scenario.host("τ").await?.listen(":10").await?;
    for _ in 0..rounds {
        let beta = scenario.spawn("β", dials_and_dies()).await?;
        let mut conn = listener.accept().await?;
        assert!(matches!(conn.read(&mut [0]).await, Ok(0) | Err(_)));
        beta.join().await.unwrap_err();
    }
    let trace = scenario.trace();
    let count = |line: &str| {
        let events = trace.events().iter();
        events.filter(|event| event.to_string() == line).count()
    };
    assert_eq!(count("β:1 dial τ:10"), rounds);
    assert_eq!(count("β:1 connect τ:1"), rounds);
    println!("{rounds} killed right after `dial` returned: all their events are there");
    Ok(())
}

/// What the peer did before it closed comes before what is done after a reset was read, as after an
/// end.
#[lonet::test]
async fn a_reset_is_an_end(scenario: Scenario) -> Result<()> {
    let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    let listener = alpha.listen(":10").await?;
    let (written, is_written) = tokio::sync::oneshot::channel::<()>();
    let closing = tokio::spawn(async move {
        let conn = listener.accept().await;
        // What nobody has read is there now, so that the close is a reset.
        let _ = is_written.await;
        drop(conn);
    });
    let mut conn = beta.dial("α:10").await?;
    conn.write_all(b"x").await?;
    let _ = written.send(());
    closing.await?;
    let error = conn.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    beta.mark("reset");
    let trace = scenario.trace();
    let event = |line: &str| {
        let mut events = trace.events().iter();
        events.find(|event| event.to_string() == line)
    };
    let closed = event("α:1 close β:1").expect("the close is in the past of what came of it");
    let reset = event("β mark reset").unwrap();
    assert!(trace.happens_before(closed, reset));
    Ok(())
}
