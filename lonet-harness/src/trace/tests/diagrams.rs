//! Diagrams, as snapshots.

use expect_test::expect;

use lonet::trace::Verb;

use super::ping_pong;
use super::world::{TEST, World};
use crate::report::{mermaid, sequence};

#[test]
fn the_ping_pong() {
    expect![[r#"
             α                 β
             │                 │
        :10 listen             │
             │◀─ :1 dial :10 ──│
             │─ :1 accept :1 ─▶│
             │          :1 connect α:1
             │── :1 close :1 ─▶│
         :10 close             │
             │           :1 close α:1
    "#]]
    .assert_eq(&sequence::diagram(&ping_pong()));
    expect![[r#"
        sequenceDiagram
            participant h0 as α
            participant h1 as β
            Note over h0: :10 listen
            h1->>h0: :1 dial :10
            h0-->>h1: :1 accept :1
            Note over h1: :1 connect α:1
            h0-)h1: :1 close :1
            Note over h0: :10 close
            Note over h1: :1 close α:1
    "#]]
    .assert_eq(&mermaid::diagram(&ping_pong()));
}

#[test]
fn names_of_any_script_marks_and_interference() {
    let mut w = World::new();
    let (a, b, c) = (w.spawn("東京"), w.spawn("db-1"), w.spawn("ő"));
    let listener = w.listen(a, 10);
    let dial = w.dial(c, "東京:10");
    w.accept(a, listener, dial);
    w.connect(c, dial);
    w.mark(b, "leader; term=3 #1");
    w.mark(a, &"long ".repeat(30));
    w.kill(a);
    w.join(b);
    w.join(c);
    let trace = w.trace();
    expect![[r##"
                            東京                                          ő                                         db-1
                              │                                           │                                           │
                         :10 listen                                       │                                           │
                              │◀────────────── :1 dial :10 ───────────────│                                           │
                              │────────────── :1 accept :1 ──────────────▶│                                           │
                              │                                   :1 connect 東京:1                                   │
                              │                                           │                                 [leader; term=3 "#1"]
         [long long long long long long long long l…                      │                                           │
        ════════════════════════════════════════════════════════════ ! kill 東京 ════════════════════════════════════════════════════════════
    "##]].assert_eq(&sequence::diagram(&trace));
    expect![[r#"
        sequenceDiagram
            participant h0 as 東京
            participant h1 as ő
            participant h2 as db-1
            Note over h0: :10 listen
            h1->>h0: :1 dial :10
            h0-->>h1: :1 accept :1
            Note over h1: :1 connect 東京:1
            Note over h2: [leader#59; term=3 #34;#35;1#34;]
            Note over h0: [long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long]
            Note over h0,h2: ! kill 東京
    "#]].assert_eq(&mermaid::diagram(&trace));
    expect![[r#"
           東京               ő
             │                │
        :10 listen            │
             │◀ :1 dial :10 ──│
        … and 5 more
    "#]]
    .assert_eq(&sequence::diagram_of(&trace.cut, 0..2));
}

#[test]
fn faults_stand_across_the_hosts_that_they_name() {
    let mut w = World::new();
    let (a, b, c) = (w.spawn("a"), w.spawn("b"), w.spawn("c"));
    for task in [a, b, c] {
        w.mark(task, "up");
    }
    w.fault(TEST, Verb::Partition, "a", "_");
    w.fault(TEST, Verb::Cut, "a:1", "b");
    w.fault(TEST, Verb::Delay, "c", "b 5000us");
    w.fault(TEST, Verb::Partition, "a", "c");
    w.fault(TEST, Verb::Refuse, "b", "b");
    w.fault(TEST, Verb::Refuse, "b", "later");
    let listener = w.listen(b, 10);
    let dial = w.dial(c, "b:10");
    let end = w.accept(b, listener, dial);
    w.reset(TEST, end);
    w.fault(TEST, Verb::Heal, "a", "_");
    w.vanish(a);
    w.join(b);
    w.join(c);
    let trace = w.trace();
    expect![[r#"
                    a                       b                       c                     later
                    │                       │                       │                       │
                  [up]                      │                       │                       │
                    │                     [up]                      │                       │
                    │                       │                     [up]                      │
        ════════════════════════════════════════ ! partition a _ ════════════════════════════════════════
                    ╞═════ ! cut a:1 b ═════╡                       │                       │
                    │                       ╞═ ! delay c b 5000us ══╡                       │
                    ╞═══════════════ ! partition a c ═══════════════╡                       │
                    │                 ! refuse b b                  │                       │
                    │                       ╞══════════════ ! refuse b later ═══════════════╡
                    │                  :10 listen                   │                       │
                    │                       │◀──── :1 dial :10 ─────│                       │
                    │                       │──── :1 accept :1 ────▶│                       │
                    │                       ╞═══ ! reset b:1 c:1 ═══╡                       │
        ══════════════════════════════════════════ ! heal a _ ═══════════════════════════════════════════
        ══════════════════════════════════════════ ! vanish a ═══════════════════════════════════════════
    "#]].assert_eq(&sequence::diagram(&trace));
    expect![[r#"
        sequenceDiagram
            participant h0 as a
            participant h1 as b
            participant h2 as c
            participant h3 as later
            Note over h0: [up]
            Note over h1: [up]
            Note over h2: [up]
            Note over h0,h3: ! partition a _
            Note over h0,h1: ! cut a:1 b
            Note over h1,h2: ! delay c b 5000us
            Note over h0,h2: ! partition a c
            Note over h1: ! refuse b b
            Note over h1,h3: ! refuse b later
            Note over h1: :10 listen
            h2->>h1: :1 dial :10
            h1-->>h2: :1 accept :1
            Note over h1,h2: ! reset b:1 c:1
            Note over h0,h3: ! heal a _
            Note over h0,h3: ! vanish a
    "#]]
    .assert_eq(&mermaid::diagram(&trace));
}

/// Where no event has a host, all hosts are one column.
#[test]
fn a_fault_alone_is_drawn() {
    let mut w = World::new();
    w.fault(TEST, Verb::Partition, "_", "_");
    let trace = w.trace();
    expect![[r#"
                  _
                  │
        ══ ! partition _ _ ═══
    "#]]
    .assert_eq(&sequence::diagram(&trace));
    expect![[r#"
        sequenceDiagram
            participant h0 as _
            Note over h0: ! partition _ _
    "#]]
    .assert_eq(&mermaid::diagram(&trace));
}

#[test]
fn a_part_of_a_long_trace() {
    let mut w = World::new();
    let a = w.spawn("α");
    for round in 0..1000 {
        w.mark(a, &format!("round {round}"));
    }
    w.join(a);
    let trace = w.trace();
    expect![[r#"
        … after 697 earlier events
             α
             │
        [round 697]
        [round 698]
        [round 699]
        [round 700]
        [round 701]
        … and 298 more
    "#]]
    .assert_eq(&sequence::diagram_of(&trace.cut, 697..702));
    expect![[r#"
        … after 998 earlier events
             α
             │
        [round 998]
        [round 999]
    "#]]
    .assert_eq(&sequence::diagram_of(&trace.cut, 998..1010));
}
