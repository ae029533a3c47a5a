//! Requests at once in one task: `join!`, `try_join!`, `FuturesUnordered`.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lonet::Host;
use lonet_harness::{Result, Scenario, expect_file};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{echo, play};

/// Serves that many clients, each in a task of its own.
#[lonet::host(worker_threads = 2)]
async fn server(host: Host, clients: usize) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut serving = JoinSet::new();
    for _ in 0..clients {
        let (conn, host) = (listener.accept().await?, host.clone());
        serving.spawn(async move { echo(&host, conn).await });
    }
    while let Some(served) = serving.join_next().await {
        served??;
    }
    host.mark("served all");
    Ok(())
}

async fn ask(host: &Host, who: &str) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    host.mark(format!("{who} connected"));
    conn.write_all(who.as_bytes()).await?;
    let mut answer = [0; 3];
    conn.read_exact(&mut answer).await?;
    host.mark(format!("{who} answered"));
    Ok(())
}

#[lonet::host]
async fn joins(host: Host, requests: usize) -> Result<()> {
    let ask = |who| ask(&host, who);
    match requests {
        2 => {
            let (one, two) = tokio::join!(ask("one"), ask("two"));
            one.and(two)?;
        }
        3 => {
            let (one, two, three) = tokio::join!(ask("one"), ask("two"), ask("thr"));
            one.and(two).and(three)?;
        }
        _ => {
            let all = tokio::join!(ask("one"), ask("two"), ask("thr"), ask("fou"), ask("fiv"));
            all.0.and(all.1).and(all.2).and(all.3).and(all.4)?;
        }
    }
    host.mark("joined");
    Ok(())
}

#[lonet::host]
async fn try_joins(host: Host, requests: usize) -> Result<()> {
    let ask = |who| ask(&host, who);
    match requests {
        2 => drop(tokio::try_join!(ask("one"), ask("two"))?),
        3 => drop(tokio::try_join!(ask("one"), ask("two"), ask("thr"))?),
        _ => drop(tokio::try_join!(
            ask("one"),
            ask("two"),
            ask("thr"),
            ask("fou"),
            ask("fiv")
        )?),
    }
    host.mark("joined");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn join_of_two(scenario: Scenario) -> Result<()> {
    play(&scenario, server(2), vec![joins(2)]).await?;
    scenario.assert_trace(expect_file!["texts/join_of_two.trace"]);
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn join_of_three(scenario: Scenario) -> Result<()> {
    play(&scenario, server(3), vec![joins(3)]).await?;
    scenario.assert_trace(expect_file!["texts/join_of_three.trace"]);
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn join_of_five(scenario: Scenario) -> Result<()> {
    play(&scenario, server(5), vec![joins(5)]).await?;
    scenario.assert_trace(expect_file!["texts/join_of_five.trace"]);
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn try_join_of_two(scenario: Scenario) -> Result<()> {
    play(&scenario, server(2), vec![try_joins(2)]).await?;
    scenario.assert_trace(expect_file!["texts/try_join_of_two.trace"]);
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn try_join_of_three(scenario: Scenario) -> Result<()> {
    play(&scenario, server(3), vec![try_joins(3)]).await?;
    scenario.assert_trace(expect_file!["texts/try_join_of_three.trace"]);
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn try_join_of_five(scenario: Scenario) -> Result<()> {
    play(&scenario, server(5), vec![try_joins(5)]).await?;
    scenario.assert_trace(expect_file!["texts/try_join_of_five.trace"]);
    Ok(())
}

/// Marks after each that is done, whichever it is.
#[lonet::host]
async fn unordered(host: Host) -> Result<()> {
    let names = ["one", "two", "thr", "fou"];
    let mut asking: FuturesUnordered<_> = names.iter().map(|who| ask(&host, who)).collect();
    while let Some(asked) = asking.next().await {
        asked?;
    }
    host.mark("all done");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn futures_unordered(scenario: Scenario) -> Result<()> {
    play(&scenario, server(4), vec![unordered()]).await?;
    scenario.assert_trace(expect_file!["texts/futures_unordered.trace"]);
    Ok(())
}
