//! `UPDATE_EXPECT=1`, end to end: expectations are rewritten where they stand, once and for all.
//!
//! The rewritten tests are ignored tests of this binary, run as a process of their own that takes a
//! copy of these sources for the workspace: the file to rewrite is found there.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod copy;
mod searches;
mod victims;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use lonet_tests::size::is_full;

use copy::{Copy, FILE, MANY, SOURCE};

/// How often an update is made again: it must never change anything.
fn times() -> usize {
    if is_full() { 1000 } else { 5 }
}

/// The same for a scenario of some size: of 1000 a tenth, where not all are asked for.
fn times_of_many() -> usize {
    if is_full() { 1000 } else { 100 }
}

/// What stands between `expect![[` and `]]` in a function of the sources.
#[track_caller]
fn literal(source: &str, function: &str) -> String {
    let body = source
        .split(&format!("async fn {function}("))
        .nth(1)
        .unwrap_or_else(|| panic!("no {function}"));
    let literal = body.split("expect![[").nth(1).unwrap();
    literal.split("]]").next().unwrap().to_owned()
}

/// The text of a raw literal.
#[track_caller]
fn text_of(literal: &str) -> &str {
    literal
        .trim_start_matches(['r', '#'])
        .trim_end_matches('#')
        .trim_matches('"')
}

#[test]
fn an_expect_is_rewritten_in_place() {
    let copy = Copy::new("expect");
    let before = copy.read(SOURCE);
    assert!(!copy.run("out_of_date", false).status.success());
    assert_eq!(copy.read(SOURCE), before, "rewritten unasked");

    copy.update("out_of_date");
    let after = copy.read(SOURCE);
    let written = literal(&after, "out_of_date");
    check_two_clients(&copy, &written);
    // Nothing else of the file has changed.
    assert_eq!(after, with_literals(&before, &[("out_of_date", &written)]));
}

/// What an update writes of two clients: what is concurrent stands as the clock has it, so that the text
/// is held against other runs.
#[track_caller]
fn check_two_clients(copy: &Copy, literal: &str) {
    let (text, indent) = (text_of(literal), "\n        ");
    let first = format!("{indent}# what a reader is told first{indent}α:10 listen{indent}");
    assert!(text.starts_with(&first), "{text}");
    assert!(text.ends_with("\n\n        # no such host\n    "), "{text}");
    for _ in 0..3 {
        assert!(copy.is_obeyed(text), "{text}");
    }
    // An effect above its cause is noticed.
    let lines: Vec<&str> = text.lines().collect();
    for (cause, effect) in [
        ("β:1  dial ", "accept  β:1"),
        ("accept  γ:1", "γ:1  connect"),
    ] {
        let line = |part| lines.iter().position(|line| line.contains(part)).unwrap();
        let mut swapped = lines.clone();
        swapped.swap(line(cause), line(effect));
        assert!(
            !copy.is_obeyed(&swapped.join("\n")),
            "{cause} below {effect}"
        );
    }
}

#[test]
fn what_an_update_wrote_wants_no_other() {
    let copy = Copy::new("again");
    let before = copy.read(SOURCE);
    for _ in 0..times() {
        copy.update("up_to_date");
        assert_eq!(copy.read(SOURCE), before);
        assert!(copy.run("up_to_date", false).status.success());
    }
}

/// Five hosts, tasks that dial at once, ports that race, and variables of the user's own.
#[test]
fn an_update_of_many_wants_no_other() {
    let copy = Copy::new("many");
    copy.update("many");
    let text = copy.read(MANY);
    assert!(text.starts_with("# Everyone asks twice; the variables are their author's.\n"));
    assert!(text.contains("\nβ:$one"), "{text}");
    assert!(text.lines().count() > 80, "{text}");
    for turn in 1..times_of_many() {
        match turn % 5 {
            1 => copy.update("many"),
            _ => {
                let output = copy.run("many", false);
                let shown = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "run {turn}: {shown}");
            }
        }
        assert_eq!(copy.read(MANY), text, "run {turn}");
    }
}

#[test]
fn an_expect_file_is_rewritten_and_stays() {
    let copy = Copy::new("file");
    assert!(!copy.run("beside", false).status.success());
    copy.update("beside");
    let text = copy.read(FILE);
    assert_eq!(
        text,
        "# The listener is there before anyone dials.\n\
         α:10 listen\n\
         # Two dial at once; who is accepted first is a race.\n\
         β:1  dial   α:10\n\
         α:$a accept β:1\n\
         γ:1  dial   α:10\n\
         α:$b accept γ:1\n"
    );
    for _ in 0..times() {
        assert!(copy.run("beside", false).status.success());
        copy.update("beside");
        assert_eq!(copy.read(FILE), text);
    }
    fs::remove_file(copy.0.join(FILE)).unwrap();
    copy.update("beside");
    assert!(copy.run("beside", false).status.success());
}

