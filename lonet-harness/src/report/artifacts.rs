//! What a failed test leaves on disk: its trace, its records, each host's log, and all of it as a
//! page for a browser.
//!
//! Owns where, and which file holds what. The place is emptied before, so that nothing of an
//! earlier run is taken for this one's; what the test itself has put there stays.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::collector::query::Report;
use crate::process::backtrace::Backtraces;
use crate::process::wire::Means;
use crate::report::html;
use crate::report::words::{Teardown, whose};
use crate::trace::happened::graph::Graph;
use crate::trace::write::columns;
use crate::trace::{Event, EventId, Mismatch, Trace};

/// Where the artifacts of that test of this binary belong.
pub(crate) fn place(test: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let root = match std::env::var_os("LONET_ARTIFACTS") {
        Some(root) if !root.is_empty() => PathBuf::from(root),
        _ => target(Says {
            exe: &exe,
            named: std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from),
            at: std::env::current_dir().unwrap_or_default(),
        })
        .join("lonet"),
    };
    root.join(binary(&exe)).join(directory(test))
}

/// A file's name has at most so many bytes.
const LONGEST_NAME: usize = 255;

/// The test's name as a directory's: one that is too long ends in a hash of the whole.
fn directory(test: &str) -> String {
    let mut name = test.replace("::", "__").replace('/', "_");
    if ["", ".", ".."].contains(&&*name) {
        name.insert(0, '_');
    }
    if name.len() <= LONGEST_NAME {
        return name;
    }
    // FNV-1a: the same for every build, so that the next run finds it.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut end = LONGEST_NAME - 17;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{hash:016x}", &name[..end])
}

/// Removes what an earlier run of a test that has passed now left there.
pub(crate) fn clear(place: &Path) {
    // What can't be removed does not fail a test that passed.
    let _ = remove(place);
}

/// What says where cargo's target directory is.
struct Says<'a> {
    exe: &'a Path,
    /// `CARGO_TARGET_DIR`.
    named: Option<PathBuf>,
    /// The working directory.
    at: PathBuf,
}

/// Cargo's target directory: as it is named, or around the binary, or in the workspace around the
/// working directory, which for a test is its package's.
fn target(says: Says<'_>) -> PathBuf {
    let named = says.named.filter(|named| !named.as_os_str().is_empty());
    // A relative one was meant from where cargo was called, which need not be here.
    if let Some(named) = named.as_ref().filter(|named| named.is_absolute()) {
        return named.clone();
    }
    // Cargo writes the first with every build, and the tag only into a directory that it has made:
    // one that was restored from a cache, or copied in part, may lack it. Of tags, the outermost: one
    // for each target triple lies inside the first.
    let mut dirs = says.exe.ancestors();
    let built = dirs.find(|dir| dir.join(".rustc_info.json").exists());
    let tagged = |dir: &&Path| dir.join("CACHEDIR.TAG").exists();
    if let Some(dir) = built.or_else(|| says.exe.ancestors().filter(tagged).last()) {
        return dir.to_owned();
    }
    // A binary that lies elsewhere: unpacked from an archive, or of a documentation test.
    let locked = |dir: &&Path| dir.join("Cargo.lock").exists();
    let workspace = says.at.ancestors().find(locked).unwrap_or(&says.at);
    workspace.join(named.unwrap_or_else(|| "target".into()))
}

