//! Records as reporters write them, where the simulated world makes none such: peers that are not
//! traced, resets, what lonet does of its own accord.

use super::Trace;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;

/// A record: its task (`-` for none, `1u` for one that no longer orders), what happened, what was
/// read (`[…]`) or any fields (`"l":[[1,4]]`).
type Line<'a> = (&'a str, &'a str, &'a str);

/// A process for each of the texts, one record a line.
fn trace(processes: &[&[Line<'_>]]) -> Trace {
    let processes: Vec<_> = processes.iter().map(|&lines| (None, lines)).collect();
    trace_of(&processes)
}

/// The same, of processes that the scenario has started as nodes of these numbers.
fn trace_of(processes: &[(Option<u64>, &[Line<'_>])]) -> Trace {
    let processes = processes.iter().zip(4001..);
    let processes = processes.map(|(&(node, lines), pid)| Process {
        pid,
        node,
        records: lines
            .iter()
            .zip(1..)
            .map(|(&(task, what, more), n)| {
                let k = task.trim_end_matches('u').parse::<u64>();
                let k = k.map_or(String::new(), |k| format!("\"k\":{k},"));
                let u = task.ends_with('u');
                let more = match more.starts_with('"') {
                    true => more.to_owned(),
                    false => format!("\"r\":[{more}]"),
                };
                let line = format!("{{\"n\":{n},\"t\":{n},{k}\"u\":{u},{more},\"e\":{what}}}");
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

/// Whether the order holds in every run: an expectation that has the lines the other way is rejected.
#[track_caller]
fn certain(trace: &Trace, cause: &str, effect: &str) -> bool {
    assert!(ordered(trace, cause, effect), "not even in this run");
    trace.assert_contains(format!("{cause}\n{effect}"));
    trace.check_contains(format!("{effect}\n{cause}")).is_err()
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
            ("1u", recv, r#""ru":[[2,1,4]]"#),
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

const NOTE: &str = r#"{"note":{"s":1,"w":0}}"#;
const SHUTDOWN: &str = r#"{"shutdown":{"a":"β:1","p":"α:1","s":1,"w":0}}"#;
const SEND: &str = r#"{"send":{"a":"β:1","p":"α:1","s":1,"w":0,"b":4}}"#;

fn recv(bytes: u32) -> String {
    format!("{{\"recv\":{{\"a\":\"α:1\",\"p\":\"β:1\",\"s\":2,\"b\":{bytes}}}}}")
}

fn mark_of_alpha(text: &str) -> String {
    format!("{{\"mark\":{{\"h\":\"α\",\"x\":\"{text}\"}}}}")
}

/// The protocol leaves `r` and `l` to records without `u`. Of one that has them all the same, they
/// order this run alone.
#[test]
fn reads_of_a_record_beside_others_are_not_certain() {
    let (says, hears) = (mark("says"), mark_of_alpha("hears"));
    let run = |task, knows| {
        trace(&[
            &[
                ("1", LISTEN, ""),
                ("1", ACCEPT, ""),
                (task, hears.as_str(), knows),
            ],
            &[
                ("1", DIAL, ""),
                ("1", LINK, ""),
                ("1", CONNECT, ""),
                ("1", says.as_str(), ""),
                ("1", NOTE, ""),
            ],
        ])
    };
    for knows in ["[2,1,1]", r#""l":[[1,4]]"#] {
        let is_certain = |task| certain(&run(task, knows), "β mark says", "α mark hears");
        assert!(is_certain("1") && !is_certain("1u"), "{knows}");
    }
    // What is said to be beside it orders no record, with a `u` or without.
    for knows in [r#""ru":[[2,1,1]]"#, r#""lu":[[1,4]]"#] {
        let is_certain = |task| certain(&run(task, knows), "β mark says", "α mark hears");
        assert!(!is_certain("1") && !is_certain("1u"), "{knows}");
    }
}

/// The first accept's causes are those of each strand: if they are in order, for those that are.
#[test]
fn a_strand_has_the_certain_causes_of_the_first_alone() {
    const SECOND: &str = r#"{"accept":{"a":"α:2","p":"γ:1","l":1,"s":3,"c":"k#2"}}"#;
    let told = mark("told");
    let is_certain = |first, second| {
        let trace = trace(&[
            &[
                ("1", LISTEN, ""),
                (first, ACCEPT, r#""l":[[1,1]]"#),
                (second, SECOND, ""),
            ],
            &[("1", told.as_str(), "")],
        ]);
        trace.check_contains("α:2 accept γ:1\nβ mark told").is_err()
    };
    assert!(is_certain("1", "1"));
    assert!(!is_certain("1", "1u") && !is_certain("1u", "1"));
}

/// While other operations of its task are pending, a `recv` still comes after what it has received;
/// and not after what its task has read elsewhere.
#[test]
fn a_recv_comes_after_its_own_bytes() {
    let recv = recv(4);
    let run = |beside| {
        let other = [
            ("1", r#"{"dial":{"a":"γ:1","p":"α:10"}}"#, ""),
            ("1", r#"{"link":{"d":1,"c":"k#2"}}"#, ""),
            (
                "1",
                r#"{"connect":{"a":"γ:1","p":"α:2","d":1,"s":1,"c":"k#2"}}"#,
                "",
            ),
            (
                "1",
                r#"{"send":{"a":"γ:1","p":"α:2","s":1,"w":0,"b":5}}"#,
                "",
            ),
        ];
        let second = r#"{"accept":{"a":"α:2","p":"γ:1","l":1,"s":3,"c":"k#2"}}"#;
        trace(&[
            &[
                ("1", LISTEN, ""),
                ("1", ACCEPT, ""),
                ("2", second, ""),
                ("1u", recv.as_str(), beside),
            ],
            &[
                ("1", DIAL, ""),
                ("1", LINK, ""),
                ("1", CONNECT, ""),
                ("1", SEND, ""),
                (
                    "1",
                    r#"{"send":{"a":"β:1","p":"α:1","s":1,"w":4,"b":6}}"#,
                    "",
                ),
            ],
            &other,
        ])
        .with_data()
    };
    let own = run(r#""ru":[[2,1,4]]"#);
    assert!(certain(&own, "β:1 send α:1 4", "α:1 recv β:1 4"));
    let both = run(r#""ru":[[2,1,4],[3,5,5]]"#);
    assert!(certain(&both, "β:1 send α:1 4", "α:1 recv β:1 4"));
    assert!(!certain(&both, "γ:1 send α:2 5", "α:1 recv β:1 4"));
    both.assert_contains("α:1 recv β:1 4\nβ:1 send α:1 6");
}

/// Whichever task closes it, and whatever is pending there.
#[test]
fn a_close_comes_after_all_that_was_received_and_the_shutdown() {
    let (one, two) = (recv(4), recv(5));
    for closer in ["1u", "2u", "-"] {
        let received = trace(&[&[
            ("1u", LISTEN, ""),
            ("1u", ACCEPT, ""),
            ("1u", one.as_str(), ""),
            ("3u", two.as_str(), ""),
            (closer, CLOSED, ""),
        ]])
        .with_data();
        for recv in ["α:1 recv β:1 4", "α:1 recv β:1 5"] {
            assert!(certain(&received, recv, "α:1 close β:1"), "{closer}");
        }
        let shut = trace(&[&[
            ("1u", DIAL, ""),
            ("1u", LINK, ""),
            ("1u", CONNECT, ""),
            ("1u", SHUTDOWN, ""),
            (closer, r#"{"close":{"a":"β:1","p":"α:1","s":1}}"#, ""),
        ]])
        .with_data();
        assert!(
            certain(&shut, "β:1 shutdown α:1", "β:1 close α:1"),
            "{closer}"
        );
    }
}

/// A listener's port is free once it is closed, like any other.
#[test]
fn a_closed_listener_orders_the_next_on_its_port() {
    let trace = trace(&[&[
        ("1", LISTEN, ""),
        ("1", r#"{"close":{"a":"α:10","s":1}}"#, ""),
        ("2", r#"{"listen":{"a":"α:10","s":2}}"#, ""),
    ]]);
    trace.assert("α:10 listen\nα:10 close\nα:10 listen");
    assert!(trace.check("α:10 listen\nα:10 listen\nα:10 close").is_err());
}

/// Also where the port's number, which would order it, is left open.
#[test]
fn what_freed_a_port_still_comes_before_its_process_ends() {
    let test = [
        ("1", r#"{"spawn":{"h":"β","i":1}}"#, ""),
        ("-", r#"{"exit":{"h":"β","i":1,"x":"0"}}"#, ""),
    ];
    let node = [
        ("1", DIAL, ""),
        (
            "1",
            r#"{"fail":{"a":"β:1","p":"α:10","d":1,"x":"connection refused"}}"#,
            "",
        ),
        ("2", r#"{"listen":{"a":"β:1","s":1}}"#, ""),
    ];
    let trace = trace_of(&[(None, &test), (Some(1), &node)]).with_lifecycle();
    let fails = "β:_ fail α:10 connection refused";
    trace.assert_contains(format!("{fails}\nβ exit 0"));
    assert!(trace.check_contains(format!("β exit 0\n{fails}")).is_err());
}

/// A killed process's peers read the end that the kill made, unless it had ended the stream before.
#[test]
fn a_kill_causes_only_the_ends_that_it_made() {
    let end = mark_of_alpha("end");
    let run = |before, read| {
        let test = [
            ("1", r#"{"spawn":{"h":"β","i":1}}"#, ""),
            ("1", r#"{"kill":{"h":"β","i":1}}"#, ""),
        ];
        let alpha = [
            ("1", LISTEN, ""),
            ("1", ACCEPT, ""),
            ("1", end.as_str(), read),
        ];
        let beta = [
            ("1", DIAL, ""),
            ("1", LINK, ""),
            ("1", CONNECT, ""),
            ("1", before, ""),
        ];
        let trace = trace_of(&[(None, &test), (None, &alpha), (Some(1), &beta)]);
        trace.check_contains("α mark end\n! kill β").is_err()
    };
    let (data, reset) = ("[2,4,4]", "[2,5,4]");
    assert!(run(NOTE, reset) && !run(NOTE, data));
    let shut = r#"{"shutdown":{"a":"β:1","p":"α:1","s":1,"w":9}}"#;
    for ended in [shut, CLOSE, r#"{"opaque":{"s":1}}"#] {
        assert!(!run(ended, reset), "{ended}");
    }
}
