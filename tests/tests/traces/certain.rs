//! What holds in every run of the same behaviour, however the kernel hands over bytes and whoever writes
//! first to the collector: texts hold in each, and what was in this run can be asked.

use std::path::{Path, PathBuf};

use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const WELCOME: &[u8] = b"welcome";
const NEWS: &[u8] = b"news.";

/// Two writes with a mark between them. Given a file, the second one waits until that is there.
#[lonet::host]
async fn welcomes(host: Host, file: Option<PathBuf>) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut conn = listener.accept().await?;
    conn.write_all(WELCOME).await?;
    while file.as_deref().is_some_and(|file| !file.exists()) {
        tokio::task::yield_now().await;
    }
    host.mark("serving");
    conn.write_all(NEWS).await?;
    Ok(())
}

/// Reads what there is, as every buffered reader does. Given a file, it is there after the first read;
/// otherwise one read gets all. Neither a file nor a look ahead is anything that a trace learns of.
#[lonet::host]
async fn hears(host: Host, file: Option<PathBuf>) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let (mut buf, mut got) = ([0; 1024], Vec::new());
    let all = WELCOME.len() + NEWS.len();
    while file.is_none() && conn.peek(&mut buf).await? < all {
        tokio::task::yield_now().await;
    }
    while got.len() < all {
        let n = conn.read(&mut buf).await?;
        got.extend_from_slice(&buf[..n]);
        if let Some(file) = &file {
            std::fs::write(file, "")?;
        }
    }
    host.mark("heard news");
    Ok(())
}

const AS_IF_APART: &str = "
    s:10 listen
    a:1 dial s:10
    s:1 accept a:1
    a:1 connect s:1
    s mark serving
    a mark heard news
    a:1 close s:1
    s:1 close a:1
    s:10 close";

/// Whether a text that tells of the effect first is accepted, and the run's own text.
async fn play(scenario: &Scenario, file: Option<&Path>) -> Result<(bool, String)> {
    let file = file.map(Path::to_owned);
    let server = scenario.spawn("s", welcomes(file.clone())).await?;
    scenario.until("s:10 listen").await?;
    let client = scenario.spawn("a", hears(file)).await?;
    client.join().await?;
    server.join().await?;
    let trace = scenario.trace();
    let serving = trace.find("s mark serving")?.expect("it was marked");
    let heard = trace.find("a mark heard news")?.expect("it was marked");
    assert!(trace.happens_before(serving, heard));
    trace.assert(AS_IF_APART);
    let lines: Vec<&str> = AS_IF_APART.trim().lines().collect();
    let mut swapped = lines.clone();
    swapped.swap(4, 5);
    let text = trace.to_string();
    let place = |line| text.find(line).expect("it is a line of the trace");
    assert!(place("serving") < place("heard news"), "{text}");
    Ok((trace.check(swapped.join("\n")).is_ok(), text))
}

/// What one run orders by two reads and another can't: both are written alike, and told alike.
#[lonet::test]
async fn reads_that_came_as_one(scenario: Scenario) -> Result<()> {
    let (accepts_both, _) = play(&scenario, None).await?;
    assert!(
        accepts_both,
        "two reads in another run don't order this one"
    );
    Ok(())
}

#[lonet::test]
async fn reads_that_came_apart(scenario: Scenario) -> Result<()> {
    let file = std::env::temp_dir().join(format!("lonet-apart-{}", std::process::id()));
    let played = play(&scenario, Some(&file)).await;
    std::fs::remove_file(&file)?;
    let (accepts_both, _) = played?;
    assert!(!accepts_both, "the second read came after what was written");
    Ok(())
}

#[lonet::host]
async fn accepts_one(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let _conn = listener.accept().await?;
    Ok(())
}

/// A host is down after all that happened there, its own closes included, and its process ends after.
#[lonet::test]
async fn a_host_is_up_first_and_down_last(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", accepts_one()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", super::dials_and_goes("α:10".into()));
    beta.await?.join().await?;
    alpha.join().await?;
    let trace = scenario.trace().with_lifecycle().only_hosts(&["α"]);
    let text = trace.to_string();
    let verbs: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(verbs[..3], ["spawn", "up", "listen"], "{text}");
    assert_eq!(verbs[verbs.len() - 2..], ["down", "exit"], "{text}");
    for of_host in [
        "α:10 listen",
        "α:1 accept β:1",
        "α:1 close β:1",
        "α:10 close",
    ] {
        trace.assert_contains(format!("α up\n{of_host}\nα down\nα exit 0"));
        for wrong in [format!("α down\n{of_host}"), format!("{of_host}\nα up")] {
            assert!(trace.check_contains(&wrong).is_err(), "{wrong}\nof\n{text}");
        }
    }
    assert!(trace.check_contains("α exit 0\nα down").is_err(), "{text}");
    Ok(())
}
