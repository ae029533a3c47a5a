//! What each end of a connection between two processes sees of each fault between them.

use std::time::{Duration, Instant};

use lonet_harness::{Result, Scenario, fault};

use crate::puppet::Stage;

#[lonet::test]
async fn a_partition_lets_in_what_had_arrived_and_keeps_the_rest(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    a.does("write before", "wrote 6").await;
    b.does("arrived 6", "arrived").await;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    b.does("read", "before").await;
    let mut reading = b.begins("read").await;
    a.does("write after", "wrote 5").await;
    b.pends(&mut reading).await;
    // Both return at once; the end waits.
    a.does("shutdown", "shut down").await;
    a.does("close", "closed").await;
    b.pends(&mut reading).await;
    partition.heal().await?;
    reading.is("after").await;
    b.does("read", "end").await;
    b.does("fail", "BrokenPipe").await;
    Ok(())
}

#[lonet::test]
async fn a_peer_killed_behind_a_partition_is_learned_of_after_it(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    a.does("write after", "wrote 5").await;
    a.node.kill().await?;
    let mut reading = b.begins("read").await;
    b.pends(&mut reading).await;
    partition.heal().await?;
    reading.is("after").await;
    b.does("read", "end").await;
    Ok(())
}

/// The kernel resets the connection of a process that ends with bytes unread.
#[lonet::test]
async fn the_reset_of_a_killed_peer_waits(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    b.does("write unread", "wrote 6").await;
    a.does("arrived 6", "arrived").await;
    a.does("write before", "wrote 6").await;
    b.does("arrived 6", "arrived").await;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    a.does("write after", "wrote 5").await;
    a.node.kill().await?;
    b.does("read", "before").await;
    let mut reading = b.begins("read").await;
    b.pends(&mut reading).await;
    partition.heal().await?;
    reading.is("after").await;
    b.does("read", "ConnectionReset").await;
    b.does("read", "end").await;
    b.does("write x", "BrokenPipe").await;
    Ok(())
}

/// A write that meets a reset takes it from the socket.
#[lonet::test]
async fn a_withheld_write_does_not_swallow_a_reset(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    b.does("write unread", "wrote 6").await;
    a.does("arrived 6", "arrived").await;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    a.does("write after", "wrote 5").await;
    a.node.kill().await?;
    let mut writing = b.begins("write x").await;
    b.pends(&mut writing).await;
    partition.heal().await?;
    writing.is("ConnectionReset").await;
    b.does("write x", "BrokenPipe").await;
    b.does("read", "after").await;
    b.does("read", "end").await;
    Ok(())
}

/// The same, but the write was given up: then the reset is the reader's.
#[lonet::test]
async fn a_write_given_up_leaves_the_reset_to_the_reader(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    b.does("write unread", "wrote 6").await;
    a.does("arrived 6", "arrived").await;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    a.does("write after", "wrote 5").await;
    a.node.kill().await?;
    b.does("try x", "WouldBlock").await;
    partition.heal().await?;
    b.does("read", "after").await;
    b.does("read", "ConnectionReset").await;
    b.does("read", "end").await;
    b.does("write x", "BrokenPipe").await;
    Ok(())
}

#[lonet::test]
async fn a_dial_pends_with_its_port_and_asks_nobody(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = (stage.puppet("a").await?, stage.puppet("b").await?);
    b.does("listen", "listens").await;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    // Port 1 is that of the orders.
    let mut dialing = a.begins("dial b:10").await;
    a.pends(&mut dialing).await;
    a.does("port", "3").await;
    a.does("hang up", "hung up").await;
    a.does("port", "2").await;
    let mut dialing = a.begins("dial b:10").await;
    a.pends(&mut dialing).await;
    b.node.kill().await?;
    a.pends(&mut dialing).await;
    let mut b = stage.again(b).await?;
    a.pends(&mut dialing).await;
    b.does("listen", "listens").await;
    let mut accepting = b.begins("accept").await;
    b.pends(&mut accepting).await;
    partition.heal().await?;
    dialing.is("a:2").await;
    accepting.is("a:2").await;
    Ok(())
}

#[lonet::test]
async fn a_dial_learns_after_the_heal_that_its_host_is_gone(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = (stage.puppet("a").await?, stage.puppet("b").await?);
    b.does("listen", "listens").await;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    let mut dialing = a.begins("dial b:10").await;
    b.node.kill().await?;
    a.pends(&mut dialing).await;
    partition.heal().await?;
    // As one that begins after it.
    dialing.is("ConnectionRefused").await;
    a.does("dial b:10", "ConnectionRefused").await;
    Ok(())
}

#[lonet::test]
async fn a_queued_dialer_keeps_its_place(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = (stage.puppet("a").await?, stage.puppet("b").await?);
    let mut c = stage.puppet("c").await?;
    b.does("listen", "listens").await;
    let mut dialing = a.begins("dial b:10").await;
    a.pends(&mut dialing).await;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    let mut accepting = b.begins("accept").await;
    b.pends(&mut accepting).await;
    c.does("dial b:10", "c:2").await;
    accepting.is("c:2").await;
    a.pends(&mut dialing).await;
    partition.heal().await?;
    b.does("accept", "a:2").await;
    dialing.is("a:2").await;
    Ok(())
}

