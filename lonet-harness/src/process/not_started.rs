//! Why a program could not be started.
//!
//! Owns the sentence. The system says `No such file or directory` of a program, of its interpreter
//! and of a working directory; what it means is looked up afterwards, where it happened.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::limits;
use super::wire::Program;

/// What the error means.
pub(super) fn why(program: &Program, error: &io::Error) -> String {
    let path = |text: &super::wire::Text| PathBuf::from(OsString::from(text.clone()));
    let dir = program.dir.as_ref().map(path);
    if let Some(dir) = &dir {
        match dir.metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return format!("its working directory {} is a file", dir.display()),
            Err(error) => return format!("its working directory {}: {error}", dir.display()),
        }
    }
    let name = path(&program.program);
    let is_path = name.as_os_str().as_encoded_bytes().contains(&b'/');
    // As the program would be looked for, from its working directory.
    let file = dir.unwrap_or_default().join(name);
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) if !is_path => "no such program in PATH".to_owned(),
        Some(Errno::ENOENT) if file.exists() => {
            "its interpreter, named in its first line or its ELF header, does not exist".to_owned()
        }
        Some(Errno::ENOENT) => format!("no such file: {}", file.display()),
        Some(Errno::EACCES) if is_path && file.is_dir() => {
            format!("{} is a directory", file.display())
        }
        Some(Errno::EACCES) if is_path && file.exists() => {
            format!("{} is not executable: permission denied", file.display())
        }
        Some(Errno::EACCES) if !is_path => {
            "the only such program in PATH is not executable: permission denied".to_owned()
        }
        _ => limits::explained_start(error),
    }
}