/// The binary's name without the hash that cargo gives it.
fn binary(exe: &Path) -> String {
    let name = exe
        .file_name()
        .unwrap_or(OsStr::new("unknown"))
        .to_string_lossy();
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    match name.rsplit_once('-') {
        Some((stem, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            stem.to_owned()
        }
        _ => name.to_owned(),
    }
}

/// An expected trace that did not hold.
pub(crate) struct Refused {
    /// Without colours.
    pub(crate) page: String,
    /// Its first line, as the terminal showed it.
    pub(crate) headline: String,
    expected: String,
    diverged: Option<EventId>,
    /// What the assertion looked at.
    trace: Trace,
}

impl Refused {
    /// That page, and the same as it is shown.
    pub(crate) fn new(mismatch: &Mismatch, page: String, shown: &str) -> Refused {
        Refused {
            page,
            headline: shown.lines().next().unwrap_or_default().to_owned(),
            expected: mismatch.expected(),
            diverged: mismatch.diverged(),
            trace: Trace::of(mismatch.parts().cut.clone()),
        }
    }
}

/// Makes the place, with nothing in it, for what the test itself wants to put there.
///
/// # Errors
///
/// The system's.
pub(crate) fn make(place: &Path) -> io::Result<()> {
    remove(place)?;
    fs::create_dir_all(place)
}

/// What became of a test.
pub(crate) struct Became<'a> {
    /// The whole verdict, without colours.
    pub(crate) verdict: &'a str,
    pub(crate) passed: bool,
    pub(crate) teardown: Option<Teardown>,
}

