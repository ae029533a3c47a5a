//! What the network costs beside raw tokio TCP: `cargo bench -p lonet --bench network [rows…]`.
//!
//! Prints, for each row, the medians of interleaved rounds and their ratio; rounds drift by a
//! quarter on a busy machine, so only the ratio says something. A program, not a test: it fails
//! nothing.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that can't be made has nothing to say"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use lonet::{Host, Listener, SubNetwork};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

const ROUNDS: usize = 7;

/// A place to dial, and what dials it.
#[derive(Clone)]
enum Dialer {
    Raw(std::net::SocketAddr),
    Lonet(Host, String),
}

enum Acceptor {
    Raw(TcpListener),
    Lonet(Listener),
}

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

async fn raw() -> (Acceptor, Dialer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (Acceptor::Raw(listener), Dialer::Raw(addr))
}

async fn network() -> (SubNetwork, Acceptor, Dialer) {
    let net = lonet::join("").await.unwrap();
    let (alpha, beta) = (
        net.new_host("α").await.unwrap(),
        net.new_host("β").await.unwrap(),
    );
    let listener = alpha.listen(":60000").await.unwrap();
    let dialer = Dialer::Lonet(beta, "α:60000".to_owned());
    (net, Acceptor::Lonet(listener), dialer)
}

async fn both(loopback: bool) -> (Option<SubNetwork>, Acceptor, Dialer) {
    if loopback {
        let (net, acceptor, dialer) = network().await;
        (Some(net), acceptor, dialer)
    } else {
        let (acceptor, dialer) = raw().await;
        (None, acceptor, dialer)
    }
}

async fn serve_cycles(acceptor: Acceptor) {
    match acceptor {
        Acceptor::Raw(listener) => loop {
            drop(listener.accept().await.unwrap());
        },
        Acceptor::Lonet(listener) => loop {
            drop(listener.accept().await.unwrap());
        },
    }
}

async fn cycle(dialer: &Dialer) {
    async fn end(mut stream: impl AsyncRead + Unpin) {
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    }
    match dialer {
        Dialer::Raw(addr) => end(TcpStream::connect(addr).await.unwrap()).await,
        Dialer::Lonet(host, addr) => end(host.dial(addr).await.unwrap()).await,
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// p50 of a cycle in µs.
async fn cycle_p50(dialer: &Dialer, count: usize) -> f64 {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        cycle(dialer).await;
        times.push(start.elapsed().as_nanos() as f64 / 1000.0);
    }
    median(times)
}

fn runtime(workers: usize) -> Runtime {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().unwrap()
}

/// One row: the same measurement on raw TCP and on lonet, in turns.
fn row(name: &str, unit: &str, budget: &str, measure: impl Fn(bool) -> f64) {
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    if !chosen.is_empty() && !chosen.iter().any(|word| name.contains(word.as_str())) {
        return;
    }
    let (mut raw, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (a, b) = (measure(false), measure(true));
        raw.push(a);
        ours.push(b);
        ratios.push(b / a);
    }
    println!(
        "{name:<44} {:>10.2} {:>10.2} {unit:<9} {:>6.2}x  (budget {budget})",
        median(raw),
        median(ours),
        median(ratios),
    );
}

fn cycle_in_one_process(workers: usize, loopback: bool) -> f64 {
    let runtime = runtime(workers);
    runtime.block_on(async {
        let (_net, acceptor, dialer) = both(loopback).await;
        let serving = tokio::spawn(serve_cycles(acceptor));
        let p50 = tokio::spawn(async move {
            cycle_p50(&dialer, 300).await;
            cycle_p50(&dialer, 4000).await
        });
        let p50 = p50.await.unwrap();
        serving.abort();
        p50
    })
}

/// The acceptor is another process: this program, told where to listen.
fn cycle_in_two_processes(loopback: bool) -> f64 {
    let runtime = runtime(0);
    runtime.block_on(async {
        let net = match loopback {
            true => Some(lonet::join("").await.unwrap()),
            false => None,
        };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env("BENCH_ACCEPTOR", net.as_ref().map_or("", |net| net.name()))
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut place = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut place).unwrap();
        let dialer = match &net {
            Some(net) => Dialer::Lonet(net.new_host("β").await.unwrap(), place.trim().to_owned()),
            None => Dialer::Raw(place.trim().parse().unwrap()),
        };
        cycle_p50(&dialer, 300).await;
        let p50 = cycle_p50(&dialer, 4000).await;
        child.kill().unwrap();
        child.wait().unwrap();
        p50
    })
}

