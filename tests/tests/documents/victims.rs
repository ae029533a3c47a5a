//! The programs of docs/guide.md that fail, for what they show then.

use std::io;

use lonet::{Host, NetListener, Networker};
use lonet_harness::{Program, Result, Scenario, fault};
use lonet_tests::register;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::search::replica::Acknowledges;
use crate::search::scene::a_read_after_a_write;

/// Acknowledges a value that nobody else has; the value, and the listener, which stays open.
async fn acknowledge<N: Networker>(network: &N) -> io::Result<(N::Listener, String)> {
    let listener = network.listen(":10").await?;
    let mut client = listener.accept().await?;
    let mut value = String::new();
    client.read_to_string(&mut value).await?;
    client.write_all(b"ok").await?;
    Ok((listener, value))
}

#[lonet::host]
async fn primary(host: Host, backup: String) -> Result<()> {
    let (_listener, value) = acknowledge(&host).await?;
    // Otherwise the backup is the first now and then, and then nothing fails.
    lonet_harness::until("_ mark acknowledged _").await?;
    register::set(&host, &backup, &value).await?;
    Ok(())
}

#[lonet::host]
async fn backup(host: Host) -> Result<()> {
    let store = |value: &str| {
        host.mark(format_args!("stored {value}"));
        Ok(())
    };
    Ok(register::backup(&host, store).await?)
}

#[lonet::host]
async fn client(host: Host, to: String) -> Result<String> {
    let answer = register::set(&host, &to, "x=1").await?;
    host.mark("acknowledged x=1");
    Ok(answer)
}

#[lonet::test]
#[ignore = "fails, for what it shows"]
async fn acknowledged_means_stored(scenario: Scenario) -> Result<()> {
    let b = scenario.spawn("b", backup()).await?;
    scenario.until("b:20 listen").await?;
    let p = scenario.spawn("p", primary("b:20".into())).await?;
    scenario.until("p:10 listen").await?;
    let c = scenario.spawn("c", client("p:10".into())).await?;
    assert_eq!(c.join().await?, "ok");
    p.join().await?;
    b.join().await?;
    scenario.assert_trace(
        "
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
        ",
    );
    Ok(())
}

#[ignore = "fails, for what it shows"]
#[lonet::test]
async fn acknowledged_is_stored(scenario: Scenario) -> Result<()> {
    let backup = scenario.spawn("backup", backup()).await?;
    scenario.until("backup:20 listen").await?;
    let primary = scenario
        .spawn("primary", primary("backup:20".into()))
        .await?;
    scenario.until("primary:10 listen").await?;
    let client = scenario
        .spawn("client", client("primary:10".into()))
        .await?;
    assert_eq!(client.join().await?, "ok");
    primary.join().await?;
    backup.join().await?;
    scenario.assert_order("backup mark stored _\nclient mark acknowledged _");
    Ok(())
}

#[lonet::host]
async fn forgets_the_end(host: Host, to: String) -> Result<String> {
    println!("asking {to}");
    let mut conn = host.dial(&to).await?;
    conn.write_all(b"x=1").await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?; // the other side reads, too: no shutdown
    Ok(answer)
}

#[lonet::test(timeout = "4s")]
#[ignore = "fails, for what it shows"]
async fn somebody_waits(scenario: Scenario) -> Result<()> {
    let _b = scenario.spawn("b", backup()).await?;
    scenario.until("b:20 listen").await?;
    let c = scenario.spawn("c", forgets_the_end("b:20".into())).await?;
    c.join().await?;
    Ok(())
}

/// Acknowledges a value before the backup has it.
#[lonet::host]
async fn hasty(host: Host, backup: String) -> Result<()> {
    let (_listener, value) = acknowledge(&host).await?;
    register::set(&host, &backup, &value).await?;
    Ok(())
}

#[lonet::test(sweep = "kill p")]
#[ignore = "fails, for what it shows"]
async fn acknowledged_means_stored_wherever_p_dies(scenario: Scenario) -> Result<()> {
    let b = scenario.spawn("b", backup()).await?;
    scenario.until("b:20 listen").await?;
    let p = scenario.spawn("p", hasty("b:20".into())).await?;
    tokio::select! {
        listens = scenario.until("p:10 listen") => listens?,
        killed = scenario.until("! kill p") => killed?,
    };
    let c = scenario.spawn("c", client("p:10".into())).await?;
    let acknowledged = matches!(c.join().await.as_deref(), Ok("ok"));
    let _ = p.join().await;
    b.kill().await?;
    let _ = b.join().await;
    if acknowledged && scenario.trace().count("b mark stored x=1")? == 0 {
        return Err("an acknowledged value is lost".into());
    }
    Ok(())
}

/// Of docs/faults.md.
#[lonet::test]
#[ignore = "fails, for what it shows"]
async fn nothing_tried_to_pass(scenario: Scenario) -> Result<()> {
    let (s, _c) = (scenario.host("s").await?, scenario.host("c").await?);
    let partition = scenario.inject(fault::partition("s", "c")).await?;
    s.mark("applied 1");
    partition.heal().await?;
    Ok(())
}

/// Likewise.
#[lonet::test]
#[ignore = "fails, for what it shows"]
async fn nothing_set_it_off(scenario: Scenario) -> Result<()> {
    let partition = fault::partition("s", "c").at("s mark applied 2");
    let partition = scenario.inject(partition).await?;
    scenario.host("s").await?.mark("applied 1");
    scenario.until("s mark applied 1").await?;
    // Dropped here, it would be disarmed.
    std::mem::forget(partition);
    Ok(())
}

/// A run of its own passes: the read is hardly ever faster than the write.
#[ignore = "fails, for what it shows"]
#[lonet::test(search = "10s")]
async fn a_read_sees_what_was_acknowledged(scenario: Scenario) -> Result<()> {
    a_read_after_a_write(&scenario, Acknowledges::Sent).await
}

#[lonet::test(timeout = "2s")]
#[ignore = "fails, for what it shows"]
async fn went_to_the_background(scenario: Scenario) -> Result<()> {
    // One that has begun to listen by then would be no example.
    let script = Program::new("sh").args(["-c", "(sleep 1; redis-server) &"]);
    let _db = scenario.spawn("db", script).await?;
    scenario.until("db:6379 listen").await?;
    Ok(())
}
