//! How much was sent: a `send` is recorded before the write, so it says what was tried; what a later
//! record of the socket begins with says how much of it was written.
//!
//! Pure. Owns that correction, and nothing of what follows from it.

use std::collections::BTreeMap;

use lonet::trace::{Record, What};

/// Corrects the sends of one process, whose records are in order. One of which nothing was written
/// is not an event: it remains as a note.
pub(crate) fn settle(records: &mut [Record]) {
    // The latest send of each socket.
    let mut latest: BTreeMap<u64, usize> = BTreeMap::new();
    for index in 0..records.len() {
        let (s, w) = match records[index].what {
            What::Send {
                socket: s,
                written: w,
                ..
            }
            | What::Note {
                socket: s,
                written: w,
            }
            | What::Shutdown {
                socket: s,
                written: w,
                ..
            } => (s, w),
            What::Close {
                peer: Some(_),
                socket: s,
                written: w,
                ..
            } => (s, w),
            // From here on bytes are not counted.
            What::Opaque { socket: s } => {
                latest.remove(&s);
                continue;
            }
            _ => continue,
        };
        let is_send = matches!(records[index].what, What::Send { .. });
        let before = match is_send {
            true => latest.insert(s, index),
            false => latest.get(&s).copied(),
        };
        if let Some(before) = before {
            cut(&mut records[before].what, w);
        }
    }
}

/// What was sent ends before byte `w`.
fn cut(what: &mut What, w: u64) {
    let What::Send {
        socket: s,
        written: first,
        bytes: b,
        ..
    } = what
    else {
        return;
    };
    let (s, first) = (*s, *first);
    *b = (*b).min(w.saturating_sub(first));
    if *b == 0 {
        *what = What::Note {
            socket: s,
            written: first,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(lines: &[&str]) -> Vec<String> {
        let mut records: Vec<Record> = lines
            .iter()
            .zip(1..)
            .map(|(line, n)| Record {
                n,
                t: 0,
                task: None,
                unordered: false,
                reads: Vec::new(),
                learned: Vec::new(),
                reads_beside: Vec::new(),
                learned_beside: Vec::new(),
                fires: Vec::new(),
                reads_pending: Vec::new(),
                what: serde_json::from_str(line).unwrap(),
            })
            .collect();
        settle(&mut records);
        records
            .iter()
            .map(|record| match &record.what {
                What::Send {
                    socket: s,
                    written: w,
                    bytes: b,
                    ..
                } => format!("send {s}@{w} {b}"),
                What::Note {
                    socket: s,
                    written: w,
                } => format!("note {s}@{w}"),
                _ => "other".to_owned(),
            })
            .collect()
    }

    const SEND: &str = r#"{"send":{"a":"α:1","p":"β:1","s":1,"w":0,"b":5}}"#;

    #[test]
    fn what_was_tried_counts_until_more_is_known() {
        assert_eq!(settled(&[SEND]), ["send 1@0 5"]);
        assert_eq!(
            settled(&[SEND, r#"{"note":{"s":2,"w":0}}"#])[0],
            "send 1@0 5"
        );
        assert_eq!(
            settled(&[SEND, r#"{"note":{"s":1,"w":5}}"#])[0],
            "send 1@0 5"
        );
        let opaque = r#"{"opaque":{"s":1}}"#;
        let close = r#"{"close":{"a":"α:1","p":"β:1","s":1}}"#;
        assert_eq!(settled(&[SEND, opaque, close])[0], "send 1@0 5");
    }

    #[test]
    fn a_later_record_says_how_much_was_written() {
        let rest = r#"{"send":{"a":"α:1","p":"β:1","s":1,"w":3,"b":2}}"#;
        assert_eq!(settled(&[SEND, rest]), ["send 1@0 3", "send 1@3 2"]);
        let shutdown = r#"{"shutdown":{"a":"α:1","p":"β:1","s":1,"w":4}}"#;
        assert_eq!(settled(&[SEND, rest, shutdown])[1], "send 1@3 1");
        let close = r#"{"close":{"a":"α:1","p":"β:1","s":1,"w":1}}"#;
        assert_eq!(settled(&[SEND, close])[0], "send 1@0 1");
    }

    #[test]
    fn a_send_of_nothing_is_a_note() {
        let close = r#"{"close":{"a":"α:1","p":"β:1","s":1}}"#;
        assert_eq!(settled(&[SEND, close])[0], "note 1@0");
        assert_eq!(settled(&[SEND, SEND]), ["note 1@0", "send 1@0 5"]);
    }
}