/// The other process of `cycle_in_two_processes`.
fn acceptor_process(network: &str) {
    runtime(0).block_on(async {
        if network.is_empty() {
            let (acceptor, dialer) = raw().await;
            let Dialer::Raw(addr) = dialer else { return };
            println!("{addr}");
            serve_cycles(acceptor).await;
        } else {
            let net = lonet::join(network).await.unwrap();
            let alpha = net.new_host("α").await.unwrap();
            let listener = alpha.listen(":60000").await.unwrap();
            println!("α:60000");
            serve_cycles(Acceptor::Lonet(listener)).await;
        }
    });
}

/// Thousands of cycles a second with so many dialers at once.
fn cycle_rate(workers: usize, dialers: usize, loopback: bool) -> f64 {
    let runtime = runtime(workers);
    runtime.block_on(async {
        let (_net, acceptor, dialer) = both(loopback).await;
        let serving = tokio::spawn(serve_cycles(acceptor));
        let each = 12_000 / dialers;
        let start = Instant::now();
        let mut dialing = tokio::task::JoinSet::new();
        for _ in 0..dialers {
            let dialer = dialer.clone();
            dialing.spawn(async move {
                for _ in 0..each {
                    cycle(&dialer).await;
                }
            });
        }
        dialing.join_all().await;
        let rate = (each * dialers) as f64 / start.elapsed().as_secs_f64() / 1000.0;
        serving.abort();
        rate
    })
}

async fn pair(acceptor: &Acceptor, dialer: &Dialer) -> (Box<dyn Connection>, Box<dyn Connection>) {
    match (acceptor, dialer) {
        (Acceptor::Raw(listener), Dialer::Raw(addr)) => {
            let (accepted, dialed) = tokio::join!(listener.accept(), TcpStream::connect(addr));
            let (accepted, dialed) = (accepted.unwrap().0, dialed.unwrap());
            accepted.set_nodelay(true).unwrap();
            dialed.set_nodelay(true).unwrap();
            (Box::new(accepted), Box::new(dialed))
        }
        (Acceptor::Lonet(listener), Dialer::Lonet(host, addr)) => {
            let (accepted, dialed) = tokio::join!(listener.accept(), host.dial(addr));
            (Box::new(accepted.unwrap()), Box::new(dialed.unwrap()))
        }
        _ => unreachable!("both ends are of one kind"),
    }
}

fn round_trip(workers: usize, loopback: bool) -> f64 {
    runtime(workers).block_on(async {
        let (_net, acceptor, dialer) = both(loopback).await;
        let (mut accepted, mut dialed) = pair(&acceptor, &dialer).await;
        let echo = tokio::spawn(async move {
            let mut byte = [0];
            while accepted.read(&mut byte).await.unwrap() > 0 {
                accepted.write_all(&byte).await.unwrap();
            }
        });
        let measured = tokio::spawn(async move {
            let mut times = Vec::new();
            let mut byte = [0];
            for _ in 0..20_000 {
                let start = Instant::now();
                dialed.write_all(&byte).await.unwrap();
                dialed.read_exact(&mut byte).await.unwrap();
                times.push(start.elapsed().as_nanos() as f64 / 1000.0);
            }
            median(times)
        });
        let p50 = measured.await.unwrap();
        echo.await.unwrap();
        p50
    })
}

