//! What can't be carried, known before it runs.
//!
//! Owns the sentence that says why. What can't be executed at all, executing it tells: `not_started`
//! words that.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::process::wire::{Program, Text};

/// They have another process start the programs, outside of the scenario, or supervise their system
/// calls themselves.
const CONTAINER_RUNTIMES: [&str; 7] = [
    "docker",
    "podman",
    "runc",
    "crun",
    "containerd",
    "nerdctl",
    "bwrap",
];

/// Where `exec` looks without `PATH`.
const WITHOUT_PATH: &str = "/bin:/usr/bin";

/// As the kernel follows scripts to their interpreters.
const INTERPRETERS: u32 = 5;

/// # Errors
///
/// Why the program can't be carried, and what helps.
pub(super) fn check(program: &Program) -> Result<(), String> {
    let name = OsString::from(program.program.clone());
    let dir = program.dir.clone().map(OsString::from).unwrap_or_default();
    let file = match name.as_bytes().contains(&b'/') {
        true => Some(Path::new(&dir).join(&name)),
        false => find(&name, &path_of(program), Path::new(&dir)),
    };
    match file {
        Some(file) => check_file(&file, "", INTERPRETERS),
        None => Ok(()),
    }
}

/// The `PATH` in which the program is looked for.
fn path_of(program: &Program) -> OsString {
    let is_path = |name: &Text| *name == Text::from(OsStr::new("PATH"));
    let mut changes = program.env.iter().rev();
    let path = match changes.find(|(name, _)| is_path(name)) {
        Some((_, changed)) => changed.clone().map(OsString::from),
        None if program.clear => None,
        None => std::env::var_os("PATH"),
    };
    path.unwrap_or_else(|| WITHOUT_PATH.into())
}

/// The first executable file of that name.
fn find(name: &OsStr, path: &OsStr, dir: &Path) -> Option<PathBuf> {
    let places = std::env::split_paths(path).map(|place| dir.join(place).join(name));
    let is_executable = |file: &PathBuf| {
        let found = file.metadata();
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    places.into_iter().find(is_executable)
}

/// `of_whom` begins the sentence where the file is an interpreter.
fn check_file(file: &Path, of_whom: &str, interpreters: u32) -> Result<(), String> {
    let Ok(found) = file.metadata() else {
        return Ok(());
    };
    let subject = format!("{of_whom}{}", file.display());
    if let Some(name) = container_runtime(file) {
        return Err(format!(
            "`{name}` starts programs outside of the scenario, where lonet can't carry them: spawn \
             the program itself"
        ));
    }
    let mut begin = [0; 256];
    let begin = match File::open(file).and_then(|mut file| file.read(&mut begin)) {
        Ok(read) => &begin[..read],
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(format!(
                "{subject} can't be read, so that lonet can't see its system calls: permission \
                 denied; make it readable (`chmod +r`)"
            ));
        }
        // Executing it fails as well.
        Err(_) => return Ok(()),
    };
    if let Some(interpreter) = interpreter(begin) {
        return match interpreters {
            0 => Ok(()),
            left => check_file(interpreter, "its interpreter ", left - 1),
        };
    }
    if begin.starts_with(b"\x7fELF\x01") {
        return Err(format!(
            "{subject} is a 32-bit program, which lonet can't carry: use a 64-bit one"
        ));
    }
    if let Some(gains) = gains(file, &found) {
        return Err(format!(
            "{subject} {gains}, and a program that lonet carries gains no privileges: use a copy \
             without (`cp`)"
        ));
    }
    Ok(())
}

/// The privileges that executing the file would give.
fn gains(file: &Path, found: &Metadata) -> Option<&'static str> {
    let mode = found.permissions().mode();
    let mut value = [0; 64];
    let capabilities = rustix::fs::getxattr(file, "security.capability", &mut value);
    match () {
        () if mode & 0o4000 != 0 => Some("is set-uid"),
        // Without the bit to execute, it means another thing.
        () if mode & 0o2010 == 0o2010 => Some("is set-gid"),
        () if capabilities.is_ok_and(|length| length > 0) => Some("has file capabilities"),
        () => None,
    }
}

/// The interpreter that a script names in its first line.
fn interpreter(begin: &[u8]) -> Option<&Path> {
    let line = begin.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?;
    let mut words = line.split(|b| matches!(b, b' ' | b'\t'));
    let word = words.find(|word| !word.is_empty())?;
    Some(Path::new(OsStr::from_bytes(word)))
}

/// Its name, if it is one, or a link to one.
fn container_runtime(file: &Path) -> Option<&'static str> {
    let linked = file.canonicalize().ok();
    let names = [Some(file), linked.as_deref()].map(|file| file.and_then(Path::file_name));
    let mut runtimes = CONTAINER_RUNTIMES.into_iter();
    runtimes.find(|runtime| names.contains(&Some(OsStr::new(runtime))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripts_first_line_names_its_interpreter() {
        for (begin, expected) in [
            ("#!/bin/sh\nexit", Some("/bin/sh")),
            ("#! /usr/bin/env -S python3", Some("/usr/bin/env")),
            ("#!\n/bin/sh", None),
            ("exit", None),
        ] {
            let found = interpreter(begin.as_bytes());
            assert_eq!(found, expected.map(Path::new), "{begin:?}");
        }
    }
}
