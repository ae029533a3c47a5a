//! Where a process is: the native backtraces of all its threads, as gdb sees them.
//!
//! Owns the debugger's command and the time that it may take. It is run by the test's own process,
//! since the pids known there are those of no namespace. Decides nothing: when backtraces are taken,
//! and where they are shown, is `run`'s and `report`'s business.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The variable that says how many seconds backtraces may take; by `0`, that none are to be taken.
const VARIABLE: &str = "LONET_BACKTRACES";

/// How long all of them may take together, unless the variable says so. Scaled as all deadlines.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take to read what is in the pipes of a debugger that is gone.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Where a role is called from.
const PLAYS_ROLE: &str = "/lonet-harness/src/process/child.rs";

/// How many frames of one process are worth a line in a page.
const FRAMES: usize = 6;

/// The backtraces of a scenario's processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Backtraces {
    /// They were not requested.
    #[default]
    NotTaken,
    NoDebugger,
    /// By host: all threads, or why there is nothing.
    Taken(Vec<(String, Result<String, String>)>),
}

impl Backtraces {
    /// Those of these processes, each with its host and its pid; all at once, within one patience.
    pub(crate) fn take(processes: &[(String, u32)]) -> Backtraces {
        let wanted = std::env::var(VARIABLE).unwrap_or_default();
        let Some(patience) = patience(&wanted).filter(|_| !processes.is_empty()) else {
            return Backtraces::NotTaken;
        };
        let until = Instant::now() + crate::deadline::scaled(patience).unwrap_or(patience);
        let mut taken = Vec::new();
        let mut running = Vec::new();
        for (host, pid) in processes {
            match debugger(*pid) {
                Ok(child) => running.push((host, child)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Backtraces::NoDebugger;
                }
                Err(error) => taken.push((host.clone(), Err(error.to_string()))),
            }
        }
        for (host, child) in running {
            taken.push((host.clone(), finish(child, until, patience)));
        }
        Backtraces::Taken(taken)
    }
}

/// How long they may take, as the variable says; nothing if none are wanted.
fn patience(variable: &str) -> Option<Duration> {
    match variable.trim().parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(Duration::ZERO)) => None,
        Ok(Ok(seconds)) => Some(seconds),
        _ => Some(PATIENCE),
    }
}

/// gdb, which inspects that process and leaves it as it is.
fn debugger(pid: u32) -> std::io::Result<Child> {
    Command::new("gdb")
        .args(["-nx", "-batch", "-iex", "set debuginfod enabled off"])
        .args(["-iex", "set auto-load off", "-iex", "set width 0"])
        // A file is told to be whose it is by where it lies.
        .args(["-iex", "set filename-display absolute"])
        .args(["-ex", "thread apply all bt", "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What it says, if it does so in time. `patience` is what that was, before it was scaled.
fn finish(mut child: Child, until: Instant, patience: Duration) -> Result<String, String> {
    let (sender, printed) = channel();
    for (stream, pipe) in [
        (0, child.stdout.take().map(boxed)),
        (1, child.stderr.take().map(boxed)),
    ] {
        let (sender, Some(mut pipe)) = (sender.clone(), pipe) else {
            continue;
        };
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            let _ = sender.send((stream, String::from_utf8_lossy(&bytes).into_owned()));
        });
    }
    drop(sender);
    let mut texts = [String::new(), String::new()];
    loop {
        match printed.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((stream, text)) => texts[stream] = text,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // The kernel detaches what it held. What gdb has printed by then may do.
                let _ = child.kill();
                while let Ok((stream, text)) = printed.recv_timeout(LAST_WORDS) {
                    texts[stream] = text;
                }
                let more = (4.0 * patience.as_secs_f64()).ceil();
                texts[1] = format!("gdb took too long; {VARIABLE}={more} gives it {more} s");
                break;
            }
        }
    }
    let _ = child.wait();
    let [text, complaints] = texts;
    if text.contains("#0 ") {
        return Ok(text);
    }
    // If gdb gives a reason, it is the last line before the one that says that no thread exists.
    let why = complaints
        .lines()
        .find(|line| line.contains("ptrace") || line.contains("ould not attach"))
        .or(complaints.lines().next_back());
    Err(why.unwrap_or("gdb printed nothing").to_owned())
}

fn boxed(pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(pipe)
}

/// The frames of code that is neither a library's nor ours, each thread's innermost first, as
/// `function at file:line`; only those that say something. A `main` whose runtime waits for its tasks
/// does not, nor does the way from `main` to a role, nor a second thread of a pool that does the
/// same.
pub(crate) fn user_frames(backtrace: &str) -> Vec<String> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for thread in backtrace.split("\nThread ") {
        let frames = of_thread(thread);
        if !frames.is_empty() && !found.contains(&frames) {
            found.push(frames);
        }
    }
    let mut frames = found.concat();
    frames.truncate(FRAMES);
    frames
}

