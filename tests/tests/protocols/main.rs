//! Programs as people write them: each is updated once, and what that wrote has to hold of every
//! later run, and of every later update.
//!
//! The programs are ignored tests of this binary, run as a process of their own that takes a
//! directory for the workspace: their expectations are files in it, empty at first, so that a later
//! run is held against what the update wrote without being compiled again. `.ci/updates` runs all of
//! it under load; how an `expect!` is rewritten in its source is `updates`' matter.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod frames;
mod joins;
mod lines;
mod multiplexed;
mod selects;
mod shared;
mod trials;
mod unseen;

use lonet::Stream;
use lonet_harness::{Result, Scenario};
use trials::{Group, trial};

/// The order of these is in what lonet sees: no run may fail after one update.
const SEEN: &[&str] = &[
    "lines::through_a_buf_reader",
    "lines::pipelined_over_split_halves",
    "lines::through_a_proxy",
    "frames::unbuffered",
    "frames::frames_through_a_buf_reader",
    "frames::through_bytes_mut",
    "multiplexed::web_socket",
    "multiplexed::http2",
    "joins::join_of_two",
    "joins::join_of_three",
    "joins::join_of_five",
    "joins::try_join_of_two",
    "joins::try_join_of_three",
    "joins::try_join_of_five",
    "joins::futures_unordered",
    "shared::a_stream_of_several_tasks",
    "shared::one_client_after_the_other",
    "selects::functions_that_mark_then_read",
    "selects::heartbeats",
    "selects::biased_heartbeats",
    "selects::a_read_that_timed_out",
];

/// These race where lonet does not look: a run may fail with the offer of a block, until it is taken.
const UNSEEN: &[&str] = &[
    "unseen::an_actor",
    "unseen::timers",
    "unseen::oneshots",
    "unseen::a_local_set",
    "unseen::a_local_pool",
    "unseen::a_client_behind_a_task",
];

#[test]
fn one_update_of_what_is_seen_is_enough() {
    trial(Group::Seen, SEEN);
}

#[test]
fn what_is_not_seen_is_offered_a_block() {
    trial(Group::Unseen, UNSEEN);
}

/// Plays a server `s` that listens at 10, then clients of it, all at once, to the end.
async fn play(
    scenario: &Scenario,
    server: lonet_harness::Role<()>,
    clients: Vec<lonet_harness::Role<()>>,
) -> Result<()> {
    let server = scenario.spawn("s", server).await?;
    scenario.until("s:10 listen").await?;
    let mut nodes = Vec::new();
    for (client, name) in clients.into_iter().zip(["a", "b", "c"]) {
        nodes.push(scenario.spawn(name, client).await?);
    }
    for node in nodes {
        node.join().await?;
    }
    Ok(server.join().await?)
}

/// Answers each request of three bytes with as many, until the client has no more.
async fn echo(host: &lonet::Host, mut conn: Stream) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut request = [0; 3];
    while conn.read_exact(&mut request).await.is_ok() {
        host.mark(format!("asked {}", String::from_utf8_lossy(&request)));
        conn.write_all(&request).await?;
    }
    Ok(())
}
