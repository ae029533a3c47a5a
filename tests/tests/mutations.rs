//! Twenty real traces, each with every line dropped, doubled, relabelled, and swapped with its
//! neighbour: what is causally wrong is rejected, with the right reason, and nothing else is.

use lonet::Host;
use lonet_harness::{Result, Scenario, Trace, Verb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Serves so many clients, one after the other: answers each when it has said all.
#[lonet::host]
async fn server(host: Host, clients: usize) -> Result<()> {
    let listener = host.listen(":10").await?;
    for _ in 0..clients {
        let mut conn = listener.accept().await?;
        let mut said = Vec::new();
        conn.read_to_end(&mut said).await?;
        host.mark(format!("heard {}", said.len()));
        conn.write_all(&said).await?;
    }
    Ok(())
}

#[lonet::host]
async fn client(host: Host, says: usize) -> Result<()> {
    let mut conn = host.dial("α:10").await?;
    conn.write_all(&vec![b'x'; says]).await?;
    conn.shutdown().await?;
    conn.read_to_end(&mut Vec::new()).await?;
    host.mark("answered");
    Ok(())
}

/// Dials where nobody listens, so often.
#[lonet::host]
async fn refused(host: Host, times: usize) -> Result<()> {
    for _ in 0..times {
        if host.dial("α:11").await.is_err() {
            host.mark("refused");
        }
    }
    Ok(())
}

/// Dials, says it, and never ends.
#[lonet::host]
async fn lingers(host: Host) -> Result<()> {
    let _conn = host.dial("α:10").await?;
    host.mark("lingers");
    std::future::pending().await
}

async fn one_after_the_other(scenario: &Scenario, n: usize) -> Result<()> {
    let alpha = scenario.spawn("α", server(n)).await?;
    scenario.until("α:10 listen").await?;
    for i in 0..n {
        scenario
            .spawn(&format!("c{i}"), client(i))
            .await?
            .join()
            .await?;
    }
    Ok(alpha.join().await?)
}

async fn all_at_once(scenario: &Scenario, n: usize) -> Result<()> {
    let alpha = scenario.spawn("α", server(n)).await?;
    scenario.until("α:10 listen").await?;
    let mut clients = Vec::new();
    for i in 0..n {
        clients.push(scenario.spawn(&format!("c{i}"), client(i)).await?);
    }
    for client in clients {
        client.join().await?;
    }
    Ok(alpha.join().await?)
}

async fn dials_that_fail(scenario: &Scenario, n: usize) -> Result<()> {
    let alpha = scenario.spawn("α", server(1)).await?;
    scenario.until("α:10 listen").await?;
    scenario.spawn("β", refused(n)).await?.join().await?;
    scenario.spawn("γ", client(n)).await?.join().await?;
    Ok(alpha.join().await?)
}

async fn killed_clients(scenario: &Scenario, n: usize) -> Result<()> {
    let alpha = scenario.spawn("α", server(n)).await?;
    scenario.until("α:10 listen").await?;
    for i in 0..n {
        let node = scenario.spawn(&format!("c{i}"), lingers()).await?;
        node.until("_ mark lingers").await?;
        node.kill().await?;
    }
    Ok(alpha.join().await?)
}

/// All mutations of one trace.
fn mutate(trace: &Trace) {
    let events = trace.events();
    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
    let check = |lines: &[String]| trace.check(lines.join("\n"));
    check(&lines).expect("a trace holds of itself");
    for at in 0..lines.len() {
        let rejected = |what: &str, lines: &[String], names: &str| {
            let Err(mismatch) = check(lines) else {
                panic!(
                    "line {} {what}, and nobody minds:\n{}",
                    at + 1,
                    lines.join("\n")
                );
            };
            let message = mismatch.to_string();
            assert!(
                message.contains(names),
                "{what}: {names:?} is not named in:\n{message}"
            );
        };
        let mut dropped = lines.clone();
        let line = dropped.remove(at);
        rejected("is dropped", &dropped, &line);
        let mut doubled = lines.clone();
        doubled.insert(at, line.clone());
        rejected("stands twice", &doubled, &line);
        let mut relabelled = lines.clone();
        relabelled[at] = "ω:9 listen".into();
        rejected("tells of what was not", &relabelled, "ω:9 listen");

        if at + 1 == lines.len() || lines[at] == lines[at + 1] {
            continue;
        }
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        let (first, second) = (&events[at], &events[at + 1]);
        // An accept begins a strand: another run may accept its caller before it is done with this one.
        let is_of_this_run = second.verb() == Verb::Accept
            && first.host() == second.host()
            && first.verb() != Verb::Listen;
        if trace.happens_before(first, second) && !is_of_this_run {
            rejected("is swapped with its effect", &swapped, "happens before");
        } else {
            assert!(is_of_this_run || trace.concurrent(first, second));
            if let Err(mismatch) = check(&swapped) {
                panic!(
                    "lines {} and {} are concurrent, but:\n{mismatch}",
                    at + 1,
                    at + 2
                );
            }
        }
    }
}

macro_rules! traces {
    ($($play:ident)*) => {
        $(mod $play {
            use super::*;
            traces!(@ $play one 1, two 2, three 3, four 4, five 5);
        })*
    };
    (@ $play:ident $($name:ident $n:literal),*) => {
        $(#[lonet::test]
        async fn $name(scenario: Scenario) -> Result<()> {
            super::$play(&scenario, $n).await?;
            mutate(&scenario.trace());
            Ok(())
        })*
    };
}

traces! { one_after_the_other all_at_once dials_that_fail killed_clients }
