//! How long causality and matching take, and how that grows: `cargo bench -p lonet-harness`.
//!
//! A program, never a timed test. CPU time; of each size as many traces as make up the largest, in
//! rounds, of which the median counts. A trace of so many events: pairs of processes that dial,
//! accept, exchange messages and close, one after the other. Other sizes than the usual ones:
//! `-- 1000000 3000000`.

use std::time::Duration;

use lonet::trace::{Record, What};
use lonet_harness::__private::measured::{Expectation, Graph, Mode, Process, check, whole};
use nix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 5;
/// Servers and clients, half of each.
const PROCESSES: usize = 8;
/// The sizes of the traces whose mismatches are told.
const MISMATCHES: [usize; 4] = [10, 100, 1000, 5000];
/// Events of one connection: dial, accept, connect, two marks, two closes.
const EVENTS: usize = 7;

fn addr(host: &str, port: usize) -> lonet::Addr {
    format!("{host}:{port}").parse().expect("a legal address")
}

fn push(process: &mut Process, r: &[(u64, u64, u64)], e: What) -> u64 {
    let n = process.records.len() as u64 + 1;
    process.records.push(Record {
        n,
        t: n,
        k: Some(1),
        u: false,
        r: r.iter().map(|&credit| credit.into()).collect(),
        l: Vec::new(),
        ru: Vec::new(),
        lu: Vec::new(),
        e,
    });
    n
}

/// Marks with a text of their own make labels unique; without, only their order tells them apart.
fn execution(events: usize, unique: bool) -> Vec<Process> {
    let pairs = PROCESSES / 2;
    let mut processes: Vec<Process> = (0..PROCESSES)
        .map(|pid| Process {
            pid: pid as u32,
            node: None,
            records: Vec::new(),
        })
        .collect();
    for pair in 0..pairs {
        let [server, client] = &mut processes[pair * 2..pair * 2 + 2] else {
            unreachable!("a chunk of two");
        };
        let (s, c) = (format!("s{pair}"), format!("c{pair}"));
        push(
            server,
            &[],
            What::Listen {
                a: addr(&s, 10),
                s: 1,
                auto: false,
            },
        );
        for turn in 0..events / EVENTS / pairs {
            let (socket, key) = (turn as u64 + 2, format!("{pair}#{turn}"));
            let (a, p) = (addr(&c, 1), addr(&s, 1));
            let text = |who: &str| match unique {
                true => format!("{who} {turn}"),
                false => who.to_owned(),
            };
            let d = push(
                client,
                &[],
                What::Dial {
                    a: a.clone(),
                    p: addr(&s, 10),
                },
            );
            push(client, &[], What::Link { d, c: key.clone() });
            let accept = What::Accept {
                a: p.clone(),
                p: a.clone(),
                l: 1,
                s: socket,
                c: key.clone(),
            };
            push(server, &[], accept);
            let connect = What::Connect {
                a: a.clone(),
                p: p.clone(),
                d,
                s: socket,
                c: key,
            };
            push(client, &[], connect);
            push(
                client,
                &[],
                What::Mark {
                    h: c.clone(),
                    x: text("sends"),
                },
            );
            push(client, &[], What::Note { s: socket, w: 0 });
            push(
                server,
                &[(socket, 1, 4)],
                What::Mark {
                    h: s.clone(),
                    x: text("has read"),
                },
            );
            let close = |a: &lonet::Addr, p: &lonet::Addr, w| What::Close {
                a: a.clone(),
                p: Some(p.clone()),
                s: socket,
                w,
            };
            push(client, &[], close(&a, &p, 4));
            push(server, &[(socket, 5, 4)], close(&p, &a, 0));
        }
    }
    processes
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = cpu_time();
    let done = work();
    (done, cpu_time() - start)
}

/// What this process has computed so far: other programs' work is not in it.
fn cpu_time() -> Duration {
    let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
    clock_gettime(clock)
        .expect("every process has this clock")
        .into()
}

/// How many events, from the smallest on: the arguments that are numbers, or the usual ones.
fn sizes() -> Vec<usize> {
    let given: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    match given.is_empty() {
        true => vec![10_000, 100_000, 1_000_000],
        false => given,
    }
}

