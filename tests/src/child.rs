//! Copies of a test binary that play a part in a test, told line by line what to do.
//!
//! The binary has a test named `child` that plays [`part`], and returns at once if there is none.
//! Copies, because these tests kill them, run them as other users, and take their descriptors
//! away: things that the harness does for nobody.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The environment variable that says which part a copy plays.
const PART: &str = "LONET_TESTS_PART";
/// Where in a line of output that which was told begins: libtest prints on the same lines.
const MARK: &str = "\u{bb} ";
/// So long an answer may take: far more than any needs, as a hang must fail.
const PATIENCE: Duration = Duration::from_secs(120);

/// A copy of this test binary. Killed on drop.
pub struct Child {
    process: std::process::Child,
    orders: ChildStdin,
    told: Receiver<String>,
}

/// The command that makes a copy play this part; its environment and user may still be changed.
pub fn command(part: &str) -> Command {
    // Not by its path: that may be out of reach for another user.
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(PART, part);
    command
}

impl Child {
    /// Starts a copy.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    pub fn start(mut command: Command) -> Child {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a copy of a binary that runs can be started");
        let orders = process.stdin.take().expect("it is a pipe");
        let output = process.stdout.take().expect("it is a pipe");
        let (tell, told) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, told)) = line.split_once(MARK)
                    && tell.send(told.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Child {
            process,
            orders,
            told,
        }
    }

    /// Tells it a line. One that has ended hears nothing.
    pub fn say(&mut self, line: &str) {
        let _ = writeln!(self.orders, "{line}");
    }

    /// What it tells next.
    ///
    /// # Panics
    ///
    /// When it ended or hangs.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        match self.told.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("a child hangs"),
            Err(RecvTimeoutError::Disconnected) => {
                panic!("a child has ended: {:?}", self.process.wait())
            }
        }
    }

    /// Tells it a line; its answer.
    ///
    /// # Panics
    ///
    /// As [`Child::hear`].
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// Kills it by SIGKILL; it is gone when this returns.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Both fail only for one that was waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// In a copy: the part that it plays. `None`: this is not a copy.
pub fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// In a copy: tells the test a line.
pub fn tell(line: &str) {
    // One write a line, past the capture of libtest; a test that has ended hears nothing.
    let _ = io::stdout().write_all(format!("{MARK}{line}\n").as_bytes());
}

/// In a copy: what the test tells next. `None`: it has ended.
pub fn told() -> Option<String> {
    io::stdin().lines().next()?.ok()
}
