//! Where networks live on disk, and who may use them.

use std::path::Path;

use crate::error::Cause;

/// A network's directory, held open: as long as this lives, nobody sweeps it.
#[derive(Debug)]
pub struct NetworkDir;

impl NetworkDir {
    /// Joins or creates the directory of the network of that name.
    ///
    /// # Errors
    ///
    /// [`Cause::InvalidName`], [`Cause::Directory`] or [`Cause::Io`].
    pub fn open(_name: &str) -> Result<NetworkDir, Cause> {
        todo!()
    }

    /// Makes the directory of a fresh network with a random unique name.
    ///
    /// # Errors
    ///
    /// As [`NetworkDir::open`].
    pub fn random() -> Result<NetworkDir, Cause> {
        todo!()
    }

    /// The network's name, without the prefix.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        todo!()
    }
}