/// What causality, parsing and matching take on a trace of so many events, each.
fn measure(events: usize, unique: bool) -> [Duration; 3] {
    let processes = execution(events, unique);
    let (graph, causality) = timed(|| Graph::build(processes));
    assert!(graph.problems().is_empty(), "{:?}", graph.problems());
    let trace = whole(graph);
    let lines: Vec<String> = trace.events().iter().map(ToString::to_string).collect();
    let text = lines.join("\n");
    let (parsed, parsing) = timed(|| Expectation::parse(&text).expect("it parses"));
    // A fresh trace: choosing the events of the view is part of matching.
    let trace = trace.with_data();
    let (holds, matching) = timed(|| check(&trace, &parsed, Mode::All).is_ok());
    assert!(holds);
    [causality, parsing, matching]
}

/// The mean of as many traces as make up the largest: the best of a few short ones would be what
/// the machine can do in its best moment, which a long one never is.
fn mean(events: usize, largest: usize, unique: bool) -> [f64; 3] {
    let times = (largest / events).max(1);
    let mut sums = [Duration::ZERO; 3];
    for _ in 0..times {
        for (sum, took) in sums.iter_mut().zip(measure(events, unique)) {
            *sum += took;
        }
    }
    sums.map(|sum| sum.as_secs_f64() * 1000.0 / times as f64)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// What a rejected check takes, and what its page does: a line is missing, or the lines stand in
/// the opposite order.
fn mismatches() {
    println!(
        "mismatches, ms:\n{:>9} {:>18} {:>10} {:>10} {:>8}",
        "events", "", "check", "page", "growth"
    );
    for how in ["a line is missing", "in reverse"] {
        let mut before: Option<f64> = None;
        for events in MISMATCHES {
            let rounds = (0..ROUNDS).map(|_| {
                let graph = Graph::build(execution(events.max(EVENTS * PROCESSES / 2), true));
                let trace = whole(graph);
                let mut lines: Vec<String> =
                    trace.events().iter().map(ToString::to_string).collect();
                match how {
                    "in reverse" => lines.reverse(),
                    _ => drop(lines.remove(lines.len() / 2)),
                }
                let text = lines.join("\n");
                let (checked, check) = timed(|| trace.check(text.as_str()));
                let mismatch = checked.expect_err("it must not hold");
                let (_, page) = timed(|| mismatch.to_string());
                [check, page].map(|took| took.as_secs_f64() * 1000.0)
            });
            let rounds: Vec<[f64; 2]> = rounds.collect();
            let [check, page] =
                [0, 1].map(|part| median(rounds.iter().map(|round| round[part]).collect()));
            print!("{events:>9} {how:>18} {check:>10.2} {page:>10.2}");
            match before.replace(check + page) {
                Some(before) => println!("    ×{:.1}", (check + page) / before),
                None => println!(),
            }
        }
    }
}

fn main() {
    let sizes = sizes();
    let largest = *sizes.iter().max().expect("there are usual ones");
    for unique in [true, false] {
        let labels = if unique {
            "unique labels"
        } else {
            "equal labels, ordered"
        };
        println!(
            "{labels}, ms:\n{:>9} {:>10} {:>10} {:>10} {:>16} {:>8}",
            "events", "causality", "parsing", "matching", "all but parsing", "growth"
        );
        // The sizes in turn: the machine drifts.
        let rounds: Vec<Vec<[f64; 3]>> = (0..ROUNDS)
            .map(|_| sizes.iter().map(|&n| mean(n, largest, unique)).collect())
            .collect();
        let of_rounds = |figure: &dyn Fn(&[[f64; 3]]) -> f64| {
            median(rounds.iter().map(|round| figure(round)).collect())
        };
        for (i, events) in sizes.iter().enumerate() {
            let [causality, parsing, matching] =
                [0, 1, 2].map(|part| of_rounds(&|round| round[i][part]));
            let sum = |[causality, _, matching]: [f64; 3]| causality + matching;
            let both = of_rounds(&|round| sum(round[i]));
            print!("{events:>9} {causality:>10.1} {parsing:>10.1} {matching:>10.1} {both:>16.1}");
            match i {
                0 => println!(),
                _ => {
                    let growth = of_rounds(&|round| sum(round[i]) / sum(round[i - 1]));
                    println!("    ×{growth:.1}");
                }
            }
        }
    }
    mismatches();
}
