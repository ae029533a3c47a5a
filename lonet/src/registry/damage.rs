//! The errors when the registry can't be used: what is wrong, with which file, and what to do.
//!
//! Texts only; decides nothing.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::Cause;

/// The cause that an error of SQLite on this file stands for.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> Cause {
    let dir = path.parent().unwrap_or(path).display();
    let (what, advice) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
            "is damaged, or is not a registry",
            format!("end the programs of this network and remove {dir}"),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            "cannot be written",
            format!("make it and {dir} writable for you"),
        ),
        Some(ErrorCode::CannotOpen) => (
            "cannot be opened",
            format!(
                "check that you can write to the directory {dir}, and that the process may open more files"
            ),
        ),
        Some(ErrorCode::DiskFull) => (
            "cannot grow",
            "free space on its disk, or set TMPDIR to another one".to_owned(),
        ),
        Some(ErrorCode::SystemIoFailure) => (
            "cannot be read or written",
            "check that its disk works and has free space, or set TMPDIR to another one".to_owned(),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            "has been busy for 10 s",
            "a program of this network is stopped (SIGSTOP) or hangs; resume or end it".to_owned(),
        ),
        _ => (
            "cannot be used",
            format!("end the programs of this network and remove {dir}"),
        ),
    };
    let said = match error {
        // Without the statement, which is ours and has many lines.
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    Cause::Registry(format!(
        "registry {} {what}: {said}; {advice}",
        path.display()
    ))
}

/// The registry says something else of itself than we would.
pub(super) fn mismatch(path: &Path, row: &str, theirs: &str, ours: &str) -> Cause {
    let path = path.display();
    Cause::Registry(match row {
        "network" => format!(
            "registry {path} belongs to network {theirs:?}, not {ours:?}; was its directory moved?"
        ),
        _ => format!(
            "registry {path} has schema version {theirs:?}, but this program supports {ours:?}; use another network, or the same version of lonet everywhere"
        ),
    })
}

/// The registry gives a host an address that no subnetwork can have.
pub(super) fn bad_osladdr(path: &Path, host: &str, osladdr: &str) -> Cause {
    Cause::Registry(format!(
        "registry {} has host {host:?} at {osladdr:?}; legal are only addresses 127.x.y.z:port, except broadcast addresses",
        path.display()
    ))
}

/// There is something else in the registry's place.
pub(super) fn no_file(path: &Path) -> Cause {
    Cause::Registry(format!(
        "registry {} is not a regular file; remove it",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    /// What can't be brought about in a test without root: each error has file and advice.
    #[test]
    fn every_trouble_names_the_file_and_what_to_do() {
        for (code, what) in [
            (ffi::SQLITE_NOTADB, "is damaged"),
            (ffi::SQLITE_CORRUPT, "is damaged"),
            (ffi::SQLITE_READONLY, "cannot be written"),
            (ffi::SQLITE_CANTOPEN, "cannot be opened"),
            (ffi::SQLITE_FULL, "cannot grow"),
            (ffi::SQLITE_IOERR, "cannot be read or written"),
            (ffi::SQLITE_BUSY, "busy for 10 s"),
            (ffi::SQLITE_ERROR, "cannot be used"),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let text = explain(Path::new("/t/lonet/x/registry.db"), &error).to_string();
            assert!(
                text.starts_with("registry /t/lonet/x/registry.db "),
                "{text}"
            );
            assert!(text.contains(what) && text.contains("; "), "{text}");
        }
    }

    /// Another program's tables may have the names of ours.
    #[test]
    fn what_sqlite_says_of_a_statement_is_one_line() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let schema = "CREATE TABLE hosts (a, b);\n".to_owned() + include_str!("schema.sql");
        let error = connection.execute_batch(&schema).unwrap_err();
        let text = explain(Path::new("/t/lonet/x/registry.db"), &error).to_string();
        assert_eq!(
            text,
            "registry /t/lonet/x/registry.db cannot be used: no such column: hostname; end the programs of this network and remove /t/lonet/x"
        );
    }
}
