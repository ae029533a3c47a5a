//! What the reporter says of tasks and bytes, seen at its sink.

mod orders;

use std::sync::{Arc, Mutex};

use super::*;
use crate::addr::Addr;

#[derive(Default)]
struct Memory(Mutex<Vec<Record>>);

impl Sink for Memory {
    fn record(&self, record: Record) {
        self.0.lock().unwrap().push(record);
    }
}

fn reporter() -> (Arc<Memory>, Arc<Reporter>) {
    let memory = Arc::new(Memory::default());
    (memory.clone(), Reporter::new(memory))
}

fn tap(reporter: &Arc<Reporter>, s: u64) -> Tap {
    let addr = |text: &str| text.parse::<Addr>().unwrap();
    reporter.tap(s, &addr("α:1"), &addr("β:1"))
}

fn mark(text: &str) -> What {
    What::Mark {
        host: "α".into(),
        text: text.into(),
    }
}

/// What was recorded since the last call: its kind, `u` if it has no place in its task's order, reads,
/// and those that order nothing.
fn said(memory: &Memory) -> Vec<String> {
    memory
        .0
        .lock()
        .unwrap()
        .drain(..)
        .map(|r| {
            let kind = match &r.what {
                What::Mark { text: x, .. } => x.clone(),
                What::Note {
                    socket: s,
                    written: w,
                } => format!("note {s}@{w}"),
                What::Opaque { socket: s } => format!("opaque {s}"),
                other => format!("{other:?}"),
            };
            let credits = |of: &[ReadCredit]| -> Vec<_> {
                of.iter().map(|c| (c.socket, c.certain, c.all)).collect()
            };
            let mut said = format!(
                "{kind}{}{:?}",
                if r.unordered { " u" } else { "" },
                credits(&r.reads)
            );
            if !r.reads_beside.is_empty() {
                said += &format!(" beside {:?}", credits(&r.reads_beside));
            }
            said
        })
        .collect()
}

fn act(reporter: &Arc<Reporter>, text: &str) {
    reporter
        .number(Some(TaskKey::current()), mark(text))
        .write();
}

#[test]
fn a_note_is_written_when_the_writer_knows_something_new() {
    let (memory, reporter) = reporter();
    let tap = tap(&reporter, 7);
    act(&reporter, "a");
    for _ in 0..3 {
        tap.before_write(1);
        tap.wrote(2);
    }
    assert_eq!(said(&memory), ["a[]", "note 7@0[]"]);
    act(&reporter, "b");
    tap.before_write(1);
    // The note itself is not new: another write records nothing.
    tap.before_write(1);
    assert_eq!(said(&memory), ["b[]", "note 7@6[]"]);
}

#[test]
fn a_note_is_written_for_each_socket() {
    let (memory, reporter) = reporter();
    let (one, two) = (tap(&reporter, 1), tap(&reporter, 2));
    act(&reporter, "a");
    for _ in 0..2 {
        one.before_write(1);
        two.before_write(1);
    }
    assert_eq!(said(&memory), ["a[]", "note 1@0[]", "note 2@0[]"]);
}

/// Though it knows no more than the other did: it knows something else.
#[test]
fn another_task_notes_for_itself() {
    let (memory, reporter) = reporter();
    let tap = tap(&reporter, 1);
    act(&reporter, "a");
    act(&reporter, "b");
    tap.before_write(1);
    tap.wrote(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            act(&reporter, "c");
            tap.before_write(1);
        });
    });
    assert_eq!(
        said(&memory),
        ["a[]", "b[]", "note 1@0[]", "c[]", "note 1@1[]"]
    );
}

#[test]
fn only_the_first_byte_of_a_read_counts_until_polled() {
    let (memory, reporter) = reporter();
    let tap = tap(&reporter, 3);
    tap.before_read();
    tap.read(4);
    act(&reporter, "a");
    act(&reporter, "b");
    tap.before_read();
    act(&reporter, "c");
    tap.read(1);
    tap.before_read();
    tap.read(0);
    tap.before_read();
    act(&reporter, "d");
    assert_eq!(
        said(&memory),
        ["a[(3, 1, 4)]", "b[]", "c[(3, 4, 4)]", "d[(3, 6, 5)]"]
    );
}

#[test]
fn a_read_is_news_to_the_writer() {
    let (memory, reporter) = reporter();
    let tap = tap(&reporter, 1);
    tap.before_write(1);
    tap.wrote(1);
    tap.read(1);
    tap.before_write(1);
    assert_eq!(said(&memory), ["note 1@0[]", "note 1@1[(1, 1, 1)]"]);
}

