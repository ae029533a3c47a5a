//! Literals of a source file, replaced by one process after the other.

use proptest::prelude::*;

use crate::trace::update::literal::{Known, NotThere, Taken};

/// What a process is left with that hears of the others by the journal.
fn of_another_process(known: &Known) -> Known {
    serde_json::from_str(&serde_json::to_string(known).unwrap()).unwrap()
}

#[track_caller]
fn check(source: &str, place: (u32, u32), old: &str, new: &str, after: &str) {
    let mut known = Known::new(source.to_owned());
    assert_eq!(known.now(), source);
    assert_eq!(known.rewrite(place, old, new), Ok(Taken::Written));
    assert_eq!(known.now(), after);
    let mut known = of_another_process(&known);
    let before = Ok(Taken::Before(new.to_owned()));
    assert_eq!(known.rewrite(place, old, "another\n"), before);
    assert_eq!(known.now(), after);
}

#[track_caller]
fn refused(source: &str, place: (u32, u32), old: &str, new: &str) {
    let mut known = Known::new(source.to_owned());
    assert_eq!(known.rewrite(place, old, new), Err(NotThere));
    assert_eq!(known.now(), source);
}

#[test]
fn a_literal_is_laid_out_like_its_line() {
    check(
        "    s.assert(expect![[\"\"]]);\n",
        (1, 14),
        "",
        "a\n\nb\n",
        "    s.assert(expect![[r#\"\n        a\n\n        b\n    \"#]]);\n",
    );
    check(
        "é\r\n\t\tα(x::expect ! ( r\"old\" ) )\r\n",
        (2, 5),
        "old",
        "a \"b\" \"#\n",
        "é\r\n\t\tα(x::expect ! ( [r##\"\r\n\t\t\ta \"b\" \"#\r\n\t\t\"##] ) )\r\n",
    );
    check(
        "\u{feff}expect![]",
        (1, 1),
        "",
        "x",
        "\u{feff}expect![\"x\"]",
    );
    check("expect!{[ ]}", (1, 1), "", "x", "expect!{[\"x\"]}");
    check(
        r#"expect![["\\\""]]"#,
        (1, 1),
        "\\\"",
        "",
        r#"expect![[""]]"#,
    );
}

#[test]
fn comments_around_a_literal_stay() {
    check(
        "    s.assert(expect![[\n    // \"why\" ]]\n    r#\"old\"# /* no /* more */ of it */\n    ]]);\n",
        (1, 14),
        "old",
        "a\n",
        "    s.assert(expect![[\n    // \"why\" ]]\n    r#\"\n        a\n    \"# /* no /* more */ of it */\n    ]]);\n",
    );
    check(
        "expect![/* c */ \"old\"]",
        (1, 1),
        "old",
        "x",
        "expect![/* c */ \"x\"]",
    );
    check("expect![[]] // c", (1, 1), "", "x", "expect![[\"x\"]] // c");
    check(
        "expect!( [ ] /* ) */ )",
        (1, 1),
        "",
        "x",
        "expect!( [ \"x\"] /* ) */ )",
    );
    check(
        "expect![[ // c\n]]",
        (1, 1),
        "",
        "x",
        "expect![[ // c\n\"x\"]]",
    );
    refused("expect![[ /* c ]]", (1, 1), "", "x");
    let plain = |source: &str| Known::new(source.to_owned()).is_plain((1, 1));
    assert!(plain("expect![[\"\"]]") && plain("expect![]") && plain("expect![r##\"\"##]"));
    assert!(
        !plain("expect![[]]") && !plain("expect![/**/ \"\"]") && !plain("expect![\"\" // c\n]")
    );
}

#[test]
fn what_a_literal_says_is_what_the_compiler_reads() {
    check(
        "expect![\"a\\n\\t\\x41\\u{3b1}\\\r\n   \\\"b\\0\"]",
        (1, 1),
        "a\n\tAα\"b\0",
        "",
        "expect![\"\"]",
    );
    check("expect![\"a\r\nb\"]", (1, 1), "a\nb", "", "expect![\"\"]");
    check(
        "expect![[r##\"a\r\n\"#b\"##]]",
        (1, 1),
        "a\n\"#b",
        "",
        "expect![[\"\"]]",
    );
}

#[test]
fn what_stands_somewhere_else_is_not_touched() {
    let source = "fn a() {\n    s.assert(expect![[\"\"]]);\n}\nlet a = [\"\"];\n";
    for line in 0..7 {
        for column in 0..40 {
            // From any letter of its name, it is the same.
            let of_name = line == 2 && (14..20).contains(&column);
            if !of_name {
                refused(source, (line, column), "", "x\n");
            }
        }
    }
    refused(source, (2, 14), "another", "x\n");
    refused(
        "assert!([r#\"precious\"#].len() > 2)",
        (1, 1),
        "precious",
        "x\n",
    );
    refused("expect![[concat!(\"\")]]", (1, 1), "", "x\n");
    refused("expect![[\"\"", (1, 1), "", "x\n");
    refused("expect![[b\"\"]]", (1, 1), "", "x\n");
    refused("expect![[\"\\q\"]]", (1, 1), "", "x\n");
    refused("expect![[\"\"]]", (1, 1), "", "a\rb\n");
}

