//! The limits that the system sets a process: how many descriptors, how many processes.
//!
//! Owns raising the one of descriptors in the test's process, and the sentence that names a limit
//! where something failed of it. What fails then is decided where it fails.

use std::fmt::Display;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// So many are enough for hundreds of tests that run at once in one process. The hard limit may be
/// a billion, and some programs close one by one all the descriptors that they may have: what a
/// test starts by itself, without the scenario, inherits this.
const DESCRIPTORS: u64 = 1 << 16;

/// Raises this process's soft limit of descriptors, once, as the Go runtime does: a test needs
/// about twenty, and three more for each node, so that 1024 are too few where 64 tests run at once.
/// Gives the limit that it was started with, which is what its nodes get: a program that calls
/// `select` can't use a descriptor above 1023.
pub(crate) fn raise_descriptors() -> Option<u64> {
    static BEFORE: OnceLock<Option<u64>> = OnceLock::new();
    *BEFORE.get_or_init(|| {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        let wanted = hard.min(DESCRIPTORS);
        if soft < wanted {
            // Where it may not, it goes on with what it has.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
        }
        Some(soft)
    })
}

/// Sets this process's soft limit of descriptors.
pub(super) fn set_descriptors(soft: u64) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}

/// An error, with the limit that it is of, if it is of one.
pub(crate) fn explained(error: impl Display) -> String {
    with(error.to_string(), hint)
}

/// The same of an error that came of starting a process or a thread.
pub(crate) fn explained_start(error: impl Display) -> String {
    with(error.to_string(), |text| {
        hint(text).or_else(|| text.contains(AGAIN).then(|| processes(named)))
    })
}

/// What to say of a text that tells of an error, if that is of a limit which it does not name.
pub(crate) fn hint(text: &str) -> Option<String> {
    hint_with(text, named)
}

/// The same of what another process printed: it may have other limits than this one.
pub(crate) fn hint_of_another(text: &str) -> Option<String> {
    hint_with(text, |name, _| name.to_owned())
}

fn hint_with(text: &str, named: fn(&str, Resource) -> String) -> Option<String> {
    if text.contains("RLIMIT_") {
        return None;
    }
    if said(text, "Too many open files in system").next().is_some() {
        return Some(
            "the system has reached its limit of open files (fs.file-max): raise it with `sysctl`"
                .into(),
        );
    }
    // Of inotify's instances there is another limit, with the same error.
    if said(text, "Too many open files").any(|before| !before.contains("inotify")) {
        let limits = named("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE);
        return Some(format!(
            "the process has reached its limit of open descriptors ({limits}): raise it with \
             `ulimit -n`"
        ));
    }
    said(text, AGAIN).any(is_of_start).then(|| processes(named))
}

/// Where the text has the system's words for an error: what stands before them on their line. Words
/// that go on are a program's own.
fn said<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = &'a str> {
    let ends = |rest: &str| {
        rest.starts_with(" (os error")
            || !rest.starts_with(|c: char| c == ' ' || c.is_alphanumeric())
    };
    text.lines().flat_map(move |line| {
        let places = line.match_indices(words).map(|(at, _)| at);
        let places = places.filter(move |at| ends(&line[at + words.len()..]));
        places.map(|at| &line[..at])
    })
}

/// Whether the error that follows is that of starting a process or a thread: what failed stands just
/// before it. The same error comes of a socket or a lock that is busy.
fn is_of_start(before: &str) -> bool {
    const STARTS: [&str; 7] = [
        "spawn",
        "posix_spawn",
        "fork",
        "vfork",
        "clone",
        "clone3",
        "pthread_create",
    ];
    let debug = "Os { code: 11, kind: WouldBlock, message: \"";
    let before = before.strip_suffix(debug).unwrap_or(before);
    // As bash has it, which tries again.
    let before = before.strip_suffix("retry: ").unwrap_or(before);
    let failed = before.strip_suffix(": ").unwrap_or(before);
    let failed = failed.rsplit(": ").next().unwrap_or_default();
    let mut words = failed.split(|c: char| c != '_' && !c.is_alphanumeric());
    words.any(|word| STARTS.contains(&word))
}

