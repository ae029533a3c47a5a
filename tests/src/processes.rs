//! Processes, as `/proc` lists them.

use std::path::{Path, PathBuf};

/// The directories in `/proc` of the processes whose standard output that is.
pub fn who_writes(file: &Path) -> Vec<PathBuf> {
    let file = file.canonicalize().expect("the file is there");
    let processes = std::fs::read_dir("/proc").expect("there is a /proc");
    let processes = processes.filter_map(|process| Some(process.ok()?.path()));
    let writes =
        |process: &PathBuf| std::fs::read_link(process.join("fd/1")).is_ok_and(|to| to == file);
    processes.filter(writes).collect()
}
