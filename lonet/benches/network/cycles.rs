//! A cycle: dial, the server accepts and closes, the client reads EOF and closes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use crate::ends::{Acceptor, Dialer, Net, Stream, ends};
use crate::table::{self, median};

const ROUNDS: usize = 7;
const NETS: [Net; 3] = [Net::Raw, Net::Lines, Net::Lonet];

/// A runtime of so many workers; 0 is the current thread.
pub(crate) fn runtime(workers: usize) -> Runtime {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().unwrap()
}

/// The rows. Gives the p50 of raw TCP's cycle in µs, which other rows are counted in.
pub(crate) fn rows() -> f64 {
    table::heading(["raw tokio", "floor", "lonet", "ratio"]);
    let raw = in_turns("cycle p50, 1p, current-thread", 0, "≤ 1.5");
    in_turns("cycle p50, 1p, 2 workers", 2, "");
    row("cycle p50, 2p", "µs", "≤ 1.5", in_two_processes);
    for (workers, called, budget) in [(0, "current-thread", "≥ 0.65"), (2, "2 workers", "≥ 0.55")]
    {
        for dialers in [16, 64] {
            let name = format!("rate, {dialers} dialers, {called}");
            row(&name, "k/s", budget, |net| rate(workers, dialers, net));
        }
    }
    raw.unwrap_or_else(|| in_one_process(0)[0])
}

/// One row: all three live in one process and are measured in turns of milliseconds.
fn in_turns(name: &str, workers: usize, budget: &str) -> Option<f64> {
    if !table::is_wanted(name) {
        return None;
    }
    let figures = in_one_process(workers);
    table::line(
        name,
        figures.map(Some),
        figures[2] / figures[0],
        "µs",
        budget,
    );
    Some(figures[0])
}

/// One row: the same measurement on raw TCP, on the floor and on lonet, in turns.
fn row(name: &str, unit: &str, budget: &str, measure: impl Fn(Net) -> f64) -> Option<f64> {
    if !table::is_wanted(name) {
        return None;
    }
    let mut found: [Vec<f64>; 3] = Default::default();
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let round = NETS.map(&measure);
        ratios.push(round[2] / round[0]);
        for (all, one) in found.iter_mut().zip(round) {
            all.push(one);
        }
    }
    let figures = found.map(median);
    table::line(name, figures.map(Some), median(ratios), unit, budget);
    Some(figures[0])
}

/// p50 in µs, after some cycles that don't count.
pub(crate) async fn p50(dialer: &Dialer, count: usize) -> f64 {
    for _ in 0..count / 10 {
        dialer.cycle().await;
    }
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(time(dialer).await);
    }
    median(times)
}

/// One cycle, in µs.
pub(crate) async fn time(dialer: &Dialer) -> f64 {
    let start = Instant::now();
    dialer.cycle().await;
    start.elapsed().as_nanos() as f64 / 1000.0
}

/// The p50 of each, in µs.
fn in_one_process(workers: usize) -> [f64; 3] {
    const TURNS: usize = 101;
    const CYCLES: usize = 100;
    runtime(workers).block_on(async {
        let mut kept = Vec::new();
        let mut dialers = Vec::new();
        for net in NETS {
            let (net, acceptor, dialer) = ends(net).await;
            kept.push((net, tokio::spawn(acceptor.serve_cycles())));
            dialers.push(dialer);
        }
        let mut found: [Vec<f64>; 3] = Default::default();
        for turn in 0..TURNS {
            for which in 0..NETS.len() {
                // Each goes first in turn.
                let which = (turn + which) % NETS.len();
                let dialer = dialers[which].clone();
                let p50 = tokio::spawn(async move { p50(&dialer, CYCLES).await });
                found[which].push(p50.await.unwrap());
            }
        }
        for (_, serving) in &kept {
            serving.abort();
        }
        found.map(median)
    })
}

/// The acceptor is another process: this program, told what it is.
fn in_two_processes(net: Net) -> f64 {
    with_acceptor(net, 0, |dialer, _| async move { p50(&dialer, 4000).await })
}

/// Measures while so many connections to the other process stay open.
pub(crate) fn beside_open(net: Net, open: usize) -> f64 {
    with_acceptor(net, open, |dialer, _kept| async move {
        p50(&dialer, 2000).await
    })
}

/// Calls `measure` with a dialer of another process, to which so many connections are open.
fn with_acceptor<F>(net: Net, open: usize, measure: impl FnOnce(Dialer, Vec<Stream>) -> F) -> f64
where
    F: Future<Output = f64>,
{
    runtime(0).block_on(async {
        let network = match net {
            Net::Lonet => Some(lonet::join("").await.unwrap()),
            _ => None,
        };
        let name = network.as_ref().map_or("", |network| network.name());
        let (_acceptor, place) = start_acceptor(&format!("{net:?} {open} {name}"));
        let dialer = match (net, &network) {
            (Net::Lonet, Some(network)) => {
                Dialer::Lonet(network.new_host("β").await.unwrap(), place)
            }
            (Net::Lines, _) => Dialer::Lines(place.parse().unwrap()),
            _ => Dialer::Raw(place.parse().unwrap()),
        };
        let mut kept = Vec::with_capacity(open);
        for _ in 0..open {
            kept.push(dialer.dial().await);
        }
        measure(dialer, kept).await
    })
}

const ACCEPTOR: &str = "LONET_BENCH_ACCEPTOR";

/// The other process. Killed on drop, also when a measurement fails.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_acceptor(task: &str) -> (Other, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(ACCEPTOR, task)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut place = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut place).unwrap();
    (Other(child), place.trim().to_owned())
}

/// Is the other process, if this one was started to be it.
pub(crate) fn serve_if_told() -> bool {
    let Ok(task) = std::env::var(ACCEPTOR) else {
        return false;
    };
    let mut words = task.split(' ');
    let net = words.next().unwrap();
    let open: usize = words.next().unwrap().parse().unwrap();
    runtime(0).block_on(async {
        let (_net, acceptor) = match net {
            "Lonet" => {
                let network = lonet::join(words.next().unwrap()).await.unwrap();
                let alpha = network.new_host("α").await.unwrap();
                let listener = alpha.listen(":60000").await.unwrap();
                println!("{}", listener.addr());
                (Some(network), Acceptor::Lonet(listener))
            }
            net => {
                let net = if net == "Raw" { Net::Raw } else { Net::Lines };
                let (none, acceptor, dialer) = ends(net).await;
                let (Dialer::Raw(addr) | Dialer::Lines(addr)) = dialer else {
                    unreachable!("it is not a lonet")
                };
                println!("{addr}");
                (none, acceptor)
            }
        };
        let mut kept = Vec::with_capacity(open);
        for _ in 0..open {
            kept.push(acceptor.accept().await);
        }
        acceptor.serve_cycles().await;
    });
    true
}

/// Thousands of cycles a second with so many dialers at once.
fn rate(workers: usize, dialers: usize, net: Net) -> f64 {
    runtime(workers).block_on(async {
        let (_net, acceptor, dialer) = ends(net).await;
        let serving = tokio::spawn(acceptor.serve_cycles());
        let each = 12_000 / dialers;
        let start = Instant::now();
        let mut dialing = tokio::task::JoinSet::new();
        for _ in 0..dialers {
            let dialer = dialer.clone();
            dialing.spawn(async move {
                for _ in 0..each {
                    dialer.cycle().await;
                }
            });
        }
        dialing.join_all().await;
        let rate = (each * dialers) as f64 / start.elapsed().as_secs_f64() / 1000.0;
        serving.abort();
        rate
    })
}
