//! What happened, on the wire and as a line, written by hand from `docs/trace-protocol.md`.

use super::*;
use crate::trace::{Event, Record};

/// What happened as it stands on the wire, and the line of the event.
const VECTORS: &[(&str, &str)] = &[
    (r#"{"listen":{"a":"α:10","s":1}}"#, "α:10 listen"),
    (r#"{"listen":{"a":"α:1","s":2,"auto":true}}"#, "α:1 listen"),
    (r#"{"dial":{"a":"β:1","p":"α:10"}}"#, "β:1 dial α:10"),
    (r#"{"link":{"d":4,"c":"x>y#1"}}"#, ""),
    (
        r#"{"accept":{"a":"α:1","p":"β:1","l":1,"s":2,"c":"x>y#1"}}"#,
        "α:1 accept β:1",
    ),
    (
        r#"{"connect":{"a":"β:1","p":"α:1","d":4,"s":3,"c":"x>y#1"}}"#,
        "β:1 connect α:1",
    ),
    (
        r#"{"fail":{"a":"β:1","p":"α:10","d":4,"x":"connection refused"}}"#,
        "β:1 fail α:10 connection refused",
    ),
    (r#"{"close":{"a":"α:10","s":1}}"#, "α:10 close"),
    (r#"{"close":{"a":"β:1","p":"α:1","s":3}}"#, "β:1 close α:1"),
    (
        r#"{"close":{"a":"β:1","p":"α:1","s":3,"w":4}}"#,
        "β:1 close α:1",
    ),
    (
        r#"{"shutdown":{"a":"β:1","p":"α:1","s":3,"w":0}}"#,
        "β:1 shutdown α:1",
    ),
    (
        r#"{"send":{"a":"β:1","p":"α:1","s":3,"w":0,"b":4}}"#,
        "β:1 send α:1 4",
    ),
    (
        r#"{"recv":{"a":"α:1","p":"β:1","s":2,"b":4}}"#,
        "α:1 recv β:1 4",
    ),
    (
        r#"{"mark":{"h":"α","x":"leader term=3"}}"#,
        "α mark leader term=3",
    ),
    (r#"{"up":{"h":"α"}}"#, "α up"),
    (r#"{"down":{"h":"α"}}"#, "α down"),
    (r#"{"note":{"s":3,"w":4}}"#, ""),
    (r#"{"opaque":{"s":3}}"#, ""),
    (r#"{"here":{}}"#, ""),
    (r#"{"spawn":{"h":"α","i":1}}"#, "! spawn α"),
    (
        r#"{"exit":{"h":"α","i":1,"x":"signal 9"}}"#,
        "α exit signal 9",
    ),
    (r#"{"kill":{"h":"α","i":1}}"#, "! kill α"),
    (r#"{"pause":{"h":"α","i":1}}"#, "! pause α"),
    (r#"{"resume":{"h":"α","i":1}}"#, "! resume α"),
    (r#"{"terminate":{"h":"α","i":1}}"#, "! terminate α"),
    (r#"{"restart":{"h":"α","i":2}}"#, "! restart α"),
    (r#"{"vanish":{"h":"α","i":2}}"#, "! vanish α"),
    (
        r#"{"fault":{"v":"partition","h":"α,β","x":"_"}}"#,
        "! partition α,β _",
    ),
    (r#"{"fault":{"v":"cut","h":"α","x":"β"}}"#, "! cut α β"),
    (
        r#"{"fault":{"v":"delay","h":"α","x":"β 5000us"}}"#,
        "! delay α β 5000us",
    ),
    (
        r#"{"fault":{"v":"slice","h":"α:1","x":"β 3"}}"#,
        "! slice α:1 β 3",
    ),
    (
        r#"{"fault":{"v":"limit","h":"_","x":"β 100"}}"#,
        "! limit _ β 100",
    ),
    (
        r#"{"fault":{"v":"refuse","h":"α","x":"β"}}"#,
        "! refuse α β",
    ),
    (r#"{"reset":{"a":"α:1","p":"β:1"}}"#, "! reset α:1 β:1"),
    (
        r#"{"fault":{"v":"heal","h":"α,β","x":"_"}}"#,
        "! heal α,β _",
    ),
];

fn whats() -> impl Iterator<Item = What> {
    VECTORS
        .iter()
        .map(|(wire, _)| serde_json::from_str(wire).unwrap())
}

#[test]
fn events_have_exact_bytes_on_the_wire() {
    for (what, (wire, _)) in whats().zip(VECTORS) {
        assert_eq!(serde_json::to_string(&what).unwrap(), *wire);
    }
}

#[test]
fn what_happened_reads_as_its_line() {
    for (what, (wire, line)) in whats().zip(VECTORS) {
        let record = format!(r#"{{"n":1,"t":2,"e":{wire}}}"#);
        let record: Record = serde_json::from_str(&record).unwrap();
        assert_eq!(record.what, what);
        let event = Event::of_record(0, &record);
        let shown = event.map_or_else(String::new, |event| event.to_string());
        assert_eq!(shown, *line);
    }
}

#[test]
fn every_verb_has_a_vector_and_follows_its_row() {
    let mut missing: Vec<Verb> = Verb::ALL.to_vec();
    for what in whats() {
        let Some(parts) = what.parts() else { continue };
        let rules = parts.verb.rules();
        missing.retain(|verb| *verb != parts.verb);
        let begins = match parts.subject {
            Subject::Address(_) if parts.verb == Verb::Reset => Begins::BangAddress,
            Subject::Address(_) => Begins::Address,
            Subject::Host(_) if matches!(rules.text, Follows::Ends(_)) => Begins::Bang,
            Subject::Process(..) if parts.verb != Verb::Exit => Begins::Bang,
            Subject::Host(_) | Subject::Process(..) => Begins::Host,
        };
        assert_eq!(rules.begins, begins, "{what:?}");
        let of_test = matches!(parts.subject, Subject::Process(..))
            || matches!(begins, Begins::Bang | Begins::BangAddress);
        assert_eq!(rules.by == By::Test, of_test, "{what:?}");
        match rules.peer {
            Peer::Never => assert_eq!(parts.peer, None, "{what:?}"),
            Peer::Maybe => {}
            Peer::Always => assert!(parts.peer.is_some(), "{what:?}"),
        }
        let ends = match parts.text {
            Text::Nothing => rules.text == Follows::Nothing,
            Text::Words(_) => matches!(
                rules.text,
                Follows::Mark | Follows::Words(_) | Follows::Ends(_)
            ),
            Text::Bytes(_) => rules.text == Follows::Bytes,
        };
        assert!(ends, "{what:?}");
        assert_eq!(parts.verb.as_str().parse(), Ok(parts.verb));
        assert_eq!(parts.verb.to_string(), rules.word);
    }
    assert_eq!(missing, []);
}

#[test]
fn a_records_fields_are_letters_on_the_wire() {
    let wire = r#"{"n":7,"t":5,"k":3,"u":true,"r":[[2,5,9]],"l":[[0,4]],"ru":[[1,6,6]],"lu":[[2,8]],"p":[4],"e":{"up":{"h":"α"}}}"#;
    let record: Record = serde_json::from_str(wire).unwrap();
    assert_eq!(serde_json::to_string(&record).unwrap(), wire);
    assert_eq!((record.task, record.unordered), (Some(3), true));
    assert_eq!(record.reads, [(2, 5, 9).into()]);
    assert_eq!(record.learned, [(0, 4).into()]);
    assert_eq!(record.reads_beside, [(1, 6, 6).into()]);
    assert_eq!(record.learned_beside, [(2, 8).into()]);
    assert_eq!(record.reads_pending, [4]);
}
