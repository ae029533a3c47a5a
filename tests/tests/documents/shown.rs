//! What the documents show, compared with what there is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The sources that documents may show.
const SOURCES: [&str; 21] = [
    include_str!("faults.rs"),
    include_str!("guide.rs"),
    include_str!("holds.rs"),
    include_str!("programs.rs"),
    include_str!("readme.rs"),
    include_str!("search.rs"),
    include_str!("traces.rs"),
    include_str!("victims.rs"),
    include_str!("../first_light/program.rs"),
    include_str!("../how_to/any_stream.rs"),
    include_str!("../how_to/background.rs"),
    include_str!("../how_to/logging.rs"),
    include_str!("../how_to/real_address.rs"),
    include_str!("../how_to/rpc.rs"),
    include_str!("../how_to/tables.rs"),
    include_str!("../../examples/redis_cache.rs"),
    include_str!("../../examples/register/client.rs"),
    include_str!("../../examples/register/replica.rs"),
    include_str!("../../examples/register/scene.rs"),
    include_str!("../../src/register.rs"),
    include_str!("../../src/bin/register_backup.rs"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The fenced blocks of a document: the info string, the line where the block begins, its text.
fn blocks(document: &str) -> Vec<(String, usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (at, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info.to_owned(), at + 2, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, _, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Code as it reads: comments, blank lines, indentation and rustfmt's commas are no part of it.
fn words(code: &str) -> String {
    let uncommented = code.lines().map(|line| match line.find("// ") {
        Some(at) => &line[..at],
        None => line,
    });
    let joined: String = uncommented.collect();
    let dense: String = joined.chars().filter(|c| !c.is_whitespace()).collect();
    dense
        .replace(",)", ")")
        .replace(",]", "]")
        .replace(",}", "}")
}

#[test]
fn code_in_the_documents_is_run() {
    let sources = SOURCES.map(words);
    for name in [
        "README.md",
        "docs/faults.md",
        "docs/guide.md",
        "docs/how-to-test.md",
        "docs/programs.md",
        "docs/search.md",
        "docs/traces.md",
    ] {
        let document = fs::read_to_string(root().join(name)).unwrap();
        for (info, line, text) in blocks(&document) {
            // What runs as a documentation test is not asked for here.
            let runs = name == "README.md" && info == "rust";
            if !info.starts_with("rust") || runs {
                continue;
            }
            // Items and statements may come from different places of one source.
            for part in text.split("\n\n") {
                let part = words(part);
                assert!(
                    sources.iter().any(|source| source.contains(&part)),
                    "{name}:{line}: this is in no program of tests/tests/documents: {part}"
                );
            }
        }
    }
}

/// A run of one test of this binary, which writes its artifacts there.
fn run(arguments: &[&str], artifacts: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .arg("--exact")
        .env("RUST_BACKTRACE", "0")
        .env("LONET_BACKTRACES", "0")
        .env("LONET_ARTIFACTS", artifacts)
        .env_remove("UPDATE_EXPECT")
        .env_remove("LONET_TIMEOUT")
        .env_remove("LONET_DEBUG")
        .env_remove("LONET_KEEP")
        .output()
        .unwrap()
}

/// What the ignored test prints, without what differs from run to run; nothing if it passes.
fn output(victim: &str) -> Option<String> {
    // Several tests of this process do this at once.
    let artifacts = format!("lonet-guide-{}-{victim}", std::process::id());
    let artifacts = std::env::temp_dir().join(artifacts);
    let output = run(&[&format!("victims::{victim}"), "--ignored"], &artifacts);
    if output.status.success() {
        return None;
    }
    assert_eq!(output.status.code(), Some(101), "{victim}");
    // A sweep leaves one for each point, a search one for each run that failed.
    let left = artifacts.join(format!("documents/victims__{victim}"));
    let points = fs::read_dir(&left).unwrap();
    let mut places = points.map(|entry| entry.unwrap().path()).chain([left]);
    let has_page = places.any(|place| place.join("report.html").exists());
    assert!(has_page, "{victim} leaves no page");
    fs::remove_dir_all(&artifacts).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let begin = text.find(" stdout ----\n").unwrap() + " stdout ----\n".len();
    let end = text.rfind("\n\nfailures:\n").unwrap();
    let lines = text[begin..end].lines();
    let shown: String = cut(lines)
        .filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"))
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect();
    let shown = shown.replace(artifacts.to_str().unwrap(), "target/lonet");
    Some(shown.trim().to_owned() + "\n")
}

/// Of the run that a search shows, which is indented, only where it begins: its last events may come in
/// any order.
fn cut<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut indented = 0;
    let mut within = false;
    lines.filter_map(move |line| {
        within = line.starts_with("  victims::")
            || within && (line.is_empty() || line.starts_with("  "));
        indented = if within { indented + 1 } else { 0 };
        match indented {
            0..=2 => Some(line),
            3 => Some("  …"),
            _ => None,
        }
    })
}

/// What a test that passes prints; nothing if it fails.
fn passing_output(test: &str) -> Option<String> {
    let artifacts = format!("lonet-guide-{}-{test}", std::process::id()).replace("::", "-");
    let output = run(
        &[test, "--nocapture"],
        &std::env::temp_dir().join(artifacts),
    );
    let passes = output.status.success();
    passes.then(|| String::from_utf8(output.stderr).unwrap())
}

/// Without pids, places in the source, times, and names of random networks.
fn redacted(text: &str) -> String {
    let mut redacted = String::new();
    let mut follows_time = false;
    for word in text.split_inclusive([' ', '\n']) {
        let bare = word.trim_end();
        // "for 3 ms," and "for 1.2 s,"
        let unit = follows_time && ["µs,", "ms,", "s,"].contains(&bare);
        let lasts = redacted.ends_with("in force for ");
        follows_time = lasts;
        let network = bare.starts_with("lonetr-");
        let number = bare.trim_matches(['(', ')', ';', ',']);
        let time = number.contains('.') && number.parse::<f64>().is_ok();
        let pid = number.len() > 2 && number.bytes().all(|b| b.is_ascii_digit());
        let place = bare.contains(".rs:");
        let shown = if network || time || lasts || unit || pid || place {
            "…"
        } else {
            bare
        };
        redacted.push_str(shown);
        redacted.push_str(&word[bare.len()..]);
    }
    redacted
}

/// So many times a test may run until it prints what is shown. On a machine that is busy with other
/// things, a search may have to give up a hold, and then says so.
const TRIES: usize = 3;

/// Compares what a document shows below each such marker with what is printed.
fn check_shown(name: &str, marker: &str, outputs: usize, printed: fn(&str) -> Option<String>) {
    let path = root().join(name);
    let mut document = fs::read_to_string(&path).unwrap();
    let mut shown = 0;
    let mut from = 0;
    while let Some(at) = document[from..].find(marker).map(|at| from + at) {
        let test = document[at + marker.len()..].split('`').next().unwrap();
        let begin = at + document[at..].find("```text\n").unwrap() + "```text\n".len();
        let end = begin + document[begin..].find("```\n").unwrap();
        let stands = redacted(&document[begin..end]);
        let mut real = None;
        for _ in 0..TRIES {
            real = printed(test).or(real);
            if real.as_ref().is_some_and(|real| redacted(real) == stands) {
                break;
            }
        }
        let real = real.unwrap_or_else(|| panic!("{test} does not end as {name} says"));
        shown += 1;
        if redacted(&real) != stands {
            if std::env::var_os("UPDATE_EXPECT").is_none() {
                let stands = &document[begin..end];
                panic!(
                    "{name} shows another output of {test} than this; UPDATE_EXPECT=1 \
                     rewrites it:\n{real}\nit shows:\n{stands}"
                );
            }
            document.replace_range(begin..end, &real);
            fs::write(&path, &document).unwrap();
        }
        from = begin;
    }
    assert_eq!(shown, outputs, "outputs in {name}");
}

#[test]
fn outputs_in_the_documents_are_real() {
    for (name, outputs) in [
        ("README.md", 1),
        ("docs/faults.md", 2),
        ("docs/guide.md", 2),
        ("docs/search.md", 1),
    ] {
        check_shown(name, "<!-- what `", outputs, output);
    }
    check_shown(
        "docs/search.md",
        "<!-- what the passing `",
        2,
        passing_output,
    );
}

#[test]
fn outputs_of_programs_are_real() {
    if lonet_tests::has("redis-server", "redis-server") {
        check_shown("docs/programs.md", "<!-- what `", 1, output);
    }
}

/// Of an output that is too long to be shown.
#[test]
fn lines_of_outputs_in_the_documents_are_real() {
    let guide = fs::read_to_string(root().join("docs/guide.md")).unwrap();
    let (_, shown) = guide.split_once("<!-- lines that `").unwrap();
    let (victim, shown) = shown.split_once('`').unwrap();
    let shown = shown.split("```").nth(1).unwrap();
    let real = output(victim).unwrap();
    let lines = shown
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty() && *line != "…");
    for line in lines {
        assert!(
            real.lines().any(|of| of == line),
            "{victim} does not print {line:?}:\n{real}"
        );
    }
}
