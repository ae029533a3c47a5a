//! A directory for temporary files that belongs to one test alone.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The directory. Everybody may write to it, as with that of the system; it is removed on drop.
#[must_use]
pub struct Tmp(PathBuf);

impl Tmp {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new() -> io::Result<Tmp> {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        loop {
            let n = CALLS.fetch_add(1, Ordering::Relaxed);
            let name = format!("lonet-reli-{}-{n}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                // Left behind by a process of the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    made?;
                    fs::set_permissions(&path, Permissions::from_mode(0o1777))?;
                    return Ok(Tmp(path));
                }
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where processes that have it as TMPDIR put their networks.
    pub fn base(&self) -> PathBuf {
        self.0.join("lonet")
    }

    /// The registry of that network of theirs.
    pub fn registry(&self, network: &str) -> PathBuf {
        self.base().join(network).join("registry.db")
    }
}

impl Drop for Tmp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
