//! What a rejected expectation costs: finding out that it does not hold, and the page. Time is this
//! thread's own, so that other programs' work is not in it.

use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use lonet::trace::{Record, What};

use super::ping_pong;
use crate::trace::Trace;
use crate::trace::happened::graph::{Graph, Process};

fn cpu_time() -> Duration {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    clock_gettime(clock)
        .expect("every thread has this clock")
        .into()
}

fn took(work: impl FnOnce()) -> Duration {
    let start = cpu_time();
    work();
    cpu_time() - start
}

fn addr(host: &str, port: u16) -> lonet::Addr {
    format!("{host}:{port}").parse().expect("a legal address")
}

fn push(process: &mut Process, r: &[(u64, u64, u64)], e: What) -> u64 {
    let n = process.records.len() as u64 + 1;
    process.records.push(Record {
        n,
        t: n,
        task: Some(1),
        unordered: false,
        reads: r.iter().map(|&credit| credit.into()).collect(),
        learned: Vec::new(),
        reads_beside: Vec::new(),
        learned_beside: Vec::new(),
        what: e,
    });
    n
}

fn process(pid: u32) -> Process {
    Process {
        pid,
        node: None,
        records: Vec::new(),
    }
}

fn mark(host: &str, text: String) -> What {
    What::Mark {
        host: host.to_owned(),
        text,
    }
}

/// Two processes that know nothing of each other, with `n` marks each, each after the one before.
fn marks(n: usize) -> Trace {
    let processes = ["a", "b"].map(|host| {
        let mut one = process(1);
        for i in 0..n {
            push(&mut one, &[], mark(host, format!("step {i}")));
        }
        one
    });
    Trace::whole(Arc::new(Graph::build(processes.into())))
}

/// So many clients, one after the other, of one server: seven events each.
fn clients(n: usize) -> Trace {
    let (mut server, mut client) = (process(1), process(2));
    let (at, auto) = (addr("s", 10), false);
    push(
        &mut server,
        &[],
        What::Listen {
            addr: at.clone(),
            socket: 1,
            auto,
        },
    );
    for turn in 0..n {
        let (s, key) = (turn as u64 + 2, format!("#{turn}"));
        let (a, p) = (addr("c", 1), addr("s", 1));
        let dial = What::Dial {
            addr: a.clone(),
            peer: at.clone(),
        };
        let d = push(&mut client, &[], dial);
        push(
            &mut client,
            &[],
            What::Link {
                dial: d,
                key: key.clone(),
            },
        );
        let accept = What::Accept {
            addr: p.clone(),
            peer: a.clone(),
            listener: 1,
            socket: s,
            key: key.clone(),
        };
        push(&mut server, &[], accept);
        let connect = What::Connect {
            addr: a.clone(),
            peer: p.clone(),
            dial: d,
            socket: s,
            key,
        };
        push(&mut client, &[], connect);
        push(&mut client, &[], mark("c", "sends".to_owned()));
        push(
            &mut client,
            &[],
            What::Note {
                socket: s,
                written: 0,
            },
        );
        push(&mut server, &[(s, 1, 4)], mark("s", "has read".to_owned()));
        let close = |a: &lonet::Addr, p: &lonet::Addr, w| What::Close {
            addr: a.clone(),
            peer: Some(p.clone()),
            socket: s,
            written: w,
        };
        push(&mut client, &[], close(&a, &p, 4));
        push(&mut server, &[(s, 5, 4)], close(&p, &a, 0));
    }
    Trace::whole(Arc::new(Graph::build(vec![server, client])))
}

