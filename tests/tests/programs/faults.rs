//! Faults that act on programs: through the carrier, whose hosts are ordinary hosts.

use std::io::ErrorKind::ConnectionRefused;
use std::time::Duration;

use lonet::Stream;
use lonet_harness::{ErrorKind, Program, Result, Scenario, fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// A program that sends back what it gets, one connection after the other.
fn echoes() -> Program {
    let code = "import socket\n\
        l = socket.create_server(('', 10))\n\
        while True:\n\
        \x20 c = l.accept()[0]\n\
        \x20 while d := c.recv(100): c.sendall(d)\n\
        \x20 c.close()\n";
    Program::new("python3").args(["-c", code])
}

async fn arrives(conn: &mut Stream) -> Option<std::io::Result<usize>> {
    let limit = Duration::from_millis(50);
    timeout(limit, conn.read(&mut [0; 100])).await.ok()
}

/// Answers what curl asks. What is not read would make the end a reset.
async fn answer(mut conn: Stream) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        conn.read_buf(&mut asked).await?;
    }
    conn.write_all(b"late").await
}

#[lonet::test]
async fn a_program_is_partitioned_and_healed(scenario: Scenario) -> Result<()> {
    let _db = scenario.spawn("db", echoes()).await?;
    scenario.until("db:10 listen").await?;
    let app = scenario.host("app").await?;
    let mut conn = app.dial("db:10").await?;
    conn.write_all(b"x").await?;
    conn.read_exact(&mut [0]).await?;
    let cut = scenario.inject(fault::partition("app", "db")).await?;
    conn.write_all(b"y").await?;
    assert!(arrives(&mut conn).await.is_none());
    let dial = timeout(Duration::from_millis(50), app.dial("db:10")).await;
    assert!(dial.is_err());
    cut.heal().await?;
    let mut byte = [0];
    conn.read_exact(&mut byte).await?;
    assert_eq!(&byte, b"y");
    Ok(())
}

#[lonet::test]
async fn a_program_that_dials_waits_at_a_partition(scenario: Scenario) -> Result<()> {
    let app = scenario.host("app").await?;
    let listener = app.listen(":80").await?;
    let cut = scenario.inject(fault::partition("app", "client")).await?;
    // It does not wait, and asks the kernel whether it is connected.
    let curl = Program::new("curl").args(["-s", "--http0.9", "http://app/"]);
    let client = scenario.spawn("client", curl).await?;
    scenario.until("client:1 dial app:80").await?;
    assert!(
        timeout(Duration::from_millis(50), listener.accept())
            .await
            .is_err()
    );
    cut.heal().await?;
    answer(listener.accept().await?).await?;
    let status = client.join().await?;
    assert!(status.success(), "{status}");
    scenario
        .trace()
        .assert_order("client:1 dial app:80\n! heal app client\napp:1 accept client:1");
    Ok(())
}

#[lonet::test]
async fn a_program_is_killed_at_its_own_event(scenario: Scenario) -> Result<()> {
    let db = scenario.spawn("db", echoes()).await?;
    scenario.until("db:10 listen").await?;
    let kill = scenario
        .inject(fault::kill("db").at("db:_ accept app:_"))
        .await?;
    let app = scenario.host("app").await?;
    // It was killed before it could answer.
    app.dial("db:10").await.unwrap_err();
    kill.fired().await?;
    let error = db.join().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Killed);
    scenario
        .trace()
        .assert_order("db:1 accept app:1\n! kill db");
    let refused = app.dial("db:10").await.unwrap_err();
    assert_eq!(std::io::Error::from(refused).kind(), ConnectionRefused);
    Ok(())
}

/// What the event would have caused is not seen: neither by the program nor by others.
#[lonet::test]
async fn a_program_that_is_killed_as_it_receives_does_not_answer(scenario: Scenario) -> Result<()> {
    let db = scenario.spawn("db", echoes()).await?;
    scenario.until("db:10 listen").await?;
    let kill = scenario
        .inject(fault::kill("db").at("db:_ recv app:_ 1"))
        .await?;
    let app = scenario.host("app").await?;
    let mut conn = app.dial("db:10").await?;
    conn.write_all(b"x").await?;
    let read = conn.read(&mut [0]).await;
    assert!(!matches!(read, Ok(1..)), "{read:?}");
    kill.fired().await?;
    let error = db.join().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Killed);
    let trace = scenario.trace().with_data();
    trace.assert_order("db:1 recv app:1 1\n! kill db");
    assert!(
        trace.check_contains("db:1 send app:1 1").is_err(),
        "{trace}"
    );
    Ok(())
}

