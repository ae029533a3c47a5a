//! Expected traces on disk: reading a file of one, and writing another in its place or in that of
//! a literal, so that nothing else of the user's is ever touched.
//!
//! Owns the files, their locks, and the journal by which one process of a test run learns what
//! another has written to a source file: nextest gives each test a process of its own, and a
//! literal that grows moves those below it from where they were compiled. What the new text of a
//! source is, is `literal`'s business.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use expect_test::Expect;
use serde::{Deserialize, Serialize};

use crate::trace::update::literal::{Known, Taken};

/// Whether expectations are to be rewritten: the variable, and the question, are `expect_test`'s.
pub(crate) fn is_asked_for() -> bool {
    std::env::var("UPDATE_EXPECT").is_ok()
}

/// What this process has rewritten, or found to hold, since it began.
pub(crate) struct Settled {
    /// By place: what stands there.
    pub(crate) texts: BTreeMap<String, String>,
    sources: BTreeMap<PathBuf, Known>,
    /// Sources of which `expect_test` knows all that has been written.
    handed_on: BTreeSet<PathBuf>,
}

/// Held while something is rewritten: the next process finds it settled.
pub(crate) fn settled() -> MutexGuard<'static, Settled> {
    static SETTLED: Mutex<Settled> = Mutex::new(Settled {
        texts: BTreeMap::new(),
        sources: BTreeMap::new(),
        handed_on: BTreeSet::new(),
    });
    SETTLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text of a file, if there is one.
///
/// # Errors
///
/// It can't be read, or is not UTF-8.
pub(crate) fn read(path: &Path) -> Result<Option<String>, String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("be read", path, &error)),
    };
    // The process that writes it holds the lock; where there are no locks, readers don't wait.
    let _ = file.lock_shared();
    let text = text_of(&mut file, path)?;
    Ok(Some(text.replace("\r\n", "\n")))
}

/// Writes a text in place of all there is in a file, which may not be there yet.
///
/// # Errors
///
/// It can't be written, or its present content is not UTF-8: then it stays.
pub(crate) fn rewrite_file(path: &Path, text: &str) -> Result<(), String> {
    check_is_in_package(path)?;
    let failed = |error: io::Error| cannot("be written", path, &error);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    let text = match text_of(&mut file, path)?.contains("\r\n") {
        true => text.replace('\n', "\r\n"),
        false => text.to_owned(),
    };
    println!("updating: {}", path.display());
    write(&file, &text).map_err(failed)
}

/// Has a literal say another text: only where it stands as it was compiled, moved by nothing but
/// what this build of the test has written to other literals of the file.
///
/// # Errors
///
/// It doesn't stand there, or can't be written: nothing is touched.
pub(crate) fn rewrite_literal(
    settled: &mut Settled,
    expect: &Expect,
    new: &str,
) -> Result<Taken, String> {
    if alike(expect.data, new) {
        return Ok(Taken::Written);
    }
    let Literal {
        path,
        file,
        build,
        mut known,
    } = Literal::open(settled, expect)?;
    let untouched = known.is_untouched();
    let place = (expect.position.line, expect.position.column);
    let taken = known
        .rewrite(place, expect.data, new)
        .map_err(|_| not_there(expect))?;
    if taken == Taken::Written {
        // Literals that are `expect_test`'s own to rewrite may stand in the same file: it patches
        // the text that it has read first, so it needs every change. It writes the file,
        // too, but knows neither `\r\n` nor tabs.
        let same = expect_tests_root().is_some_and(|root| root.join(expect.position.file) == path);
        let handed_on = untouched || settled.handed_on.contains(&path);
        if same && handed_on && known.is_plain(place) {
            settled.handed_on.insert(path.clone());
            expect.assert_eq(new);
        } else {
            println!("updating: {}", expect.position);
        }
        let written = write(&file, &known.now());
        written.map_err(|error| cannot("be rewritten", &path, &error))?;
        let _ = Journal::note(build, &path, &known);
    }
    settled.sources.insert(path, known);
    Ok(taken)
}