/// The sources with other literals in some functions.
#[track_caller]
fn with_literals(source: &str, literals: &[(&str, &str)]) -> String {
    literals
        .iter()
        .fold(source.to_owned(), |source, (function, new)| {
            let (head, tail) = source.split_once(&format!("async fn {function}(")).unwrap();
            let tail = tail.replacen(&literal(&source, function), new, 1);
            format!("{head}async fn {function}({tail}")
        })
}

const THRICE: &str = "r#\"\n            α mark one\n            α mark two\n        \"#";
const RACED: &str = "r#\"\n        # of all\n        α   mark one\n        | α mark bytes\n        | α mark command\n        # of the end\n        α   mark end\n    \"#";
const BELOW: &str = "r#\"\n        α mark below\n    \"#";

#[test]
fn several_runs_of_one_literal_write_it_once() {
    let copy = Copy::new("thrice");
    let expected = with_literals(&copy.read(SOURCE), &[("thrice", THRICE)]);
    copy.update("thrice");
    assert_eq!(copy.read(SOURCE), expected);
}

#[test]
fn a_literal_of_two_runs_that_differ_is_refused() {
    let copy = Copy::new("differ");
    let before = copy.read(SOURCE);
    let page = copy.fails("of_two_runs");
    let said = "updates/victims.rs";
    assert!(
        page.contains("failed: not updated: the expectation at"),
        "{page}"
    );
    assert!(
        page.contains("is shared by runs that differ; give each its own"),
        "{page}"
    );
    assert!(page.contains("happened instead: β mark ready"), "{page}");
    assert!(page.contains(said), "{page}");
    assert_eq!(copy.read(SOURCE), before);
}

/// What one run orders and another one otherwise becomes a block, wherever it is written.
#[test]
fn an_update_learns_from_turns() {
    let copy = Copy::new("learns");
    let before = copy.read(SOURCE);
    copy.update("raced");
    let expected = with_literals(&before, &[("raced", RACED)]);
    assert_eq!(copy.read(SOURCE), expected);

    copy.update("raced_in_a_file");
    let text = "α   mark one\n| α mark bytes\n| α mark command\nα   mark end\n";
    let file = "tests/tests/updates/new/raced_in_a_file.trace";
    assert_eq!(copy.read(file), text);
    for _ in 0..3 {
        assert!(copy.run("raced_in_a_file", false).status.success());
    }
    copy.update("raced_in_a_file");
    assert_eq!(copy.read(file), text);

    copy.restore(&before);
    copy.update("raced_twice");
    let after = copy.read(SOURCE);
    let (_, tail) = after.split_once("async fn raced_twice(").unwrap();
    assert!(tail.contains("assert_contains(expect![[\"\"]])"), "{tail}");
    assert!(
        tail.contains("            | α mark bytes\n            | α mark command\n"),
        "{tail}"
    );
    let (before, after) = (before.lines().count(), after.lines().count());
    assert_eq!(after, before + 3, "{tail}");
}

