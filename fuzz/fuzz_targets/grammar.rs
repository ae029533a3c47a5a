//! Expected traces: any text is read or refused, and a trace's own text holds of it.

#![no_main]

use std::sync::OnceLock;

use lonet::trace::{Event, Record, What};
use lonet_harness::__private::measured::{Graph, Process, whole};
use lonet_harness::{Pattern, Trace};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    expected(&text);
    marked(&text);
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
    let mark = |n, x: String| record(n, What::Mark { h: "α".into(), x });
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

/// Something of each kind.
fn trace_to_match() -> &'static Trace {
    static TRACE: OnceLock<Trace> = OnceLock::new();
    TRACE.get_or_init(|| {
        let addr = |text: &str| text.parse().expect("an address");
        let (a, b) = (addr("α:1"), addr("β:1"));
        let (h, c) = ("α".to_owned(), "k".to_owned());
        let kinds = vec![
            What::Up { h: h.clone() },
            What::Listen {
                a: addr("α:10"),
                s: 1,
                auto: false,
            },
            What::Dial {
                a: b.clone(),
                p: addr("α:10"),
            },
            What::Link { d: 3, c: c.clone() },
            What::Accept {
                a: a.clone(),
                p: b.clone(),
                l: 1,
                s: 2,
                c: c.clone(),
            },
            What::Connect {
                a: b.clone(),
                p: a.clone(),
                d: 3,
                s: 3,
                c,
            },
            What::Mark {
                h: h.clone(),
                x: "leader term=3".into(),
            },
            What::Close {
                a,
                p: Some(b),
                s: 2,
                w: 0,
            },
            What::Kill { h, i: 1 },
        ];
        of(kinds
            .into_iter()
            .zip(1..)
            .map(|(what, n)| record(n, what))
            .collect())
    })
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
        k: Some(n % 2),
        u: false,
        r: Vec::new(),
        l: Vec::new(),
        ru: Vec::new(),
        lu: Vec::new(),
        e,
    }
}
