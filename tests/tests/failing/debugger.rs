//! Whoever hangs, or is to be looked at, and a debugger.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use crate::{HELLO, command};

/// Whoever hangs is looked at with a debugger, if there is one; else it is said that there is none.
#[test]
fn where_a_loop_is() {
    let has_gdb = Command::new("gdb").arg("--version").output().is_ok();
    let page = |change: &dyn Fn(&mut Command)| {
        let mut command = command("victims::loops_and_is_paused");
        change(command.env_remove("LONET_BACKTRACES"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let text = page(&|command| {
        command.env("PATH", "/no/such");
    });
    assert!(
        text.contains("no backtraces: gdb is not installed"),
        "{text}"
    );
    if has_gdb {
        let text = page(&|_| {});
        // Where it may not attach, or is too slow, it says so.
        let told =
            text.contains("tests/tests/failing/main.rs:") || text.contains("α: no backtrace: ");
        assert!(told && !text.contains("β: "), "{text}");
    }
}

/// That victim, whose α waits for a debugger, and what it says.
fn debugged(victim: &str) -> (Victim, Lines<BufReader<ChildStderr>>) {
    let mut victim = command(&format!("victims::{victim}"))
        .env("LONET_DEBUG", "α")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(victim.stderr.take().unwrap()).lines();
    (Victim(victim), told)
}

/// It has no deadline: a failure of another node ends it.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The next command that it gives, and the pid that is to be debugged.
fn debugger_of(told: &mut Lines<BufReader<ChildStderr>>) -> (String, i32) {
    let command = told
        .map_while(|line| line.ok())
        .find(|line| line.starts_with("    gdb "))
        .unwrap();
    let pid = command.rsplit(' ').next().unwrap().parse().unwrap();
    (command, pid)
}

/// The command that is printed, pasted into a shell as it is, leads to the role: breakpoints hold,
/// and it goes on to its end. Without gdb, or if gdb may not attach, this shows nothing.
#[test]
fn a_debugger_is_led_to_the_role() {
    let (mut victim, mut told) = debugged("says_hello");
    for (breakpoint, expected) in [
        (&*format!("failing/main.rs:{HELLO}"), "says_and_ends"),
        // Of a program, from before its beginning.
        ("_exit", "cmdline = 'sh -c"),
    ] {
        let (pasted, pid) = debugger_of(&mut told);
        let mut gdb = Command::new("sh")
            .args(["-c", &pasted])
            // Neither the user's settings nor somebody's symbols from the network.
            .env("HOME", "/no/such")
            .env_remove("DEBUGINFOD_URLS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let script = format!(
            "set breakpoint pending on\nbreak {breakpoint}\ncontinue\nbacktrace\n\
             info proc cmdline\ncontinue\nquit\n"
        );
        let mut stdin = gdb.stdin.take().unwrap();
        let _ = stdin.write_all(script.as_bytes());
        drop(stdin);
        let output = gdb.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let cannot = ["not found", "not permitted", "Could not attach"];
        if cannot.iter().any(|cannot| said.contains(cannot)) {
            println!("this shows nothing: {said}");
            let pid = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
            continue;
        }
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("exited normally"), "{said}");
    }
    assert!(victim.0.wait().unwrap().success());
}

/// With `LONET_DEBUG` a node stops at its start, and there is no deadline while it is looked at.
#[test]
fn a_node_waits_for_its_debugger() {
    let (mut victim, mut told) = debugged("says_hello");
    for what in ["role", "program"] {
        let (_, pid) = debugger_of(&mut told);
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        assert!(
            stat.rsplit(')').next().unwrap().starts_with(" T"),
            "{what}: {stat}"
        );
        // Longer than the test may take.
        std::thread::sleep(Duration::from_millis(1200));
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    }
    assert!(victim.0.wait().unwrap().success());
}