/// Whether a literal could be made to say another text. Nothing is touched.
///
/// # Errors
///
/// Why not.
pub(crate) fn could_rewrite(settled: &Settled, expect: &Expect, new: &str) -> Result<(), String> {
    if alike(expect.data, new) {
        return Ok(());
    }
    let mut known = Literal::open(settled, expect)?.known;
    let place = (expect.position.line, expect.position.column);
    let taken = known.rewrite(place, expect.data, new);
    taken.map(drop).map_err(|_| not_there(expect))
}

/// Whether a source file is as it was compiled, but for what lonet has written to it; and one that
/// can't be found. An `expect!` of another assertion that is out of date is written as soon as it is
/// asked: written twice, it spoils the file.
pub(crate) fn is_as_compiled(source: &str) -> bool {
    let path = found(source, Path::new(source));
    match File::open(&path) {
        Ok(file) => Known::of(&settled(), &path, &file).is_ok_and(|known| known.is_some()),
        Err(_) => true,
    }
}

impl Known {
    /// What is known of a source: nothing if it has changed since it was compiled.
    fn of(settled: &Settled, path: &Path, mut file: &File) -> Result<Option<Known>, String> {
        let failed = |error: io::Error| cannot("be read", path, &error);
        let build = Build::of_this_process().map_err(failed)?;
        let current = text_of(&mut file, path)?;
        let remembered = settled.sources.get(path).cloned();
        let known = remembered.filter(|known| known.now() == current);
        let known = known.or_else(|| {
            // Whatever else was done to it since, is the user's.
            Journal::of(build, path).filter(|known| known.now() == current)
        });
        Ok(match known {
            Some(known) => Some(known),
            None if build.is_as_new_as(file).map_err(failed)? => Some(Known::new(current)),
            None => None,
        })
    }
}

/// The source file of a literal, open and locked.
struct Literal {
    path: PathBuf,
    file: File,
    build: Build,
    known: Known,
}

impl Literal {
    fn open(settled: &Settled, expect: &Expect) -> Result<Literal, String> {
        let path = found(expect.position.file, Path::new(expect.position.file));
        check_is_in_package(&path).map_err(|why| format!("{}: {why}", expect.position))?;
        let failed = |error: io::Error| cannot("be rewritten", &path, &error);
        let mut file = File::options();
        let file = file.read(true).write(true).open(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        let build = Build::of_this_process().map_err(failed)?;
        let known = Known::of(settled, &path, &file)?.ok_or_else(|| changed(expect))?;
        Ok(Literal {
            path,
            file,
            build,
            known,
        })
    }
}

/// A file that is named relative to the directory of a source file.
pub(crate) fn beside(source: &str, path: &Path) -> PathBuf {
    found(source, &Path::new(source).with_file_name(path))
}

/// Where a file is that is named as rustc names sources: relative to the workspace, which is not
/// where cargo runs tests. A file that is not there yet is looked for where its source is; if that is
/// nowhere, it stays without a root: its place is unknown.
fn found(source: &str, wanted: &Path) -> PathBuf {
    let roots: Vec<PathBuf> = match std::env::var_os("CARGO_WORKSPACE_DIR") {
        Some(root) => vec![root.into()],
        None => {
            let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
            let here = package.or_else(|| std::env::current_dir().ok());
            let here = here.unwrap_or_default();
            here.ancestors().map(Path::to_owned).collect()
        }
    };
    for name in [wanted, Path::new(source)] {
        if let Some(root) = roots.iter().find(|dir| dir.join(name).exists()) {
            return root.join(wanted);
        }
    }
    wanted.to_owned()
}

/// Refuses what is not in the package: the compiler may give a source a name that means another
/// file, or none.
///
/// # Errors
///
/// The path is outside, or its place is unknown.
pub(crate) fn check_is_in_package(path: &Path) -> Result<(), String> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = || std::env::current_dir().ok();
    let root = expect_tests_root()
        .or_else(|| package.clone())
        .or_else(here);
    let mut roots = root.iter().chain(&package);
    if path.is_absolute() && roots.any(|root| plain(path).starts_with(plain(root))) {
        return Ok(());
    }
    let root = root.unwrap_or_default();
    Err(format!(
        "{} was not written: it is not in {}; in a documentation test, and with --remap-path-prefix, the \
         compiler gives sources another path: use expect_file![concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/….trace\")]",
        path.display(),
        root.display()
    ))
}