#[lonet::test]
async fn a_dialer_that_hangs_up_behind_a_partition_is_not_accepted(
    scenario: Scenario,
) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = (stage.puppet("a").await?, stage.puppet("b").await?);
    b.does("listen", "listens").await;
    let mut dialing = a.begins("dial b:10").await;
    a.pends(&mut dialing).await;
    let partition = scenario.inject(fault::partition("a", "b")).await?;
    let mut accepting = b.begins("accept").await;
    b.pends(&mut accepting).await;
    a.does("hang up", "hung up").await;
    b.pends(&mut accepting).await;
    partition.heal().await?;
    b.pends(&mut accepting).await;
    a.does("dial b:10", "a:2").await;
    accepting.is("a:2").await;
    Ok(())
}

#[lonet::test]
async fn a_cut_is_one_way_and_no_dial_completes(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let cut = scenario.inject(fault::cut("a", "b")).await?;
    let mut reading = b.begins("read").await;
    a.does("write lost", "wrote 4").await;
    b.pends(&mut reading).await;
    b.does("write heard", "wrote 5").await;
    a.does("read", "heard").await;
    let mut dialing = a.begins("dial b:10").await;
    a.pends(&mut dialing).await;
    a.does("hang up", "hung up").await;
    let mut back = b.begins("dial a:10").await;
    b.pends(&mut back).await;
    cut.heal().await?;
    reading.is("lost").await;
    back.is("ConnectionRefused").await;
    Ok(())
}

#[lonet::test]
async fn a_round_trip_takes_both_delays(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let (there, back) = (Duration::from_millis(40), Duration::from_millis(60));
    let there_delay = scenario.inject(fault::delay("a", "b", there)).await?;
    let back_delay = scenario.inject(fault::delay("b", "a", back)).await?;
    let begun = Instant::now();
    let answer = a.begins("read").await;
    a.does("write ask", "wrote 3").await;
    b.does("read", "ask").await;
    assert!(begun.elapsed() >= there, "{:?}", begun.elapsed());
    b.does("write answer", "wrote 6").await;
    answer.is("answer").await;
    let elapsed = begun.elapsed();
    assert!(elapsed >= there + back, "{elapsed:?}");
    let begun = Instant::now();
    let accepting = b.begins("accept").await;
    a.does("dial b:10", "a:3").await;
    accepting.is("a:3").await;
    let elapsed = begun.elapsed();
    assert!(elapsed >= there + back, "{elapsed:?}");
    there_delay.heal().await?;
    back_delay.heal().await?;
    Ok(())
}

#[lonet::test]
async fn a_heal_lets_in_at_once_what_a_delay_held(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let hour = Duration::from_secs(3600);
    let delay = scenario.inject(fault::delay("a", "b", hour)).await?;
    let mut reading = b.begins("read").await;
    a.does("write late", "wrote 4").await;
    a.does("close", "closed").await;
    b.pends(&mut reading).await;
    delay.heal().await?;
    reading.is("late").await;
    b.does("read", "end").await;
    Ok(())
}

#[lonet::test]
async fn a_reset_is_delayed_for_a_writer_as_well(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    b.does("write unread", "wrote 6").await;
    a.does("arrived 6", "arrived").await;
    let (hour, moment) = (Duration::from_secs(3600), Duration::from_millis(50));
    let long = scenario.inject(fault::delay("a", "b", hour)).await?;
    a.node.kill().await?;
    b.does("try x", "WouldBlock").await;
    let mut writing = b.begins("write x").await;
    b.pends(&mut writing).await;
    long.heal().await?;
    writing.is("ConnectionReset").await;
    b.does("read", "end").await;
    b.node.kill().await?;

    let mut c = stage.again(a).await?;
    let mut d = stage.again(b).await?;
    d.does("listen", "listens").await;
    let accepted = d.begins("accept").await;
    c.does("dial b:10", "a:2").await;
    accepted.is("a:2").await;
    d.does("write unread", "wrote 6").await;
    c.does("arrived 6", "arrived").await;
    let short = scenario.inject(fault::delay("a", "b", moment)).await?;
    let begun = Instant::now();
    c.node.kill().await?;
    d.does("write x", "ConnectionReset").await;
    assert!(begun.elapsed() >= moment, "{:?}", begun.elapsed());
    d.does("write x", "BrokenPipe").await;
    short.heal().await?;
    Ok(())
}

#[lonet::test]
async fn a_slice_moves_at_most_so_many_bytes(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let slice = scenario.inject(fault::slice("a", "b", 1)).await?;
    for letter in ["x", "y", "z"] {
        a.does(&format!("write {letter}-and-more"), "wrote 1").await;
    }
    b.does("arrived 1", "arrived").await;
    for letter in ["x", "y", "z"] {
        b.does("read", letter).await;
    }
    b.does("write whole", "wrote 5").await;
    a.does("read", "whole").await;
    slice.heal().await?;
    a.does("write whole", "wrote 5").await;
    b.does("read", "whole").await;
    Ok(())
}

