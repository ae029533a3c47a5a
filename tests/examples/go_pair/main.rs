//! Two static Go programs, which no preloaded library could reach, and a role in Rust on one network:
//! a reporter has words counted, and tells an editor how many there are.
//!
//! Run it with `cargo run --example go_pair`. It needs Go, of which it builds the two once.

use std::path::{Path, PathBuf};
use std::process::Command;

use lonet::Host;
use lonet_harness::{Program, Result, Scenario};
use tokio::io::AsyncReadExt;

/// What it is told.
#[lonet::host]
async fn editor(host: Host) -> Result<String> {
    let mut reporter = host.listen(":1").await?.accept().await?;
    let mut told = String::new();
    reporter.read_to_string(&mut told).await?;
    Ok(told)
}

/// Builds a program beside this one, without the network, and without a C library.
fn build(name: &str) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/go_pair/{name}.go"));
    let place = std::env::current_exe()?.with_file_name("go_pair.go");
    std::fs::create_dir_all(&place)?;
    let program = place.join(name);
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, &source])
        .env("CGO_ENABLED", "0")
        .env("GO111MODULE", "off")
        .env("GOPATH", place.join("path"))
        .env("GOCACHE", place.join("cache"))
        .status()
        .map_err(|_| "this example needs go: Debian's package is golang-go")?;
    if !built.success() {
        return Err(format!("go could not build {}", source.display()).into());
    }
    Ok(program)
}

#[lonet::main]
async fn main(scenario: Scenario) -> Result<()> {
    let (counter, reporter) = (build("counter")?, build("reporter")?);
    scenario.keep_artifacts();
    let _counter = scenario.spawn("counter", Program::new(counter)).await?;
    scenario.until("counter:7000 listen").await?;
    let editor = scenario.spawn("editor", editor()).await?;
    scenario.until("editor:1 listen").await?;

    let reporter = scenario.spawn("reporter", Program::new(reporter)).await?;
    assert!(reporter.join().await?.success());
    assert_eq!(editor.join().await?, "words: 6\n");

    scenario.trace().assert_order(
        "
        reporter:1 dial counter:7000
        counter:1 accept reporter:1
        reporter:1 connect counter:1
        reporter:1 close counter:1
        ",
    );
    let trace = scenario.trace();
    println!("\nThe trace:\n\n{trace}");
    let report = scenario.artifacts_dir().join("report.html");
    println!("The same as diagrams, for a browser: {}", report.display());
    Ok(())
}