fn of_thread(backtrace: &str) -> Vec<String> {
    let mut frames = Vec::new();
    let mut is_parked = false;
    for line in backtrace.lines().filter(|line| line.starts_with('#')) {
        let Some((frame, place)) = line.rsplit_once(" at ") else {
            continue;
        };
        if place.contains(PLAYS_ROLE) {
            break;
        }
        let Some((_, frame)) = frame.split_once(char::is_whitespace) else {
            continue;
        };
        let frame = frame.trim_start();
        let frame = frame.split_once(" in ").map_or(frame, |(_, after)| after);
        let function = frame.rsplit_once(" (").map_or(frame, |(before, _)| before);
        // What stands for the types of a generic function may fill a page.
        let name = function.find('<').filter(|&at| at > 0);
        let name = name.map_or(function, |at| &function[..at]);
        if place.contains("/tokio-") && place.contains("/src/runtime/") {
            is_parked |= name.split("::").any(|word| word.starts_with("park"));
        }
        let is_main = name.split("::").any(|word| word == "main");
        if is_users(place) && !(is_parked && is_main) {
            frames.push(format!("{name} at {place}"));
        }
    }
    frames
}

/// By the file alone: inlined functions have no path. What cargo, rustc and the C library's build
/// have brought lies where they put it.
fn is_users(place: &str) -> bool {
    const OTHERS: [&str; 7] = [
        "/registry/src/",
        "/git/checkouts/",
        "/rustc/",
        "/library/",
        "/lonet/src/",
        "/lonet-harness/src/",
        "/sysdeps/",
    ];
    place.contains(".rs:") && !OTHERS.iter().any(|other| place.contains(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_a_patience() {
        assert_eq!(patience("0"), None);
        assert_eq!(patience("2.5"), Some(Duration::from_millis(2500)));
        assert_eq!(patience(""), Some(PATIENCE));
        assert_eq!(patience("-1"), Some(PATIENCE));
    }

    #[test]
    fn a_slow_debugger_names_the_variable_that_gives_it_time() {
        let mut sleeps = Command::new("sleep");
        sleeps.arg("1000").stdout(Stdio::piped());
        let sleeps = sleeps.spawn().unwrap();
        let why = finish(sleeps, Instant::now(), Duration::from_secs(5)).unwrap_err();
        assert_eq!(why, "gdb took too long; LONET_BACKTRACES=20 gives it 20 s");
    }

    #[test]
    fn user_frames_are_separated_from_all_others() {
        let backtrace = "\
Thread 2 (LWP 7 \"α\"):
#0  0x00007f in syscall () from /lib/libc.so.6
#1  core::hint::spin_loop () at /rustc/abc/library/core/src/hint.rs:290
#2  {async_fn#0} () at /p/tests/tests/failing.rs:53
#3  0x0000 in tokio::runtime::block_on<failing::x> (a=1) at /r/registry/src/tokio/src/a.rs:1
#4  {closure#0}<dyn Future<Output=()>> () at /p/lonet-harness/src/process/child.rs:100

Thread 1 (LWP 6 \"failing\"):
#0  0x00007f in my_crate::Store::lock<u8> (self=0x7f (x)) at /p/src/store.rs:9
#1  start_thread (arg=1) at ./nptl/pthread_create.c:442
";
        assert_eq!(
            user_frames(backtrace),
            [
                "{async_fn#0} at /p/tests/tests/failing.rs:53",
                "my_crate::Store::lock at /p/src/store.rs:9",
            ]
        );
    }

    /// As gdb shows a program of `#[tokio::main]` whose tasks all wait, and a role that is begun in
    /// `main`.
    #[test]
    fn a_thread_that_waits_in_the_runtime_adds_nothing() {
        let parked = "\
Thread 1 (LWP 6 \"server\"):
#0  0x00007f in epoll_wait (epfd=5) at ./misc/../sysdeps/unix/sysv/linux/epoll_wait.c:30
#1  0x000056 in tokio::runtime::io::driver::Driver::park::h26d1 () at /r/registry/src/x/tokio-1.54.1/src/runtime/io/driver.rs:167
#2  0x000056 in block_on<server::main::{async_block_env#0}> () at /r/registry/src/x/tokio-1.54.1/src/runtime/runtime.rs:348
#3  0x000056 in server::main::h74bd () at /p/src/bin/server.rs:12
";
        assert_eq!(user_frames(parked), [""; 0]);
        // It blocks its thread until something else is done: where, is what one asks for.
        let blocks = parked.replace("server::main::h74bd", "server::Store::flush::h74bd");
        assert_eq!(
            user_frames(&blocks),
            ["server::Store::flush::h74bd at /p/src/bin/server.rs:12"]
        );
        let in_main = "\
Thread 1 (LWP 6 \"x\"):
#0  {async_fn#0} () at /p/src/main.rs:7
#1  0x000056 in lonet_harness::process::child::play_role () at /p/lonet-harness/src/process/child.rs:249
#2  0x000056 in main () at /p/src/main.rs:30
";
        assert_eq!(user_frames(in_main), ["{async_fn#0} at /p/src/main.rs:7"]);
    }

    #[test]
    fn equal_threads_are_listed_once() {
        let thread = |n: u32| {
            format!(
                "Thread {n} (LWP {n} \"w\"):\n#0  spin () at /p/src/a.rs:1\n#1  work () at /p/src/a.rs:9\n\n"
            )
        };
        let all = format!("[New LWP 7]\n\n{}{}{}", thread(3), thread(2), thread(1));
        assert_eq!(
            user_frames(&all),
            ["spin at /p/src/a.rs:1", "work at /p/src/a.rs:9"]
        );
    }
}
