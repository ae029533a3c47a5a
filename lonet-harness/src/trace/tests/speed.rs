//! What a rejected expectation costs: finding out that it does not hold, and the page. Time is this
//! thread's own, so that other programs' work is not in it.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::{World, ping_pong};
use crate::trace::Trace;

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

/// Two processes that know nothing of each other, with `n` marks each.
fn marks(n: usize, text: impl Fn(usize) -> String) -> Trace {
    let mut w = World::new();
    for host in ["a", "b"] {
        let task = w.spawn(host);
        for i in 0..n {
            w.mark(task, &text(i));
        }
        w.join(task);
    }
    w.trace()
}

/// So many clients, one after the other, of one server: seven events each.
fn clients(n: usize) -> Trace {
    let mut w = World::new();
    let server = w.spawn("s");
    let listener = w.listen(server, 10);
    let listening = w.latest(server);
    w.until(super::TEST, listening);
    let client = w.spawn("c");
    for _ in 0..n {
        let dial = w.dial(client, "s:10");
        let end = w.accept(server, listener, dial);
        let conn = w.connect(client, dial);
        w.mark(client, "sends");
        w.write(client, conn, 4);
        w.read(server, end, 4);
        w.mark(server, "has read");
        w.close(client, conn);
        w.read(server, end, 0);
        w.close(server, end);
    }
    w.join(client);
    w.join(server);
    w.trace()
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
        ("none of it", "a mark never\n".repeat(n)),
    ]
}

fn traces(n: usize) -> [(&'static str, Trace); 3] {
    [
        ("equal marks", marks(n / 2, |_| "x".to_owned())),
        ("marks", marks(n / 2, |i| format!("step {i}"))),
        ("clients", clients(n / 7)),
    ]
}

/// Whatever is wrong with it: what a reader waits for is bounded.
#[test]
fn a_mismatch_of_5000_events_is_told_within_two_seconds() {
    let mut slow = Vec::new();
    for (what, trace) in traces(std::env::var("N").map_or(5000, |n| n.parse().unwrap())) {
        for (how, text) in wrong(&trace) {
            let mut check = Duration::ZERO;
            let whole = took(|| {
                let start = cpu_time();
                let checked = trace.check(text.as_str());
                check = cpu_time() - start;
                if let Err(mismatch) = checked {
                    assert!(!mismatch.to_string().is_empty());
                }
            });
            println!("{what}, {how}: {check:?} {whole:?}");
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
    assert!({println!("{fastest:?}"); fastest} < Some(Duration::from_millis(2)), "{fastest:?}");
}
