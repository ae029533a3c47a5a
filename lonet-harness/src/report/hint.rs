//! A hint, in words.
//!
//! Pure. Which hints apply is `trace::explain`'s business; where they stand on the page, `mismatch`'s.

use super::words::is_meant;
use crate::trace::explain::diagnosis::Parts;
use crate::trace::explain::hints::{Forgivable, Hint};

pub(super) fn worded(hint: &Hint, parts: &Parts) -> String {
    match hint {
        Hint::DialBeforeListen { fail, listen } => format!(
            "`{fail}`: `{listen}` happened, but nothing orders it before the dial; wait for it before the dial: {}",
            until(listen)
        ),
        Hint::NobodyListens { fail, addr, meant } => {
            let wait = || {
                let until = until(&format!("{addr} listen"));
                format!("if something should, wait for it before the dial: {until}")
            };
            let what_to_do = is_meant(meant).unwrap_or_else(wait);
            format!("`{fail}`: nothing in this trace listened at {addr}; {what_to_do}")
        }
        Hint::PortsDiffer {
            renamed,
            raced: false,
        } => {
            let one_for_one = |(from, to): &(String, String)| format!("{to} instead of {from}");
            let changed: Vec<String> = renamed.iter().map(one_for_one).collect();
            format!("the expectation holds with {}", changed.join(", "))
        }
        Hint::PortsDiffer {
            renamed,
            raced: true,
        } => {
            let swaps = swaps(renamed);
            let these = if renamed.len() <= 2 {
                "these two"
            } else {
                "these"
            };
            format!(
                "same order, ports swapped ({}): {these} raced; bind them (`$p`) or order them with `until`",
                swaps.join(", "),
            )
        }
        Hint::Concurrent { event, host, reads } => {
            let mut text = format!(
                "`{event}` happened concurrently with the assertion, which sees only what happens before it; wait for it with {}",
                until(event)
            );
            if parts.cut.graph.started(host) {
                text.push_str(&format!(
                    ", or end {host} first with its node's join(), terminate() or kill()"
                ));
            }
            for (addr, peer) in reads {
                text.push_str(&format!(
                    "; {addr}'s read from {peer} was given up before that, or is still pending: until the next read from {peer}, what its task does stands in no order"
                ));
            }
            text
        }
        Hint::Blocks(blocks) => blocks.iter().map(forgivable).collect::<Vec<_>>().join("\n"),
        Hint::OutsideView {
            event,
            verb,
            by_host,
        } => {
            let how = match by_host {
                true => ".only_hosts(&[…])",
                false => crate::trace::method_for(*verb),
            };
            format!("`{event}` happened, but this view leaves it out; trace(){how} includes it")
        }
        Hint::Bound {
            variable,
            value,
            event,
        } => format!("`{event}` matches, but `${variable}` is already bound to {value}"),
        Hint::OtherText { event } => {
            format!("`{event}` happened: only the text differs")
        }
        Hint::Died { host, status } => match status.strip_prefix("signal ") {
            Some(signal) => format!("{host}'s process was killed by signal {signal}"),
            None => format!("{host}'s process ended with status {status}"),
        },
        Hint::Reported { problem } => format!("inconsistent records: {problem}"),
    }
}

/// The block that would forgive an order.
fn forgivable(block: &Forgivable) -> String {
    let (first, then) = (&block.first, &block.then);
    let marked = |line: &str| {
        let (host, text) = line.split_once(" mark ")?;
        Some((host.to_owned(), text.to_owned()))
    };
    let happened = match (marked(first), marked(then)) {
        (Some((host, first)), Some((other, then))) if host == other => {
            format!("{host} did `{first}` before `{then}` in this run")
        }
        _ => format!("`{first}` happened before `{then}` in this run"),
    };
    let lines = match block.count {
        2 => "both".to_owned(),
        _ => format!("lines {} to {}", block.lines.0, block.lines.1),
    };
    format!("{happened}; if both orders are right, put `| ` before {lines}")
}

/// The Rust code that waits for that line.
fn until(line: &str) -> String {
    let mut code = String::from("scenario.until(\"");
    for c in line.chars() {
        if matches!(c, '"' | '\\') {
            code.push('\\');
        }
        code.push(c);
    }
    code.push_str("\").await?");
    code
}

/// `α:1 ↔ α:2` where two have each other's number, `α:1 → α:3` otherwise.
fn swaps(renamed: &[(String, String)]) -> Vec<String> {
    let mut swaps = Vec::new();
    for (from, to) in renamed {
        let back = renamed.iter().any(|(f, t)| f == to && t == from);
        if !back {
            swaps.push(format!("{from} → {to}"));
        } else if from < to {
            swaps.push(format!("{from} ↔ {to}"));
        }
    }
    swaps
}
