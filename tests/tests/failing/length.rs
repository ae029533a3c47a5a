//! How long the page of a mismatch is, with all that is printed around it.

use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::command;

/// So many lines fit on a screen.
const MOST: usize = 45;

#[lonet::host]
async fn serves_two(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    for _ in 0..2 {
        let mut conn = listener.accept().await?;
        let id = conn.read_u8().await?;
        host.mark(format_args!("served {id}"));
        conn.write_all(b"ok").await?;
    }
    Ok(())
}

#[lonet::host]
async fn calls(host: Host, id: u8) -> Result<()> {
    let mut conn = host.dial("α:10").await?;
    conn.write_u8(id).await?;
    conn.read_to_end(&mut Vec::new()).await?;
    println!("{id} is done");
    Ok(())
}

/// What happens.
const EVENTS: [&str; 14] = [
    "α:10 listen",
    "β:1 dial α:10",
    "α:1 accept β:1",
    "β:1 connect α:1",
    "α mark served 1",
    "α:1 close β:1",
    "β:1 close α:1",
    "γ:1 dial α:10",
    "α:1 accept γ:1",
    "γ:1 connect α:1",
    "α mark served 2",
    "α:1 close γ:1",
    "γ:1 close α:1",
    "α:10 close",
];

mod victims {
    use super::*;

    async fn asserts(scenario: Scenario, change: impl FnOnce(&mut Vec<String>)) -> Result<()> {
        let alpha = scenario.spawn("α", serves_two()).await?;
        scenario.until("α:10 listen").await?;
        for (host, id) in [("β", 1), ("γ", 2)] {
            scenario.spawn(host, calls(id)).await?.join().await?;
        }
        alpha.join().await?;
        scenario.assert_trace(EVENTS.join("\n"));
        let mut lines = EVENTS.map(str::to_owned).to_vec();
        change(&mut lines);
        scenario.assert_trace(lines.join("\n"));
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn swaps_neighbours(scenario: Scenario) -> Result<()> {
        asserts(scenario, |lines| lines.swap(2, 3)).await
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn tells_the_last_first(scenario: Scenario) -> Result<()> {
        asserts(scenario, |lines| lines.rotate_right(1)).await
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn leaves_two_out(scenario: Scenario) -> Result<()> {
        asserts(scenario, |lines| {
            lines.remove(10);
            lines.remove(4);
        })
        .await
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn tells_more(scenario: Scenario) -> Result<()> {
        asserts(scenario, |lines| lines.insert(7, "β mark served".into())).await
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn has_other_ports(scenario: Scenario) -> Result<()> {
        asserts(scenario, |lines| {
            for line in lines {
                *line = line.replace(":1 ", ":2 ");
            }
        })
        .await
    }
}

/// All that is printed between the body's end and libtest's summary.
#[track_caller]
fn check(victim: &str, headline: &str) {
    let output = command(&format!("length::victims::{victim}"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(headline), "{text}");
    let (_, page) = text.split_once(" stdout ----\n").unwrap();
    let (page, _) = page.split_once("\n\nfailures:\n").unwrap();
    // What the processes print while it runs is the test's own.
    let begin = page.find("\nthread '").unwrap();
    let page = page[begin..].trim();
    let lines = page.lines().count();
    println!("{victim}: {lines} lines\n{page}");
    assert!(lines <= MOST, "{lines} lines:\n{page}");
}

#[test]
fn a_page_of_fourteen_events_fits_on_a_screen() {
    for (victim, headline) in [
        (
            "swaps_neighbours",
            "line 3: `β:1 connect α:1` can't happen above line 4",
        ),
        (
            "tells_the_last_first",
            "line 1: `α:10 close` can't happen above line 13",
        ),
        ("leaves_two_out", "line 5: "),
        ("tells_more", "line 8: `β mark served` did not happen"),
        ("has_other_ports", "line 2: `β:2 dial α:10` did not happen"),
    ] {
        check(victim, headline);
    }
}
