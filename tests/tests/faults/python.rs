//! A program that reports what it does, and obeys neither faults nor holds.

use lonet_harness::Program;

/// A Python program that has the package of this repository, joins, and waits for its input's end.
pub(crate) fn python() -> Program {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../lonet/python/src");
    let code = "import lonet, time\nhost = lonet.from_env()\nhost.mark('here')\ntime.sleep(100)";
    Program::new("python3")
        .args(["-c", code])
        .env("PYTHONPATH", package)
        .joins()
}