#[test]
fn an_opaque_socket_is_recorded_once() {
    let (memory, reporter) = reporter();
    let tap = tap(&reporter, 1);
    tap.opaque();
    tap.opaque();
    tap.before_write(1);
    tap.read(3);
    act(&reporter, "a");
    assert_eq!(said(&memory), ["opaque 1[]", "a[]"]);
}

#[tokio::test]
async fn what_is_done_alone_is_in_order_again() {
    let (memory, reporter) = reporter();
    act(&reporter, "before");
    // One after the other is in order, also when each pends.
    reporter.operation().watch(tokio::task::yield_now()).await;
    reporter.operation().watch(tokio::task::yield_now()).await;
    act(&reporter, "still");
    let branch = |text: &'static str, turns: usize| {
        let (inner, operation) = (reporter.clone(), reporter.operation());
        async move {
            let turns = async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            };
            operation.watch(turns).await;
            act(&inner, text);
        }
    };
    tokio::join!(branch("first", 1), branch("last", 2));
    act(&reporter, "after");
    let other = reporter.clone();
    tokio::spawn(async move { act(&other, "other task") })
        .await
        .unwrap();
    assert_eq!(
        said(&memory),
        [
            "before[]",
            "still[]",
            "first u[]",
            "last[]",
            "after[]",
            "other task[]"
        ]
    );
}

/// Which of two reads ends first is chance: what follows comes after the one that ended alone.
#[test]
fn a_read_beside_another_orders_nothing_that_follows() {
    let (memory, reporter) = reporter();
    let (one, two) = (tap(&reporter, 1), tap(&reporter, 2));
    one.pending(Direction::Read);
    two.pending(Direction::Read);
    one.ready(Direction::Read);
    one.read(1);
    act(&reporter, "one");
    two.ready(Direction::Read);
    two.read(1);
    act(&reporter, "two");
    act(&reporter, "after");
    assert_eq!(
        said(&memory),
        ["one u[] beside [(1, 1, 1)]", "two[(2, 1, 1)]", "after[]"]
    );
}

/// What was read alone still orders what is done alone, though a branch has reported it meanwhile.
#[test]
fn a_branch_does_not_use_up_what_was_read_alone() {
    let (memory, reporter) = reporter();
    let (one, two) = (tap(&reporter, 1), tap(&reporter, 2));
    one.read(1);
    two.pending(Direction::Read);
    act(&reporter, "branch");
    act(&reporter, "branch");
    two.ready(Direction::Read);
    act(&reporter, "after");
    assert_eq!(
        said(&memory),
        [
            "branch u[] beside [(1, 1, 1)]",
            "branch u[] beside [(1, 1, 1)]",
            "after[(1, 1, 1)]"
        ]
    );
}

#[test]
fn a_look_uses_up_nothing() {
    let (memory, reporter) = reporter();
    let tap = tap(&reporter, 1);
    tap.read(1);
    let here = reporter.number(Some(TaskKey::current()), What::Here {});
    here.write();
    act(&reporter, "after");
    assert_eq!(
        said(&memory),
        ["Here[] beside [(1, 1, 1)]", "after[(1, 1, 1)]"]
    );
}

/// A server's next client has nothing to do with what it has read of the one before.
#[test]
fn an_accept_beside_a_read_leaves_behind_what_was_read() {
    let (memory, reporter) = reporter();
    let (one, two) = (tap(&reporter, 1), tap(&reporter, 2));
    one.read(1);
    two.pending(Direction::Read);
    let addr = |text: &str| text.parse::<Addr>().unwrap();
    let (a, p, c) = (addr("α:2"), addr("β:2"), "key".to_owned());
    let accept = What::Accept {
        addr: a,
        peer: p,
        listener: 9,
        socket: 3,
        key: c,
    };
    reporter.number(Some(TaskKey::current()), accept).write();
    assert!(said(&memory)[0].ends_with(" u[] beside [(1, 1, 1)]"));
    two.ready(Direction::Read);
    act(&reporter, "after");
    assert_eq!(said(&memory), ["after[]"]);
}

#[test]
fn a_dropped_read_pends_until_the_next_read_or_close() {
    let (memory, reporter) = reporter();
    let (one, two) = (tap(&reporter, 1), tap(&reporter, 2));
    one.pending(Direction::Read);
    act(&reporter, "given up");
    one.ready(Direction::Read);
    act(&reporter, "read");
    two.pending(Direction::Write);
    act(&reporter, "given up");
    two.ended();
    act(&reporter, "closed");
    assert_eq!(
        said(&memory),
        ["given up u[]", "read[]", "given up u[]", "closed[]"]
    );
}