#[lonet::test]
async fn a_program_stops_and_goes_on(scenario: Scenario) -> Result<()> {
    let db = scenario.spawn("db", echoes()).await?;
    scenario.until("db:10 listen").await?;
    let app = scenario.host("app").await?;
    let mut conn = app.dial("db:10").await?;
    db.pause().await?;
    conn.write_all(b"x").await?;
    assert!(arrives(&mut conn).await.is_none());
    db.resume().await?;
    conn.read_exact(&mut [0]).await?;
    Ok(())
}

#[lonet::test]
async fn nobody_hears_of_a_program_that_vanishes(scenario: Scenario) -> Result<()> {
    let db = scenario.spawn("db", echoes()).await?;
    scenario.until("db:10 listen").await?;
    let app = scenario.host("app").await?;
    let mut conn = app.dial("db:10").await?;
    conn.write_all(b"x").await?;
    conn.read_exact(&mut [0]).await?;
    let vanish = scenario.inject(fault::vanish("db")).await?;
    assert_eq!(vanish.fired().await?.to_string(), "! vanish db");
    assert!(arrives(&mut conn).await.is_none());
    conn.write_all(b"y").await?;
    assert!(arrives(&mut conn).await.is_none());
    // Its peers do not learn that it ended.
    let trace = scenario.trace();
    assert!(trace.check_contains("db:_ close app:_").is_err(), "{trace}");
    db.restart().await?;
    db.until("db:10 listen").await?;
    let mut conn = timeout(Duration::from_secs(5), app.dial("db:10")).await??;
    conn.write_all(b"x").await?;
    conn.read_exact(&mut [0]).await?;
    Ok(())
}

#[lonet::test]
async fn a_program_vanishes_at_its_own_event(scenario: Scenario) -> Result<()> {
    let _db = scenario.spawn("db", echoes()).await?;
    scenario.until("db:10 listen").await?;
    let vanish = scenario
        .inject(fault::vanish("db").at("db:_ accept app:_"))
        .await?;
    let app = scenario.host("app").await?;
    let dial = timeout(Duration::from_millis(100), app.dial("db:10")).await;
    vanish.fired().await?;
    if let Ok(conn) = dial {
        assert!(arrives(&mut conn?).await.is_none());
    }
    let trace = scenario.trace();
    trace.assert_order("db:1 accept app:1\n! vanish db");
    assert!(trace.check_contains("db:1 close app:1").is_err(), "{trace}");
    Ok(())
}

#[lonet::test]
async fn a_dial_of_a_program_is_held(scenario: Scenario) -> Result<()> {
    let app = scenario.host("app").await?;
    let listener = app.listen(":80").await?;
    let held = scenario.hold("client:_ dial app:80").await?;
    let curl = Program::new("curl").args(["-s", "--http0.9", "http://app/"]);
    let client = scenario.spawn("client", curl).await?;
    assert!(
        timeout(Duration::from_millis(100), listener.accept())
            .await
            .is_err()
    );
    held.release().await?;
    answer(listener.accept().await?).await?;
    assert!(client.join().await?.success());
    Ok(())
}

/// The kernel stops a thread only when its call returns.
#[lonet::test]
async fn a_program_is_paused_at_an_event_of_its_own_call(scenario: Scenario) -> Result<()> {
    let app = scenario.host("app").await?;
    let listens = scenario
        .inject(fault::pause("db").at("db:10 listen"))
        .await?;
    let accepts = scenario
        .inject(fault::pause("db").at("db:_ accept app:_"))
        .await?;
    let db = scenario.spawn("db", echoes()).await?;
    listens.fired().await?;
    listens.heal().await?;
    let dial = tokio::spawn({
        let app = app.clone();
        async move { app.dial("db:10").await }
    });
    accepts.fired().await?;
    accepts.heal().await?;
    let mut conn = dial.await??;
    conn.write_all(b"x").await?;
    conn.read_exact(&mut [0]).await?;
    Ok(db.kill().await?)
}

/// A program's own events are points: it is killed at each.
#[lonet::test(sweep = "kill db")]
async fn a_programs_events_are_swept(scenario: Scenario) -> Result<()> {
    let _db = scenario.spawn("db", echoes()).await?;
    let app = scenario.host("app").await?;
    let talks = async {
        scenario.until("db:10 listen").await?;
        let mut conn = app.dial("db:10").await?;
        conn.write_all(b"x").await?;
        conn.read_exact(&mut [0]).await?;
        drop(conn);
        scenario.until("db:_ close app:_").await?;
        Result::<()>::Ok(())
    };
    tokio::select! {
        killed = scenario.until("! kill db") => drop(killed?),
        _ = talks => {}
    }
    Ok(())
}
