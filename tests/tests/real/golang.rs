//! Static Go programs: no C library, their own resolver, a goroutine for each connection.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::*;

const GO: Needed = ("go", "golang-go");

/// Builds `go/<name>.go`, unless that has been done. Without the network, and without the user's own
/// caches.
fn built(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/real/go/{name}.go"));
    let place = std::env::current_exe().expect("a running program has a file");
    let place = place
        .ancestors()
        .nth(2)
        .expect("it is in target")
        .join("real-go");
    let program = place.join(name);
    let modified = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
    if modified(&program) > modified(&source) {
        return program;
    }
    std::fs::create_dir_all(&place).expect("the target is writable");
    let unfinished = place.join(format!("{name}.{}", std::process::id()));
    let go = Command::new("go")
        .args(["build", "-o"])
        .args([&unfinished, &source])
        .env("CGO_ENABLED", "0")
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOPATH", place.join("path"))
        .env("GOCACHE", place.join("cache"))
        .output()
        .expect("go runs");
    let said = String::from_utf8_lossy(&go.stderr);
    assert!(go.status.success(), "{said}");
    std::fs::rename(unfinished, &program).expect("go has built it");
    program
}

#[lonet::test(timeout = "120s")]
async fn static_go_programs_meet_each_other_and_a_role(scenario: Scenario) -> Result<()> {
    if !are_here(&[GO]) {
        return Ok(());
    }
    let (server, client) = (built("server"), built("client"));
    // Go reads /etc/hosts once.
    scenario.names(&["client", "server", "role", "later"])?;
    let server = scenario.spawn("server", Program::new(server)).await?;
    scenario.until("server:9000 listen").await?;
    scenario.until("server:8080 listen").await?;
    let role = scenario.spawn("role", shouts(7, 1)).await?;
    scenario.until("role:7 listen").await?;
    let said = printed(&scenario, "client", Program::new(client)).await?;
    assert_eq!(
        said,
        "http\n\
         timeout true\n\
         SECOND\n\
         called back\n\
         TO A ROLE 7\n\
         ! true\n\
         true\n\
         true\n\
         true\n\
         true\n"
    );
    role.await?;
    server.kill().await?;
    let trace = scenario.trace();
    trace.assert_contains(
        "
        client:$c dial server:9000
        server:$s accept client:$c
        client:$c connect server:$s
        client:7000 listen
        server:$x dial client:7000
        client:$y accept server:$x
        server:$x connect client:$y
        client:7000 close
        client:$r dial role:7
        role:1 accept client:$r
        client:$r connect role:1
        client:_ fail server:1 connection refused
        client:_ fail later:1 connection refused
        ! kill server
        ",
    );
    // Each end that there was is closed.
    let count = |pattern| trace.count(pattern);
    let ends = count("client:_ connect server:_")? + count("client:_ accept server:_")?;
    assert_eq!(count("client:_ close server:_")?, ends);
    let ends = count("server:_ connect client:_")? + count("server:_ accept client:_")?;
    assert_eq!(count("server:_ close client:_")?, ends);
    Ok(())
}
