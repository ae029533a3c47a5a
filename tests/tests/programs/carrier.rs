//! The process that carries programs: what it reports for them, and its death.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use lonet_tests::tmp::Tmp;
use lonet_tests::victim;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

/// The host of a program is up before the program runs, and down once nothing of it does.
#[lonet::test(repeat = 5)]
async fn a_programs_host_is_up_while_it_runs(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", Program::new("true")).await?;
    scenario.trace().with_lifecycle().assert("! spawn α\nα up");
    assert!(alpha.await?.success());
    let trace = scenario.trace().with_lifecycle();
    trace.assert("! spawn α\nα up\nα down\nα exit 0");
    Ok(())
}

/// Each program has its own reporter, though all are carried by one process.
#[lonet::test]
async fn events_belong_to_their_program(scenario: Scenario) -> Result<()> {
    let sleeps = Program::new("sleep").arg("1000");
    let alpha = scenario.spawn("α", sleeps.clone()).await?;
    let beta = scenario.spawn("β", sleeps).await?;
    alpha.until("α up").await?;
    beta.until("β up").await?;
    alpha.restart().await?;
    alpha.until("α up").await?;
    assert_ne!(alpha.pid(), beta.pid());
    let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
    while name(alpha.pid())? != "sleep\n" {
        tokio::task::yield_now().await;
    }
    beta.kill().await?;
    Ok(alpha.kill().await?)
}

#[lonet::test]
async fn an_event_of_a_program_kills_it(scenario: Scenario) -> Result<()> {
    use lonet_harness::fault::kill;
    let killed = scenario.inject(kill("α").at("α up")).await?;
    let alpha = scenario
        .spawn("α", Program::new("sleep").arg("1000"))
        .await?;
    let beta = scenario
        .spawn("β", Program::new("sh").args(["-c", "exit 3"]))
        .await?;
    killed.fired().await?;
    assert_eq!(alpha.await.unwrap_err().kind(), ErrorKind::Killed);
    // It was the program that died, not what carries it.
    assert_eq!(beta.await?.code(), Some(3));
    Ok(())
}

#[lonet::test]
async fn an_event_of_a_program_pauses_it(scenario: Scenario) -> Result<()> {
    use lonet_harness::fault::pause;
    let paused = scenario.inject(pause("α").at("α up")).await?;
    let alpha = scenario
        .spawn("α", Program::new("sleep").arg("1000"))
        .await?;
    paused.fired().await?;
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", alpha.pid()));
    while !state()?.contains(") T ") {
        tokio::task::yield_now().await;
    }
    paused.heal().await?;
    while state()?.contains(") T ") {
        tokio::task::yield_now().await;
    }
    Ok(alpha.kill().await?)
}

/// The kernel stops a thread only when its call returns, and the process only when all threads are.
#[lonet::test]
async fn a_program_is_paused_while_a_thread_accepts(scenario: Scenario) -> Result<()> {
    let code = "import socket, threading\n\
        l = socket.create_server(('', 7))\n\
        threading.Thread(target=l.accept).start()\n\
        threading.Event().wait()\n";
    let db = Program::new("python3").args(["-c", code]);
    let db = scenario.spawn("db", db).await?;
    scenario.until("db:7 listen").await?;
    let pid = db.pid().to_string();
    let accepts = || -> std::io::Result<bool> {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?;
            // Where it waits in the kernel: for the carrier's answer.
            let place = std::fs::read_to_string(thread.path().join("wchan"))?;
            if *thread.file_name() != *pid && place.contains("seccomp") {
                return Ok(true);
            }
        }
        Ok(false)
    };
    while !accepts()? {
        tokio::task::yield_now().await;
    }
    db.pause().await?;
    db.resume().await?;
    Ok(db.kill().await?)
}

/// A server in Python, which knows nothing of lonet.
fn listens() -> Program {
    let code = "import socket\n\
        l = socket.create_server(('', 7))\n\
        c, _ = l.accept()\n\
        c.recv(1)\n";
    Program::new("python3").args(["-c", code])
}

#[lonet::host]
async fn dials(host: Host) -> Result<()> {
    let mut conn = host.dial("db:7").await?;
    conn.write_all(b"x").await?;
    let _ = conn.read_u8().await;
    host.mark("at the end");
    std::future::pending().await
}

