//! Orders of events: what is written, what is printed, and what is wrong.

use proptest::prelude::*;

use crate::run::schedule::{Before, Point, Schedule};
use crate::trace::expected::shape::event_shape;

fn orders(text: &str) -> Vec<Before> {
    match Schedule::parse(text).unwrap() {
        Schedule::Orders(orders) => orders,
        Schedule::Fault(fault) => panic!("{text}: {fault}"),
    }
}

fn point(host: &str, pattern: &str, nth: usize) -> Point {
    Point {
        host: host.to_owned(),
        pattern: pattern.to_owned(),
        nth,
    }
}

#[test]
fn an_order_is_two_events() {
    assert_eq!(
        orders("r:1 recv p:2 before b:1 recv p:1"),
        [Before {
            first: point("r", "r:1 recv p:2 _", 1),
            then: point("b", "b:1 recv p:1 _", 1),
        }]
    );
    assert_eq!(
        orders(" r mark  term=_ it before\n  r:_  accept _ #2 ; α up before α:10 listen"),
        [
            Before {
                first: point("r", "r mark term=_ it", 1),
                then: point("r", "r:_ accept _", 2),
            },
            Before {
                first: point("α", "α up", 1),
                then: point("α", "α:10 listen", 1),
            }
        ]
    );
}