/// Texts between literals: with quotes, brackets and characters of several bytes.
fn around() -> impl Strategy<Value = String> {
    "[a-zα \"#'!\\[\\](){}\\\\\n\t/*]{0,30}"
}

/// A trace, more or less.
fn told() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        prop::collection::vec("[a-zα\"#\\\\:]{1,3}( [a-z\"#\\\\]{1,3})?", 1..4)
            .prop_map(|lines| lines.join("\n") + "\n"),
    ]
}

/// A literal, as it is written, for a value: what is before the argument, the argument, the rest.
fn written(value: &str, style: u8) -> [String; 3] {
    let raw = format!("r####\"{value}\"####");
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    let (head, argument, tail) = match style {
        0 => ("expect![", format!("[{raw}]"), "]"),
        1 => ("expect ! [", format!("\"{escaped}\""), "]"),
        2 => (
            "lonet_harness::expect!( ",
            format!("[ \"{escaped}\" ]"),
            " )",
        ),
        _ => ("expect!{ ", raw, "\n}"),
    };
    [head.to_owned(), argument, tail.to_owned()]
}

/// What an argument says that was written: its lines without their indentation.
#[track_caller]
fn said(argument: &str) -> Vec<&str> {
    let inner = argument
        .strip_prefix('[')
        .map(|rest| rest.strip_suffix(']').unwrap());
    let literal = inner.unwrap_or(argument);
    let Some(raw) = literal.strip_prefix('r') else {
        assert_eq!(literal, "\"\"", "only nothing needs no lines");
        return Vec::new();
    };
    let hashes = &raw[..raw.find('"').unwrap()];
    let body = raw[hashes.len() + 1..].strip_suffix(hashes).unwrap();
    let body = body.strip_suffix('"').unwrap();
    assert!(!body.contains(&format!("\"{hashes}")), "ends early: {raw}");
    body.trim().lines().map(str::trim).collect()
}

proptest! {
    #[test]
    fn literals_are_replaced_in_any_order_and_nothing_else_is(
        parts in prop::collection::vec((around(), told(), 0u8..4, told()), 1..6),
        last in around(),
        order in any::<u64>(),
        crlf in any::<bool>(),
    ) {
        let ends = |text: &str| if crlf { text.replace('\n', "\r\n") } else { text.to_owned() };
        // The source in pieces: arguments are those with odd numbers.
        let (mut pieces, mut places) = (vec![String::new()], Vec::new());
        for (above, old, style, _) in &parts {
            let [head, argument, tail] = written(old, *style);
            let before = pieces.concat() + above + " ";
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            places.push((line as u32, column as u32));
            *pieces.last_mut().unwrap() += &format!("{above} {head}");
            pieces.extend([argument, tail]);
        }
        *pieces.last_mut().unwrap() += &last;
        let pieces: Vec<String> = pieces.iter().map(|piece| ends(piece)).collect();
        let source = pieces.concat();

        // Each alone: all around it stays, and it says what it is to say.
        let mut after = pieces.clone();
        for (index, (_, old, _, new)) in parts.iter().enumerate() {
            let mut known = Known::new(source.clone());
            prop_assert_eq!(known.rewrite(places[index], old, new), Ok(Taken::Written));
            let now = known.now();
            let at = 2 * index + 1;
            let now = now.strip_prefix(&pieces[..at].concat()).unwrap();
            let argument = now.strip_suffix(&pieces[at + 1..].concat()).unwrap();
            prop_assert_eq!(said(argument), new.lines().collect::<Vec<_>>());
            let foreign = if source.contains('\r') { '\n' } else { '\r' };
            prop_assert!(!argument.replace("\r\n", "").contains(foreign));
            after[at] = argument.to_owned();
        }

        // All of them, in any order, by places in the first source.
        let (mut left, mut random) = ((0..parts.len()).collect::<Vec<_>>(), order);
        let mut known = Known::new(source);
        while !left.is_empty() {
            let index = left.swap_remove((random % left.len() as u64) as usize);
            random = random.rotate_left(7);
            let (_, old, _, new) = &parts[index];
            known = of_another_process(&known);
            prop_assert_eq!(known.rewrite(places[index], old, new), Ok(Taken::Written));
        }
        prop_assert_eq!(known.now(), after.concat());
    }
}