/// A note is part of the write that it stands before, which pends itself.
#[test]
fn an_operation_is_not_beside_itself() {
    let (memory, reporter) = reporter();
    let (one, two) = (tap(&reporter, 1), tap(&reporter, 2));
    one.before_write(1);
    one.pending(Direction::Write);
    one.read(1);
    one.before_write(1);
    one.wrote(1);
    one.ready(Direction::Write);
    assert_eq!(
        said(&memory),
        ["note 1@0[]", "note 1@0[] beside [(1, 1, 1)]"]
    );
    // What is written alone is told again, though the task knows no more.
    two.pending(Direction::Read);
    one.before_write(1);
    one.before_write(1);
    one.wrote(1);
    act(&reporter, "branch");
    one.before_write(1);
    one.wrote(1);
    two.ready(Direction::Read);
    one.before_write(1);
    assert_eq!(
        said(&memory),
        ["note 1@1 u[]", "branch u[]", "note 1@2 u[]", "note 1@3[]"]
    );
}

#[tokio::test]
async fn a_dropped_dial_records_its_end_alone() {
    struct Says(Arc<Reporter>);
    impl Drop for Says {
        fn drop(&mut self) {
            act(&self.0, "cancelled");
        }
    }
    let (memory, reporter) = reporter();
    let says = Says(reporter.clone());
    let dial = reporter.operation().watch(async move {
        let _says = says;
        std::future::pending::<()>().await;
    });
    tokio::select! {
        biased;
        () = dial => {}
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(said(&memory), ["cancelled[]"]);
}

#[test]
fn a_drop_belongs_to_the_streams_only_task() {
    let (memory, reporter) = reporter();
    reporter.number_drop(true, mark("ours")).write();
    reporter.number_drop(false, mark("shared")).write();
    assert_eq!(said(&memory), ["ours[]", "shared u[]"]);
    let elsewhere = |act: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| scope.spawn(act).join().unwrap());
    };
    let unused = tap(&reporter, 1);
    assert!(!unused.used_only_here());
    let mine = tap(&reporter, 2);
    mine.before_write(1);
    mine.read(1);
    mine.shuts_down();
    assert!(mine.used_only_here());
    elsewhere(&|| assert!(!mine.used_only_here()));
    let shared: [fn(&Tap); 3] = [
        |tap| tap.before_write(1),
        |tap| tap.read(1),
        Tap::shuts_down,
    ];
    for use_it in shared {
        let tap = tap(&reporter, 3);
        use_it(&tap);
        assert!(tap.used_only_here());
        elsewhere(&|| use_it(&tap));
        assert!(!tap.used_only_here());
    }
}

#[tokio::test]
async fn events_beside_a_pending_operation_are_not_its_effects() {
    let (memory, reporter) = reporter();
    let dial = |text: &'static str| {
        let inner = reporter.clone();
        reporter.operation().watch(async move {
            act(&inner, text);
            tokio::task::yield_now().await;
            act(&inner, text);
        })
    };
    dial("alone").await;
    tokio::join!(biased; dial("a"), dial("b"));
    // The second branch is not known to come after the first's beginning.
    let expected = ["alone[]", "alone[]", "a[]", "b u[]", "a u[]", "b[]"];
    assert_eq!(said(&memory), expected);
}

#[tokio::test]
async fn a_lost_select_branch_ends_its_operation() {
    let (memory, reporter) = reporter();
    tokio::select! {
        biased;
        () = reporter.operation().watch(std::future::pending()) => {}
        () = tokio::task::yield_now() => {}
    }
    reporter.operation().watch(tokio::task::yield_now()).await;
    act(&reporter, "a");
    assert_eq!(said(&memory), ["a[]"]);
}

#[test]
fn a_record_is_one_json_line() {
    let addr = |text: &str| text.parse::<Addr>().unwrap();
    let (memory, reporter) = reporter();
    reporter.learn(EventId { process: 2, n: 7 });
    let what = What::Dial {
        addr: addr("β:1"),
        peer: addr("α:10"),
    };
    reporter.number(Some(TaskKey::current()), what).write();
    let mut record = memory.0.lock().unwrap().pop().unwrap();
    (record.t, record.task) = (5, Some(3));
    let line = Line::Ev(record);
    let text = serde_json::to_string(&line).unwrap();
    assert_eq!(
        text,
        r#"{"ev":{"n":1,"t":5,"k":3,"l":[[2,7]],"e":{"dial":{"a":"β:1","p":"α:10"}}}}"#
    );
    assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
}

#[tokio::test]
async fn tasks_are_distinguished() {
    let here = TaskKey::current();
    assert_eq!(here, TaskKey::current());
    let task = tokio::spawn(async { TaskKey::current() }).await.unwrap();
    let blocking = || tokio::task::spawn_blocking(TaskKey::current);
    let (one, two) = (blocking().await.unwrap(), blocking().await.unwrap());
    assert!(here != task && one != two && here != one);
}