#[test]
fn an_order_prints_as_it_is_written() {
    for text in [
        "r:1 recv p:2 before b:1 recv p:1",
        "r:1 recv p:2 #3 before b:1 recv p:1",
        "r:1 recv p:2 #3 before b:1 recv p:1 #12",
        "r:1 recv p:2 5 before b:_ recv _",
        "r:1 send p:2 before b:1 send p:1 7 #2",
        "r:10 listen before b:1 dial r:10; r:1 accept b:1 before p:_ connect r:_ #2",
        "r:10 close before b:1 shutdown r:1",
        "r:1 close b:1 before r:1 accept c:1",
        "b:1 fail r:10 connection refused before c:1 dial r:10",
        "r mark before b:1 recv p:1",
        "r mark stored x=_ … before b:1 recv p:1",
        "r mark a \"#2\" before b:1 recv p:1",
        "r mark a \"before\" b \"c;\" \";\" #2 before b:1 recv p:1",
        "r mark \"it; was before it\" before b:1 recv p:1",
        "r down before b:1 dial r:10",
        "r exit signal 9 before b:1 dial r:10",
        "before up before before:1 dial before:2",
    ] {
        let parsed = Schedule::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
        assert_eq!(parsed.to_string(), text);
        assert_eq!(Schedule::parse(&parsed.to_string()), Ok(parsed));
    }
    let backslash = Before {
        first: point("r", r#"r mark a\b"c;"#, 1),
        then: point("b", "b:1 recv p:1 _", 1),
    };
    let printed = r#"r mark "a\\b\"c;" before b:1 recv p:1"#;
    assert_eq!(backslash.to_string(), printed);
    assert_eq!(orders(printed)[0].to_string(), printed);
}

#[test]
fn what_is_wrong_with_an_order_is_said_with_its_place() {
    let told = |text: &str, place: &str, says: &str| {
        let wrong = Schedule::parse(text).unwrap_err();
        let (line, column) = wrong.place(text);
        let told = format!("{line}:{column} {}", wrong.message);
        assert!(
            told.starts_with(place) && told.contains(says),
            "{text}: {told}"
        );
    };
    let a = "r:1 recv p:2";
    let b = "b:1 recv p:1";
    // Where it ends, what is missing.
    told(
        a,
        "1:13 ",
        "`r:1 recv p:2` needs `before` and the event that waits for it, as in",
    );
    told("r recv", "1:7 ", "`r recv` needs `before`");
    told(
        &format!("{a} before"),
        "1:20 ",
        "the second event is missing",
    );
    told(&format!("{a} before #2"), "1:21 ", "the event is missing");
    told(&format!("#2 before {b}"), "1:1 ", "the event is missing");
    told(&format!("before {b}"), "1:1 ", "the first event is missing");
    told(&format!("{a} before {b};"), "1:34 ", "an order is missing");
    told(
        &format!("{a} before {b}; ; r up"),
        "1:35 ",
        "an order is missing",
    );
    told(
        &format!("{a} before {b}; r up"),
        "1:39 ",
        "`r up` needs `before`",
    );
    // A mark that says `before`; three events in a row.
    told(
        &format!("r mark it was before {a} before {b}"),
        "1:35 ",
        "`before` stands twice in one order: a word of a mark is written quoted, as in `p mark \"before\"`, \
         and `; ` stands between two orders",
    );
    // Each side by itself, with its own place.
    told(
        &format!("α hums before {b}"),
        "1:3 ",
        "`hums` is not a verb",
    );
    told(
        &format!("{a}   before\nb:1  recvs p:1"),
        "2:6 ",
        "`recvs` is not a verb",
    );
    told(
        &format!("{a} before b:1 recv"),
        "1:29 ",
        "`recv` needs the other side's address",
    );
    told(
        &format!("r:10 listen\nr up before {b}"),
        "2:1 ",
        "only one line of a trace",
    );
    told(
        &format!("{a} #0 before {b}"),
        "1:14 ",
        "`#0` does not say which match",
    );
    told(
        &format!("{a} before {b} #x"),
        "1:34 ",
        "`#x` does not say which match",
    );
    told(
        &format!("_:1 recv p:2 before {b}"),
        "1:1 ",
        "the host must be one host by name",
    );
    told(
        &format!("{a} before _ recv p:1"),
        "1:21 ",
        "the host must be one host by name",
    );
    told(
        &format!("! kill r before {b}"),
        "1:1 ",
        "`! kill` is what the test does; an order has events of hosts, as in",
    );
    told(
        &format!("{a} before ! kill r"),
        "1:21 ",
        "`! kill` is what the test does",
    );
    for (text, place) in [
        (format!("r:$x recv p:2 before {b}"), "1:3 "),
        (format!("r mark x=$x $x before {b}"), "1:10 "),
        (format!("{a} before b:1 recv p:1 $x"), "1:34 "),
    ] {
        told(&text, place, "$x would be compared with nothing");
        told(&text, place, "use `_`");
    }
    // What can't be held.
    let held = "what can be held: `listen`, `dial`, `accept`, `connect`, `send`, `shutdown`, `recv`; `before` \
                holds the event that follows it";
    for (then, why) in [
        (
            "b mark x",
            "`mark` can't be held: code that marks does not wait, only what its task does on the network; ",
        ),
        (
            "b:1 close p:1",
            "`close` can't be held: code that drops a socket does not wait; ",
        ),
        (
            "b:1 fail p:1 _",
            "`fail` can't be held: it is the end of a `dial`, which can be held; ",
        ),
        (
            "b up",
            "`up` can't be held: it is not what a task does on the network; ",
        ),
        ("b down", "`down` can't be held"),
        ("b exit 0", "`exit` can't be held"),
    ] {
        told(
            &format!("{a} before {then} #2"),
            "1:21 ",
            &format!("{why}{}", if why.ends_with("; ") { held } else { "" }),
        );
    }
    // What is neither.
    let legal = "legal are a fault at an event (`kill`, `pause`, `vanish`, `reset`, `partition`), as in `kill p at p:1 send c:1 #2`, and events in an order, as in \
                 `r:1 recv p:2 before b:1 recv p:1`";
    told(" ", "1:1 ", &format!("the schedule is empty; {legal}"));
    told(
        "kil p at up",
        "1:1 ",
        &format!(
            "`kil` is neither a fault that can be scheduled nor the host of an event; {legal}"
        ),
    );
}

#[test]
fn orders_that_nothing_can_obey_are_refused() {
    let wrong = |text: &str| {
        let wrong = Schedule::parse(text).unwrap_err();
        let (line, column) = wrong.place(text);
        format!("{line}:{column} {}", wrong.message)
    };
    // `_:_` and `_` are one.
    assert_eq!(
        wrong("r:1 recv _:_ #2 before r:1 recv _ #2"),
        "1:1 the same event stands on both sides of `before`"
    );
    for text in [
        "r:1 recv p:1 before r:1 recv p:1 #2",
        "r:1 recv p:1 #2 before r:1 recv p:1",
    ] {
        assert_eq!(
            wrong(text),
            "1:1 both sides of `before` are matches of one line, which `#1`, `#2` and so on count in the order \
             in which they happen"
        );
    }
    assert_eq!(
        wrong(
            "a:1 listen before b:1 listen; b:1 listen before c:1 listen; c:1 listen before a:1 listen"
        ),
        "1:61 nothing could happen: this order contradicts `a:1 listen before b:1 listen; b:1 listen before \
         c:1 listen`"
    );
    // The first match comes before the second.
    assert_eq!(
        wrong("a:1 listen #2 before b:1 listen; b:1 listen before a:1 listen"),
        "1:34 nothing could happen: this order contradicts `a:1 listen #2 before b:1 listen`"
    );
    let fine = "a:1 listen before b:1 listen; b:1 listen before a:1 listen #2; a:1 listen before c:1 listen; \
                c:1 listen before a:1 listen #2; b:1 listen before c:1 listen";
    assert_eq!(orders(fine).len(), 5);
}

fn host() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["r", "p", "α", "before", "mark", "1"])
}