/// One update sees one order, the next one the other: both are right from then on.
#[test]
fn updates_do_not_go_back_and_forth() {
    let copy = Copy::new("back");
    let file = "tests/tests/updates/new/in_an_order.trace";
    let update = |order: &str| {
        let mut command = copy.command("in_an_order", true);
        command.env("LONET_TESTS_ORDER", order);
        let output = command.env("LONET_UPDATE_TURNS", "1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        copy.read(file)
    };
    assert_eq!(
        update("one two three"),
        "α mark one\nα mark two\nα mark three\n"
    );
    let text = "| α mark two\n| α mark one\nα   mark three\n";
    for order in ["two one three", "one two three", "two one three"] {
        assert_eq!(update(order), text, "{order}");
    }
    // Lines that are new or gone tell of another program.
    assert_eq!(
        update("one two four"),
        "| α mark one\n| α mark two\nα   mark four\n"
    );
}

/// Turns are played until enough in a row teach nothing; none where nothing is rewritten.
#[test]
fn the_number_of_turns() {
    let copy = Copy::new("turns");
    let counts = copy.0.join("counts");
    let turns = |victim: &str, turns: Option<&str>| {
        let _ = fs::remove_file(&counts);
        let mut command = copy.command(victim, true);
        command.env("LONET_TESTS_COUNT", &counts);
        match turns {
            Some(turns) => command.env("LONET_UPDATE_TURNS", turns),
            None => command.env_remove("LONET_UPDATE_TURNS"),
        };
        let output = command.output().unwrap();
        let counted = fs::read(&counts).map_or(0, |counts| counts.len());
        (counted, output)
    };
    let file = copy.0.join("tests/tests/updates/new/raced_in_a_file.trace");
    // The second turn is the last that teaches anything.
    for (given, played) in [
        (None, 22),
        (Some("3"), 5),
        (Some("1"), 3),
        (Some("0"), 1),
        (Some("500"), 100),
    ] {
        let _ = fs::remove_file(&file);
        assert_eq!(turns("raced_in_a_file", given).0, played, "{given:?}");
    }
    assert_eq!(
        turns("raced_in_a_file", Some("3")).0,
        1,
        "nothing is to be learned"
    );
    let (played, output) = turns("raced_in_a_file", Some("many"));
    assert_eq!(played, 0);
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(
        page.contains("LONET_UPDATE_TURNS") && page.contains("\"many\""),
        "{page}"
    );
}

#[test]
fn brackets_comments_and_headers() {
    let copy = Copy::new("odd");
    copy.update("oddly_written");
    let source = copy.read(SOURCE);
    let (_, tail) = source.split_once("async fn oddly_written(").unwrap();
    let (body, _) = tail.split_once("    Ok(())").unwrap();
    let text = "\n        α mark one\n        α mark two\n    \"#";
    let with_header = text.replacen("        ", "        # a header\n        ", 1);
    assert_eq!(
        body,
        format!(
            "scenario: Scenario) -> Result<()> {{
    marks(&scenario, &[\"one\", \"two\"]).await?;
    scenario.assert_trace(expect![[r#\"{text}]]);
    #[rustfmt::skip]
    scenario.assert_trace(expect![[ // why
        r#\"{text} /* and no more */
    ]]);
    scenario.assert_trace(expect![[r#\"{with_header}]]);
"
        )
    );
}

/// In a documentation test the compiler names a source in a directory of rustdoc's, and with
/// `--remap-path-prefix` one that is nowhere.
#[test]
fn nothing_is_made_outside_the_package() {
    let copy = Copy::new("outside");
    let outside = std::env::temp_dir().join(format!("lonet-outside-{}", std::process::id()));
    fs::create_dir_all(&outside).unwrap();
    let bundle = outside.join("doctest_bundle_2024.rs");
    fs::write(&bundle, "expect![\"\"]").unwrap();
    File::options()
        .write(true)
        .open(&bundle)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    let inside = copy.0.join("tests/../../escaped.rs");
    for source in [
        bundle.to_str().unwrap(),
        "/remapped/tests/x.rs",
        "remapped/x.rs",
        inside.to_str().unwrap(),
    ] {
        for victim in ["literal_elsewhere", "file_elsewhere"] {
            let mut command = copy.command(victim, true);
            let output = command.env("LONET_TESTS_SOURCE", source).output().unwrap();
            let page = String::from_utf8(output.stdout).unwrap();
            assert!(!output.status.success(), "{page}");
            assert!(page.contains("it is not in "), "{source} {page}");
            assert!(
                page.contains("--remap-path-prefix") && page.contains("documentation test"),
                "{page}"
            );
        }
    }
    assert_eq!(fs::read_to_string(&bundle).unwrap(), "expect![\"\"]");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    for made in ["/remapped", copy.0.join("remapped").to_str().unwrap()] {
        assert!(!Path::new(made).exists(), "{made}");
    }
    fs::remove_dir_all(&outside).unwrap();
}

/// Two binaries that were compiled with one source: what the first has written is not the second's.
#[test]
fn the_second_binary_cannot_rewrite_a_shared_literal() {
    let copy = Copy::new("shared");
    let other = copy.0.join("another");
    fs::copy(std::env::current_exe().unwrap(), &other).unwrap();
    copy.update("thrice");
    let after = copy.read(SOURCE);
    let mut command = copy.command("thrice", true);
    let mut second = Command::new(&other);
    second.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => second.env(name, value),
            None => second.env_remove(name),
        };
    }
    let output = second.output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{page}");
    assert!(
        page.contains("by another test binary that shares it; run the test again"),
        "{page}"
    );
    assert_eq!(copy.read(SOURCE), after);
    assert!(command.output().unwrap().status.success());
}

#[test]
fn an_update_that_fails_touches_nothing() {
    let copy = Copy::new("untouched");
    let before = copy.read(SOURCE);
    let page = copy.fails("differs");
    for said in [
        "not updated: turn 3 of the body differs",
        "    - α mark two\n    + α mark three\n",
        "`$x`",
        "`until`",
        "updates/victims.rs:",
    ] {
        assert!(page.contains(said), "{said:?} in\n{page}");
    }
    assert_eq!(copy.read(SOURCE), before);
    let page = copy.fails("fails_later");
    assert!(page.contains("the fourth turn fails"), "{page}");
    assert!(page.contains("this was turn 4: "), "{page}");
    assert_eq!(copy.read(SOURCE), before);
}

/// Each process knows where its literal was compiled, and that others have written above.
#[test]
fn processes_rewrite_one_source_in_any_order() {
    let copy = Copy::new("processes");
    let before = copy.read(SOURCE);
    for order in [
        ["out_of_date", "thrice", "below"],
        ["below", "out_of_date", "thrice"],
    ] {
        copy.restore(&before);
        for victim in order {
            copy.update(victim);
        }
        let after = copy.read(SOURCE);
        let written = literal(&after, "out_of_date");
        check_two_clients(&copy, &written);
        let expected = [
            ("out_of_date", &*written),
            ("thrice", THRICE),
            ("below", BELOW),
        ];
        assert_eq!(after, with_literals(&before, &expected));
    }
}

#[test]
fn a_source_that_has_changed_is_not_touched() {
    let copy = Copy::new("changed");
    let before = copy.read(SOURCE);
    let newer = format!("// One line more.\n{before}");
    copy.restore(&newer);
    let page = copy.fails("thrice");
    assert!(page.contains("updates/victims.rs:"), "{page}");
    assert!(page.contains("run the test again"), "{page}");
    assert!(page.contains("if a macro writes the literal"), "{page}");
    assert_eq!(copy.read(SOURCE), newer);

    // The same literal, but nobody knows whether it is the one that was compiled.
    copy.restore(&before);
    fs::write(copy.0.join(SOURCE), &before).unwrap();
    copy.fails("thrice");
    assert_eq!(copy.read(SOURCE), before);

    // Between two processes of one build.
    copy.restore(&before);
    copy.update("thrice");
    let after = copy.read(SOURCE) + "\n";
    fs::write(copy.0.join(SOURCE), &after).unwrap();
    copy.fails("below");
    assert_eq!(copy.read(SOURCE), after);
}

/// Played again, an `expect!` that is out of date would be written twice, which spoils the file: the
/// update is made once it is up to date.
#[test]
fn literals_of_other_assertions_come_first() {
    let copy = Copy::new("others");
    let before = copy.read(SOURCE);
    let other = "expect![[r#\"\n        one\n        two\n    \"#]]";
    let page = copy.fails("with_others");
    assert!(
        page.contains("not updated") && page.contains("run the test again"),
        "{page}"
    );
    assert_eq!(copy.read(SOURCE), before.replace("expect![[\"?\"]]", other));
}

#[test]
fn a_file_that_is_missing_is_written_when_asked_for() {
    let copy = Copy::new("missing");
    for (victim, text) in [
        ("in_a_file", "α mark one\nα mark two\n"),
        ("of_the_attribute", "α mark one\n"),
    ] {
        let file = format!("tests/tests/updates/new/{victim}.trace");
        let output = copy.run(victim, false);
        let page = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(
            page.contains(&format!("{victim}.trace does not exist")),
            "{page}"
        );
        assert!(page.contains("UPDATE_EXPECT=1"), "{page}");
        assert!(!copy.0.join(&file).exists());

        copy.update(victim);
        assert_eq!(copy.read(&file), text);
        assert!(copy.run(victim, false).status.success());

        // An old one keeps its comments, and how its lines end.
        fs::write(copy.0.join(&file), "# why\r\nα mark one\r\nα mark gone\r\n").unwrap();
        copy.update(victim);
        let text = format!("# why\n{text}").replace('\n', "\r\n");
        assert_eq!(copy.read(&file), text);
    }
}

#[test]
fn a_file_that_is_not_utf8_is_not_touched() {
    let copy = Copy::new("latin1");
    for victim in ["in_a_file", "of_the_attribute"] {
        let file = copy
            .0
            .join(format!("tests/tests/updates/new/{victim}.trace"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, b"# gr\xfc\xdfe\n").unwrap();
        for updates in [false, true] {
            let output = copy.run(victim, updates);
            assert!(!output.status.success());
            let page = String::from_utf8_lossy(&output.stdout);
            assert!(
                page.contains(&format!(
                    "{victim}.trace is not a text file: byte 4 is not UTF-8"
                )),
                "{page}"
            );
            assert_eq!(fs::read(&file).unwrap(), b"# gr\xfc\xdfe\n");
        }
    }
}
