//! Processes of both languages that meet on a network which none of them has made before: all
//! join at the same moment, and each then dials each. Beside it, `registry` does the same with
//! processes of one language, and many more of them.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::process::Command;

use lonet_tests::child::{self, Child, tell, told};
use lonet_tests::size;
use lonet_tests::tmp::Tmp;

/// So many processes of each language.
const EACH: usize = 16;

/// Plays a part, in a copy of this binary.
#[test]
fn child() {
    match child::part().as_deref() {
        None => {}
        Some("member") => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(member())
            .unwrap(),
        Some(other) => panic!("no part is called {other}"),
    }
}

/// Joins, listens, dials all others, and says after each step that it is done.
async fn member() -> lonet::Result<()> {
    tell("ready");
    let order = told().unwrap();
    let [network, name] = *order.split(' ').collect::<Vec<_>>() else {
        panic!("no order is like {order}");
    };
    let host = lonet::join(network).await?.new_host(name).await?;
    let listener = host.listen(":10").await?;
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    tell("listens");
    // The orders are read aside: while this one waits for its next, others dial it.
    let others = tokio::task::spawn_blocking(|| told().unwrap());
    for other in others.await.unwrap().split(' ') {
        drop(host.dial(&format!("{other}:10")).await?);
    }
    tell("dialed");
    let _ = tokio::task::spawn_blocking(told).await;
    Ok(())
}

/// The same in Python.
const MEMBER: &str = r#"
import sys, threading
import lonet

def tell(line):
    sys.stdout.write("» " + line + "\n")
    sys.stdout.flush()

def serve(listener):
    try:
        while True:
            listener.accept().close()
    except lonet.Error:
        pass

tell("ready")
network, name = sys.stdin.readline().split()
host = lonet.join(network).new_host(name)
listener = host.listen(":10")
threading.Thread(target=serve, args=(listener,), daemon=True).start()
tell("listens")
for other in sys.stdin.readline().split():
    host.dial(other + ":10").close()
tell("dialed")
sys.stdin.readline()
"#;

fn python() -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-c", MEMBER])
        .env("PYTHONIOENCODING", "utf-8")
        .env(
            "PYTHONPATH",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../lonet/python/src"),
        );
    command
}

#[test]
fn rust_and_python_join_and_dial_at_once() {
    for round in 0..size::of(10) {
        let tmp = Tmp::new().unwrap();
        let names: Vec<String> = (0..2 * EACH).map(|n| format!("h{n}")).collect();
        let mut members: Vec<Child> = (0..2 * EACH)
            .map(|n| {
                let mut command = match n % 2 {
                    0 => child::command("member"),
                    _ => python(),
                };
                command.env("TMPDIR", tmp.path());
                Child::start(command)
            })
            .collect();
        for member in &mut members {
            assert_eq!(member.hear(), "ready");
        }
        for (member, name) in members.iter_mut().zip(&names) {
            member.say(&format!("x {name}"));
        }
        for (member, name) in members.iter_mut().zip(&names) {
            assert_eq!(member.hear(), "listens", "{name}, round {round}");
        }
        for member in &mut members {
            member.say(&names.join(" "));
        }
        for (member, name) in members.iter_mut().zip(&names) {
            assert_eq!(member.hear(), "dialed", "{name}, round {round}");
        }
    }
}
