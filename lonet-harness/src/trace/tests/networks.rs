//! Random networks of processes that read what they wait for: whatever the schedule, each does the
//! same (Kahn). No order is demanded that vector clocks don't have, and a text of one run holds of
//! all.
//!
//! A tenth of them by default, all with `LONET_FULL=1`.

use std::collections::BTreeSet;

use lonet::trace::EventId;

use super::Trace;
use super::simulation::numbers;
use super::world::{End, T, World};

const NETWORKS: u64 = 500;
const RUNS: u64 = 5;
const PROCESSES: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    Mark(usize),
    /// A message of so many bytes to that process.
    Send(usize, u64),
    /// The next message of that process, which has so many bytes.
    Receive(usize, u64),
}

/// What each process does, and the marks before each mark by vector clocks.
struct Network {
    programs: Vec<Vec<Step>>,
    before: Vec<BTreeSet<usize>>,
}

fn network(seed: u64) -> Network {
    let mut programs = vec![Vec::new(); PROCESSES];
    let mut known = vec![BTreeSet::new(); PROCESSES];
    let mut before = Vec::new();
    // In this sequence it can happen, so in each.
    for number in numbers(seed, 30) {
        let number = number as usize;
        let (one, other) = (number % PROCESSES, number / PROCESSES % PROCESSES);
        if one == other {
            programs[one].push(Step::Mark(before.len()));
            before.push(known[one].clone());
            known[one].insert(before.len() - 1);
        } else {
            let bytes = 1 + (number / 16 % 4) as u64;
            programs[one].push(Step::Send(other, bytes));
            programs[other].push(Step::Receive(one, bytes));
            let sent = known[one].clone();
            known[other].extend(sent);
        }
    }
    Network { programs, before }
}

/// A run of it, and its marks.
fn run(of: &Network, seed: u64) -> (Trace, Vec<Option<EventId>>) {
    let mut w = World::new();
    let tasks: Vec<T> = ["α", "β", "γ", "δ"].map(|host| w.spawn(host)).to_vec();
    let mut ends: Vec<Vec<Option<End>>> = vec![vec![None; PROCESSES]; PROCESSES];
    for server in 0..PROCESSES {
        let listener = w.listen(tasks[server], 10);
        let addr = w.address(listener);
        for client in server + 1..PROCESSES {
            let dial = w.dial(tasks[client], &addr);
            ends[server][client] = Some(w.accept(tasks[server], listener, dial));
            ends[client][server] = Some(w.connect(tasks[client], dial));
        }
    }
    let mut done = [0; PROCESSES];
    // What was read of whom and not taken yet.
    let mut buffered = vec![vec![0u64; PROCESSES]; PROCESSES];
    let mut marks = vec![None; of.before.len()];
    let mut numbers = numbers(seed, 100_000).into_iter();
    while (0..PROCESSES).any(|at| done[at] < of.programs[at].len()) {
        let number = numbers.next().expect("it ends") as usize;
        let at = number % PROCESSES;
        let Some(&step) = of.programs[at].get(done[at]) else {
            continue;
        };
        match step {
            Step::Mark(mark) => marks[mark] = Some(w.mark(tasks[at], &format!("m{mark}"))),
            Step::Send(to, bytes) => w.write(tasks[at], ends[at][to].unwrap(), bytes),
            Step::Receive(from, bytes) => {
                let (end, buffered) = (ends[at][from].unwrap(), &mut buffered[at][from]);
                if *buffered < bytes {
                    // It comes back for more, whether there is some or not, and takes what there is
                    // or less.
                    w.settle(tasks[at], end);
                    let readable = w.readable(end);
                    if readable > 0 {
                        let read = 1 + (number / PROCESSES) as u64 % readable;
                        w.read(tasks[at], end, read);
                        *buffered += read;
                    }
                    continue;
                }
                *buffered -= bytes;
            }
        }
        done[at] += 1;
    }
    for task in tasks {
        w.join(task);
    }
    (w.trace(), marks)
}

#[test]
fn no_text_of_one_run_fails_in_another() {
    let full = std::env::var_os("LONET_FULL").is_some_and(|full| !full.is_empty() && full != "0");
    let (mut certain, mut concurrent) = (0, 0);
    for seed in 0..if full { NETWORKS } else { NETWORKS / 10 } {
        let network = network(seed);
        let runs: Vec<_> = (0..RUNS)
            .map(|of| run(&network, seed * RUNS + of + 1))
            .collect();
        for (trace, marks) in &runs {
            let nodes = marks
                .iter()
                .map(|mark| trace.cut.graph.node(mark.unwrap()).unwrap());
            let nodes: Vec<u32> = nodes.collect();
            for (effect, before) in network.before.iter().enumerate() {
                for cause in (0..nodes.len()).filter(|cause| *cause != effect) {
                    let (a, b) = (nodes[cause], nodes[effect]);
                    let known = before.contains(&cause);
                    if trace.cut.graph.reaches(a, b) {
                        assert!(
                            known,
                            "network {seed}: m{cause} is not a cause of m{effect}\n{trace}"
                        );
                        certain += 1;
                    }
                    assert!(
                        !known || trace.cut.graph.reaches_in_run(a, b),
                        "network {seed}"
                    );
                    concurrent += usize::from(!known);
                }
            }
            let text = trace.to_string();
            for (other, _) in &runs {
                let held = other.check(&text);
                assert!(held.is_ok(), "network {seed}:\n{text}\nin\n{other}");
            }
        }
    }
    assert!(
        certain > 1_000 && concurrent > 1_000,
        "{certain}, {concurrent}"
    );
}
