//! What is written as a schedule or a sweep, and what is wrong with it.

mod orders;

use super::*;

/// A text that is a fault at an event.
fn fault_at(text: &str) -> FaultAt {
    match Schedule::parse(text).unwrap() {
        Schedule::Fault(fault) => fault,
        Schedule::Orders(orders) => panic!("{text}: {orders:?}"),
    }
}

#[test]
fn a_schedule_prints_as_it_is_written() {
    for text in [
        "kill p at up",
        "kill p at p:1 send c:1",
        "kill p at p:1 send c:1 #2",
        "kill p at p:_ send c:_ #12",
        "kill p at p:1 send c:1 5",
        "kill p at p:1 recv c:1 #2",
        "kill p at p mark \"a #2\"",
        "kill p at p mark before x",
        "pause p at p mark stored x=1",
        "vanish α at α:10 listen",
        "reset p _ at p:1 accept c:1",
        "reset p:1 c at p:1 shutdown c:1",
        "partition p q,r at p mark \"#2\"",
        "partition p q at q:1 send p:1",
        "partition p q,r at p mark \"#2\" #3",
        "kill at at up",
    ] {
        let parsed = Schedule::parse(text).unwrap();
        assert_eq!(parsed.to_string(), text);
        assert_eq!(Schedule::parse(&parsed.to_string()), Ok(parsed));
    }
    let spaced = fault_at("  kill p  at  p:1  send c:1  #1 ");
    assert_eq!(spaced.at.pattern, "p:1  send c:1 _");
}

#[test]
fn what_is_illegal_is_said_with_its_place() {
    let wrong = |text: &str| {
        let wrong = Schedule::parse(text).unwrap_err();
        let (line, column) = wrong.place(text);
        format!("{line}:{column} {}", wrong.message)
    };
    let told = |text: &str, place: &str, says: &str| {
        let told = wrong(text);
        assert!(
            told.starts_with(place) && told.contains(says),
            "{text}: {told}"
        );
    };
    told(
        "",
        "1:1 ",
        "the schedule is empty; legal are a fault at an event (`kill`, `pause`, `vanish`, `reset`, `partition`), as in `kill p at",
    );
    told(
        "kil p at up",
        "1:1 ",
        "`kil` is neither a fault that can be scheduled nor the host of an event; legal are",
    );
    told("kill", "1:5 ", "`kill` needs the host");
    told("kill p,q at up", "1:6 ", "needs one host");
    told("reset _ p at up", "1:7 ", "`reset` needs one host, whose");
    told("kill p:1 at up", "1:6 ", "`p:1` is not the name of one");
    told("kill p", "1:7 ", "needs the event at which it acts");
    told("kill p up", "1:8 ", "`up` is too much after `kill p`");
    told("kill p at", "1:10 ", "the event is missing");
    told("kill α at α hums", "1:13 ", "`hums` is not a verb");
    told(
        "kill p at q:1 send c:1",
        "1:11 ",
        "q is not a host of the fault",
    );
    told("kill p at _ mark x", "1:11 ", "must be one host by name");
    told(
        "kill p at ! kill p",
        "1:11 ",
        "`kill` is recorded by the test",
    );
    told(
        "kill p at p:1 send c:1 #0",
        "1:24 ",
        "`#0` does not say which",
    );
    told(
        "kill p at p:1 send c:1 #x",
        "1:24 ",
        "`#x` does not say which",
    );
    told("reset p", "1:8 ", "`reset p` needs the other ends");
    told(
        "reset p at up",
        "1:12 ",
        "`up` is too much after `reset p at`",
    );
    told("reset p q,! at up", "1:7 ", "illegal end \"!\"");
    told("partition p:0 _ at up", "1:11 ", "\"0\" is not a port");
    told(
        "kill p before up",
        "1:8 ",
        "`before` is too much after `kill p`",
    );
    told(
        "kill p at p mark x\nat up",
        "2:1 ",
        "only one line of a trace",
    );
    told(
        "kill p at p mark\n  at _ #x",
        "2:8 ",
        "`#x` does not say which",
    );
}

#[test]
fn a_sweep_is_a_fault_alone() {
    for text in [
        "kill p",
        "pause p",
        "vanish p",
        "reset p _",
        "partition p:1 q,r",
    ] {
        assert_eq!(FaultLine::parse(text).unwrap().to_string(), text);
        assert_eq!(FaultLine::parse(text).unwrap().host(), "p");
    }
    let wrong = |text: &str| FaultLine::parse(text).unwrap_err();
    let one = wrong("kill p at up");
    assert_eq!(one.place("kill p at up"), (1, 8));
    assert!(one.message.contains("one alone is a `schedule`"));
    assert!(
        wrong("kill p q")
            .message
            .contains("`q` is too much after `kill p`; legal are")
    );
    assert!(
        wrong("delay p _ 5us")
            .message
            .contains("`delay` can't be swept")
    );
}

#[test]
fn a_test_is_told_of_the_event_as_far_as_it_is_certain() {
    let event = |text: &str| {
        let event = fault_at(text).at.event();
        (
            event.to_string(),
            event.host().to_owned(),
            event.text().to_owned(),
        )
    };
    let is = |line: &str, text: &str| (line.to_owned(), "p".to_owned(), text.to_owned());
    assert_eq!(event("kill p at up"), is("p up", ""));
    assert_eq!(event("kill p at p:1 send c:1 #2"), is("p:1 send c:1", ""));
    assert_eq!(event("kill p at p:_ accept c:3"), is("p:0 accept c:3", ""));
    assert_eq!(
        event("kill p at p mark stored x=1"),
        is("p mark stored x=1", "stored x=1")
    );
    assert_eq!(event("kill p at p mark \"#2\""), is("p mark \"#2\"", "#2"));
    assert_eq!(event("kill p at p:10 listen"), is("p:10 listen", ""));
}