/// As the system words EAGAIN, by which it refuses another process or thread.
const AGAIN: &str = "Resource temporarily unavailable";

fn processes(named: fn(&str, Resource) -> String) -> String {
    let limits = named("RLIMIT_NPROC", Resource::RLIMIT_NPROC);
    format!(
        "the user has reached the limit of processes and threads ({limits}): raise it with \
         `ulimit -u`, or raise the limit of the container or service (pids.max)"
    )
}

fn with(text: String, hint: impl Fn(&str) -> Option<String>) -> String {
    match hint(&text) {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}

fn named(name: &str, resource: Resource) -> String {
    let word = |limit| match limit {
        nix::sys::resource::RLIM_INFINITY => "unlimited".to_owned(),
        limit => limit.to_string(),
    };
    match getrlimit(resource) {
        Ok((soft, hard)) => format!("{name}: soft {}, hard {}", word(soft), word(hard)),
        Err(_) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_limit_once() {
        let error = std::io::Error::from_raw_os_error(24);
        let text = explained(&error);
        let begin = "Too many open files (os error 24); the process has reached its limit of \
                     open descriptors (RLIMIT_NOFILE: soft ";
        assert!(text.starts_with(begin), "{text}");
        assert_eq!(explained(&text), text);
        let shown = format!("called `Result::unwrap()` on an `Err` value: {error:?}");
        assert!(explained(shown).contains("RLIMIT_NOFILE: soft "));
    }

    #[test]
    fn only_start_errors_name_the_process_limit() {
        let error = std::io::Error::from_raw_os_error(11);
        let text = "Resource temporarily unavailable (os error 11)";
        assert_eq!(explained(&error), text);
        assert!(explained_start(&error).contains("RLIMIT_NPROC: soft "));
        assert!(explained(format!("failed to spawn thread: {error}")).contains("RLIMIT_NPROC"));
    }

    #[test]
    fn another_process_has_limits_of_its_own() {
        let hint = hint_of_another("cat: a: Too many open files").unwrap();
        assert!(
            hint.contains("open descriptors (RLIMIT_NOFILE): raise"),
            "{hint}"
        );
        let hint = hint_of_another("sh: fork: Resource temporarily unavailable").unwrap();
        assert!(hint.contains("threads (RLIMIT_NPROC): raise"), "{hint}");
    }

    /// A socket or a lock that is busy has the same words, and so may have any program.
    #[test]
    fn only_refusals_of_the_system_name_a_limit() {
        let named = |text: &str| hint(text).map(|hint| hint.contains("RLIMIT_NPROC"));
        for processes in [
            "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)",
            "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource \
             temporarily unavailable\" }",
            "it begins\nsh: fork: retry: Resource temporarily unavailable\nit ends",
            "pthread_create failed: Resource temporarily unavailable",
        ] {
            assert_eq!(named(processes), Some(true), "{processes}");
        }
        for descriptors in [
            "cat: a: Too many open files",
            "OSError: [Errno 24] Too many open files: 'a'",
            "code: 24, message: \"Too many open files\" }",
            "accept: Too many open files (os error 24)",
        ] {
            assert_eq!(named(descriptors), Some(false), "{descriptors}");
        }
        for other in [
            "started\nread: Resource temporarily unavailable (os error 11)",
            "could not start: lock: Resource temporarily unavailable (os error 11)",
            "spawn a client: connect: Resource temporarily unavailable",
            "the spawner's queue: Resource temporarily unavailable",
            "Resource temporarily unavailable; spawn fewer",
            "failed to spawn: Resource temporarily unavailable to tenants",
            "Too many open files for one tenant",
            "inotify_init: Too many open files",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
