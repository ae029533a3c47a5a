//! Histories by hand, each with its verdict.

use crate::history::assert_linearizable;

fn judged(history: &str) -> Result<(), String> {
    let marks = history.lines().map(str::trim);
    let marks = marks.filter_map(|line| line.split_once(' '));
    let marks: Vec<_> = marks
        .map(|(host, text)| (host.to_owned(), text.to_owned()))
        .collect();
    assert_linearizable(&marks).map_err(|error| error.to_string())
}

#[test]
fn a_read_returns_what_was_written_before() {
    let history = "
        r calls read
        r returns read 0
        c calls write 1
        c returns write
        r calls read
        r returns read 1";
    assert_eq!(judged(history), Ok(()));
}

#[test]
fn during_a_write_both_values_are_right() {
    for seen in ["0", "1"] {
        let history = format!(
            "
            c calls write 1
            r calls read
            r returns read {seen}
            c returns write"
        );
        assert_eq!(judged(&history), Ok(()));
    }
}

#[test]
fn a_write_that_never_returned_may_be_seen() {
    let history = "
        c calls write 1
        r calls read
        r returns read 1";
    assert_eq!(judged(history), Ok(()));
}

#[test]
fn a_read_after_a_write_must_not_miss_it() {
    let history = "
        c calls write 1
        c returns write
        r calls read
        r returns read 0";
    let shown = "c calls write 1, c returns write, r calls read, r returns read 0";
    assert_eq!(judged(history), Err(format!("not linearizable: {shown}")));
}

#[test]
fn the_older_value_must_not_come_back() {
    let history = "
        c calls write 1
        r calls read
        r returns read 1
        r calls read
        r returns read 0
        c returns write";
    let refused = judged(history).unwrap_err();
    assert!(refused.starts_with("not linearizable: "), "{refused}");
}

#[test]
fn another_mark_is_refused() {
    for text in ["writes 1", "calls write", "calls write x", "returns read"] {
        assert!(judged(&format!("c {text}")).is_err(), "{text}");
    }
}

#[test]
fn a_return_without_its_call_is_refused() {
    let refused = judged("c returns write").unwrap_err();
    assert!(!refused.contains("linearizable"), "{refused}");
}
