//! Records as reporters write them, where the simulated world makes none such: peers that are not
//! traced, resets, what lonet does of its own accord.

use super::Trace;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;

/// A process for each of the texts, one record a line: task (`-` for none, `1u` for one that no
/// longer orders), what happened, what was read.
fn trace(processes: &[&[(&str, &str, &str)]]) -> Trace {
    let processes = processes.iter().zip(4001..).map(|(lines, pid)| Process {
        pid,
        node: None,
        records: lines
            .iter()
            .zip(1..)
            .map(|(&(task, what, read), n)| {
                let k = task.trim_end_matches('u').parse::<u64>();
                let k = k.map_or(String::new(), |k| format!("\"k\":{k},"));
                let u = task.ends_with('u');
                let line =
                    format!("{{\"n\":{n},\"t\":{n},{k}\"u\":{u},\"r\":[{read}],\"e\":{what}}}");
                serde_json::from_str(&line).expect(&line)
            })
            .collect(),
    });
    Trace::whole(std::sync::Arc::new(Graph::build(processes.collect())))
}

#[track_caller]
fn ordered(trace: &Trace, cause: &str, effect: &str) -> bool {
    let find = |line| trace.find(line).unwrap().expect(line);
    trace.happens_before(find(cause), find(effect))
}

const DIAL: &str = r#"{"dial":{"a":"β:1","p":"α:10"}}"#;
const LINK: &str = r#"{"link":{"d":1,"c":"k#1"}}"#;
const CONNECT: &str = r#"{"connect":{"a":"β:1","p":"α:1","d":1,"s":1,"c":"k#1"}}"#;
const CLOSE: &str = r#"{"close":{"a":"β:1","p":"α:1","s":1,"w":9}}"#;
const LISTEN: &str = r#"{"listen":{"a":"α:10","s":1}}"#;
const ACCEPT: &str = r#"{"accept":{"a":"α:1","p":"β:1","l":1,"s":2,"c":"k#1"}}"#;
const CLOSED: &str = r#"{"close":{"a":"α:1","p":"β:1","s":2}}"#;

fn mark(text: &str) -> String {
    format!("{{\"mark\":{{\"h\":\"β\",\"x\":\"{text}\"}}}}")
}

/// The task may not say so, nor the acceptor, who is none of ours.
#[test]
fn a_dial_comes_before_its_connect() {
    let trace = trace(&[&[("1u", DIAL, ""), ("1u", LINK, ""), ("1u", CONNECT, "")]]);
    assert!(ordered(&trace, "β:1 dial _", "β:1 connect _"));
}

/// A reset is read as an end, though not all was read that had been written.
#[test]
fn a_reset_comes_of_the_close() {
    let acceptor = |read| [("1", LISTEN, ""), ("1", ACCEPT, ""), ("1", CLOSED, read)];
    let note = r#"{"note":{"s":1,"w":0}}"#;
    let dialer = [
        ("1", DIAL, ""),
        ("1", LINK, ""),
        ("1", CONNECT, ""),
        ("1", note, ""),
        ("1", CLOSE, ""),
    ];
    let reset = trace(&[&acceptor("[2,5,4]"), &dialer]);
    assert!(ordered(&reset, "β:1 close _", "α:1 close _"));
    let data = trace(&[&acceptor("[2,4,4]"), &dialer]);
    assert!(!ordered(&data, "β:1 close _", "α:1 close _"));
}