/// The path without `.` and `..`, which may lead outside.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// What `expect_test` takes for the root of the workspace.
fn expect_tests_root() -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("CARGO_WORKSPACE_DIR") {
        return Some(root.into());
    }
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let is_package = |dir: &&Path| dir.join("Cargo.toml").exists();
    package
        .ancestors()
        .filter(is_package)
        .last()
        .map(Path::to_owned)
}

/// The executable that this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Build {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Build {
    fn of_this_process() -> io::Result<Build> {
        // Also if another has been built in its place meanwhile.
        let metadata = fs::metadata("/proc/self/exe")?;
        Ok(Build {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    /// Whether a source has not been written to since: cargo would not build it anew.
    fn is_as_new_as(&self, source: &File) -> io::Result<bool> {
        let metadata = source.metadata()?;
        Ok((metadata.mtime(), metadata.mtime_nsec()) <= self.modified)
    }
}

/// What the processes of one build have written to sources, beside the executable.
#[derive(Serialize, Deserialize)]
struct Journal {
    build: Build,
    sources: BTreeMap<PathBuf, Known>,
}

impl Journal {
    fn open() -> Option<File> {
        let mut name = std::env::current_exe().ok()?.into_os_string();
        name.push(".lonet-updates.json");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(name).ok()?;
        file.lock().ok()?;
        Some(file)
    }

    fn read(mut file: &File, build: Build) -> Journal {
        let mut text = Vec::new();
        let journal = file.read_to_end(&mut text).ok();
        let journal = journal.and_then(|_| serde_json::from_slice::<Journal>(&text).ok());
        // What another build has written, this one was compiled with, or knows nothing of.
        journal
            .filter(|journal| journal.build == build)
            .unwrap_or(Journal {
                build,
                sources: BTreeMap::new(),
            })
    }

    /// What is known of a source.
    fn of(build: Build, source: &Path) -> Option<Known> {
        Journal::read(&Journal::open()?, build)
            .sources
            .remove(source)
    }

    /// Without it, other processes refuse: they can't tell what was written from a user's changes.
    fn note(build: Build, source: &Path, known: &Known) -> Option<()> {
        let file = Journal::open()?;
        let mut journal = Journal::read(&file, build);
        journal.sources.retain(|source, _| source.exists());
        journal.sources.insert(source.to_owned(), known.clone());
        write(&file, &serde_json::to_string(&journal).ok()?).ok()
    }
}

/// Whether two texts are the same expected trace, word for word.
fn alike(old: &str, new: &str) -> bool {
    let (old, new) = (old.trim().lines(), new.trim().lines());
    old.map(str::trim).eq(new.map(str::trim))
}

fn text_of(file: &mut impl Read, path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|error| cannot("be read", path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!(
            "{} is not a text file: byte {at} is not UTF-8",
            path.display()
        )
    })
}

/// Never shorter than the shorter of both, whenever the process is killed.
fn write(file: &File, text: &str) -> io::Result<()> {
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    format!("{} can't {what}: {error}", path.display())
}

fn changed(expect: &Expect) -> String {
    format!(
        "{}: the literal was not rewritten: this file has changed since it was compiled, by hand or by another test binary that shares it; run the test again",
        expect.position
    )
}

/// As far as one can tell the file is as it was compiled, but something else stands at that place.
fn not_there(expect: &Expect) -> String {
    format!(
        "{}: the literal was not rewritten: there is no `expect![[…]]` with its text here; if the file has changed since it was compiled, run the test again; if a macro writes the literal, move it into the code that calls the macro; in a documentation test, use expect_file![concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/….trace\")]",
        expect.position
    )
}
