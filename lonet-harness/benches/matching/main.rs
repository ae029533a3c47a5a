//! How long causality and matching take, and how that grows: `cargo bench -p lonet-harness`.
//!
//! A program, never a timed test. CPU time; of each size as many traces as make up the largest, in
//! rounds, of which the median counts. A trace of so many events: pairs of processes that dial,
//! accept, exchange messages and close, one after the other. Other sizes than the usual ones:
//! `-- 1000000 3000000`; only what mismatches take: `-- mismatches`.

mod made;

use std::time::Duration;

use lonet_harness::__private::measured::{Expectation, Graph, Mode, Process, check, whole};
use lonet_harness::Trace;
use nix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 5;
/// Servers and clients.
const PAIRS: usize = 4;
/// The sizes of the traces whose mismatches are told.
const MISMATCHES: [usize; 4] = [500, 1000, 2000, 5000];

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
    let processes = made::connections(PAIRS, events / made::EVENTS / PAIRS, unique);
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

/// What finding out takes that an expectation does not hold, and its page, in milliseconds: the
/// median of three, or what one took that took long.
fn rejected(trace: &Trace, text: &str) -> [f64; 2] {
    let mut rounds: Vec<[f64; 2]> = Vec::new();
    while rounds.len() < 3 && rounds.iter().flatten().all(|&took| took < 100.0) {
        // A fresh trace, as in a test.
        let trace = trace.clone().with_data();
        let (checked, check) = timed(|| trace.check(text));
        let (_, page) = timed(|| checked.map_err(|mismatch| mismatch.to_string()));
        rounds.push([check, page].map(|took| took.as_secs_f64() * 1000.0));
    }
    [0, 1].map(|part| median(rounds.iter().map(|round| round[part]).collect()))
}

/// What each kind of mismatch takes, and how that grows with the trace.
fn mismatches(only: &str) {
    let trace = made::trace(made::connections(1, 1, true));
    let lines: Vec<String> = trace.events().iter().map(ToString::to_string).collect();
    let [check, page] = rejected(&trace, &lines[1..].join("\n"));
    println!(
        "a mismatch of {} events: check {check:.3} ms, page {page:.3} ms",
        lines.len()
    );
    println!("mismatches, check and page, ms, and the growth from one size to the next:");
    print!("{:<54}", "events");
    for events in MISMATCHES {
        print!(" {events:>9}       ");
    }
    println!();
    let sizes = MISMATCHES.map(|events| {
        let traces = made::traces(events).into_iter();
        traces
            .map(|(_, trace)| (made::wrong(&trace), trace))
            .collect::<Vec<_>>()
    });
    let (mut most, mut slowest) = (0.0, String::new());
    for (of, (what, _)) in made::traces(MISMATCHES[0]).into_iter().enumerate() {
        for (kind, (how, _)) in sizes[0][of].0.iter().enumerate() {
            let row = format!("{what}: {how}");
            if !row.contains(only) {
                continue;
            }
            print!("{row:<54}");
            let mut before = None;
            for traces in &sizes {
                let (wrong, trace) = &traces[of];
                let took: f64 = rejected(trace, &wrong[kind].1).iter().sum();
                let growth = before
                    .replace(took)
                    .map(|before| format!("×{:.1}", took / before));
                print!(" {took:>9.2} {:<6}", growth.unwrap_or_default());
                if took > most {
                    (most, slowest) = (took, row.clone());
                }
            }
            println!();
        }
    }
    println!("the slowest: {slowest}, {most:.1} ms");
}

fn main() {
    if std::env::args().any(|arg| arg == "mismatches") {
        return mismatches(&std::env::args().next_back().unwrap_or_default());
    }
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
    mismatches("");
}
