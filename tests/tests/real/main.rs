//! Real programs, unmodified, as hosts: redis, curl, nginx, static Go programs, and Python for what
//! these do not do by themselves.
//!
//! Owns what they see of the network and what stands in the trace. How a program is started and
//! ended is in the test binary `programs`.

mod bytes;
mod dialing;
mod etcd;
mod faults;
mod golang;
mod listening;
mod names;
mod nginx;
mod postgres;
mod processes;
mod redis;

use std::path::PathBuf;

use lonet::Host;
use lonet_harness::{Play, Program, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A program of the machine, and Debian's package of it.
type Needed = (&'static str, &'static str);

const PYTHON: Needed = ("python3", "python3");
const CURL: Needed = ("curl", "curl");

/// Whether these programs are here. If one is not, the test is skipped.
fn are_here(programs: &[Needed]) -> bool {
    let mut programs = programs.iter();
    programs.all(|(name, package)| lonet_tests::has(name, package))
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|place| place.join(program));
    places.find(|place| place.is_file())
}

/// A program in Python, whose lines may be indented.
fn python(code: &str) -> Program {
    Program::new("python3").args(["-u", "-c", &format!("if 1:\n{code}")])
}

/// Runs a program to its end, which has to be a success. What it has printed.
async fn printed(scenario: &Scenario, host: &str, program: Program) -> Result<String> {
    let node = scenario.spawn(host, program).await?;
    node.until(&format!("{host} exit _")).await?;
    let log = node.log();
    let status = node.await?;
    assert!(status.success(), "{host}: {status}: {log}");
    Ok(log)
}

/// The value that a role returns.
async fn returned<P: Play>(scenario: &Scenario, host: &str, role: P) -> Result<P::Output> {
    Ok(scenario.spawn(host, role).await?.await?)
}

/// Dials, sends a text and its end, and returns all that comes back.
#[lonet::host]
async fn asks(host: Host, to: String, question: String) -> Result<String> {
    let mut conn = host.dial(to).await?;
    conn.write_all(question.as_bytes()).await?;
    conn.shutdown().await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Accepts so many connections, one after the other, and answers each with its text in capitals.
#[lonet::host]
async fn shouts(host: Host, port: u16, times: usize) -> Result<()> {
    let listener = host.listen(format!(":{port}")).await?;
    for _ in 0..times {
        let mut conn = listener.accept().await?;
        let mut text = String::new();
        conn.read_to_string(&mut text).await?;
        conn.write_all(text.to_uppercase().as_bytes()).await?;
    }
    Ok(())
}
