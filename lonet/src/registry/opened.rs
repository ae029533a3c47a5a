//! A directory that is opened once, and through whose descriptor everything in it is reached.
//!
//! A sticky directory protects an entry from every user but the directory's owner, who may
//! rename it, or put a symbolic link in its place, between any two uses of its path. So what is
//! judged and what is used must be one and the same open directory. Judges nothing itself.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_DIRECTORY, O_NOFOLLOW, O_PATH};

/// An open directory.
#[derive(Debug)]
pub(super) struct OpenDir {
    file: File,
    /// What users know it by. Never opened again.
    shown: PathBuf,
}

impl OpenDir {
    /// Opens the directory at this path, following no link at its end.
    pub(super) fn open(path: &Path) -> io::Result<OpenDir> {
        OpenDir::open_as(path, path.to_owned())
    }

    /// Opens a directory in this one.
    pub(super) fn open_in(&self, name: impl AsRef<Path>) -> io::Result<OpenDir> {
        OpenDir::open_as(&self.at(&name), self.shown_at(name))
    }

    fn open_as(path: &Path, shown: PathBuf) -> io::Result<OpenDir> {
        let file = OpenOptions::new()
            .read(true)
            // Permission to look into it isn't needed to judge it and to put its mode right.
            .custom_flags(O_PATH | O_DIRECTORY | O_NOFOLLOW)
            .open(path)?;
        Ok(OpenDir { file, shown })
    }

    /// What it is, whatever its path leads to by now.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Changes its mode, whatever its path leads to by now.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(self.path(), Permissions::from_mode(mode))
    }

    /// A path to it that no other user can change.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }

    /// The path of an entry.
    pub(super) fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Where users find it.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Where users find an entry.
    pub(super) fn shown_at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.shown.join(name)
    }

    /// The names of its entries, in the system's order.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        fs::read_dir(self.path())?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    /// Whether that path still leads to it.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let held = self.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (held.dev(), held.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for OpenDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
