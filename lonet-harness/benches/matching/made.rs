//! Traces of any size, and the ways in which an expectation of them may be wrong.
//!
//! Owns what the bench and the test of the work share; both name the types of the harness for it.

use lonet::trace::{Record, What};

use super::{Graph, Process, Trace, whole};

/// Events of one connection: dial, accept, connect, two marks, two closes.
pub(crate) const EVENTS: usize = 7;

fn addr(host: &str, port: usize) -> lonet::Addr {
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
        fires: Vec::new(),
        reads_pending: Vec::new(),
        what: e,
    });
    n
}

fn process(pid: usize) -> Process {
    Process {
        pid: pid as u32,
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

pub(crate) fn trace(processes: Vec<Process>) -> Trace {
    whole(Graph::build(processes))
}

/// Processes that know nothing of each other, with so many marks each, each after the one before.
pub(crate) fn marks(processes: usize, each: usize) -> Vec<Process> {
    let of = |pid| {
        let mut one = process(pid);
        for i in 0..each {
            push(&mut one, &[], mark(&format!("h{pid}"), format!("step {i}")));
        }
        one
    };
    (0..processes).map(of).collect()
}

/// Pairs of a server and a client, which makes so many connections, one after the other. Marks with
/// a text of their own make labels unique; without, only their order tells them apart.
pub(crate) fn connections(pairs: usize, each: usize, unique: bool) -> Vec<Process> {
    let both = |pair| {
        let (mut server, mut client) = (process(2 * pair), process(2 * pair + 1));
        let (s, c) = (format!("s{pair}"), format!("c{pair}"));
        let (at, auto) = (addr(&s, 10), false);
        push(
            &mut server,
            &[],
            What::Listen {
                addr: at.clone(),
                socket: 1,
                auto,
            },
        );
        for turn in 0..each {
            let (socket, key) = (turn as u64 + 2, format!("{pair}#{turn}"));
            let (a, p) = (addr(&c, 1), addr(&s, 1));
            let text = |what: &str| match unique {
                true => format!("{what} {turn}"),
                false => what.to_owned(),
            };
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
                socket,
                key: key.clone(),
            };
            push(&mut server, &[], accept);
            let connect = What::Connect {
                addr: a.clone(),
                peer: p.clone(),
                dial: d,
                socket,
                key,
            };
            push(&mut client, &[], connect);
            push(&mut client, &[], mark(&c, text("sends")));
            push(&mut client, &[], What::Note { socket, written: 0 });
            let read = [(socket, 1, 4)];
            push(&mut server, &read, mark(&s, text("has read")));
            let close = |a: &lonet::Addr, p: &lonet::Addr, w| What::Close {
                addr: a.clone(),
                peer: Some(p.clone()),
                socket,
                written: w,
            };
            push(&mut client, &[], close(&a, &p, 4));
            push(&mut server, &[(socket, 5, 4)], close(&p, &a, 0));
        }
        [server, client]
    };
    (0..pairs).flat_map(both).collect()
}

/// Traces of about so many events, each with its name.
pub(crate) fn traces(events: usize) -> Vec<(&'static str, Trace)> {
    vec![
        ("two hosts' marks", trace(marks(2, events / 2))),
        ("n/2 hosts' marks", trace(marks(events / 2, 2))),
        ("connections", trace(connections(1, events / EVENTS, false))),
        (
            "n/7 servers and clients",
            trace(connections(events / EVENTS, 1, false)),
        ),
    ]
}

/// The lines with each last word that may be anything.
fn opened(lines: &[String]) -> Vec<String> {
    let open = |line: &String| match line.rsplit_once(' ') {
        Some((rest, _)) if rest.contains(' ') => format!("{rest} _"),
        _ => line.clone(),
    };
    lines.iter().map(open).collect()
}

/// The lines with each host a variable.
fn of_any_host(lines: &[String]) -> Vec<String> {
    let open = |line: &String| {
        let words = line.split(' ').map(|word| match word.split_once(':') {
            Some((host, port)) => format!("${host}:{port}"),
            None => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        match words[0].starts_with('$') {
            true => words.join(" "),
            false => format!("${}", words.join(" ")),
        }
    };
    lines.iter().map(open).collect()
}

/// The ways in which an expectation of the events may be wrong, each with its name. Some of them
/// hold: where processes know nothing of each other.
pub(crate) fn wrong(trace: &Trace) -> Vec<(String, String)> {
    let lines: Vec<String> = trace.events().iter().map(ToString::to_string).collect();
    let n = lines.len();
    let every = |lines: &[String], step: usize| {
        let kept = lines.iter().enumerate().filter(|(i, _)| i % step != 0);
        kept.map(|(_, line)| line.clone()).collect::<Vec<_>>()
    };
    let more = |lines: &[String]| {
        let first = lines[0].split([' ', ':']).next().unwrap_or_default();
        let more = lines.iter().enumerate().flat_map(|(i, line)| {
            let more = (i % 7 == 0).then(|| format!("{first} mark extra"));
            std::iter::once(line.clone()).chain(more)
        });
        more.collect::<Vec<_>>()
    };
    let by_host = |lines: &[String]| {
        let mut sorted = lines.to_vec();
        let host = |line: &String| line.split([' ', ':']).next().map(str::to_owned);
        sorted.sort_by_key(|line| std::cmp::Reverse(host(line)));
        sorted
    };
    let swapped = |lines: &[String]| -> Vec<String> {
        let pairs = lines.chunks(2);
        pairs.flat_map(|pair| pair.iter().rev().cloned()).collect()
    };
    let mut all = Vec::new();
    for (kind, lines) in [
        ("", lines.clone()),
        (", wildcards", opened(&lines)),
        (", host variables", of_any_host(&lines)),
    ] {
        let (first, second) = lines.split_at(n / 2);
        let reversed: Vec<String> = lines.iter().rev().cloned().collect();
        for (how, wrong) in [
            ("halves", [second, first].concat()),
            ("by host", by_host(&lines)),
            ("reversed", reversed),
            ("swapped", swapped(&lines)),
            ("the last missing", lines[..n - 1].to_vec()),
            ("the middle missing", [first, &second[1..]].concat()),
            ("the first missing", lines[1..].to_vec()),
            ("many missing", every(&lines, 7)),
            ("most missing", lines[..n / 20].to_vec()),
            ("many extra", more(&lines)),
            ("twice", [&lines[..], &lines[..]].concat()),
        ] {
            all.push((format!("{how}{kind}"), wrong.join("\n")));
        }
    }
    all.push(("none of it".to_owned(), "h0 mark never\n".repeat(n)));
    all
}
