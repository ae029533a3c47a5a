//! Ports that raced: two events took them at once, and which got which is chance.

use lonet::trace::Verb;
use lonet_harness::{Result, Scenario};

use super::{accepts_two, dials_and_goes, names, refused};

#[lonet::test]
async fn ports_that_raced(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", accepts_two()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", dials_and_goes("α:10".into())).await?;
    let gamma = scenario.spawn("γ", dials_and_goes("α:10".into())).await?;
    beta.join().await?;
    gamma.join().await?;
    alpha.join().await?;
    let accepts = scenario.trace().only_verbs(&[Verb::Accept]);
    let text = |b: u16, c: u16| format!("α:{b} accept β:1\nα:{c} accept γ:1");
    let (happened, swapped) = match accepts.check(text(1, 2)) {
        Ok(()) => (text(1, 2), text(2, 1)),
        Err(_) => (text(2, 1), text(1, 2)),
    };
    accepts.assert(&happened);
    let page = refused(&accepts, &swapped);
    names(
        &page,
        &["same order, ports swapped (α:1 ↔ α:2)", "$p", "until"],
    );
    Ok(())
}

/// A listener that asks for no port, and a dial beside it; their order is nothing that a trace sees.
async fn a_listener_beside_a_dial(scenario: Scenario, listens_first: bool) -> Result<()> {
    scenario.host("β").await?;
    let alpha = scenario.host("α").await?;
    let listens = {
        let alpha = alpha.clone();
        async move {
            let listens = async move {
                let listener = alpha.listen("").await;
                alpha.mark("listens");
                listener
            };
            tokio::spawn(listens).await
        }
    };
    let dials = async move {
        let dials = async move {
            let refused = alpha.dial("β:9").await.is_err();
            alpha.mark(format!("refused {refused}"));
        };
        tokio::spawn(dials).await
    };
    let _listener = if listens_first {
        let listener = listens.await??;
        dials.await?;
        listener
    } else {
        dials.await?;
        listens.await??
    };
    scenario.until("α mark listens").await?;
    scenario.until("α mark refused true").await?;
    // One line comes after the other, as it happened; whichever was first, both texts hold.
    let written = scenario.trace().to_string();
    let listens = |port| format!("α:${port} listen\nα    mark listens\n");
    let dials = |port| {
        format!(
            "α:${port} dial β:9\nα:${port} fail β:9 connection refused\nα    mark refused true\n"
        )
    };
    let texts = [listens("a") + &dials("b"), dials("a") + &listens("b")];
    assert_eq!(written, texts[usize::from(!listens_first)]);
    for text in &texts {
        scenario.assert_trace(text);
    }
    Ok(())
}

#[lonet::test]
async fn an_automatic_port_may_be_taken_first(scenario: Scenario) -> Result<()> {
    a_listener_beside_a_dial(scenario, true).await
}

#[lonet::test]
async fn an_automatic_port_may_be_taken_last(scenario: Scenario) -> Result<()> {
    a_listener_beside_a_dial(scenario, false).await
}