/// What it has open closes with it, and so its peers learn of its death.
#[lonet::test]
async fn an_event_of_a_program_kills_it_while_it_has_connections(scenario: Scenario) -> Result<()> {
    use lonet_harness::fault::kill;
    let killed = scenario.inject(kill("db").at("db:1 recv ρ:1 1")).await?;
    let db = scenario.spawn("db", listens()).await?;
    scenario.until("db:7 listen").await?;
    let role = scenario.spawn("ρ", dials()).await?;
    killed.fired().await?;
    assert_eq!(db.await.unwrap_err().kind(), ErrorKind::Killed);
    scenario.until("ρ mark at the end").await?;
    Ok(role.kill().await?)
}

#[lonet::test]
async fn a_killed_programs_peer_reads_the_end(scenario: Scenario) -> Result<()> {
    let db = scenario.spawn("db", listens()).await?;
    scenario.until("db:7 listen").await?;
    let role = scenario.spawn("ρ", dials()).await?;
    scenario.until("db:1 accept ρ:1").await?;
    db.kill().await?;
    scenario.until("ρ mark at the end").await?;
    // The port is free for the next.
    db.restart().await?;
    scenario.until("db:7 listen").await?;
    db.kill().await?;
    Ok(role.kill().await?)
}

/// The carrier of this process's only scenario.
fn carrier() -> Pid {
    let environ = |pid: &i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environ.split(|&b| b == 0);
        variables.any(|v| v.starts_with(b"LONET_TICKET=") && v.ends_with(b"@carrier"))
    };
    let children = |pid: i32| {
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let pids = list.unwrap_or_default();
        let pids = pids.split_whitespace().map(|pid| pid.parse().unwrap());
        pids.collect::<Vec<i32>>()
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = tasks.map(|task| task.unwrap().path().join("children"));
    let supervisors = lists.flat_map(|list| {
        let list = std::fs::read_to_string(list).unwrap_or_default();
        let pids = list.split_whitespace().map(|pid| pid.parse().unwrap());
        pids.collect::<Vec<i32>>()
    });
    let mut found = supervisors.flat_map(children).filter(environ);
    Pid::from_raw(found.next().expect("there is a carrier"))
}

#[lonet::test]
#[ignore = "fails: another test runs it"]
async fn kills_its_carrier(scenario: Scenario) -> Result<()> {
    let role = scenario.spawn("ρ", waits()).await?;
    let mut nodes = in_all_places(&scenario, "exec sleep 1000").await?;
    kill(carrier(), Signal::SIGKILL).unwrap();
    let waited = scenario.until("h0 mark never").await.unwrap_err();
    println!("until: {waited}");
    let after = scenario.spawn("α", Program::new("true")).await;
    println!("spawn: {}", after.unwrap_err());
    for (node, sleeps) in nodes.drain(1..) {
        println!("join: {}", node.await.unwrap_err());
        assert!(!runs(&sleeps));
    }
    // A role needs no carrier.
    role.terminate().await?;
    println!("checked");
    Ok(())
}

#[test]
fn with_the_carrier_its_programs_end_and_the_test_fails() {
    for namespace in ["0", "1"] {
        let place = Tmp::new().unwrap();
        let variables = [("LONET_NAMESPACE", namespace)];
        let ran = victim::run_at("carrier::kills_its_carrier", &place, &variables);
        let died = "(program `sh`) was ended because the process that carries programs has died: it \
                    was killed by signal 9 (SIGKILL)";
        ran.says(false, &[&format!("h0 {died}")]);
        for said in [
            &format!("until: h0 {died}"),
            "spawn: α (program `true`) could not be started: the process that carries programs has \
             died",
            &format!("join: h3 {died}"),
            "checked",
        ] {
            assert!(ran.printed.contains(said), "{said}: {}", ran.printed);
        }
    }
}

#[lonet::test(timeout = "500ms")]
#[ignore = "fails: another test runs it"]
async fn waits_for_a_daemon(scenario: Scenario) -> Result<()> {
    let daemon = Program::new("sh").args(["-c", "setsid sleep 1000 & exit 0"]);
    let _db = scenario.spawn("db", daemon).await?;
    scenario.until("db:6379 listen").await?;
    Ok(())
}

#[test]
fn a_program_that_goes_to_the_background_is_named() {
    victim::run("carrier::waits_for_a_daemon").says(
        false,
        &[
            "went to the background: its first process ended while others still ran, and its host \
             with it; keep it in the foreground (nginx: `daemon off`, redis: `--daemonize no`)",
        ],
    );
}
