//! The trial of a program: one update, runs, and updates again, each in a process of its own.
//!
//! Owns the counts and what of it is a failure. `LONET_UPDATE_RUNS` says how many runs; without it
//! they are few, so that all programs take seconds.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many runs of each program, where nobody says.
const RUNS: usize = 8;
/// And so many quiet turns of each update, then.
const TURNS: &str = "5";

/// At most so many blocks are taken or widened: each time lines that stood apart are joined, so there is
/// an end.
const MOST_BLOCKS: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Seen,
    Unseen,
}

/// What became of one program.
#[derive(Default)]
struct Counts {
    /// Of the runs that nothing was changed in between.
    runs: usize,
    failed: usize,
    /// Runs that failed with the offer of a block, which was taken.
    offers: usize,
    /// Updates that met an order which no run before had shown, and widened a block for it.
    widened: usize,
    updates: usize,
    changed: usize,
    /// What the first failure printed, with the expectation.
    first: Option<String>,
}

/// Tries all programs, as many at once as there are cores. Prints a line for each.
#[track_caller]
pub(super) fn trial(group: Group, programs: &[&str]) {
    let only = std::env::var("LONET_UPDATE_ONLY").unwrap_or_default();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(name) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !name.contains(&only) {
                        continue;
                    }
                    let counts = Program::new(name).tried(group);
                    println!(
                        "updates: {name}: {} of {} runs failed, {} blocks taken, {} widened, {} of {} \
                         further updates changed the text",
                        counts.failed,
                        counts.runs,
                        counts.offers,
                        counts.widened,
                        counts.changed,
                        counts.updates
                    );
                    if let Some(first) = counts.first {
                        failures.lock().unwrap().push(format!("{name}: {first}"));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn runs() -> usize {
    match std::env::var("LONET_UPDATE_RUNS") {
        Ok(runs) => runs.parse().expect("LONET_UPDATE_RUNS is a number"),
        Err(_) => RUNS,
    }
}

/// A program and the directory that is its workspace, gone with the value.
struct Program {
    name: String,
    root: PathBuf,
    text: PathBuf,
}

impl Program {
    fn new(name: &str) -> Program {
        let file = name.split("::").last().unwrap();
        let root = std::env::temp_dir().join(format!("lonet-trial-{file}-{}", std::process::id()));
        let sources = root.join("tests/tests/protocols");
        fs::create_dir_all(sources.join("texts")).unwrap();
        let topic = name.split("::").next().unwrap();
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/protocols")
            .join(topic)
            .with_extension("rs");
        let copy = sources.join(topic).with_extension("rs");
        fs::copy(source, &copy).unwrap();
        // What is newer than the executable is not what was compiled.
        let copy = fs::File::options().write(true).open(copy).unwrap();
        copy.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let text = sources.join("texts").join(file).with_extension("trace");
        fs::write(&text, "").unwrap();
        Program {
            name: name.to_owned(),
            root,
            text,
        }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.text).unwrap()
    }

    fn run(&self, updates: bool) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([&self.name, "--exact", "--ignored"])
            .env("CARGO_WORKSPACE_DIR", &self.root)
            .env("LONET_ARTIFACTS", self.root.join("artifacts"))
            .env_remove("UPDATE_EXPECT");
        if std::env::var_os("LONET_UPDATE_RUNS").is_none() {
            command.env("LONET_UPDATE_TURNS", TURNS);
        }
        if updates {
            command.env("UPDATE_EXPECT", "1");
        }
        command.output().unwrap()
    }

    fn tried(&self, group: Group) -> Counts {
        let mut counts = Counts::default();
        let output = self.run(true);
        if !output.status.success() || self.text().is_empty() {
            counts.first = Some(format!("the update failed:\n{}", shown(&output)));
            return counts;
        }
        while counts.runs < runs() {
            counts.runs += 1;
            let output = self.run(false);
            if output.status.success() {
                continue;
            }
            let page = shown(&output);
            let text = self.text();
            let offered = match group {
                Group::Unseen if counts.offers < MOST_BLOCKS => with_offers(&text, &page),
                _ => None,
            };
            match offered {
                // What holds now has to hold of as many runs as are asked for.
                Some(text) => {
                    fs::write(&self.text, text).unwrap();
                    counts.offers += 1;
                    counts.runs = 0;
                }
                None => {
                    counts.failed += 1;
                    let run = counts.runs;
                    let said = format!("run {run} failed; expected:\n{text}\nprinted:\n{page}");
                    counts.first.get_or_insert(said);
                }
            }
        }
        while counts.updates < runs() {
            counts.updates += 1;
            let before = self.text();
            let output = self.run(true);
            let after = self.text();
            if output.status.success() && before == after {
                continue;
            }
            // Where lonet can't see the race, an update may meet an order that no run before it showed.
            // What it learns then never goes back, and has to be all for as many updates as are asked for.
            if group == Group::Unseen
                && output.status.success()
                && counts.widened < MOST_BLOCKS
                && widens(&before, &after)
            {
                counts.widened += 1;
                counts.updates = 0;
                continue;
            }
            counts.changed += 1;
            let update = counts.updates;
            let said = format!(
                "further update {update} changed\n{before}\nto\n{after}\nprinted:\n{}",
                shown(&output)
            );
            counts.first.get_or_insert(said);
        }
        counts
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn shown(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

/// Whether the second text has the lines of the first, those of a block in a block again, and stands at
/// fewer places: a block is one.
fn widens(before_text: &str, after_text: &str) -> bool {
    let lines = |text: &str| {
        let line = |line: &str| {
            let plain = line.strip_prefix("| ");
            (words(plain.unwrap_or(line)).join(" "), plain.is_some())
        };
        let mut lines: Vec<_> = text.lines().filter(|l| !l.is_empty()).map(line).collect();
        lines.sort();
        lines
    };
    let (before, after) = (lines(before_text), lines(after_text));
    let same = before
        .iter()
        .map(|(line, _)| line)
        .eq(after.iter().map(|(line, _)| line));
    let stays = before
        .iter()
        .zip(&after)
        .all(|((_, was), (_, is))| is >= was);
    same && stays && places(after_text) < places(before_text)
}

fn places(text: &str) -> usize {
    let (mut places, mut is_inside) = (0, false);
    for line in text.lines() {
        let is_barred = line.starts_with("| ");
        places += usize::from(!(line.is_empty() || is_barred && is_inside));
        is_inside = is_barred;
    }
    places
}

#[test]
fn a_block_is_widened_or_not() {
    assert!(widens("a\nb\n", "| b\n| a\n"));
    assert!(widens("| a\n| b\nc\n", "| c\n| b\n| a\n"));
    // Two blocks that become one.
    assert!(widens("| a\n| b\n\n| c\n| d\n", "| c\n| d\n| a\n| b\n"));
    assert!(!widens("a\nb\n", "b\na\n"), "it flips");
    assert!(
        !widens("| a\n| b\nc\nd\n", "| a\n| b\nd\nc\n"),
        "so does it beside a block"
    );
    assert!(!widens("a\nb\n", "| a\n| b\n| c\n"), "a line is new");
    assert!(
        !widens("| a\n| b\nc\nd\n", "a\nb\n| c\n| d\n"),
        "a block is gone"
    );
}

/// The text with every block that the message offers, if it offers one.
fn with_offers(text: &str, page: &str) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut taken = false;
    for offer in page
        .lines()
        .filter(|line| line.contains("both orders are right"))
    {
        let (happened, put) = offer.split_once("; if both orders are right, put `| ` before ")?;
        let range = match put.trim_start_matches("lines ").split_once(" to ") {
            Some((from, to)) => {
                let to: String = to.chars().take_while(char::is_ascii_digit).collect();
                from.parse::<usize>().ok()? - 1..to.parse().ok()?
            }
            // Of two, the line that happened second stands first, right above the other.
            None => {
                let then = happened.split('`').nth(3)?;
                let from = lines.iter().position(|line| {
                    let line = words(line.trim_start_matches("| "));
                    // A mark may be named by its text alone.
                    line == words(then) || line.ends_with(&words(then))
                })?;
                from..from + 2
            }
        };
        for line in lines.get_mut(range)? {
            if !line.starts_with("| ") && !line.is_empty() && !line.starts_with('#') {
                line.insert_str(0, "| ");
                taken = true;
            }
        }
    }
    taken.then(|| lines.join("\n") + "\n")
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
