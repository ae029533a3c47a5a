//! Orders about faults and holds, and what answers them, as `docs/trace-protocol.md` shows them.

use std::sync::{Arc, Mutex};

use super::super::{
    Coming, Does, Doing, Ends, EventShape, Hello, Hold, Line, Obeyed, Order, Place, Rule, Standing,
    Then, Trigger, Verb, Waiting, Withheld, WordShape,
};

fn place(host: &str, port: Option<u16>) -> Place {
    let host = host.to_owned();
    Place { host, port }
}

fn rule() -> Rule {
    Rule {
        fault: 1,
        event: Some((0, 12).into()),
        from: Ends::These(vec![place("α", None), place("β", Some(1))]),
        to: Ends::Others,
        does: Does::Withhold,
        window: None,
    }
}

fn orders() -> Vec<Standing> {
    let event = EventShape {
        verb: Verb::Mark,
        host: "s".into(),
        port: None,
        peer: None,
        words: vec![
            WordShape::Is("applied".into()),
            WordShape::Begins("x=".into()),
            WordShape::Any,
        ],
        more: false,
    };
    let trigger = Trigger {
        fault: 2,
        event,
        nth: 1,
        then: Then::Tell,
    };
    let held = EventShape {
        verb: Verb::Recv,
        host: "b".into(),
        port: None,
        peer: Some((Some("p".into()), None)),
        words: Vec::new(),
        more: true,
    };
    let hold = Hold {
        hold: 4,
        event: Some(held),
        nth: 0,
    };
    vec![
        Standing {
            seq: 3,
            rules: vec![rule()],
            ..Standing::default()
        },
        Standing {
            seq: 4,
            triggers: vec![trigger],
            ..Standing::default()
        },
        Standing {
            seq: 5,
            holds: vec![hold],
            passes: vec![1],
            ..Standing::default()
        },
    ]
}

#[test]
fn orders_and_answers_are_the_lines_of_the_protocol() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/trace-protocol.md");
    let page = std::fs::read_to_string(page).unwrap();
    let obeyed = Obeyed {
        seq: 3,
        acted: vec![1],
        noted: vec![(2, "α:1".parse().unwrap(), "β:1".parse().unwrap())],
    };
    let coming = Coming {
        op: 1,
        holds: vec![4],
        verb: Verb::Recv,
        addr: "b:1".parse().unwrap(),
        peer: Some("p:1".parse().unwrap()),
        n: None,
        bytes: Some(8),
    };
    let mut lines = vec![
        serde_json::to_string(&Line::Obeyed(obeyed)).unwrap(),
        serde_json::to_string(&Line::Acted(1)).unwrap(),
        serde_json::to_string(&Line::Comes(coming)).unwrap(),
        serde_json::to_string(&Line::Goes(1)).unwrap(),
    ];
    for orders in orders() {
        let order = Order::Network(orders.into());
        let line = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
        lines.push(line);
    }
    for does in [
        Does::Withhold,
        Does::Gone,
        Does::Delay(5000),
        Does::Jitter(5000, 7),
        Does::Slice(3),
        Does::Limit(100, false),
        Does::Reset,
        Does::Refuse,
    ] {
        lines.push(format!("| `{}` |", serde_json::to_string(&does).unwrap()));
    }
    for then in [Then::Tell, Then::Pause, Then::Vanish, Then::Kill] {
        lines.push(format!("| `{}` |", serde_json::to_string(&then).unwrap()));
    }
    let healed = vec![(1u32, super::EventId::from((0, 15)))];
    lines.push(format!("`{}`", serde_json::to_string(&healed).unwrap()));
    let held = vec![(Withheld::End(3), 1), (Withheld::Dial(7), 1)];
    let doing = Doing {
        held,
        ..Doing::default()
    };
    let waits = serde_json::to_string(&Line::Waits(Waiting { id: 1, doing })).unwrap();
    let (_, held) = waits.split_once("\"ops\":[],").unwrap();
    lines.push(format!("`{}`", held.trim_end_matches('}')));
    for line in lines {
        assert!(page.contains(&line), "not in the page: {line}");
    }
}

/// What says nothing of itself obeys nothing.
#[test]
fn a_hello_that_does_not_say_so_does_not_obey() {
    let hello = r#"{"hello":{"version":1,"nonce":1}}"#;
    let Line::Hello(hello) = serde_json::from_str(hello).unwrap() else {
        panic!("it is a hello");
    };
    assert!(!hello.gates && !hello.waits && hello.carries.is_none());
}

#[test]
fn a_hello_says_which_process_it_carries() {
    let line = r#"{"hello":{"version":1,"nonce":8245124,"waits":true,"gates":true,"carries":3}}"#;
    let said = serde_json::to_string(&Line::Hello(Hello {
        version: 1,
        nonce: 8_245_124,
        host: None,
        waits: true,
        gates: true,
        carries: Some(3),
    }));
    assert_eq!(said.unwrap(), line);
    assert!(include_str!("../../../../docs/trace-protocol.md").contains(line));
}

/// Its own process would go with it, and all others that it carries.
#[test]
fn an_event_of_a_carried_process_ends_nothing_here() {
    for then in [Then::Pause, Then::Vanish, Then::Kill] {
        let memory = Arc::new(super::Memory::default());
        let reporter = super::Reporter::carrying(memory.clone());
        let event = EventShape {
            verb: Verb::Mark,
            host: "α".into(),
            port: None,
            peer: None,
            words: Vec::new(),
            more: true,
        };
        reporter.obey(Arc::new(Standing {
            triggers: vec![Trigger {
                fault: 1,
                event,
                nth: 1,
                then,
            }],
            ..Standing::default()
        }));
        let ends = then != Then::Pause;
        let done = Arc::new(Mutex::new(Vec::new()));
        let effect = |name: &'static str| {
            let done = done.clone();
            reporter
                .gate()
                .effect(move || done.lock().unwrap().push(name));
        };
        super::act(&reporter, "a");
        assert!(reporter.gate().is_shut(), "{then:?}");
        assert_eq!(reporter.gate().is_dead(), ends);
        // What comes after its end is neither told nor done.
        super::act(&reporter, "b");
        effect("b");
        assert_eq!(memory.0.lock().unwrap().len(), if ends { 1 } else { 2 });
        reporter.obey(Arc::new(Standing {
            settled: vec![1],
            ..Standing::default()
        }));
        assert_eq!(reporter.gate().is_shut(), ends, "{then:?}");
        effect("c");
        let all = if ends { vec![] } else { vec!["b", "c"] };
        assert_eq!(*done.lock().unwrap(), all, "{then:?}");
    }
}