#[lonet::test]
async fn a_limit_ends_a_connection_for_both(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let limit = scenario.inject(fault::limit("a", "b", 4)).await?;
    a.does("write four-and-more", "wrote 13").await;
    b.does("read", "four").await;
    b.does("read", "end").await;
    a.does("read", "end").await;
    a.does("fail", "BrokenPipe").await;
    limit.heal().await?;
    b.does("read", "end").await;
    b.does("write x", "BrokenPipe").await;
    Ok(())
}

#[lonet::test]
async fn a_limit_with_a_reset_resets_its_reader(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let limit = fault::limit("a", "b", 4).reset();
    let limit = scenario.inject(limit).await?;
    a.does("write four-and-more", "wrote 13").await;
    b.does("read", "four").await;
    b.does("read", "ConnectionReset").await;
    b.does("read", "end").await;
    b.does("write x", "BrokenPipe").await;
    a.does("read", "end").await;
    limit.heal().await?;
    Ok(())
}

#[lonet::test]
async fn both_ends_see_a_reset_after_what_had_arrived(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    a.does("write before", "wrote 6").await;
    b.does("arrived 6", "arrived").await;
    let waiting = a.begins("read").await;
    let reset = scenario.inject(fault::reset("a", "b")).await?;
    assert_eq!(reset.fired().await?.to_string(), "! reset a:2 b:2");
    waiting.is("ConnectionReset").await;
    a.does("read", "end").await;
    a.does("write x", "BrokenPipe").await;
    b.does("write x", "ConnectionReset").await;
    b.does("write x", "BrokenPipe").await;
    b.does("read", "before").await;
    b.does("read", "end").await;
    // New connections are not affected.
    let accepting = b.begins("accept").await;
    a.does("dial b:10", "a:3").await;
    accepting.is("a:3").await;
    a.does("write new", "wrote 3").await;
    b.does("read", "new").await;
    Ok(())
}

#[lonet::test]
async fn a_refusal_concerns_dials_alone(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let mut c = stage.puppet("c").await?;
    // A dial that is queued already goes on.
    let mut queued = a.begins("dial b:10").await;
    a.pends(&mut queued).await;
    scenario.until("a:3 dial b:10").await?;
    let refuse = scenario.inject(fault::refuse(["a", "c"], "b")).await?;
    a.does("write x", "wrote 1").await;
    b.does("read", "x").await;
    c.does("dial b:10", "ConnectionRefused").await;
    b.does("accept", "a:3").await;
    queued.is("a:3").await;
    refuse.heal().await?;
    let accepting = b.begins("accept").await;
    c.does("dial b:10", "c:2").await;
    accepting.is("c:2").await;
    Ok(())
}

#[lonet::test]
async fn only_a_write_after_the_restart_tells_of_a_vanished_host(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, b) = stage.connected().await?;
    let mut idle = stage.puppet("c").await?;
    let vanish = scenario.inject(fault::vanish("b")).await?;
    assert_eq!(vanish.fired().await?.to_string(), "! vanish b");
    let mut reading = a.begins("read").await;
    // Into the kernel's buffers, then no more.
    let mut writing = a.begins("fail").await;
    a.pends(&mut reading).await;
    a.pends(&mut writing).await;
    let mut dialing = idle.begins("dial b:10").await;
    idle.pends(&mut dialing).await;

    let mut b = stage.again(b).await?;
    writing.is("ConnectionReset").await;
    a.does("write x", "BrokenPipe").await;
    // The reset is the reader's, too; it was told to the writer.
    reading.is("end").await;
    idle.does("hang up", "hung up").await;
    b.does("listen", "listens").await;
    let accepting = b.begins("accept").await;
    a.does("dial b:10", "a:3").await;
    accepting.is("a:3").await;
    Ok(())
}

#[lonet::test]
async fn an_idle_reader_never_learns_of_a_vanished_host(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, b) = stage.connected().await?;
    let mut reading = a.begins("read").await;
    let _vanish = scenario.inject(fault::vanish("b")).await?;
    a.pends(&mut reading).await;
    let _b = stage.again(b).await?;
    a.pends(&mut reading).await;
    Ok(())
}

#[lonet::test]
async fn a_window_shows_back_pressure(scenario: Scenario) -> Result<()> {
    let stage = Stage::new(&scenario).await?;
    let (mut a, mut b) = stage.connected().await?;
    let partition = fault::partition("a", "b").window(4096);
    let partition = scenario.inject(partition).await?;
    let mut filling = a.begins("fill 200000").await;
    a.pends(&mut filling).await;
    partition.heal().await?;
    b.does("drain 200000", "drained").await;
    filling.is("filled").await;
    Ok(())
}
