//! Five hosts in a ring: each dials the next, then a token goes around twice.

use lonet::Host;
use lonet_harness::{Result, Scenario, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOSTS: [&str; 5] = ["α", "β", "γ", "δ", "ε"];

#[lonet::host]
async fn member(host: Host, next: String, starts: bool) -> Result<()> {
    let listener = host.listen(":10").await?;
    until(&format!("{next} listen")).await?;
    // The dial takes port 1 before the accepting task gets to run, so the accepting end has 2.
    let accepting = tokio::spawn(async move { (listener.accept().await, listener) });
    let mut to = host.dial(&next).await?;
    let (from, _listener) = accepting.await?;
    let mut from = from?;

    let mut token = [0];
    for round in 1..=2 {
        if starts {
            to.write_all(&[round]).await?;
        }
        from.read_exact(&mut token).await?;
        host.mark(format!("round {}", token[0]));
        if !starts {
            to.write_all(&token).await?;
        }
    }
    Ok(())
}

#[lonet::test]
async fn token_goes_around_twice(scenario: Scenario) -> Result<()> {
    let mut nodes = Vec::new();
    for (i, host) in HOSTS.iter().enumerate() {
        let next = HOSTS[(i + 1) % HOSTS.len()];
        nodes.push(
            scenario
                .spawn(host, member(format!("{next}:10"), i == 0))
                .await?,
        );
    }
    for node in nodes {
        node.join().await?;
    }
    scenario.assert_trace(
        "
        α:10 listen
        β:10 listen
        γ:10 listen
        δ:10 listen
        ε:10 listen

        # Each dials the next.
        α:1 dial β:10
        β:1 dial γ:10
        γ:1 dial δ:10
        δ:1 dial ε:10
        ε:1 dial α:10
        β:2 accept α:1
        γ:2 accept β:1
        δ:2 accept γ:1
        ε:2 accept δ:1
        α:2 accept ε:1
        α:1 connect β:2
        β:1 connect γ:2
        γ:1 connect δ:2
        δ:1 connect ε:2
        ε:1 connect α:2

        # Who has the token next is decided by its bytes alone.
        β mark round 1
        γ mark round 1
        δ mark round 1
        ε mark round 1
        α mark round 1
        β mark round 2
        γ mark round 2
        δ mark round 2
        ε mark round 2
        α mark round 2

        β:2  close α:1
        β:10 close
        β:1  close γ:2
        γ:2  close β:1
        γ:10 close
        γ:1  close δ:2
        δ:2  close γ:1
        δ:10 close
        δ:1  close ε:2
        ε:2  close δ:1
        ε:10 close
        ε:1  close α:2
        α:2  close ε:1
        α:10 close
        α:1  close β:2
        ",
    );
    let trace = scenario.trace();
    let marks: Vec<_> = trace
        .events()
        .iter()
        .filter(|e| e.text() == "round 1")
        .collect();
    for (i, first) in marks.iter().enumerate() {
        for second in &marks[i + 1..] {
            assert!(trace.happens_before(first, second) != trace.happens_before(second, first));
        }
    }
    Ok(())
}
