//! What is legal in a fault, and its line.

use std::time::Duration;

use lonet::trace::{EventShape, Verb, WordShape};

use super::*;
use crate::error::ErrorKind;

#[track_caller]
fn line(fault: &Fault) -> String {
    fault.plan(1).unwrap().line()
}

#[track_caller]
fn refused(fault: &Fault, kind: ErrorKind, message: &str) {
    let error = fault.plan(1).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.kind(), kind);
}

#[test]
fn a_fault_has_the_line_that_its_ends_make() {
    assert_eq!(line(&partition("a", "b")), "! partition a b");
    assert_eq!(line(&partition(["a", "b"], "_")), "! partition a,b _");
    assert_eq!(line(&cut("_", vec!["b:1".to_owned()])), "! cut _ b:1");
    assert_eq!(
        line(&delay("a", "b", Duration::from_millis(5))),
        "! delay a b 5000us"
    );
    assert_eq!(
        line(&delay("a", "b", Duration::from_nanos(1999))),
        "! delay a b 1us"
    );
    assert_eq!(line(&slice("a", "b", 3)), "! slice a b 3");
    assert_eq!(line(&limit("a", "b", 0).reset()), "! limit a b 0");
    assert_eq!(line(&refuse(&["a"][..], String::from("b"))), "! refuse a b");
    assert_eq!(line(&reset("α", "β")), "! reset α β");
    assert_eq!(line(&vanish("α")), "! vanish α");
    assert_eq!(line(&kill("α")), "! kill α");
    assert_eq!(line(&pause("α").until("β mark x")), "! pause α");
}

#[test]
fn what_is_wrong_with_a_fault_is_said() {
    use ErrorKind::{Fault, Host, Pattern};
    refused(
        &partition("_", "_"),
        Fault,
        "`partition` with `_` on both sides names no host; `_` stands for all hosts that the other \
         side does not name, as in partition(\"a\", \"_\")",
    );
    refused(
        &cut(Vec::<String>::new(), "b"),
        Fault,
        "`cut` has a side without an end; legal are hosts, as in \"a\", ends, as in \"a:1\", and \"_\" \
         for all others",
    );
    refused(
        &cut(["a", "_"], "b"),
        Fault,
        "`cut`: `_` stands for all others, and so stands alone on its side",
    );
    refused(
        &cut("a", "b:0"),
        Host,
        "`cut`: illegal end \"b:0\": \"0\" is not a port; legal is a number from 1 to 65535, or no \
         port for all of the host",
    );
    assert_eq!(cut("a b", "c").plan(1).unwrap_err().kind(), Host);
    assert_eq!(cut("a,b", "c").plan(1).unwrap_err().kind(), Host);
    refused(
        &slice("a", "b", 0),
        Fault,
        "`slice` by 0 bytes would move nothing; legal is 1 or more",
    );
    refused(
        &delay("a", "b", Duration::MAX),
        Fault,
        &format!(
            "`delay` by {:?}: legal is from 1 µs to 24 hours",
            Duration::MAX
        ),
    );
    refused(
        &delay("a", "b", Duration::ZERO),
        Fault,
        "`delay` by 0ns: legal is from 1 µs to 24 hours",
    );
    refused(
        &kill(["a", "b"]),
        Fault,
        "`kill` acts on the process that plays one host, and `a,b` is not the name of one",
    );
    refused(
        &vanish("_"),
        Fault,
        "`vanish` acts on the process that plays one host, and `_` is not the name of one",
    );
    refused(
        &partition("a", "b").nth(2),
        Fault,
        "`! partition a b`: `.nth(n)` counts the events that match `.at(pattern)`, and there is no `.at`",
    );
    refused(
        &partition("a", "b").reset(),
        Fault,
        "`! partition a b`: only a limit ends with `.reset()`",
    );
    refused(
        &cut("a", "b").window(0),
        Fault,
        "`! cut a b`: a window has at least 1 byte",
    );
    refused(
        &kill("a").until("a mark x"),
        Fault,
        "`! kill a` can't end at an event: a kill can't heal",
    );
    refused(
        &partition("a", "b").at("a mark x").nth(0),
        Pattern,
        "`! partition a b` can't be set off at `a mark x`: `.nth(n)` counts from 1",
    );
    refused(
        &partition("a", "b").at("c mark x"),
        Pattern,
        "`! partition a b` can't be set off at `c mark x`: c is not a host of the fault; legal are \
         events of a, b",
    );
    refused(
        &partition("a", "b").at("_ mark x"),
        Pattern,
        "`! partition a b` can't be set off at `_ mark x`: its host must be one host by name: it is \
         that host's process that acts",
    );
    refused(
        &partition("a", "b").at("! kill a"),
        Pattern,
        "`! partition a b` can't be set off at `! kill a`: `kill` is recorded by the test; legal is an \
         event in a process of the fault's own hosts, as in `a mark ready` or `a:_ send b:_`",
    );
    refused(
        &partition("a", "b").at("a mark $x $x"),
        Pattern,
        "`! partition a b` can't be set off at `a mark $x $x`: $x stands twice, and the process that \
         looks for the event compares no words; use `_`",
    );
    assert_eq!(
        partition("a", "b").at("a hums").plan(1).unwrap_err().kind(),
        Pattern
    );
    assert_eq!(
        partition("a", "b").until("").plan(1).unwrap_err().kind(),
        Pattern
    );
}

