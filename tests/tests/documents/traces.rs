//! The programs of docs/traces.md.

use lonet_harness::{Result, Scenario};

#[lonet::host]
async fn server(host: lonet::Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let _conn = listener.accept().await?;
    Ok(())
}

#[lonet::host]
async fn client(host: lonet::Host) -> Result<()> {
    use tokio::io::AsyncReadExt;
    let mut conn = host.dial("α:10").await?;
    conn.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

#[lonet::test]
async fn hang_up(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", server()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", client()).await?;
    alpha.join().await?;
    beta.join().await?;
    scenario.assert_trace(
        "
        # blank lines and lines like this one are ignored
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        α:1  close   β:1
        α:10 close
        β:1  close   α:1
        ",
    );
    Ok(())
}

#[lonet::test]
async fn one_leader_a_term(scenario: Scenario) -> Result<()> {
    let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    alpha.mark("leader term=1");
    beta.mark("leader term=2");
    alpha.mark("follows 2");
    beta.mark("follows 3");
    alpha.mark("leader term=2");
    let trace = scenario.trace();
    trace.never_together(
        ("$a mark leader term=$t", "$a mark follows _"),
        ("$b mark leader term=$t", "$b mark follows _"),
    );
    Ok(())
}
