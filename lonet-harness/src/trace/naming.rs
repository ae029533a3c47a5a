//! By which line an event is found again in the next run of the same test.
//!
//! Pure. Owns which words of the line are left open, and which of several equal lines an event has.
//! Example: c:1 and d:1 race for s:1 and s:2. `s:1 recv c:1 4` may be `s:2 recv c:1 2` in the next
//! run, followed by another recv of 2 bytes; in both it is `s:_ recv c:1 _`, the first one.

use lonet::trace::Record;

use crate::trace::{Event, Pattern, Verb};

/// The line of an event that is the same in the next run: a port that raced is any, and so are the
/// bytes of a read or write.
pub(crate) fn line(event: &Event, raced: (bool, bool)) -> String {
    let mut words = event.words();
    let any_port = |word: &mut String| {
        if let Some((host, _)) = word.rsplit_once(':') {
            *word = format!("{host}:_");
        }
    };
    let (own, peer) = match event.verb().is_interference() {
        true => (2, 3),
        false => (0, 2),
    };
    if raced.0 && event.addr().is_some() {
        any_port(&mut words[own]);
    }
    if raced.1 && event.peer().is_some() {
        any_port(&mut words[peer]);
    }
    if matches!(event.verb(), Verb::Send | Verb::Recv) {
        words.truncate(3);
        words.push("_".to_owned());
    }
    words.join(" ")
}

/// The how-many-th match of the pattern in its process an event is, as the process counts: also an
/// attempt to send that sent nothing and was repeated. The pattern is the event's line.
pub(crate) fn nth(event: &Event, records: &[Record], pattern: &Pattern) -> usize {
    let id = event.id();
    let until = records.iter().filter(|record| record.n <= id.n);
    let of_line = until.filter(|record| {
        // Most are about other things, and that is seen at once.
        let is_like_it = record.what.parts().is_some_and(|parts| {
            let peer = parts.peer.map(|peer| peer.host());
            parts.verb == event.verb()
                && parts.subject.host() == event.host()
                && peer == event.peer().map(|peer| peer.host())
        });
        let event = is_like_it.then(|| Event::of_record(id.process, record));
        event.flatten().is_some_and(|event| pattern.matches(&event))
    });
    of_line.count()
}

/// The record of that match of a pattern among those of a process. The pattern is an event's line.
pub(crate) fn find<'a>(
    process: u32,
    records: &'a [Record],
    pattern: &Pattern,
    nth: usize,
) -> Option<&'a Record> {
    let verb = pattern.as_str().split_whitespace().nth(1);
    let mut of_line = records.iter().filter(|record| {
        let parts = record.what.parts();
        let is_like_it = parts.is_some_and(|parts| Some(parts.verb.as_str()) == verb);
        let event = is_like_it.then(|| Event::of_record(process, record));
        event.flatten().is_some_and(|event| pattern.matches(&event))
    });
    of_line.nth(nth.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use lonet::trace::{EventId, Parts, Subject, Text};

    use super::*;

    #[test]
    fn a_port_that_raced_is_any_and_so_are_bytes() {
        let (addr, peer) = ("p:1".parse().unwrap(), "c:3".parse().unwrap());
        let event = |verb, text| {
            let parts = Parts {
                verb,
                subject: Subject::Address(&addr),
                peer: Some(&peer),
                text,
            };
            Event::of_parts(EventId::from((1, 1)), 0, &parts)
        };
        let send = event(Verb::Send, Text::Bytes(5));
        assert_eq!(line(&send, (false, false)), "p:1 send c:3 _");
        assert_eq!(line(&send, (true, false)), "p:_ send c:3 _");
        assert_eq!(line(&send, (false, true)), "p:1 send c:_ _");
        let recv = event(Verb::Recv, Text::Bytes(5));
        assert_eq!(line(&recv, (true, true)), "p:_ recv c:_ _");
        let fail = event(Verb::Fail, Text::Words("connection refused"));
        assert_eq!(
            line(&fail, (false, true)),
            "p:1 fail c:_ connection refused"
        );
        let reset = event(Verb::Reset, Text::Nothing);
        assert_eq!(line(&reset, (true, false)), "! reset p:_ c:3");
        assert_eq!(line(&reset, (false, true)), "! reset p:1 c:_");
    }
}
