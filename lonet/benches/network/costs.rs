//! What else is budgeted: joining, alone and by 64 processes at once, memory, and being traced.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::cycles::runtime;
use crate::ends::{Acceptor, Net, ends, pair};
use crate::table::{self, median};

/// `cycle`: what a cycle of raw TCP takes here, in µs.
pub(crate) fn rows(cycle: f64) {
    if table::is_wanted("join") {
        table::time("join + first host, p50", joins(), cycle, 1000.0);
        let times = (0..7).map(|_| crowd(64)).collect();
        let name = "64 processes join a new network at once, p50";
        table::time(name, median(times), cycle, 50_000.0);
    }
    if table::is_wanted("tracing") {
        let (event, plain, traced) = tracing();
        table::time("tracing, an event at the reporter", event, cycle, 3.0);
        table::line(
            "tracing, a cycle (raw: untraced)",
            [Some(plain), None, Some(traced)],
            traced / plain,
            "µs",
            "",
        );
    }
    if table::is_wanted("memory") {
        let [raw, lonet] = [Net::Raw, Net::Lonet].map(memory);
        println!(
            "{:<44} {raw:>10.0} {:>10} {lonet:>10.0} B, {:.0} more, budget 300",
            "memory of an open connection end",
            "-",
            lonet - raw
        );
    }
}

fn joins() -> f64 {
    let runtime = runtime(0);
    let join = || {
        runtime.block_on(async {
            let start = Instant::now();
            let net = lonet::join("").await.unwrap();
            net.new_host("α").await.unwrap();
            start.elapsed().as_nanos() as f64 / 1000.0
        })
    };
    median((0..300).map(|_| join()).collect())
}

const JOINER: &str = "LONET_BENCH_JOINER";

/// From the word to the last one that has joined, with a host of its own, in µs.
fn crowd(count: usize) -> f64 {
    // The name is taken from a network that is gone by then: each time a new one, with no directory.
    let name = runtime(0).block_on(async { lonet::join("").await.unwrap().name().to_owned() });
    let mut children: Vec<(Child, BufReader<std::process::ChildStdout>)> = (0..count)
        .map(|n| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .env(JOINER, format!("{name} h{n}"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = BufReader::new(child.stdout.take().unwrap());
            (child, output)
        })
        .collect();
    let mut line = String::new();
    for (_, output) in &mut children {
        output.read_line(&mut line).unwrap();
    }
    let start = Instant::now();
    for (child, _) in &mut children {
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
    for (_, output) in &mut children {
        line.clear();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "joined\n");
    }
    let took = start.elapsed().as_nanos() as f64 / 1000.0;
    for (mut child, _) in children {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    took
}

/// Is one of the crowd, if this process was started to be.
pub(crate) fn join_if_told() -> bool {
    let Ok(task) = std::env::var(JOINER) else {
        return false;
    };
    let (network, host) = task.split_once(' ').unwrap();
    let mut stdin = std::io::stdin();
    runtime(0).block_on(async {
        println!("ready");
        stdin.read_exact(&mut [0]).unwrap();
        let net = lonet::join(network).await.unwrap();
        net.new_host(host).await.unwrap();
        println!("joined");
        // Stays until everybody has.
        stdin.read_to_end(&mut Vec::new()).unwrap();
    });
    true
}

/// µs for a mark, for an untraced and for a traced cycle. The collector is a thread that reads.
fn tracing() -> (f64, f64, f64) {
    const EVENTS: usize = 20_000;
    let runtime = runtime(0);
    let cycles = |name: &str| {
        runtime.block_on(async {
            let net = lonet::join(name).await.unwrap();
            let alpha = net.new_host("α").await.unwrap();
            let beta = net.new_host("β").await.unwrap();
            let mut marks = Vec::new();
            for _ in 0..20 {
                let start = Instant::now();
                for _ in 0..EVENTS / 20 {
                    alpha.mark("x");
                }
                marks.push(start.elapsed().as_nanos() as f64 / 1000.0 / (EVENTS / 20) as f64);
            }
            let listener = alpha.listen(":60000").await.unwrap();
            let dialer = crate::ends::Dialer::Lonet(beta, listener.addr().to_string());
            let serving = tokio::spawn(Acceptor::Lonet(listener).serve_cycles());
            let p50 = crate::cycles::p50(&dialer, 4000).await;
            serving.abort();
            (median(marks), p50)
        })
    };
    let (_, plain) = cycles("");
    let keeper = runtime.block_on(async { lonet::join("").await.unwrap() });
    let directory = std::env::temp_dir().join("lonet").join(keeper.name());
    let collector = UnixListener::bind(directory.join(lonet::trace::SOCKET_NAME)).unwrap();
    let reading = std::thread::spawn(move || {
        let (mut reporter, _) = collector.accept().unwrap();
        std::io::copy(&mut reporter, &mut std::io::sink()).unwrap()
    });
    let (event, traced) = cycles(keeper.name());
    // With it go the tasks that hold the traced network open.
    drop(runtime);
    drop(keeper);
    assert!(reading.join().unwrap() > 0, "it was traced");
    (event, plain, traced)
}

/// Bytes of this process for each end of a connection, kernel memory aside. A process of its own
/// measures each, so that neither uses what the other has freed.
fn memory(net: Net) -> f64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .env(MEASURER, format!("{net:?}"))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap()
}

const MEASURER: &str = "LONET_BENCH_MEMORY";

/// Measures memory, if this process was started to.
pub(crate) fn measure_memory_if_told() -> bool {
    let Ok(task) = std::env::var(MEASURER) else {
        return false;
    };
    const PAIRS: usize = 9000;
    let net = if task == "Raw" { Net::Raw } else { Net::Lonet };
    runtime(0).block_on(async {
        let (_net, acceptor, dialer) = ends(net).await;
        let mut kept = Vec::with_capacity(PAIRS + 500);
        // What grows once only does so now.
        for _ in 0..500 {
            kept.push(pair(&acceptor, &dialer).await);
        }
        let before = resident();
        for _ in 0..PAIRS {
            kept.push(pair(&acceptor, &dialer).await);
        }
        println!("{}", (resident() - before) / (2 * PAIRS) as f64);
    });
    true
}

/// This process's resident memory, in bytes.
fn resident() -> f64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup
        .lines()
        .find(|line| line.starts_with("Rss:"))
        .unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024.0
}
