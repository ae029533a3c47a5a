//! What can't be held, and what is said of what nobody ends.

use lonet_harness::{ErrorKind, Result, Scenario};

async fn refused(scenario: &Scenario, pattern: &str) -> (ErrorKind, String) {
    let error = scenario.hold(pattern).await.unwrap_err();
    let text = error.to_string();
    let first = text.lines().next().unwrap();
    (error.kind(), first.to_owned())
}

const LEGAL: &str =
    "what can be held: `listen`, `dial`, `accept`, `connect`, `send`, `shutdown`, `recv`";

#[lonet::test]
async fn what_can_not_be_held_says_why(scenario: Scenario) -> Result<()> {
    for (pattern, why) in [
        (
            "s mark x",
            "`mark` can't be held: code that marks does not wait, only what its task does on the network",
        ),
        (
            "s:1 close c:1",
            "`close` can't be held: code that drops a socket does not wait",
        ),
        (
            "s up",
            "`up` can't be held: it is not what a task does on the network",
        ),
    ] {
        let expected = format!("`{pattern}`: {why}; {LEGAL}");
        assert_eq!(
            refused(&scenario, pattern).await,
            (ErrorKind::Pattern, expected)
        );
    }
    let refused = async |pattern| refused(&scenario, pattern).await.1;
    assert_eq!(
        refused("_:1 recv c:1").await,
        "`_:1 recv c:1`: its host must be one host by name"
    );
    assert_eq!(
        refused("! kill s").await,
        "`! kill` is what the test itself does; legal is an event of a process"
            .replace("`! kill` is", "`! kill s`: `! kill` is")
    );
    assert_eq!(
        refused("s:$x recv c:$x").await,
        "`s:$x recv c:$x`: $x stands twice, and who looks for the event compares no words; use `_`"
    );
    Ok(())
}

#[lonet::test]
async fn the_tests_own_process_is_not_held(scenario: Scenario) -> Result<()> {
    let _own = scenario.host("t").await?;
    let (kind, why) = refused(&scenario, "t:10 listen").await;
    assert_eq!(kind, ErrorKind::Fault);
    assert_eq!(
        why,
        "`hold t:10 listen` would act on the test's own process, which plays t; spawn t to give it a \
         process"
    );
    Ok(())
}
