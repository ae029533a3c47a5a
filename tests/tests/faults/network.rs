//! Faults between hosts: what each end sees while they are in force, and when they end.

use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
use std::time::{Duration, Instant};

use lonet::{Host, Listener, Stream};
use lonet_harness::{Result, Scenario, fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::roles;

/// Long enough for what is not withheld.
const MOMENT: Duration = Duration::from_millis(30);

/// A host that listens, one that dials it, and their connection: dialed, accepted.
async fn connected(scenario: &Scenario) -> Result<(Host, Host, Listener, Stream, Stream)> {
    let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    let listener = alpha.listen(":10").await?;
    let (dialed, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
    Ok((alpha, beta, listener, dialed?, accepted?))
}

/// What arrives within a moment.
async fn arrives(stream: &mut Stream, buffer: &mut [u8]) -> Option<std::io::Result<usize>> {
    timeout(MOMENT, stream.read(buffer)).await.ok()
}

#[lonet::test]
async fn a_partition_withholds_until_it_heals(scenario: Scenario) -> Result<()> {
    let (_alpha, _beta, _listener, mut dialed, mut accepted) = connected(&scenario).await?;
    let partition = scenario.inject(fault::partition("α", "β")).await?;
    let begun = partition.fired().await?;
    dialed.write_all(b"there").await?;
    accepted.write_all(b"back").await?;
    dialed.shutdown().await?;
    let mut bytes = [0; 8];
    assert!(arrives(&mut accepted, &mut bytes).await.is_none());
    assert!(arrives(&mut dialed, &mut bytes).await.is_none());
    let heal = partition.heal().await?;
    let mut all = String::new();
    accepted.read_to_string(&mut all).await?;
    assert_eq!(all, "there");
    assert_eq!(dialed.read(&mut bytes).await?, 4);
    assert!(scenario.trace().happens_before(&begun, &heal));
    Ok(())
}

#[lonet::test]
async fn a_dial_waits_for_the_heal(scenario: Scenario) -> Result<()> {
    let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    let listener = alpha.listen(":10").await?;
    let partition = scenario.inject(fault::partition("β", "_")).await?;
    let meets = async { tokio::join!(beta.dial("α:10"), listener.accept()) };
    let mut meets = std::pin::pin!(meets);
    assert!(timeout(MOMENT, meets.as_mut()).await.is_err());
    partition.heal().await?;
    let (dialed, accepted) = meets.await;
    let _both = (dialed?, accepted?);
    scenario
        .trace()
        .assert_order("! partition β _\n ! heal β _\n β:1 connect α:1");
    Ok(())
}

#[lonet::test]
async fn a_killed_peer_shows_only_after_the_heal(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.host("β").await?;
    let mut conn = beta.dial("α:10").await?;
    conn.write_all(b"x").await?;
    let mut byte = [0];
    conn.read_exact(&mut byte).await?;
    let partition = scenario.inject(fault::partition("α", "β")).await?;
    alpha.kill().await?;
    assert!(arrives(&mut conn, &mut byte).await.is_none());
    conn.write_all(b"into the buffer").await?;
    partition.heal().await?;
    let end = timeout(Duration::from_secs(5), conn.read(&mut byte)).await?;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    Ok(())
}

#[lonet::test]
async fn a_cut_has_one_direction(scenario: Scenario) -> Result<()> {
    let (_alpha, beta, _listener, mut dialed, mut accepted) = connected(&scenario).await?;
    let cut = scenario.inject(fault::cut("α", "β")).await?;
    let mut bytes = [0; 8];
    dialed.write_all(b"there").await?;
    assert_eq!(accepted.read(&mut bytes).await?, 5);
    accepted.write_all(b"back").await?;
    assert!(arrives(&mut dialed, &mut bytes).await.is_none());
    // No dial completes in either direction.
    assert!(timeout(MOMENT, beta.dial("α:10")).await.is_err());
    cut.heal().await?;
    assert_eq!(dialed.read(&mut bytes).await?, 4);
    Ok(())
}

#[lonet::test]
async fn a_delay_lets_everything_arrive_later(scenario: Scenario) -> Result<()> {
    let (_alpha, _beta, _listener, mut dialed, mut accepted) = connected(&scenario).await?;
    let by = Duration::from_millis(60);
    let _delay = scenario.inject(fault::delay("β", "α", by)).await?;
    let mut bytes = [0; 8];
    for _ in 0..2 {
        let sent = Instant::now();
        dialed.write_all(b"there").await?;
        assert_eq!(accepted.read(&mut bytes).await?, 5);
        assert!(sent.elapsed() >= by, "{:?}", sent.elapsed());
    }
    // The other direction is as ever.
    accepted.write_all(b"back").await?;
    assert_eq!(arrives(&mut dialed, &mut bytes).await.unwrap()?, 4);
    Ok(())
}

#[lonet::test]
async fn a_slice_moves_little_and_never_nothing(scenario: Scenario) -> Result<()> {
    let (_alpha, _beta, _listener, mut dialed, mut accepted) = connected(&scenario).await?;
    let _slice = scenario.inject(fault::slice("β", "α", 3)).await?;
    dialed.write_all(&[7; 100]).await?;
    dialed.shutdown().await?;
    let (mut bytes, mut all) = ([0; 64], 0);
    loop {
        match accepted.read(&mut bytes).await? {
            0 => break,
            read => {
                assert!(read <= 3, "{read}");
                all += read;
            }
        }
    }
    assert_eq!(all, 100);
    // The other direction is as ever.
    accepted.write_all(&[7; 50]).await?;
    assert_eq!(dialed.read(&mut bytes).await?, 50);
    Ok(())
}

#[lonet::test]
async fn a_limit_ends_a_connection_for_good(scenario: Scenario) -> Result<()> {
    for resets in [false, true] {
        let alpha = scenario.host(if resets { "r" } else { "e" }).await?;
        let beta = scenario.host(if resets { "s" } else { "f" }).await?;
        let listener = alpha.listen(":10").await?;
        let at = format!("{}:10", alpha.name());
        let (dialed, accepted) = tokio::join!(beta.dial(at.as_str()), listener.accept());
        let (mut dialed, mut accepted) = (dialed?, accepted?);
        let limit = fault::limit(beta.name(), alpha.name(), 5);
        let limit = if resets { limit.reset() } else { limit };
        let limit = scenario.inject(limit).await?;
        let own = limit.fired().await?;
        dialed.write_all(b"hello world").await?;
        let mut bytes = [0; 16];
        // The other direction is as ever.
        accepted.write_all(b"hello world").await?;
        assert_eq!(dialed.read(&mut bytes).await?, 11);
        accepted.read_exact(&mut bytes[..5]).await?;
        let end = accepted.read(&mut bytes).await;
        match resets {
            false => assert_eq!(end?, 0),
            true => assert_eq!(end.unwrap_err().kind(), ConnectionReset),
        }
        assert_eq!(limit.heal().await?.id(), own.id());
        assert_eq!(accepted.read(&mut bytes).await?, 0);
    }
    Ok(())
}

#[lonet::test]
async fn who_refuses_keeps_open_connections(scenario: Scenario) -> Result<()> {
    let (alpha, beta, listener, mut dialed, mut accepted) = connected(&scenario).await?;
    let refuse = scenario.inject(fault::refuse("β", "α")).await?;
    let error = beta.dial("α:10").await.unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    dialed.write_all(b"there").await?;
    let mut bytes = [0; 8];
    assert_eq!(accepted.read(&mut bytes).await?, 5);
    // The other direction is as ever.
    let own = beta.listen(":10").await?;
    let (back, met) = tokio::join!(alpha.dial("β:10"), own.accept());
    let _met = (back?, met?);
    refuse.heal().await?;
    let (again, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
    let _both = (again?, accepted?);
    scenario
        .trace()
        .assert_order("! refuse β α\n β:2 fail α:10 connection refused\n ! heal β α");
    Ok(())
}

#[lonet::test]
async fn a_reset_gives_what_had_arrived_then_an_error(scenario: Scenario) -> Result<()> {
    let (_alpha, beta, listener, mut dialed, mut accepted) = connected(&scenario).await?;
    dialed.write_all(b"there").await?;
    accepted.readable().await?;
    let reset = scenario.inject(fault::reset("α", "β")).await?;
    assert_eq!(reset.fired().await?.to_string(), "! reset α:1 β:1");
    let mut bytes = [0; 8];
    assert_eq!(accepted.read(&mut bytes).await?, 5);
    assert_eq!(
        accepted.read(&mut bytes).await.unwrap_err().kind(),
        ConnectionReset
    );
    assert_eq!(accepted.read(&mut bytes).await?, 0);
    assert_eq!(
        dialed.read(&mut bytes).await.unwrap_err().kind(),
        ConnectionReset
    );
    assert_eq!(dialed.write(b"x").await.unwrap_err().kind(), BrokenPipe);
    // New connections work.
    let (again, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
    let (mut again, mut accepted) = (again?, accepted?);
    again.write_all(b"again").await?;
    assert_eq!(accepted.read(&mut bytes).await?, 5);
    reset.heal().await?;
    Ok(())
}

#[lonet::test]
async fn every_connection_is_reset_with_a_line(scenario: Scenario) -> Result<()> {
    let (_alpha, beta, listener, _dialed, _accepted) = connected(&scenario).await?;
    let (again, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
    let (_again, _accepted_too) = (again?, accepted?);
    let reset = scenario.inject(fault::reset("β", "_")).await?;
    assert_eq!(reset.fired().await?.to_string(), "! reset β:1 α:1");
    scenario
        .trace()
        .assert_contains("! reset β:1 α:1\n ! reset β:2 α:2");
    Ok(())
}

#[lonet::test(repeat = 20)]
async fn an_answer_that_a_reset_loses_was_applied_once(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let reset = scenario
        .inject(fault::reset("α", "β").at("α mark got y"))
        .await?;
    let beta = scenario
        .spawn("β", roles::tries("α:10".into(), "xyz".into()))
        .await?;
    assert_eq!(reset.fired().await?.to_string(), "! reset α:1 β:1");
    assert_eq!(beta.join().await?, "x");
    let trace = scenario.trace();
    assert_eq!(
        (trace.count("α mark got y")?, trace.count("α mark got z")?),
        (1, 0)
    );
    trace.assert_order("α mark got y\n ! reset α:1 β:1\n β mark lost");
    Ok(())
}

#[lonet::test(repeat = 20)]
async fn a_reset_at_a_send_lets_none_of_it_leave(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let reset = fault::reset("α", "β").at("α:_ send β:_").nth(2);
    let reset = scenario.inject(reset).await?;
    let beta = scenario
        .spawn("β", roles::tries("α:10".into(), "xyz".into()))
        .await?;
    reset.fired().await?;
    assert_eq!(beta.join().await?, "x");
    Ok(())
}

#[lonet::test(repeat = 20)]
async fn a_partition_at_a_mark_lets_nothing_after_it_arrive(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let partition = fault::partition("α", "_").at("α mark got y");
    let partition = scenario.inject(partition).await?;
    let beta = scenario
        .spawn("β", roles::asks("α:10".into(), "xyz".into()))
        .await?;
    partition.fired().await?;
    let answered = scenario.until("β mark answered y");
    let mut answered = std::pin::pin!(answered);
    assert!(timeout(MOMENT, answered.as_mut()).await.is_err());
    partition.heal().await?;
    answered.await?;
    beta.join().await?;
    scenario.trace().assert_order(
        "
        α mark got y
        ! partition α _
        ! heal α _
        β mark answered y
        ",
    );
    Ok(())
}

#[lonet::test]
async fn who_joins_later_obeys_from_its_first_operation_on(scenario: Scenario) -> Result<()> {
    let partition = scenario.inject(fault::partition("β", "α")).await?;
    let _alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario
        .spawn("β", roles::asks("α:10".into(), "x".into()))
        .await?;
    let connect = scenario.until("β:1 connect α:1");
    let mut connect = std::pin::pin!(connect);
    assert!(timeout(MOMENT, connect.as_mut()).await.is_err());
    partition.heal().await?;
    connect.await?;
    beta.join().await?;
    Ok(())
}

#[lonet::test]
async fn overlapping_faults_add_up(scenario: Scenario) -> Result<()> {
    let (_alpha, _beta, _listener, mut dialed, mut accepted) = connected(&scenario).await?;
    let one = scenario.inject(fault::partition("α", "β")).await?;
    let other = scenario.inject(fault::cut("β", "_")).await?;
    dialed.write_all(b"there").await?;
    let mut bytes = [0; 8];
    one.heal().await?;
    assert!(arrives(&mut accepted, &mut bytes).await.is_none());
    other.heal().await?;
    assert_eq!(accepted.read(&mut bytes).await?, 5);
    Ok(())
}

#[lonet::test]
async fn nobody_hears_of_a_host_that_vanishes(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.host("β").await?;
    let mut conn = beta.dial("α:10").await?;
    conn.write_all(b"x").await?;
    let mut byte = [0];
    conn.read_exact(&mut byte).await?;
    let vanish = scenario.inject(fault::vanish("α")).await?;
    assert_eq!(vanish.fired().await?.to_string(), "! vanish α");
    assert!(arrives(&mut conn, &mut byte).await.is_none());
    conn.write_all(b"y").await?;
    alpha.restart().await?;
    alpha.until("α:10 listen").await?;
    let error = conn.write_all(b"z").await.unwrap_err();
    assert_eq!(error.kind(), ConnectionReset);
    // The new one is there.
    let mut conn = timeout(Duration::from_secs(5), beta.dial("α:10")).await??;
    conn.write_all(b"x").await?;
    conn.read_exact(&mut byte).await?;
    assert_eq!(vanish.heal().await?.to_string(), "! vanish α");
    Ok(())
}

#[lonet::test(repeat = 10)]
async fn a_host_vanishes_at_an_event(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let vanish = fault::vanish("α").at("α mark got y");
    let vanish = scenario.inject(vanish).await?;
    let beta = scenario.host("β").await?;
    let mut conn = beta.dial("α:10").await?;
    conn.write_all(b"xy").await?;
    let mut bytes = [0; 8];
    conn.read_exact(&mut bytes[..1]).await?;
    vanish.fired().await?;
    assert!(arrives(&mut conn, &mut bytes).await.is_none());
    let error = alpha.join().await.unwrap_err();
    assert_eq!(error.kind(), lonet_harness::ErrorKind::Killed);
    scenario.trace().assert_order("α mark got y\n ! vanish α");
    Ok(())
}

#[lonet::test]
async fn a_window_shows_back_pressure(scenario: Scenario) -> Result<()> {
    let (_alpha, _beta, _listener, mut dialed, mut accepted) = connected(&scenario).await?;
    let cut = scenario.inject(fault::cut("β", "α").window(4096)).await?;
    let all = vec![7; 1 << 20];
    let write = dialed.write_all(&all);
    assert!(timeout(MOMENT, write).await.is_err());
    cut.heal().await?;
    let mut bytes = [0; 8];
    assert!(accepted.read(&mut bytes).await? > 0);
    Ok(())
}

#[lonet::test(repeat = 20)]
async fn who_was_paused_obeys_before_it_reads_on(scenario: Scenario) -> Result<()> {
    let alpha = scenario.host("α").await?;
    let listener = alpha.listen(":10").await?;
    let beta = scenario.spawn("β", roles::reads("α:10".into())).await?;
    let mut conn = listener.accept().await?;
    conn.write_all(b"x").await?;
    scenario.until("β mark read x").await?;
    beta.pause().await?;
    // It does not wait for who is paused.
    let partition = scenario.inject(fault::partition("α", "β")).await?;
    conn.write_all(b"y").await?;
    beta.resume().await?;
    let read = scenario.until("β mark read y");
    let mut read = std::pin::pin!(read);
    assert!(
        timeout(Duration::from_millis(10), read.as_mut())
            .await
            .is_err()
    );
    partition.heal().await?;
    read.await?;
    Ok(())
}

#[lonet::test(repeat = 20)]
async fn who_stopped_at_an_event_obeys_before_it_reads_on(scenario: Scenario) -> Result<()> {
    let alpha = scenario.host("α").await?;
    let listener = alpha.listen(":10").await?;
    let pause = scenario
        .inject(fault::pause("β").at("β mark read x"))
        .await?;
    let _beta = scenario.spawn("β", roles::reads("α:10".into())).await?;
    let mut conn = listener.accept().await?;
    conn.write_all(b"x").await?;
    pause.fired().await?;
    let partition = scenario.inject(fault::partition("α", "β")).await?;
    conn.write_all(b"y").await?;
    pause.heal().await?;
    let read = scenario.until("β mark read y");
    let mut read = std::pin::pin!(read);
    assert!(
        timeout(Duration::from_millis(10), read.as_mut())
            .await
            .is_err()
    );
    partition.heal().await?;
    read.await?;
    Ok(())
}

#[lonet::test]
async fn one_end_leaves_the_others_of_its_host_alone(scenario: Scenario) -> Result<()> {
    let (_alpha, beta, listener, mut dialed, mut accepted) = connected(&scenario).await?;
    let (other, met) = tokio::join!(beta.dial("α:10"), listener.accept());
    let (mut other, mut met) = (other?, met?);
    let partition = scenario
        .inject(fault::partition("β:1", ["α:1", "γ"]))
        .await?;
    assert_eq!(
        partition.fired().await?.to_string(),
        "! partition β:1 α:1,γ"
    );
    dialed.write_all(b"there").await?;
    other.write_all(b"there").await?;
    let mut bytes = [0; 8];
    assert_eq!(met.read(&mut bytes).await?, 5);
    assert!(arrives(&mut accepted, &mut bytes).await.is_none());
    partition.heal().await?;
    assert_eq!(accepted.read(&mut bytes).await?, 5);
    Ok(())
}
