//! Expected traces: any text is read or refused, and a trace's own text holds of it.

#![no_main]

use std::sync::OnceLock;

use lonet::trace::{Event, Record, Verb, What};
use lonet_harness::__private::measured::{Graph, Process, whole};
use lonet_harness::{Pattern, Trace};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    expected(&text);
    marked(&text);
    faulted(&text);
});

/// The text as an expected trace, and each line as a pattern.
fn expected(text: &str) {
    let trace = trace_to_match();
    for page in [trace.check(text), trace.check_contains(text)] {
        if let Err(mismatch) = page {
            assert!(!mismatch.to_string().is_empty(), "a page says nothing");
        }
    }
    for line in text.lines() {
        if let Ok(pattern) = Pattern::parse(line) {
            assert!(
                Pattern::parse(pattern.as_str()).is_ok(),
                "{line:?} was read once"
            );
            for event in trace.events() {
                pattern.matches(event);
            }
        }
    }
}

/// The text as what a host says: its line reads back, and matches it.
fn marked(text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mark = |n, x: String| record(n, What::Mark { host: "α".into(), text: x });
    let records = [mark(1, words.join(" ")), mark(2, text.to_owned())];
    for event in records
        .iter()
        .filter_map(|record| Event::of_record(0, record))
    {
        let line = event.to_string();
        assert!(!line.contains(char::is_control), "{line:?}");
        let pattern = Pattern::parse(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert!(pattern.matches(&event), "{line:?} does not match itself");
    }
    let trace = of(records.to_vec());
    if let Err(mismatch) = trace.check(trace.to_string()) {
        panic!("a trace's own text does not hold: {mismatch}");
    }
}

/// The text's words as the ends of faults: a line of which that is legal reads back, and matches it.
fn faulted(text: &str) {
    let mut words = text.split_whitespace();
    let (Some(from), Some(to)) = (words.next(), words.next()) else {
        return;
    };
    let amount = words.next().unwrap_or_default();
    for (verb, text) in [
        (Verb::Partition, to.to_owned()),
        (Verb::Delay, format!("{to} {amount}")),
        (Verb::Limit, format!("{to} {amount}")),
    ] {
        let from = from.to_owned();
        let record = record(1, What::Fault { verb, from, text });
        let event = Event::of_record(0, &record).expect("a fault is an event");
        let line = event.to_string();
        // What has a variable is a pattern, and no event of the harness.
        if let Ok(pattern) = Pattern::parse(&line)
            && !line.contains(['$', '_'])
        {
            assert!(pattern.matches(&event), "{line:?} does not match itself");
            let trace = of(vec![record]);
            if let Err(mismatch) = trace.check(trace.to_string()) {
                panic!("a trace's own text does not hold: {mismatch}");
            }
        }
    }
}

/// Something of each kind.
fn trace_to_match() -> &'static Trace {
    static TRACE: OnceLock<Trace> = OnceLock::new();
    TRACE.get_or_init(|| {
        let addr = |text: &str| text.parse().expect("an address");
        let (a, b) = (addr("α:1"), addr("β:1"));
        let (h, c) = ("α".to_owned(), "k".to_owned());
        let kinds = vec![
            What::Up { host: h.clone() },
            What::Listen {
                addr: addr("α:10"),
                socket: 1,
                auto: false,
            },
            What::Dial {
                addr: b.clone(),
                peer: addr("α:10"),
            },
            What::Link { dial: 3, key: c.clone() },
            What::Accept {
                addr: a.clone(),
                peer: b.clone(),
                listener: 1,
                socket: 2,
                key: c.clone(),
            },
            What::Connect {
                addr: b.clone(),
                peer: a.clone(),
                dial: 3,
                socket: 3,
                key: c,
            },
            What::Mark {
                host: h.clone(),
                text: "leader term=3".into(),
            },
            What::Close {
                addr: a.clone(),
                peer: Some(b.clone()),
                socket: 2,
                written: 0,
            },
            What::Reset { addr: a, peer: b },
            fault(Verb::Partition, "α,β:1", "_"),
            fault(Verb::Delay, "α", "β 5000us"),
            fault(Verb::Limit, "_", "β 100"),
            fault(Verb::Heal, "α,β:1", "_"),
            What::Vanish { host: h.clone(), process: 2 },
            What::Kill { host: h, process: 1 },
        ];
        of(kinds
            .into_iter()
            .zip(1..)
            .map(|(what, n)| record(n, what))
            .collect())
    })
}

fn fault(verb: Verb, from: &str, text: &str) -> What {
    let (from, text) = (from.to_owned(), text.to_owned());
    What::Fault { verb, from, text }
}

fn of(records: Vec<Record>) -> Trace {
    let process = Process {
        pid: 1,
        node: None,
        records,
    };
    whole(Graph::build(vec![process]))
}

fn record(n: u64, e: What) -> Record {
    Record {
        n,
        t: n,
        task: Some(n % 2),
        unordered: false,
        reads: Vec::new(),
        learned: Vec::new(),
        reads_beside: Vec::new(),
        learned_beside: Vec::new(),
        fires: Vec::new(),
        reads_pending: Vec::new(),
        what: e,
    }
}
