//! The programs of docs/guide.md that pass.

use std::path::PathBuf;
use std::time::Duration;

use lonet::Host;
use lonet_harness::{Program, Result, Scenario, Verb, expect};
use lonet_tests::register;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[lonet::host]
async fn primary(host: Host, backup: String) -> Result<()> {
    Ok(register::primary(&host, &backup).await?)
}

#[lonet::host]
async fn backup(host: Host, directory: PathBuf) -> Result<()> {
    let store = |value: &str| {
        std::fs::write(directory.join("value"), value)?;
        host.mark(format_args!("stored {value}"));
        Ok(())
    };
    Ok(register::backup(&host, store).await?)
}

#[lonet::host]
async fn client(host: Host, to: String, value: String) -> Result<String> {
    let answer = register::set(&host, &to, &value).await?;
    host.mark(format_args!("acknowledged {value}"));
    Ok(answer)
}

#[lonet::test]
async fn acknowledged_means_stored(scenario: Scenario) -> Result<()> {
    let b = scenario.spawn("b", backup(scenario.data_dir("b"))).await?;
    scenario.until("b:20 listen").await?;
    let p = scenario.spawn("p", primary("b:20".into())).await?;
    scenario.until("p:10 listen").await?;
    let c = scenario
        .spawn("c", client("p:10".into(), "x=1".into()))
        .await?;

    assert_eq!(c.join().await?, "ok");
    p.join().await?;
    b.join().await?;
    scenario.assert_trace(expect![[r#"
        b:20 listen
        p:10 listen
        c:1  dial    p:10
        p:1  accept  c:1
        c:1  connect p:1
        p:2  dial    b:20
        b:1  accept  p:2
        p:2  connect b:1
        b    mark    stored x=1
        b:1  close   p:2
        b:20 close
        p:2  close   b:1
        p:1  close   c:1
        c:1  close   p:1
        c    mark    acknowledged x=1
        p:10 close
    "#]]);
    Ok(())
}

#[lonet::test]
async fn stored_comes_first(scenario: Scenario) -> Result<()> {
    let _b = scenario.spawn("b", backup(scenario.data_dir("b"))).await?;
    scenario.until("b:20 listen").await?;
    let _p = scenario.spawn("p", primary("b:20".into())).await?;
    scenario.until("p:10 listen").await?;
    let _c = scenario
        .spawn("c", client("p:10".into(), "x=1".into()))
        .await?;

    scenario.until("c mark acknowledged _").await?;
    scenario.assert_order("b mark stored _\nc mark acknowledged _");
    Ok(())
}

#[lonet::test]
async fn views(scenario: Scenario) -> Result<()> {
    let b = scenario.spawn("b", backup(scenario.data_dir("b"))).await?;
    scenario.until("b:20 listen").await?;
    let p = scenario.spawn("p", primary("b:20".into())).await?;
    scenario.until("p:10 listen").await?;
    let c = scenario
        .spawn("c", client("p:10".into(), "x=1".into()))
        .await?;
    c.join().await?;
    p.join().await?;
    b.join().await?;

    let trace = scenario.trace();
    trace.clone().only_verbs(&[Verb::Mark]).assert(
        "
        b mark stored x=1
        c mark acknowledged x=1
        ",
    );
    trace.clone().only_hosts(&["c"]).assert(
        "
        c:$p dial    p:10
        c:$p connect p:_
        c:$p close   p:_
        c    mark    acknowledged _
        ",
    );
    trace
        .clone()
        .only_hosts(&["b"])
        .with_lifecycle()
        .assert_contains(
            "
        b up
        b exit 0
        ",
        );
    assert_eq!(trace.count("_ dial _")?, 2);
    println!("{}", trace.diagram());
    Ok(())
}

#[lonet::test]
async fn a_value_survives_a_kill(scenario: Scenario) -> Result<()> {
    let directory = scenario.data_dir("b");
    let b = scenario.spawn("b", backup(directory.clone())).await?;
    let listens = b.until("b:20 listen").await?;
    let c = scenario
        .spawn("c", client("b:20".into(), "x=1".into()))
        .await?;
    b.until("b mark stored x=1").await?;

    b.kill().await?; // SIGKILL; returns when it is dead
    assert_eq!(std::fs::read_to_string(directory.join("value"))?, "x=1");
    let _ = c.join().await; // it was answered, or found the connection broken: both are right

    b.restart().await?; // the same role, the same arguments, ports from 1 again
    scenario.until_after(&listens, "b:20 listen").await?;
    let c = scenario
        .spawn("d", client("b:20".into(), "x=2".into()))
        .await?;
    assert_eq!(c.join().await?, "ok");
    scenario
        .trace()
        .only_hosts(&["b"])
        .only_verbs(&[Verb::Kill, Verb::Restart, Verb::Mark])
        .assert(
            "
        b mark stored x=1
        ! kill b
        ! restart b
        b mark stored x=2
        ",
        );
    Ok(())
}

#[lonet::host]
async fn impatient(host: Host, to: String) -> Result<String> {
    let asking = register::set(&host, &to, "x=1");
    match tokio::time::timeout(Duration::from_millis(200), asking).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Ok("nobody answers".into()),
    }
}

#[lonet::test]
async fn a_backup_that_hangs(scenario: Scenario) -> Result<()> {
    let b = scenario.spawn("b", backup(scenario.data_dir("b"))).await?;
    scenario.until("b:20 listen").await?;
    b.pause().await?; // SIGSTOP; returns when it has stopped
    let c = scenario.spawn("c", impatient("b:20".into())).await?;
    assert_eq!(c.join().await?, "nobody answers");
    b.resume().await?;
    Ok(())
}

#[lonet::test(sweep = "kill p")]
async fn acknowledged_means_stored_wherever_p_dies(scenario: Scenario) -> Result<()> {
    let directory = scenario.data_dir("b");
    let b = scenario.spawn("b", backup(directory.clone())).await?;
    scenario.until("b:20 listen").await?;
    let _p = scenario.spawn("p", primary("b:20".into())).await?;
    tokio::select! {
        listens = scenario.until("p:10 listen") => listens?,
        killed = scenario.until("! kill p") => killed?, // at a point before it listens
    };
    let c = scenario
        .spawn("c", client("p:10".into(), "x=1".into()))
        .await?;

    let acknowledged = matches!(c.join().await.as_deref(), Ok("ok"));
    assert!(acknowledged || scenario.swept().is_some());
    if acknowledged {
        assert_eq!(std::fs::read_to_string(directory.join("value"))?, "x=1");
    }
    b.kill().await?;
    let _ = b.join().await; // it may have stored the value, have failed, or have waited for p
    Ok(())
}

#[lonet::test(schedule = "kill p at p:1 send c:1")]
async fn not_acknowledged(scenario: Scenario) -> Result<()> {
    let b = scenario.spawn("b", backup(scenario.data_dir("b"))).await?;
    scenario.until("b:20 listen").await?;
    let _p = scenario.spawn("p", primary("b:20".into())).await?;
    scenario.until("p:10 listen").await?;
    let c = scenario
        .spawn("c", client("p:10".into(), "x=1".into()))
        .await?;
    assert_eq!(c.join().await?, "");
    Ok(b.join().await?)
}

/// Answers one request after the other.
#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    loop {
        tokio::select! {
            conn = listener.accept() => answer(conn?).await?,
            () = lonet_harness::terminate_requested() => return Ok(()),
        }
    }
}