/// When a host is closed under a task, that has written or not, as time has it.
#[test]
fn what_a_host_closes_is_not_ordered_by_notes() {
    let (writes, note) = (mark("writes"), r#"{"note":{"s":1,"w":0}}"#);
    let records = |closer| {
        trace(&[&[
            ("1", DIAL, ""),
            ("1", LINK, ""),
            ("1", CONNECT, ""),
            ("1", writes.as_str(), ""),
            ("1", note, ""),
            (closer, CLOSE, ""),
        ]])
    };
    assert!(!ordered(&records("-"), "β mark writes", "β:1 close _"));
    assert!(ordered(&records("-"), "β:1 connect _", "β:1 close _"));
    // Another task's close has seen what was written.
    assert!(ordered(&records("2"), "β mark writes", "β:1 close _"));
}

/// Once user code has the descriptor, nobody knows what the peer's end of the stream comes of.
#[test]
fn an_opaque_stream_orders_nothing() {
    let opaque = r#"{"opaque":{"s":1}}"#;
    let read = r#"{"mark":{"h":"α","x":"end"}}"#;
    let run = |third| {
        trace(&[
            &[("1", LISTEN, ""), ("1", ACCEPT, ""), ("1", read, "[2,1,0]")],
            &[
                ("1", DIAL, ""),
                ("1", LINK, ""),
                ("1", CONNECT, ""),
                ("1", third, ""),
                ("1", r#"{"close":{"a":"β:1","p":"α:1","s":1}}"#, ""),
            ],
        ])
    };
    assert!(!ordered(&run(opaque), "β:1 close _", "α mark end"));
    assert!(ordered(&run(&mark("plain")), "β:1 close _", "α mark end"));
}

/// What the close says of the bytes written corrects the send before it.
#[test]
fn a_send_is_as_long_as_what_was_written() {
    let send = r#"{"send":{"a":"β:1","p":"α:1","s":1,"w":0,"b":20}}"#;
    let dialer = [
        ("1", DIAL, ""),
        ("1", LINK, ""),
        ("1", CONNECT, ""),
        ("1", send, ""),
        ("1", CLOSE, ""),
    ];
    trace(&[&dialer])
        .with_data()
        .assert_contains("β:1 send α:1 9");
}

/// A task that no longer orders its events has received what it says it has, all the same.
#[test]
fn what_is_received_was_sent() {
    let send = r#"{"send":{"a":"β:1","p":"α:1","s":1,"w":0,"b":4}}"#;
    let recv = r#"{"recv":{"a":"α:1","p":"β:1","s":2,"b":4}}"#;
    let trace = trace(&[
        &[
            ("1u", LISTEN, ""),
            ("1u", ACCEPT, ""),
            ("1u", recv, "[2,1,4]"),
        ],
        &[
            ("1", DIAL, ""),
            ("1", LINK, ""),
            ("1", CONNECT, ""),
            ("1", send, ""),
        ],
    ])
    .with_data();
    assert!(ordered(&trace, "β:1 send _ 4", "α:1 recv _ 4"));
}

/// That a port was free again orders who asked for it; who takes any gets another in another run.
#[test]
fn a_freed_port_orders_the_request_for_it() {
    let trace = |takes: &str| {
        trace(&[&[
            ("1", DIAL, ""),
            (
                "1",
                r#"{"fail":{"a":"β:1","p":"α:10","d":1,"x":"connection refused"}}"#,
                "",
            ),
            ("2", takes, ""),
        ]])
    };
    let fails = "β:1 fail α:10 connection refused";
    let asked = trace(r#"{"listen":{"a":"β:1","s":1}}"#);
    asked.assert_contains(format!("β:_ listen\n{fails}"));
    assert!(
        asked
            .check_contains(format!("β:1 listen\n{fails}"))
            .is_err()
    );
    assert!(ordered(&asked, fails, "β:1 listen"));
    let any = trace(r#"{"listen":{"a":"β:1","s":1,"auto":true}}"#);
    any.assert_contains(format!("β:1 listen\n{fails}"));
    assert!(
        ordered(&any, fails, "β:1 listen"),
        "in this run it came after"
    );
}

/// One direction of a socket is in sequence, whatever orders the task that reads it.
#[test]
fn what_is_received_comes_in_sequence() {
    let recv =
        |bytes: u32| format!("{{\"recv\":{{\"a\":\"α:1\",\"p\":\"β:1\",\"s\":2,\"b\":{bytes}}}}}");
    let trace = trace(&[&[
        ("1u", LISTEN, ""),
        ("1u", ACCEPT, ""),
        ("1u", recv(4).as_str(), ""),
        ("1u", recv(5).as_str(), ""),
    ]])
    .with_data();
    assert!(ordered(&trace, "α:1 recv _ 4", "α:1 recv _ 5"));
}
