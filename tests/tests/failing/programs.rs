//! What programs of this binary do that are no roles: tests that no harness runs.

use super::*;

fn play(program: impl AsyncFnOnce(Host) -> lonet::Result<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { program(lonet::from_env().await?).await })
        .unwrap();
}

#[test]
#[ignore = "is a program"]
fn reads_once_accepted() {
    play(async |host| {
        let listener = host.listen(":10").await?;
        let mut conn = listener.accept().await?;
        let _ = conn.read_u8().await;
        Ok(())
    });
}

#[test]
#[ignore = "is a program"]
fn dials() {
    play(async |host| {
        let mut conn = host.dial("α:10").await?;
        let _ = conn.read_u8().await;
        Ok(())
    });
}

/// This binary as the program of that name.
pub(super) fn program(name: &str) -> Program {
    let test = format!("programs::{name}");
    Program::new("/proc/self/exe")
        .args([&test, "--exact", "--ignored"])
        .joins()
}