/// Writes all there is to say of a test. With `adds`, the place holds what the test has put there.
///
/// # Errors
///
/// The system's, about the first file that can't be written.
pub(crate) fn write(
    place: &Path,
    test: &str,
    became: &Became<'_>,
    report: &Report,
    refused: Option<&Refused>,
    adds: bool,
) -> io::Result<()> {
    let logs = place.join("logs");
    if adds {
        // A verdict may have been written already.
        remove(&logs)?;
        remove(&place.join("backtraces"))?;
    } else {
        remove(place)?;
    }
    fs::create_dir_all(&logs)?;
    let whole = Trace::whole(Arc::new(Graph::build(report.records.clone())));
    let all = whole.clone().with_lifecycle();
    fs::write(place.join("trace.txt"), text(&all, became.teardown))?;
    fs::write(place.join("verdict.txt"), became.verdict.trim_start())?;
    fs::write(place.join("trace.jsonl"), whole.to_jsonl())?;
    fs::write(place.join("processes.txt"), processes(report))?;
    for node in &report.nodes {
        // One file a host: incarnations one after the other.
        let path = logs.join(format!("{}.log", node.host));
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        text.push_str(&node.log);
        fs::write(path, text)?;
    }
    if let Backtraces::Taken(taken) = &report.backtraces {
        let place = place.join("backtraces");
        fs::create_dir_all(&place)?;
        for (host, backtrace) in taken {
            let (Ok(text) | Err(text)) = backtrace;
            fs::write(place.join(format!("{host}.txt")), text)?;
        }
    }
    // The page shows what the assertion looked at, or else everything.
    let trace = refused.map_or(&whole, |refused| &refused.trace);
    let mut drawing = trace.drawing();
    let teardown = became
        .teardown
        .and_then(|teardown| Some((drawing.parted(teardown.after)?, teardown.words)));
    // Those that did nothing, too.
    let hosts: Vec<&str> = report.nodes.iter().map(|node| node.host.as_str()).collect();
    let logs: Vec<(String, String)> = whose(&report.nodes)
        .zip(&report.nodes)
        .map(|(whose, node)| (whose, node.log.clone()))
        .collect();
    let page = html::Page {
        test,
        message: became.verdict.trim(),
        passed: became.passed,
        events: &drawing.events,
        causes: &drawing.causes,
        diverged: refused.and_then(|refused| refused.diverged),
        expected: refused.map(|refused| refused.expected.as_str()),
        logs: &logs,
        hosts: &hosts,
        teardown,
    };
    fs::write(place.join("report.html"), html::page(&page))?;
    Ok(())
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All events, in canonical order; those of the teardown stand apart.
fn text(trace: &Trace, teardown: Option<Teardown>) -> String {
    let Some(teardown) = teardown else {
        return trace.to_string();
    };
    let (before, after): (Vec<&Event>, Vec<&Event>) = trace
        .events()
        .iter()
        .partition(|event| !teardown.has(event));
    let words = |event: &Event| event.words();
    let mut lines: Vec<Result<Vec<String>, String>> =
        before.into_iter().map(words).map(Ok).collect();
    if !after.is_empty() {
        lines.push(Err(format!("# {}", teardown.words)));
    }
    lines.extend(after.into_iter().map(words).map(Ok));
    columns::aligned(&lines)
}

fn processes(report: &Report) -> String {
    let mut text = String::new();
    let means = match report.means {
        Some(Means::Namespace) => "a PID namespace",
        Some(Means::UserNamespace) => "a PID namespace in a user namespace",
        Some(Means::Subreaper) => "a child subreaper, without a PID namespace",
        None => "no supervisor: nothing was started",
    };
    let _ = writeln!(text, "kept by {means}");
    for node in &report.nodes {
        let pid = node
            .pid
            .map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        let end = match node.ended {
            Some(ended) => format!("exit {}", ended.words()),
            None => "runs".to_owned(),
        };
        let _ = writeln!(text, "{} {} pid {pid} {end}", node.host, node.what);
    }
    for problem in &report.problems {
        let _ = writeln!(text, "{problem}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_artifacts() {
        assert_eq!(directory("a::b"), "a__b");
        let fits = "α".repeat(127);
        assert_eq!(directory(&fits), fits);
        let (one, other) = ("α".repeat(128), format!("{}β", "α".repeat(127)));
        assert!(directory(&one).len() <= 255);
        assert_ne!(directory(&one), directory(&other));
    }

    #[test]
    fn the_targets_place_is_found_without_its_tag() {
        let base = std::env::temp_dir().join(format!("lonet-place-{}", std::process::id()));
        let workspace = base.join("workspace");
        let package = workspace.join("tests");
        let built = workspace.join("target");
        let exe = built.join("x86_64-unknown-linux-gnu/debug/deps/ring-0123456789abcdef");
        fs::create_dir_all(exe.parent().unwrap()).unwrap();
        fs::create_dir_all(&package).unwrap();
        fs::write(workspace.join("Cargo.lock"), "").unwrap();
        let found = |exe: &Path, named: Option<&str>| {
            target(Says {
                exe,
                named: named.map(PathBuf::from),
                at: package.clone(),
            })
        };
        let elsewhere = base.join("unpacked/ring");
        // Nothing marks it: the workspace's.
        assert_eq!(found(&exe, None), built);
        assert_eq!(found(&elsewhere, None), built);
        assert_eq!(found(Path::new(""), Some("")), built);
        assert_eq!(found(&elsewhere, Some("other")), workspace.join("other"));
        assert_eq!(found(&elsewhere, Some("/t")), Path::new("/t"));
        // Tagged, on two levels; then as every build marks it.
        let moved = base.join("moved");
        let exe = moved.join("x86_64-unknown-linux-gnu/debug/deps/ring-0123456789abcdef");
        fs::create_dir_all(exe.parent().unwrap()).unwrap();
        for dir in [&*moved, &moved.join("x86_64-unknown-linux-gnu")] {
            fs::write(dir.join("CACHEDIR.TAG"), "").unwrap();
        }
        assert_eq!(found(&exe, Some("moved")), moved);
        fs::remove_file(moved.join("CACHEDIR.TAG")).unwrap();
        fs::write(moved.join(".rustc_info.json"), "").unwrap();
        assert_eq!(found(&exe, None), moved);
        assert_eq!(found(&exe, Some("/t")), Path::new("/t"));
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_binary_is_known_by_its_name() {
        let name = |path: &str| binary(Path::new(path));
        assert_eq!(name("/t/debug/deps/nodes-0123456789abcdef"), "nodes");
        assert_eq!(
            name("/t/debug/deps/nodes-0123456789abcdef (deleted)"),
            "nodes"
        );
        assert_eq!(name("/t/debug/examples/ping-pong"), "ping-pong");
    }
}