#[test]
fn data_is_recorded_before_writes_and_after_reads() {
    let (memory, reporter) = reporter();
    let tap = tap(&reporter, 1);
    act(&reporter, "a");
    tap.before_write(5);
    tap.wrote(5);
    // From here on, of connections that are open, too.
    reporter.record_data();
    // Nothing was written, then the same is tried again, then less is written than was tried.
    tap.before_write(5);
    tap.before_write(5);
    tap.wrote(3);
    tap.before_write(2);
    tap.wrote(2);
    // While it tries, the task learns something.
    tap.before_write(7);
    tap.read(4);
    tap.before_write(7);
    tap.wrote(7);
    tap.read(0);
    let said: Vec<String> = memory
        .0
        .lock()
        .unwrap()
        .drain(..)
        .map(|record| serde_json::to_string(&(record.what, record.reads)).unwrap())
        .collect();
    expect_test::expect![[r#"
        [{"mark":{"h":"α","x":"a"}},[]]
        [{"note":{"s":1,"w":0}},[]]
        [{"send":{"a":"α:1","p":"β:1","s":1,"w":5,"b":5}},[]]
        [{"send":{"a":"α:1","p":"β:1","s":1,"w":8,"b":2}},[]]
        [{"send":{"a":"α:1","p":"β:1","s":1,"w":10,"b":7}},[]]
        [{"recv":{"a":"α:1","p":"β:1","s":1,"b":4}},[[1,1,4]]]
        [{"note":{"s":1,"w":10}},[]]"#]]
    .assert_eq(&said.join("\n"));
}

/// The lines of `docs/trace-protocol.md`, *Being asked*.
#[test]
fn pending_operations_are_reported_as_the_protocol_says() {
    let ops = vec![
        Pending {
            t: 81_230_000,
            on: Waits::Read(3),
        },
        Pending {
            t: 81_234_567,
            on: Waits::Dial,
        },
    ];
    let moved = Moved {
        socket: 3,
        sent: 5,
        received: 0,
    };
    let ends = vec![moved];
    let held = Vec::new();
    let doing = Doing { ops, ends, held };
    let said = serde_json::to_string(&Line::Waits(Waiting { id: 1, doing })).unwrap();
    assert_eq!(
        said,
        r#"{"waits":{"id":1,"ops":[{"t":81230000,"on":{"read":3}},{"t":81234567,"on":"dial"}],"ends":[[3,5,0]]}}"#
    );
    // One that counts no bytes leaves them out.
    let without = r#"{"waits":{"id":1,"ops":[]}}"#;
    let Line::Waits(answer) = serde_json::from_str(without).unwrap() else {
        panic!("it is an answer");
    };
    assert_eq!(answer.doing, Doing::default());
    assert_eq!(
        serde_json::to_string(&Line::Waits(answer)).unwrap(),
        without
    );
    let hello = r#"{"hello":{"version":1,"nonce":8245123,"host":"α"}}"#;
    let Line::Hello(hello) = serde_json::from_str(hello).unwrap() else {
        panic!("it is a hello");
    };
    assert!(!hello.waits);
}

#[test]
fn an_order_is_one_json_line() {
    let answer = |ok, err| Order::Answer(Answer { id: 1, ok, err });
    let event = r#"{"id":[2,7],"t":81234567,"host":"α","verb":"listen","addr":"α:10"}"#;
    let event: Event = serde_json::from_str(event).unwrap();
    for (order, line) in [
        (Order::Waits(1), r#"{"waits":1}"#),
        (
            answer(Some(event), None),
            r#"{"id":1,"ok":{"id":[2,7],"t":81234567,"host":"α","verb":"listen","addr":"α:10"}}"#,
        ),
        (
            answer(None, Some("the scenario is over".into())),
            r#"{"id":1,"err":"the scenario is over"}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&order).unwrap(), line);
        assert_eq!(serde_json::from_str::<Order>(line).unwrap(), order);
    }
    // One that this reporter does not know.
    assert!(serde_json::from_str::<Order>(r#"{"hold":{"id":1}}"#).is_err());
}

#[test]
fn open_ends_say_how_many_bytes_they_carried() {
    let (_, reporter) = reporter();
    let ends = || -> Vec<(u64, u64, u64)> {
        let doing = reporter.doing();
        doing.ends.into_iter().map(Into::into).collect()
    };
    let (one, two) = (tap(&reporter, 1), tap(&reporter, 2));
    assert_eq!(ends(), [(1, 0, 0), (2, 0, 0)]);
    one.wrote(3);
    one.wrote(4);
    two.read(5);
    // The end of the stream is not a byte.
    two.read(0);
    assert_eq!(ends(), [(1, 7, 0), (2, 0, 5)]);
    // From here on the bytes are not counted.
    two.opaque();
    assert_eq!(ends(), [(1, 7, 0)]);
    drop(one);
    assert!(ends().is_empty());
}