/// The ways in which an expectation of the events may be wrong, each with its name.
fn wrong(trace: &Trace) -> Vec<(&'static str, String)> {
    let lines: Vec<String> = trace.events().iter().map(ToString::to_string).collect();
    let n = lines.len();
    let open = |line: &String| {
        let mut words: Vec<&str> = line.split(' ').collect();
        let last = words.len() - 1;
        if last > 1 {
            words[last] = "_";
        }
        words.join(" ")
    };
    let halves = |lines: &[String]| {
        let (first, second) = lines.split_at(n / 2);
        [second, first].concat()
    };
    let by_host = |lines: &[String]| {
        let mut sorted = lines.to_vec();
        sorted.sort_by_key(|line| std::cmp::Reverse(line.chars().next()));
        sorted
    };
    let every = |step: usize| {
        let kept = lines.iter().enumerate();
        let kept = kept.filter(move |(i, _)| i % step != 0);
        kept.map(|(_, line)| line.clone()).collect::<Vec<_>>()
    };
    let extra: Vec<String> = lines
        .iter()
        .enumerate()
        .flat_map(|(i, line)| {
            let more = (i % 7 == 0).then(|| "a mark extra".to_owned());
            std::iter::once(line.clone()).chain(more)
        })
        .collect();
    let reversed: Vec<String> = lines.iter().rev().cloned().collect();
    let swapped: Vec<String> = lines
        .chunks(2)
        .flat_map(|pair| pair.iter().rev().cloned())
        .collect();
    let opened: Vec<String> = lines.iter().map(open).collect();
    let any_host = |lines: &[String]| {
        let lines = lines.iter().map(|line| {
            let (host, rest) = line.split_once(' ').expect("a host and a verb");
            match host.contains(':') {
                true => line.clone(),
                false => format!("$h{} {rest}", host.len()),
            }
        });
        lines.collect::<Vec<_>>()
    };
    let anything = |lines: &[String]| lines.iter().map(open).collect::<Vec<_>>();
    vec![
        ("halves", halves(&lines).join("\n")),
        ("halves, wildcards", halves(&opened).join("\n")),
        ("by host", by_host(&lines).join("\n")),
        ("by host, wildcards", by_host(&opened).join("\n")),
        ("reversed", reversed.join("\n")),
        ("reversed, wildcards", anything(&reversed).join("\n")),
        ("swapped", swapped.join("\n")),
        ("swapped, wildcards", anything(&swapped).join("\n")),
        ("one missing", lines[..n - 1].join("\n")),
        ("the first missing", lines[1..].join("\n")),
        ("one missing, wildcards", opened[1..].join("\n")),
        ("many missing", every(7).join("\n")),
        ("most missing", lines[..n / 20].join("\n")),
        ("many extra", extra.join("\n")),
        ("many extra, wildcards", anything(&extra).join("\n")),
        ("twice", [lines.clone(), lines.clone()].concat().join("\n")),
        ("any host", any_host(&halves(&lines)).join("\n")),
        ("any host, any order", any_host(&reversed).join("\n")),
        ("none of it", "a mark never\n".repeat(n)),
    ]
}

fn traces(n: usize) -> [(&'static str, Trace); 2] {
    [("marks", marks(n / 2)), ("clients", clients(n / 7))]
}

/// Whatever is wrong with it: what a reader waits for is bounded.
#[test]
fn a_mismatch_of_5000_events_is_told_within_two_seconds() {
    let mut slow = Vec::new();
    for (what, trace) in traces(5000) {
        for (how, text) in wrong(&trace) {
            // Some of it holds: where processes know nothing of each other.
            let whole = took(|| {
                if let Err(mismatch) = trace.check(text.as_str()) {
                    assert!(!mismatch.to_string().is_empty());
                }
            });
            if whole > Duration::from_secs(2) {
                slow.push(format!("{what}, {how}: {whole:?}"));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

/// A test may check a thousand times until it holds.
#[test]
fn a_rejected_check_costs_no_page() {
    let trace = ping_pong();
    let lines: Vec<String> = trace.events().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 7);
    let text = lines[1..].join("\n");
    let check = || took(|| assert!(trace.check(text.as_str()).is_err()));
    let fastest = (0..20).map(|_| check()).min();
    assert!(fastest < Some(Duration::from_millis(2)), "{fastest:?}");
}
