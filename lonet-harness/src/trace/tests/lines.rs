//! The grammar: what parses, what a line matches, what an error says.

use expect_test::{Expect, expect};
use lonet::trace::{Event, EventId, Record, What};
use proptest::prelude::*;

use crate::trace::{Pattern, check_syntax};

#[track_caller]
fn wrong(text: &str, message: Expect) {
    let error = check_syntax(text).expect_err("it parses");
    message.assert_eq(&error.to_string());
}

#[test]
fn what_is_legal() {
    for line in [
        "α:10 listen",
        "β:1  dial    α:10   ",
        "\tβ:1\tdial\tα:10",
        "β:1 fail α:10 connection refused",
        "β:1 fail _ _ _",
        "α:1 close β:1",
        "α:10 close",
        "_ close",
        "_ close _",
        "α mark",
        "α mark leader term=3",
        "$leader mark leader term=$t",
        "_ mark _",
        "α:$p accept _:1",
        "! kill α",
        "! kill $x",
        "! vanish _",
        "! partition α,β _",
        "! partition p:1 q",
        "! partition $leader _",
        "! partition $a,$b:$p _,_:1",
        "! cut a b",
        "! delay a b 5000us",
        "! delay _ $x $d",
        "! slice a b 3",
        "! limit _ b 100",
        "! refuse a b",
        "! heal a,b _",
        "! reset a:1 b:1",
        "! reset _ $b:$p",
        "! spawn _",
        "α exit signal 9",
        "β:1 send α:1 4",
        "α mark \"$x\" \"#1\" \"a b\" \"\\u00e9\\n\\x41\\101\"",
        "α mark a=\"b",
        "東京:1 dial db-1.x:65535",
        "# a comment",
        "",
        "   # indented",
    ] {
        check_syntax(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn verbs() {
    wrong(
        "\nα:10 lisen",
        expect![
            "line 2, column 6: `lisen` is not a verb; legal after the address `α:10`: listen, dial, accept, connect, fail, close, shutdown, send, recv"
        ],
    );
    wrong(
        "α listen",
        expect![
            "line 1, column 3: `listen` can't stand here; legal after the host `α`: mark, up, down, exit"
        ],
    );
    wrong(
        "α:1",
        expect![
            "line 1, column 4: the verb is missing; legal after the address `α:1`: listen, dial, accept, connect, fail, close, shutdown, send, recv"
        ],
    );
    wrong(
        "! murder α",
        expect![
            "line 1, column 3: `murder` is not a verb; legal after `!`: kill, pause, resume, terminate, restart, vanish, partition, cut, delay, slice, limit, refuse, reset, heal, spawn"
        ],
    );
    wrong(
        "! kill",
        expect![
            "line 1, column 7: `! kill` needs the host that it acts on: its name, `_` (any) or a variable, as in $leader"
        ],
    );
}

#[test]
fn the_ends_of_faults() {
    for (line, message) in [
        (
            "! partition",
            expect![
                "line 1, column 12: `! partition` needs the ends on one side: legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"
            ],
        ),
        (
            "! partition a",
            expect![
                "line 1, column 14: `! partition` needs the ends on the other side: legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"
            ],
        ),
        (
            "! partition a b c",
            expect!["line 1, column 17: unexpected `c`: nothing may follow `partition` here"],
        ),
        (
            "! partition a b # all",
            expect!["line 1, column 17: a comment must stand on a line of its own"],
        ),
        (
            "! cut a",
            expect![
                "line 1, column 8: `! cut` needs the ends on the side that receives nothing: legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"
            ],
        ),
        (
            "! refuse a,",
            expect![
                "line 1, column 12: a host is missing; legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"
            ],
        ),
        (
            "! refuse a,,b c",
            expect![
                "line 1, column 12: a host is missing; legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"
            ],
        ),
        (
            "! partition :1 b",
            expect![
                "line 1, column 13: a host is missing; legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"
            ],
        ),
        (
            "! partition a:x b",
            expect![
                "line 1, column 15: `x` is not a port; legal is a number to 65535, `_` (any) or a variable, as in $p"
            ],
        ),
        (
            "! partition a b:",
            expect![
                "line 1, column 17: the port is missing; legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"
            ],
        ),
        (
            "! partition a,c:0 b",
            expect![
                "line 1, column 17: no host has a port 0; legal is a number from 1 to 65535, `_` (any) or a variable, as in $p"
            ],
        ),
        (
            "! partition a,b/c _",
            expect![[
                r#"line 1, column 15: invalid name: "b/c" holds '/'; legal are 1 to 64 letters, marks and digits of any script and _ - .; legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"#
            ]],
        ),
        (
            "! partition $a,$ _",
            expect![
                "line 1, column 16: `$` is not a variable; legal is `$` and letters, digits or `_`, as in $leader; a text that begins with `$` is written quoted"
            ],
        ),
        (
            "! heal a \"b\"",
            expect![[
                r#"line 1, column 10: invalid name: "\"b\"" holds '"'; legal are 1 to 64 letters, marks and digits of any script and _ - .; legal is a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader"#
            ]],
        ),
        (
            "! delay a b",
            expect![
                "line 1, column 12: `! delay` needs a number of microseconds, as in 5000us, `_` (any) or a variable, as in $n"
            ],
        ),
        (
            "! delay a b 5ms",
            expect![
                "line 1, column 13: `5ms` is not the number of a fault; legal is a number of microseconds, as in 5000us, `_` (any) or a variable, as in $n"
            ],
        ),
        (
            "! delay a b 05us",
            expect![
                "line 1, column 13: `05us` is not the number of a fault; legal is a number of microseconds, as in 5000us, `_` (any) or a variable, as in $n"
            ],
        ),
        (
            "! delay a b 5000us 1",
            expect!["line 1, column 20: unexpected `1`: nothing may follow `delay` here"],
        ),
        (
            "! slice a b",
            expect![
                "line 1, column 12: `! slice` needs a number of bytes, as in 100, `_` (any) or a variable, as in $n"
            ],
        ),
        (
            "! slice a b 3us",
            expect![
                "line 1, column 13: `3us` is not the number of a fault; legal is a number of bytes, as in 100, `_` (any) or a variable, as in $n"
            ],
        ),
        (
            "! limit a b $",
            expect![
                "line 1, column 13: `$` is not the number of a fault; legal is a number of bytes, as in 100, `_` (any) or a variable, as in $n"
            ],
        ),
        (
            "! reset",
            expect![
                "line 1, column 8: `! reset` needs the addresses of both ends: host:port, as in α:1 β:1, or `_` for any"
            ],
        ),
        (
            "! reset a:1",
            expect![
                "line 1, column 12: `reset` needs the other side's address: host:port, as in α:10, or `_` for any"
            ],
        ),
        (
            "! reset a b:1",
            expect![
                "line 1, column 9: `a` is not an address; legal is host:port, as in α:10, where host or port may be `_` (any) or a variable, as in α:$p; or `_` for any address"
            ],
        ),
        (
            "! reset a:0 b:1",
            expect![
                "line 1, column 11: no host has a port 0; legal is a number from 1 to 65535, `_` (any) or a variable, as in $p"
            ],
        ),
        (
            "! reset a:1 b:1 c",
            expect!["line 1, column 17: unexpected `c`: nothing may follow `reset` here"],
        ),
        (
            "! vanish a:1",
            expect![[
                r#"line 1, column 10: invalid name: "a:1" holds ':'; legal are 1 to 64 letters, marks and digits of any script and _ - .; legal is also `_` (any host) or a variable, as in $leader"#
            ]],
        ),
    ] {
        wrong(line, message);
    }
}

#[test]
fn addresses() {
    wrong(
        "α:1 dial",
        expect![
            "line 1, column 9: `dial` needs the other side's address: host:port, as in α:10, or `_` for any"
        ],
    );
    wrong(
        "α:1 dial β",
        expect![
            "line 1, column 10: `β` is not an address; legal is host:port, as in α:10, where host or port may be `_` (any) or a variable, as in α:$p; or `_` for any address"
        ],
    );
    wrong(
        "α:1 dial β:65536",
        expect![
            "line 1, column 12: `65536` is not a port; legal is a number to 65535, `_` (any) or a variable, as in $p"
        ],
    );
    wrong(
        ":10 listen",
        expect![
            "line 1, column 1: the host is missing; legal is host:port, as in α:10, where host or port may be `_` (any) or a variable, as in α:$p; or `_` for any address"
        ],
    );
    wrong(
        "a/b:1 listen",
        expect![[
            r#"line 1, column 1: invalid name: "a/b" holds '/'; legal are 1 to 64 letters, marks and digits of any script and _ - .; legal is also `_` (any host) or a variable, as in $leader"#
        ]],
    );
    wrong(
        "α:$ listen",
        expect![
            "line 1, column 3: `$` is not a variable; legal is `$` and letters, digits or `_`, as in $leader; a text that begins with `$` is written quoted"
        ],
    );
}

#[test]
fn texts() {
    wrong(
        "α:10 listen # here",
        expect!["line 1, column 13: a comment must stand on a line of its own"],
    );
    wrong(
        "α:10 listen β:1",
        expect!["line 1, column 13: unexpected `β:1`: nothing may follow `listen` here"],
    );
    wrong(
        "α mark a #1",
        expect![[
            r##"line 1, column 10: a comment must stand on a line of its own; a word that begins with `#` is written quoted: "#1""##
        ]],
    );
    wrong(
        "α mark \"a",
        expect!["line 1, column 8: the closing quote is missing"],
    );
    wrong(
        r#"α mark "a\q""#,
        expect![[
            r#"line 1, column 10: not an escape; legal are \a \b \f \n \r \t \v \\ \" \xhh \ooo \uhhhh \Uhhhhhhhh"#
        ]],
    );
    wrong(
        r#"α mark "a\xff""#,
        expect![[r#"line 1, column 8: the bytes that \x or \ooo give are not UTF-8"#]],
    );
    wrong(
        "α mark \"a\"b",
        expect!["line 1, column 11: white space must follow a closing quote"],
    );
    wrong(
        "β:1 fail α:10",
        expect![
            "line 1, column 14: what follows is missing: the cause, as in `connection refused` or `cancelled`"
        ],
    );
    wrong(
        "β:1 send α:10 4 5",
        expect!["line 1, column 17: `send` ends with one number of bytes"],
    );
    for number in ["+4", "04", "4.", "٤"] {
        let wrong = check_syntax(&format!("β:1 send α:10 {number}")).unwrap_err();
        assert!(wrong.to_string().starts_with(&format!(
            "line 1, column 15: `{number}` is not a number of bytes; legal is"
        )));
    }
    assert!(Pattern::parse("").is_err());
    assert!(Pattern::parse("α up\nα up").is_err());
}

fn event(e: What) -> Event {
    let record = Record {
        n: 1,
        t: 0,
        task: None,
        unordered: false,
        reads: Vec::new(),
        learned: Vec::new(),
        reads_beside: Vec::new(),
        learned_beside: Vec::new(),
        fires: Vec::new(),
        reads_pending: Vec::new(),
        what: e,
    };
    Event::of_record(0, &record).unwrap()
}

#[test]
fn what_a_line_matches() {
    let fail = |x: &str| {
        event(What::Fail {
            addr: "β:1".parse().unwrap(),
            peer: "α:10".parse().unwrap(),
            dial: 1,
            text: x.into(),
        })
    };
    let mark = |x: &str| {
        event(What::Mark {
            host: "α".into(),
            text: x.into(),
        })
    };
    for (line, event, matches) in [
        (
            "β:1 fail α:10 connection refused",
            fail("connection refused"),
            true,
        ),
        (
            "β:1 fail α:10 connection   refused",
            fail("connection refused"),
            true,
        ),
        (
            "β:1 fail α:10 connection _",
            fail("connection refused"),
            true,
        ),
        ("β:1 fail α:10 _", fail("connection refused"), false),
        ("β:1 fail α:10 _", fail("cancelled"), true),
        ("$h:1 fail $h:10 _", fail("cancelled"), false),
        ("$h:1 fail $i:10 _", fail("cancelled"), true),
        ("$h:$p fail $i:$p _", fail("cancelled"), false),
        ("_ dial _", fail("cancelled"), false),
        ("α mark", mark(""), true),
        ("α mark _", mark(""), false),
        ("$h mark is $h", mark("is α"), true),
        ("_ mark term=_", mark("term=3"), true),
        ("_ mark term=_", mark("term="), false),
        ("_ mark $x=3", mark("term=3"), false),
        ("_ mark a=$x b=$x", mark("a=1 b=1"), true),
        ("_ mark a=$x b=$x", mark("a=1 b=2"), false),
        ("_ mark \"$x\"", mark("$x"), true),
        ("_ mark \"a=_\"", mark("a=1"), false),
        ("_ mark \"a b\"", mark("a b"), true),
    ]
    .map(|(line, event, matches)| (line.replace("$x=3", "\"$x=3\""), event, matches))
    {
        assert_eq!(
            Pattern::parse(&line).unwrap().matches(&event),
            matches,
            "{line} on {event}"
        );
    }
}

proptest! {
    #![proptest_config(super::cases(1000))]

    #[test]
    fn anything_is_parsed_or_refused(text in "[ -~αβ_$#\"\\\\\n:=0-9]{0,60}") {
        if let Err(error) = check_syntax(&text) {
            let line = text.split('\n').nth(error.line - 1).unwrap();
            prop_assert!(error.column <= line.chars().count() + 1);
        }
    }

    #[test]
    fn any_mark_prints_as_a_line_that_matches_it(text in "\\PC{0,20}|[ $_#\"'`\\\\=a\u{7}\u{85}]{0,12}") {
        let id = EventId::from((0, 1));
        let event = event(What::Mark { host: "α".into(), text });
        prop_assert_eq!(event.id(), id);
        let line = event.to_string();
        let pattern = Pattern::parse(&line);
        prop_assert!(pattern.is_ok(), "{}: {:?}", line, pattern);
        prop_assert!(pattern.unwrap().matches(&event), "{}", line);
    }
}

#[test]
fn numbers() {
    wrong(
        "α:0 listen",
        expect![
            "line 1, column 3: no host has a port 0; legal is a number from 1 to 65535, `_` (any) or a variable, as in $p"
        ],
    );
    wrong(
        "β:1 send α:1 x",
        expect![
            "line 1, column 14: `x` is not a number of bytes; legal is a number, `_` (any) or a variable, as in $n"
        ],
    );
    wrong(
        "β:1 recv α:1 n=$x",
        expect![
            "line 1, column 14: `n=$x` is not a number of bytes; legal is a number, `_` (any) or a variable, as in $n"
        ],
    );
    // To dial it is possible, and fails.
    check_syntax("β:1 dial α:0\nβ:1 send α:1 _\nβ:1 recv α:1 $n").unwrap();
}

#[track_caller]
fn matches(pattern: &str, text: &str, expected: bool) {
    let mut w = super::world::World::new();
    let a = w.spawn("α");
    w.mark(a, text);
    w.join(a);
    let trace = w.trace();
    let found = trace.check(pattern).is_ok();
    assert_eq!(found, expected, "{pattern} of {text:?}");
    let event = &trace.events()[0];
    let pattern = Pattern::parse(pattern).unwrap();
    assert_eq!(pattern.matches(event), expected, "{pattern} of {text:?}");
}

#[test]
fn the_rest_of_a_marks_line() {
    for (pattern, text, expected) in [
        ("α mark …", "", true),
        ("α mark …", "a b c", true),
        ("α mark a …", "a", true),
        ("α mark a …", "a b c", true),
        ("α mark a …", "b a", false),
        ("α mark _ x=$x …", "a x=1 y=2 z", true),
        ("α mark _ …", "", false),
        ("α mark \"a b\"   …  ", "a b c", true),
        ("α mark a \"…\"", "a …", true),
        ("α mark a \"…\"", "a b", false),
        ("α mark a…", "a…", true),
        ("α mark a…", "ab", false),
        ("α mark x=…", "x=…", true),
    ] {
        matches(pattern, text, expected);
    }
    wrong(
        "α mark a … b",
        expect![[
            r#"line 1, column 10: `…` is the rest of a mark's line: it can only be a mark's last word; as a word of the text it is written quoted: "…""#
        ]],
    );
    wrong(
        "β:1 fail α:10 …",
        expect![[
            r#"line 1, column 15: `…` is the rest of a mark's line: it can only be a mark's last word; as a word of the text it is written quoted: "…""#
        ]],
    );
    // What a trace prints is read as it was.
    let mut w = super::world::World::new();
    let a = w.spawn("α");
    w.mark(a, "more … and …");
    w.join(a);
    assert_eq!(w.trace().to_string(), "α mark more \"…\" and \"…\"\n");
    w.trace().assert(w.trace().to_string());
}
