//! Lines and what they match: words, wildcards, variables, open addresses, views, syntax errors.

use lonet::trace::Verb;
use lonet_harness::{Result, Scenario};

use super::{asks, echo, marks, names, refused};

#[lonet::test]
async fn a_mark_is_words(scenario: Scenario) -> Result<()> {
    let texts = [
        "leader term=3",
        "two   words\nthree\tfour",
        "$price _ #1",
        "says \"hi\" a\"b",
        "bell\u{7}",
        "snake_case a#b a$b x=$5",
        "größer → 3 %",
    ];
    let texts = texts.map(str::to_owned).to_vec();
    scenario.spawn("α", marks(texts)).await?.join().await?;
    let trace = scenario.trace();
    assert_eq!(
        trace.to_string(),
        "α mark leader term=3\n\
         α mark two words three four\n\
         α mark \"$price\" \"_\" \"#1\"\n\
         α mark says \"\\\"hi\\\"\" \"a\\\"b\"\n\
         α mark \"bell\\a\"\n\
         α mark snake_case a#b a$b \"x=$5\"\n\
         α mark größer → 3 %\n"
    );
    // The text of a trace holds of it.
    trace.assert(trace.to_string());
    trace.assert(
        "
        # Columns are separated by any white space.
        α  mark \t leader   term=3
        α mark two words three four

        α mark \"$price\" \"_\" \"#1\"
        α mark says _ _
        α mark _
        α mark snake_case a#b a$b \"x=$5\"
        α mark $a → $b %
        ",
    );
    refused(&trace.only_verbs(&[Verb::Dial]), "α mark leader term=3");
    Ok(())
}

#[lonet::test]
async fn wildcards_and_variables(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", marks(vec!["leader term=3".into()]));
    alpha.await?.join().await?;
    let beta = scenario.spawn("β", marks(vec!["follows α term=3".into()]));
    beta.await?.join().await?;
    let trace = scenario.trace();
    trace.assert("$l mark leader term=$t\n $f mark follows $l term=$t");
    trace.assert("_ mark leader term=_\n _ mark follows _ _");
    trace.assert("α mark leader _\n $f mark follows α _");
    // Different host variables are different hosts; the same one is the same host.
    refused(&trace, "$l mark leader _\n $l mark follows _ _");
    refused(
        &trace,
        "$l mark leader term=$t\n $f mark follows $f term=$t",
    );
    refused(&trace, "$l mark leader $t\n $f mark follows α $u extra");
    // A wildcard stands for one word, no more and no fewer.
    refused(&trace, "_ mark _\n _ mark _ _ _");
    refused(&trace, "_ mark leader _ _\n _ mark _ _ _");
    refused(&trace, "_ mark leader x=_\n _ mark _ _ _");
    Ok(())
}

#[lonet::test]
async fn addresses_with_open_parts(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", echo(1)).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", asks("α:10".into())).await?;
    assert_eq!(beta.join().await?, "ping");
    alpha.join().await?;
    let trace = scenario.trace();
    for expected in [
        "α:_ listen\n_ dial α:10\n_:_ accept _\nβ:_ connect _:1\nα:1 close _\nβ:1 close _\nα:10 close",
        "$s:10 listen\n$c:$p dial $s:10\n$s:$q accept $c:$p\n$c:$p connect $s:$q\n$s:$q close $c:$p\n$c:$p close $s:$q\n$s:10 close",
        "_ listen\n_ dial _\n_ accept _\n_ connect _\n_ close _\n_ close\n_ close _",
    ] {
        trace.assert(expected);
    }
    refused(
        &trace,
        "α:10 listen\n$c:$p dial α:10\nα:1 accept $c:$q\n_ connect _\n_ close _\n_ close _\nα:$q close",
    );
    trace.assert_contains("β:1 dial α:10\nα:1 close β:1");
    assert!(
        trace
            .check_contains("α:1 close β:1\nβ:1 dial α:10")
            .is_err()
    );
    assert!(trace.check_contains("β:2 dial α:10").is_err());
    trace.assert_contains("");
    refused(&trace, "");
    Ok(())
}

#[lonet::test]
async fn views(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", echo(1)).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", asks("α:10".into())).await?;
    beta.join().await?;
    alpha.join().await?;
    let trace = scenario.trace();
    trace
        .clone()
        .only_verbs(&[Verb::Listen, Verb::Close])
        .assert(
            "α:10 listen
         α:1 close β:1
         α:10 close
         β:1 close α:1",
        );
    trace.clone().only_hosts(&["β"]).assert(
        "β:1 dial α:10
         β:1 connect α:1
         β:1 close α:1",
    );
    trace
        .clone()
        .only_hosts(&["α"])
        .only_verbs(&[Verb::Accept])
        .assert("α:1 accept β:1");
    trace.clone().with_lifecycle().only_hosts(&["α"]).assert(
        "! spawn α
         α up
         α:10 listen
         α:1 accept β:1
         α:1 close β:1
         α:10 close
         α down
         α exit 0",
    );
    // A half-close is data; its effect is what the peer does after it read EOF.
    trace.clone().with_data().assert(
        "α:10 listen
         β:1 dial α:10
         α:1 accept β:1
         β:1 connect α:1
         β:1 shutdown α:1
         α:1 close β:1
         α:10 close
         β:1 close α:1",
    );
    names(
        &refused(
            &trace.with_data(),
            "α:10 listen
             β:1 dial α:10
             α:1 accept β:1
             β:1 connect α:1
             α:1 close β:1
             β:1 shutdown α:1
             α:10 close
             β:1 close α:1",
        ),
        &["`α:1 close β:1` stands above `β:1 shutdown α:1`, which happens before it"],
    );
    Ok(())
}

#[lonet::test]
async fn syntax_errors_say_where(scenario: Scenario) -> Result<()> {
    for (text, place, legal) in [
        ("α:10 listens", "line 1, column 6", "listen, dial"),
        (
            "\n  α:10 listen now",
            "line 2, column 15",
            "nothing may follow",
        ),
        ("α listen", "line 1, column 3", "mark, up"),
        ("β:1 dial α", "line 1, column 10", "host:port"),
        ("β:99999 listen", "line 1, column 3", "65535"),
        ("! explode α", "line 1, column 3", "kill, pause"),
        ("α mark a # b", "line 1, column 10", "line of its own"),
        ("α mark \"open", "line 1, column", "quote"),
    ] {
        let message = refused(&scenario.trace(), text);
        names(&message, &[place, legal]);
    }
    Ok(())
}
