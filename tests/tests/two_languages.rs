//! Rust and Python hosts in one scenario: one trace, and causality across the languages.

use lonet::Host;
use lonet::trace::Verb;
use lonet_harness::{Program, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A Python program that has the package of this repository.
fn python(code: &str) -> Program {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../lonet/python/src");
    Program::new("python3")
        .args(["-c", code])
        .env("PYTHONPATH", package)
        .joins()
}

/// Answers a ping with a pong, then does the same the other way round.
#[lonet::host]
async fn pinger(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut asked = listener.accept().await?;
    let mut ping = [0; 4];
    asked.read_exact(&mut ping).await?;
    host.mark("heard ping");
    asked.write_all(b"pong").await?;
    drop(asked);

    let mut asking = host.dial("γ:10").await?;
    host.mark("pings");
    asking.write_all(b"ping").await?;
    let mut pong = String::new();
    asking.read_to_string(&mut pong).await?;
    host.mark(format!("heard {pong}"));
    Ok(())
}

const BLOCKING: &str = r#"
import lonet
host = lonet.from_env()
listener = host.listen(":10")
with host.dial("α:10") as asking:
    host.mark("pings")
    asking.sendall(b"ping")
    pong = asking.makefile("rb").read()
    host.mark("heard " + pong.decode())
with listener.accept() as asked:
    assert asked.recv(4) == b"ping"
    host.mark("heard ping")
    asked.sendall(b"pong")
listener.close()
"#;

const ASYNCIO: &str = r#"
import asyncio, lonet

async def main():
    host = lonet.from_env()
    done = asyncio.Event()

    async def answer(reader, writer):
        assert await reader.readexactly(4) == b"ping"
        host.mark("heard ping")
        writer.write(b"pong")
        writer.close()
        await writer.wait_closed()
        done.set()

    async with await host.start_server(answer, ":10"):
        reader, writer = await host.open_connection("α:10")
        host.mark("pings")
        writer.write(b"ping")
        host.mark("heard " + (await reader.read()).decode())
        writer.close()
        await writer.wait_closed()
        await done.wait()

asyncio.run(main())
"#;

const BOTH_WAYS: &str = "
    α:10 listen
    γ:10 listen
    γ:1  dial    α:10
    α:1  accept  γ:1
    γ:1  connect α:1
    γ    mark    pings
    α    mark    heard ping
    α:1  close   γ:1
    γ    mark    heard pong
    γ:1  close   α:1
    α:1  dial    γ:10
    γ:$p accept  α:1
    α:1  connect γ:$p
    α    mark    pings
    γ    mark    heard ping
    γ:$p close   α:1
    α    mark    heard pong
    α:1  close   γ:$p
    γ:10 close
    α:10 close
";

async fn both_ways(scenario: &Scenario, program: &str) -> Result<()> {
    let alpha = scenario.spawn("α", pinger()).await?;
    scenario.until("α:10 listen").await?;
    let gamma = scenario.spawn("γ", python(program)).await?;
    alpha.join().await?;
    assert!(gamma.join().await?.success());
    Ok(())
}

/// Of one task's events and of payloads, whatever the order of the rest.
fn swapped(cause: &str, effect: &str) -> String {
    let (cause, effect) = (words(cause), words(effect));
    let mut lines: Vec<String> = BOTH_WAYS.lines().map(words).collect();
    let from = lines
        .iter()
        .position(|line| *line == effect)
        .expect("is there");
    let line = lines.remove(from);
    let to = lines
        .iter()
        .position(|line| *line == cause)
        .expect("is there");
    lines.insert(to, line);
    lines.join("\n")
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[lonet::test]
async fn blocking_python(scenario: Scenario) -> Result<()> {
    both_ways(&scenario, BLOCKING).await?;
    scenario.assert_trace(BOTH_WAYS);
    // Only a payload orders these: what was sent in one language, and what came of it in the other.
    for (cause, effect) in [
        ("γ mark pings", "α mark heard ping"),
        ("α mark heard ping", "γ mark heard pong"),
        ("α mark pings", "γ mark heard ping"),
        ("γ mark heard ping", "α mark heard pong"),
    ] {
        assert!(
            scenario
                .check_trace(swapped(cause, effect).as_str())
                .is_err(),
            "{effect} was told before {cause}"
        );
    }
    Ok(())
}

#[lonet::test]
async fn asyncio_python(scenario: Scenario) -> Result<()> {
    both_ways(&scenario, ASYNCIO).await?;
    scenario.assert_trace(BOTH_WAYS);
    for (cause, effect) in [
        ("γ mark pings", "α mark heard ping"),
        ("α mark heard ping", "γ mark heard pong"),
        ("α mark pings", "γ mark heard ping"),
        ("γ mark heard ping", "α mark heard pong"),
    ] {
        assert!(
            scenario
                .check_trace(swapped(cause, effect).as_str())
                .is_err(),
            "{effect} was told before {cause}"
        );
    }
    Ok(())
}

/// What was sent and received is in the trace of both, if it is asked for.
#[lonet::test]
async fn python_records_data(scenario: Scenario) -> Result<()> {
    scenario.record_data()?;
    both_ways(&scenario, BLOCKING).await?;
    let trace = scenario.trace().with_data();
    let sent = trace.clone().only_verbs(&[Verb::Send]);
    sent.assert(
        "
        γ:1 send α:1 4
        α:1 send γ:1 4
        α:1 send γ:$p 4
        γ:$p send α:1 4
        ",
    );
    let ping = trace.find("γ:1 send α:1 4")?.ok_or("no ping")?;
    let pong = trace.find("γ mark heard pong")?.ok_or("no pong")?;
    let received = trace.find("α:1 recv γ:1 4")?.ok_or("not received")?;
    assert!(trace.happens_before(ping, received) && trace.happens_before(received, pong));
    trace.assert_contains("γ:1 send α:1 4\nγ:1 recv α:1 4\nγ mark heard pong");
    Ok(())
}
