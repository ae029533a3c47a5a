//! What it costs a program to be a host: the same two programs, once over plain loopback and once
//! carried, in one run, interleaved.
//!
//! The programs are this binary with arguments, written over the standard library alone. With
//! redis-server and redis-benchmark installed, these too. Prints ratios beside the figures. Decides
//! nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lonet_harness::{Program, Result, Scenario, run};

const ROUNDS: usize = 5;
const CONNECTS: usize = 300;
const TRIPS: usize = 5_000;
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 8_000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["serve"] => Ok(serve()?),
        ["ask", host] => Ok(ask(host)?),
        _ => compare(),
    }
}

/// Serves one connection after the other, each as its first byte asks.
fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7000")?;
    println!("serving");
    let mut chunk = vec![0; CHUNK];
    loop {
        let mut stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        let mut how = [0];
        if stream.read(&mut how)? == 0 {
            continue;
        }
        match how[0] {
            b'e' => {
                let mut byte = [0];
                while stream.read(&mut byte)? > 0 {
                    stream.write_all(&byte)?;
                }
            }
            _ => {
                while stream.read(&mut chunk)? > 0 {}
                stream.write_all(b"k")?;
            }
        }
    }
}

fn ask(host: &str) -> std::io::Result<()> {
    // Names are no part of what is measured.
    let mut at = std::net::ToSocketAddrs::to_socket_addrs(&(host, 7000))?;
    let at = at.next().ok_or(std::io::ErrorKind::NotFound)?;
    let mut connects: Vec<u128> = Vec::new();
    for _ in 0..CONNECTS {
        let begin = Instant::now();
        let stream = TcpStream::connect(at)?;
        connects.push(begin.elapsed().as_nanos());
        drop(stream);
    }
    connects.sort_unstable();
    let mut stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.write_all(b"e")?;
    let mut trips: Vec<u128> = Vec::new();
    for _ in 0..TRIPS {
        let begin = Instant::now();
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        trips.push(begin.elapsed().as_nanos());
    }
    trips.sort_unstable();
    drop(stream);
    let mut stream = TcpStream::connect(at)?;
    stream.write_all(b"s")?;
    let chunk = vec![7; CHUNK];
    let begin = Instant::now();
    for _ in 0..CHUNKS {
        stream.write_all(&chunk)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    let rate = (CHUNK * CHUNKS) as f64 / begin.elapsed().as_secs_f64() / 1e9;
    let (connect, trip) = (connects[CONNECTS / 2], trips[TRIPS / 2]);
    println!("{} {} {rate}", connect as f64 / 1e3, trip as f64 / 1e3);
    Ok(())
}

/// A program on the machine's own network, ended with this handle.
struct Plain(Child);

impl Plain {
    fn start(command: &mut Command) -> std::io::Result<Plain> {
        Ok(Plain(command.stdout(Stdio::piped()).spawn()?))
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn plain(own: &str) -> Result<Vec<f64>> {
    let mut server = Plain::start(Command::new(own).arg("serve"))?;
    let mut line = [0; 8];
    server
        .0
        .stdout
        .as_mut()
        .expect("piped")
        .read_exact(&mut line)?;
    let output = Command::new(own).args(["ask", "127.0.0.1"]).output()?;
    Ok(numbers(&String::from_utf8_lossy(&output.stdout)))
}

fn carried(own: &str) -> Result<Vec<f64>> {
    let (own, text) = (
        own.to_owned(),
        std::sync::Arc::new(std::sync::Mutex::new(String::new())),
    );
    let kept = text.clone();
    run("programs", move |scenario: Scenario| {
        let (own, kept) = (own.clone(), kept.clone());
        async move {
            let _server = scenario
                .spawn("server", Program::new(&own).arg("serve"))
                .await?;
            scenario.until("server:7000 listen").await?;
            let client = scenario
                .spawn("client", Program::new(&own).args(["ask", "server"]))
                .await?;
            scenario.until("client exit 0").await?;
            *kept.lock().expect("not poisoned") = client.log();
            let done: Result<()> = Ok(());
            done
        }
    })?;
    let text = text.lock().expect("not poisoned").clone();
    Ok(numbers(&text))
}

const REDIS: [&str; 6] = ["--port", "7001", "--save", "", "--protected-mode", "no"];
const ASKS: [&str; 11] = [
    "-p", "7001", "-n", "50000", "-c", "50", "-t", "get", "--csv", "-q", "-h",
];

/// The last line of `--csv`, its second column.
fn rate(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .rev()
        .find(|line| line.starts_with("\"GET\""))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}

fn plain_redis() -> Result<Option<f64>> {
    let Ok(_server) = Plain::start(Command::new("redis-server").args(REDIS)) else {
        return Ok(None);
    };
    let begin = Instant::now();
    while TcpStream::connect("127.0.0.1:7001").is_err() && begin.elapsed() < Duration::from_secs(5)
    {
        std::thread::yield_now();
    }
    let output = Command::new("redis-benchmark")
        .args(ASKS)
        .arg("127.0.0.1")
        .output()?;
    Ok(rate(&String::from_utf8_lossy(&output.stdout)))
}

fn carried_redis() -> Result<Option<f64>> {
    let text = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let kept = text.clone();
    run("redis", move |scenario: Scenario| {
        let kept = kept.clone();
        async move {
            let _server = scenario
                .spawn("db", Program::new("redis-server").args(REDIS))
                .await?;
            scenario.until("db:7001 listen").await?;
            let client = Program::new("redis-benchmark").args(ASKS).arg("db");
            let client = scenario.spawn("client", client).await?;
            scenario.until("client exit 0").await?;
            *kept.lock().expect("not poisoned") = client.log();
            let done: Result<()> = Ok(());
            done
        }
    })?;
    let text = text.lock().expect("not poisoned").clone();
    Ok(rate(&text))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn compare() -> Result<()> {
    let own = std::env::current_exe()?.display().to_string();
    let (mut on_loopback, mut on_lonet) = (Vec::new(), Vec::new());
    let mut redis = Vec::new();
    for _ in 0..ROUNDS {
        on_loopback.push(plain(&own)?);
        on_lonet.push(carried(&own)?);
        if let (Some(plain), Some(carried)) = (plain_redis()?, carried_redis()?) {
            redis.push((plain, carried));
        }
    }
    let of = |rows: &[Vec<f64>], column: usize| {
        let values = rows.iter().filter_map(|row| row.get(column));
        median(values.copied().collect())
    };
    for (column, what, unit, target) in [
        (0, "connect, p50", "µs", "≤ 3"),
        (1, "1-byte round trip, p50", "µs", "≤ 6"),
        (2, "64 KiB streaming", "GB/s", "≥ 0.4"),
    ] {
        let (plain, carried) = (of(&on_loopback, column), of(&on_lonet, column));
        println!(
            "{what:28} {plain:9.2} {carried:9.2} {unit:5} {:6.2} × ({target})",
            carried / plain
        );
    }
    let plain = median(redis.iter().map(|pair| pair.0).collect());
    let carried = median(redis.iter().map(|pair| pair.1).collect());
    println!(
        "{:28} {plain:9.0} {carried:9.0} {:5} {:6.2} × (≥ 0.45)",
        "redis-benchmark, GET",
        "1/s",
        carried / plain
    );
    Ok(())
}