async fn answer(mut conn: lonet::Stream) -> Result<()> {
    conn.read_to_end(&mut Vec::new()).await?;
    conn.write_all(b"ok").await?;
    Ok(())
}

#[lonet::test]
async fn a_server_for_many_clients(scenario: Scenario) -> Result<()> {
    let s = scenario.spawn("s", server()).await?;
    scenario.until("s:10 listen").await?;
    for (host, value) in [("c", "x=1"), ("d", "x=2")] {
        let client = client("s:10".into(), value.into());
        let c = scenario.spawn(host, client).await?;
        assert_eq!(c.join().await?, "ok");
    }
    s.terminate().await?; // asks it to finish, and waits for its end
    Ok(s.join().await?)
}

#[lonet::test]
async fn the_program_itself(scenario: Scenario) -> Result<()> {
    let program = Program::new(env!("CARGO_BIN_EXE_register_backup")).joins();
    let b = scenario.spawn("b", program).await?; // its host is up
    scenario.until("b:20 listen").await?;
    let c = scenario
        .spawn("c", client("b:20".into(), "x=1".into()))
        .await?;
    assert_eq!(c.join().await?, "ok");
    assert!(b.join().await?.success());
    Ok(())
}

#[lonet::test]
async fn in_one_process(network: lonet::SubNetwork) -> Result<()> {
    let (b, c) = (network.new_host("b").await?, network.new_host("c").await?);
    let (listens, listening) = tokio::sync::oneshot::channel();
    let serving = tokio::spawn(async move {
        let listener = b.listen(":20").await?;
        let _ = listens.send(());
        listener.accept().await.map(drop)
    });
    listening.await?;
    assert_eq!(register::set(&c, "b:20", "x=1").await?, "");
    serving.await??;
    Ok(())
}

#[lonet::host]
async fn follows(host: Host) -> Result<()> {
    let leads = lonet_harness::until("_ mark leads").await?;
    host.mark(format_args!("follows {}", leads.host()));
    Ok(())
}

#[lonet::host(worker_threads = 2)]
async fn leads(host: Host) {
    host.mark("leads");
}

#[lonet::test(
    timeout = "10s",
    repeat = 3,
    trace = "
        $leader mark leads
        f       mark follows $leader
    "
)]
async fn on_the_attribute(scenario: Scenario) -> Result<()> {
    let f = scenario.spawn("f", follows()).await?;
    scenario.spawn("l", leads()).await?.join().await?;
    Ok(f.join().await?)
}