/// GB/s.
fn throughput(workers: usize, loopback: bool) -> f64 {
    const TOTAL: usize = 1 << 30;
    runtime(workers).block_on(async {
        let (_net, acceptor, dialer) = both(loopback).await;
        let (mut accepted, mut dialed) = pair(&acceptor, &dialer).await;
        let start = Instant::now();
        let reading = tokio::spawn(async move {
            let mut buf = vec![0; 64 * 1024];
            let mut all = 0;
            while all < TOTAL {
                all += accepted.read(&mut buf).await.unwrap();
            }
        });
        let chunk = vec![7; 64 * 1024];
        for _ in 0..TOTAL / chunk.len() {
            dialed.write_all(&chunk).await.unwrap();
        }
        reading.await.unwrap();
        TOTAL as f64 / start.elapsed().as_secs_f64() / 1e9
    })
}

/// p50 of a cycle with so many other connections open on the same hosts.
fn crowded(open: usize) -> f64 {
    runtime(0).block_on(async {
        let (_net, acceptor, dialer) = both(true).await;
        let mut kept = Vec::new();
        for _ in 0..open {
            kept.push(pair(&acceptor, &dialer).await);
        }
        let serving = tokio::spawn(serve_cycles(acceptor));
        cycle_p50(&dialer, 300).await;
        let p50 = cycle_p50(&dialer, 3000).await;
        serving.abort();
        p50
    })
}

fn joins() {
    let runtime = runtime(0);
    let mut times = Vec::new();
    for _ in 0..200 {
        times.push(runtime.block_on(async {
            let start = Instant::now();
            let net = lonet::join("").await.unwrap();
            net.new_host("α").await.unwrap();
            start.elapsed().as_nanos() as f64 / 1000.0
        }));
    }
    println!(
        "{:<44} {:>21.2} µs                 (budget ≤ 1000)",
        "join + first host, p50",
        median(times)
    );
}

fn main() {
    if let Ok(network) = std::env::var("BENCH_ACCEPTOR") {
        return acceptor_process(&network);
    }
    println!("{:<44} {:>10} {:>10}", "", "raw tokio", "lonet");
    row("cycle p50, 1p, current-thread", "µs", "≤ 1.5", |l| {
        cycle_in_one_process(0, l)
    });
    row("cycle p50, 1p, 2 workers", "µs", "", |l| {
        cycle_in_one_process(2, l)
    });
    row("cycle p50, 2p", "µs", "≤ 1.5", cycle_in_two_processes);
    row("rate, 16 dialers, current-thread", "k/s", "≥ 0.65", |l| {
        cycle_rate(0, 16, l)
    });
    row("rate, 64 dialers, current-thread", "k/s", "≥ 0.65", |l| {
        cycle_rate(0, 64, l)
    });
    row("rate, 16 dialers, 2 workers", "k/s", "≥ 0.55", |l| {
        cycle_rate(2, 16, l)
    });
    row("rate, 64 dialers, 2 workers", "k/s", "≥ 0.55", |l| {
        cycle_rate(2, 64, l)
    });
    row(
        "1-byte round trip, current-thread",
        "µs",
        "≤ 1.02",
        |l| round_trip(0, l),
    );
    row("1-byte round trip, 2 workers", "µs", "≤ 1.02", |l| {
        round_trip(2, l)
    });
    row(
        "64 KiB streaming, current-thread",
        "GB/s",
        "≥ 0.98",
        |l| throughput(0, l),
    );
    row("64 KiB streaming, 2 workers", "GB/s", "≥ 0.98", |l| {
        throughput(2, l)
    });
    row(
        "cycle at 9,000 open against 10 (lonet)",
        "µs",
        "≤ 1.1",
        |many| crowded(if many { 9_000 } else { 10 }),
    );
    joins();
}