#[test]
fn an_event_that_sets_off_is_one_that_the_pattern_matches() {
    let shape = |pattern: &str| {
        let plan = partition("s", "_").at(pattern).plan(1).unwrap();
        plan.at.unwrap().shape
    };
    let shaped = |verb, port, peer, words, more| EventShape {
        verb,
        host: "s".into(),
        port,
        peer,
        words,
        more,
    };
    let is = |word: &str| WordShape::Is(word.into());
    assert_eq!(
        shape("s mark applied term=_ 7 $x"),
        shaped(
            Verb::Mark,
            None,
            None,
            vec![
                is("applied"),
                WordShape::Begins("term=".into()),
                is("7"),
                WordShape::Any
            ],
            false
        )
    );
    assert_eq!(
        shape("s mark applied 7"),
        shaped(Verb::Mark, None, None, vec![is("applied"), is("7")], false)
    );
    assert_eq!(
        shape("s:_ send c:_"),
        shaped(
            Verb::Send,
            None,
            Some((Some("c".into()), None)),
            vec![WordShape::Any],
            false
        )
    );
    assert_eq!(
        shape("s:3 send _ 4"),
        shaped(
            Verb::Send,
            Some(3),
            Some((None, None)),
            vec![is("4")],
            false
        )
    );
    assert_eq!(
        shape("s:10 listen"),
        shaped(Verb::Listen, Some(10), None, vec![], false)
    );
}

#[test]
fn shapes_of_partitions_are_those_of_jepsen() {
    let five = ["1", "2", "3", "4", "5"];
    assert_eq!(line(&isolate("1")), "! partition 1 _");
    assert_eq!(line(&halves(five)), "! partition 1,2 3,4,5");
    assert_eq!(line(&bridge(five)), "! partition 1,2 4,5");
    let ring =
        |hosts: &[&str]| -> Vec<String> { majorities_ring(hosts).iter().map(line).collect() };
    assert_eq!(
        ring(&five),
        [
            "! partition 1 3",
            "! partition 1 4",
            "! partition 2 4",
            "! partition 2 5",
            "! partition 3 5"
        ]
    );
    // Of three, each hears itself and one other.
    assert_eq!(ring(&five[..3]), ["! cut 2 1", "! cut 1 3", "! cut 3 2"]);
    assert_eq!(ring(&[]), [""; 0]);
}