fn address() -> impl Strategy<Value = String> {
    let port = prop_oneof![
        Just("_".to_owned()),
        (1..200u16).prop_map(|port| port.to_string())
    ];
    (host(), port).prop_map(|(host, port)| format!("{host}:{port}"))
}

fn peer() -> impl Strategy<Value = String> {
    prop_oneof![4 => address(), 1 => Just("_".to_owned())]
}

/// What can be held.
fn on_the_network() -> impl Strategy<Value = String> {
    let bytes = prop_oneof![
        Just("_".to_owned()),
        (0..9u64).prop_map(|bytes| bytes.to_string())
    ];
    prop_oneof![
        address().prop_map(|own| format!("{own} listen")),
        (
            address(),
            prop::sample::select(vec!["dial", "accept", "connect", "shutdown"]),
            peer()
        )
            .prop_map(|(own, verb, peer)| format!("{own} {verb} {peer}")),
        (
            address(),
            prop::sample::select(vec!["send", "recv"]),
            peer(),
            bytes
        )
            .prop_map(|(own, verb, peer, bytes)| format!("{own} {verb} {peer} {bytes}")),
    ]
}

/// The words of a mark, as an event prints them, or open ones.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "before", ";", "a;", "#2", "_", "x=_", "…", "\"", "\\;", "at", "a=before"
        ])
        .prop_map(|word| lonet::trace::word(word).into_owned()),
        "[a-z#;_$\"\\\\=…é]{1,6}".prop_map(|word| lonet::trace::word(&word).into_owned()),
        prop::sample::select(vec!["_", "x=_"]).prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..4).prop_map(|words| words.join(" "))
}

fn anything() -> impl Strategy<Value = String> {
    prop_oneof![
        on_the_network(),
        (host(), words())
            .prop_map(|(host, words)| format!("{host} mark {words}").trim_end().to_owned()),
        (address(), peer(), words()).prop_map(|(own, peer, words)| format!(
            "{own} fail {peer} so {words}"
        )
        .trim_end()
        .to_owned()),
        (address(), peer()).prop_map(|(own, peer)| format!("{own} close {peer}")),
        (
            host(),
            prop::sample::select(vec!["up", "down", "exit 0", "exit signal 9"])
        )
            .prop_map(|(host, verb)| format!("{host} {verb}")),
    ]
}

fn some_point(line: impl Strategy<Value = String>) -> impl Strategy<Value = Point> {
    (line, 1..4usize).prop_map(|(pattern, nth)| {
        let (_, shape) = event_shape(&pattern).unwrap();
        Point {
            host: shape.host,
            pattern,
            nth,
        }
    })
}

/// What the points of two orders mean.
fn meant(order: &Before) -> impl PartialEq + std::fmt::Debug + use<> {
    let one = |point: &Point| {
        let (_, shape) = event_shape(&point.pattern).unwrap();
        (point.host.clone(), shape, point.nth)
    };
    (one(&order.first), one(&order.then))
}

proptest! {
    #[test]
    fn any_order_prints_as_a_line_that_means_it(
        first in some_point(anything()),
        then in some_point(on_the_network()),
    ) {
        let order = Before { first, then };
        let shape = |point: &Point| event_shape(&point.pattern).unwrap().1;
        prop_assume!(shape(&order.first) != shape(&order.then));
        let line = order.to_string();
        let read = Schedule::parse(&line);
        let Ok(Schedule::Orders(read)) = read else {
            panic!("{line}: {read:?}");
        };
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(meant(&read[0]), meant(&order), "{}", line);
        prop_assert_eq!(read[0].to_string(), line);
    }
}
