//! Limits of the system: what is needed works below them, and what can't work says which limit it
//! was, at once.
//!
//! Each test runs copies of this binary that lower a limit of their own and then play a scenario.
//! What another program may do to a trace socket is tested in `foreign`.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lonet::Host;
use lonet_harness::{Error, ErrorKind, Program, Result, Scenario};
use lonet_tests::child::{self, part};
use lonet_tests::size;
use lonet_tests::tmp::Tmp;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::geteuid;

/// The variable that tells a copy its limit: soft and hard.
const LIMIT: &str = "LONET_TESTS_LIMIT";

#[lonet::host]
async fn says(host: Host, what: String) -> String {
    host.mark(&what);
    what
}

/// The soft limit of descriptors that a role finds.
#[lonet::host]
async fn descriptors(_host: Host) -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).unwrap().0
}

#[test]
fn child() {
    match part().as_deref() {
        None => {}
        Some("nofile") => {
            lower(Resource::RLIMIT_NOFILE);
            play_two().unwrap();
        }
        Some("nproc") => {
            lower(Resource::RLIMIT_NPROC);
            play_two().unwrap();
        }
        Some("starves") => {
            lower(Resource::RLIMIT_NOFILE);
            lonet_harness::run("starves", starve_a_role).unwrap();
        }
        Some("stranger") => {
            lower(Resource::RLIMIT_NOFILE);
            lonet_harness::run("stranger", starve_a_stranger).unwrap();
        }
        Some("many") => {
            lower(Resource::RLIMIT_NOFILE);
            play_many();
        }
        Some("inherits") => {
            lower(Resource::RLIMIT_NOFILE);
            lonet_harness::run("inherits", async |scenario: Scenario| -> Result<()> {
                let alpha = scenario.spawn("α", descriptors()).await?;
                let shell = Program::new("sh").args(["-c", "ulimit -Sn"]);
                let beta = scenario.spawn("β", shell).await?;
                beta.until("β exit 0").await?;
                let program: u64 = beta.log().trim().parse()?;
                assert_eq!((alpha.join().await?, program), (200, 200));
                Ok(())
            })
            .unwrap();
        }
        Some(other) => panic!("no such part: {other}"),
    }
}

fn lower(resource: Resource) {
    let limits = std::env::var(LIMIT).unwrap();
    let (soft, hard) = limits.split_once(' ').unwrap();
    let (soft, hard) = (soft.parse().unwrap(), hard.parse().unwrap());
    setrlimit(resource, soft, hard).unwrap();
}

fn play_two() -> std::result::Result<(), Error> {
    lonet_harness::run("two", async |scenario: Scenario| -> Result<()> {
        let alpha = scenario.spawn("α", says("one".into())).await?;
        let beta = scenario.spawn("β", says("two".into())).await?;
        assert_eq!(alpha.join().await?, "one");
        assert_eq!(beta.join().await?, "two");
        Ok(())
    })
}

#[lonet::host]
async fn pends(_host: Host) {
    std::future::pending::<()>().await;
}

/// All descriptors that this process may still have. What the scenario has must stay as it is.
fn all_descriptors() -> Vec<File> {
    let open = || File::open("/dev/null").ok();
    std::iter::from_fn(open).collect()
}

/// Leaves a descriptor for the pipe of a second node, and none for what that says.
async fn starve_a_role(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", pends()).await?;
    let mut files = all_descriptors();
    files.pop();
    let error = scenario.spawn("β", pends()).await.map(drop);
    drop(files);
    Err(error.unwrap_err().into())
}

/// Leaves a descriptor for a connection, and none for its other end.
async fn starve_a_stranger(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", pends()).await?;
    let reader = Thread::named("lonet-reader")?;
    let mut files = all_descriptors();
    files.pop();
    let mut stranger = connected(&scenario)?;
    let error = scenario.until("ζ mark heard").await.unwrap_err();
    assert!(reader.rests(), "the reader spins");
    drop(files);
    // It is taken in for the page.
    stranger.write_all(STRANGER.as_bytes())?;
    Err(error.into())
}

/// A thread of this process, which can be looked at without a descriptor more.
struct Thread(File);

impl Thread {
    /// The only one of this name.
    fn named(name: &str) -> Result<Thread> {
        for thread in std::fs::read_dir("/proc/self/task")? {
            let thread = thread?.path();
            if std::fs::read_to_string(thread.join("comm"))?.trim() == name {
                return Ok(Thread(File::open(thread.join("status"))?));
            }
        }
        Err(format!("no thread is named {name}").into())
    }

    /// Whether it comes to rest: sleeps at two looks, and was not switched to in between. How loaded the
    /// machine is, or how long this thread is kept from looking, makes no difference: one that spins runs,
    /// or waits for a processor, but does not sleep; one that is woken again and again is switched to.
    fn rests(&self) -> bool {
        let mut earlier = None;
        for _ in 0..50 {
            let look = self.look();
            if look.is_some() && look == earlier {
                return true;
            }
            earlier = look;
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    /// How often it has been switched away from, if it sleeps.
    fn look(&self) -> Option<Vec<String>> {
        let mut status = [0; 4096];
        let length = self.0.read_at(&mut status, 0).unwrap();
        let status = str::from_utf8(&status[..length]).unwrap();
        let sleeps = status.lines().any(|line| line.starts_with("State:\tS"));
        let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
        let switches: Vec<String> = switches.map(str::to_owned).collect();
        assert_eq!(switches.len(), 2, "{status}");
        sleeps.then_some(switches)
    }
}

/// What a process says that the scenario did not start.
const STRANGER: &str = r#"{"hello":{"version":1,"nonce":1}}
{"ev":{"n":1,"t":1,"k":1,"e":{"mark":{"h":"ζ","x":"heard"}}}}
"#;

fn connected(scenario: &Scenario) -> Result<UnixStream> {
    let name = scenario.network().trim_start_matches("lonet");
    let base = std::env::temp_dir().join("lonet");
    Ok(UnixStream::connect(base.join(name).join("trace.sock"))?)
}

/// All have their processes and their descriptors at the same time.
fn play_many() {
    let count = if size::is_full() { 64 } else { 12 };
    let barrier = Barrier::new(count);
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                lonet_harness::run("many", async |scenario: Scenario| -> Result<()> {
                    let alpha = scenario.spawn("α", says("one".into())).await?;
                    let beta = scenario.spawn("β", says("two".into())).await?;
                    barrier.wait();
                    alpha.join().await?;
                    beta.join().await?;
                    Ok(())
                })
                .unwrap();
            });
        }
    });
}

/// What a copy said that plays this part within that limit, and whether it succeeded.
fn played(part: &str, soft: u64, hard: u64, user: Option<(u32, &Tmp)>) -> (bool, String) {
    let mut copy = child::command(part);
    copy.env(LIMIT, format!("{soft} {hard}"))
        .env("LONET_TIMEOUT", "1")
        .stdin(Stdio::null());
    if let Some((uid, tmp)) = user {
        copy.uid(uid)
            .gid(uid)
            .env("TMPDIR", tmp.path())
            .env("LONET_ARTIFACTS", tmp.path());
    }
    let output = copy.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

/// An ordinary user without other processes, another at each call: the tests of this process run at
/// once.
fn nobody_else() -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    3_000_000 + std::process::id() % 100_000 * 10 + call % 10
}

/// Plays it within each of these limits: it succeeds, or names the limit, at once.
#[track_caller]
fn works_or_names(part: &str, limit: &str, limits: impl Iterator<Item = u64>, user: Option<u32>) {
    let tmp = Tmp::new().unwrap();
    let mut succeeded = 0;
    let mut named = 0;
    for most in limits {
        let (success, said) = played(part, most, most, user.map(|uid| (uid, &tmp)));
        if success {
            succeeded += 1;
            continue;
        }
        named += 1;
        let name = format!("{limit}: soft {most}, hard {most}");
        let mut lines = said.lines();
        let names = lines.any(|line| line.starts_with("two failed: ") && line.contains(&name));
        assert!(names, "at {most}, user {user:?}: {said}");
    }
    assert!(succeeded > 0 && named > 0, "{succeeded} {named}");
}

// Descriptors.

#[test]
fn too_few_descriptors_are_named() {
    works_or_names("nofile", "RLIMIT_NOFILE", 8..48, None);
}

#[test]
fn too_few_descriptors_are_named_to_an_ordinary_user() {
    if !geteuid().is_root() {
        // Then the other test is of an ordinary user.
        return;
    }
    let user = Some(nobody_else());
    works_or_names("nofile", "RLIMIT_NOFILE", (9..48).step_by(3), user);
}

#[test]
fn a_process_that_cannot_connect_is_named() {
    let (success, said) = played("starves", 100, 100, None);
    let names = "starves failed: β (role `pends`) could not be started: the events of its \
                 process can't be received: Too many open files (os error 24); the process has \
                 reached its limit of open descriptors (RLIMIT_NOFILE: soft 100, hard 100): raise \
                 it with `ulimit -n`\n";
    assert!(!success && said.contains(names), "{said}");
}

#[test]
fn a_reader_without_descriptors_does_not_spin() {
    let (success, said) = played("stranger", 100, 100, None);
    let names = "stranger failed: a connection to the trace socket can't be accepted: Too many \
                 open files (os error 24); the process has reached its limit of open descriptors \
                 (RLIMIT_NOFILE: soft 100, hard 100): raise it with `ulimit -n`\n";
    assert!(!success && said.contains(names), "{said}");
    assert!(said.contains("\n  ζ mark heard\n"), "{said}");
}

/// The soft limit is often 1024, and a machine with 64 cores plays as many tests at once.
#[test]
fn many_tests_play_at_once_below_a_low_soft_limit() {
    let soft = if size::is_full() { 1024 } else { 160 };
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let (success, said) = played("many", soft, hard, None);
    assert!(success, "{said}");
}

/// What the test's process raises for itself is not for programs that call `select`.
#[test]
fn roles_and_programs_keep_the_soft_limit() {
    let (success, said) = played("inherits", 200, 1000, None);
    assert!(success, "{said}");
}

// Processes.

#[test]
fn too_few_processes_are_named() {
    if !geteuid().is_root() {
        // It would count what else this user runs. Root itself has no such limit.
        return;
    }
    works_or_names("nproc", "RLIMIT_NPROC", 2..24, Some(nobody_else()));
}

// Signals.

#[lonet::host]
async fn fails(_host: Host) -> Result<()> {
    Err("on purpose".into())
}

#[lonet::test(timeout = "20s")]
#[ignore = "is to be played where SIGCHLD is ignored: another test does"]
async fn hears_of_ends(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", says("one".into())).await?;
    assert_eq!(alpha.join().await?, "one");
    let beta = scenario.spawn("β", fails()).await?;
    assert_eq!(beta.join().await.unwrap_err().kind(), ErrorKind::Failed);
    let shell = Program::new("sh").args(["-c", "exit 3"]);
    let gamma = scenario.spawn("γ", shell).await?;
    assert_eq!(gamma.join().await?.code(), Some(3));
    let grep = Program::new("grep").args(["^SigIgn:", "/proc/self/status"]);
    let delta = scenario.spawn("δ", grep).await?;
    delta.until("δ exit 0").await?;
    let log = delta.log();
    let ignored = u64::from_str_radix(log.trim_start_matches("SigIgn:").trim(), 16)?;
    assert_eq!(ignored & 1 << (nix::libc::SIGCHLD - 1), 0, "{log}");
    Ok(())
}

/// As some shells, container runtimes and daemons leave it to what they start.
#[test]
fn an_ignored_sigchld_hides_no_end() {
    let tmp = Tmp::new().unwrap();
    let user = geteuid().is_root().then(nobody_else);
    let cases = [(None, "1"), (None, "0"), (user, "1"), (user, "0")];
    for (user, namespace) in cases {
        let mut shell = Command::new("sh");
        // Not by its path: that may be out of reach for another user.
        let copy = File::open("/proc/self/exe").unwrap();
        shell
            .args(["-c", r#"trap "" CHLD; exec /proc/self/fd/0 "$@""#, "sh"])
            .args(["hears_of_ends", "--exact", "--ignored", "--nocapture"])
            .stdin(copy)
            .env("LONET_NAMESPACE", namespace)
            .env("TMPDIR", tmp.path())
            .env("LONET_ARTIFACTS", tmp.path());
        if let Some(uid) = user {
            shell.uid(uid).gid(uid);
        }
        let output = shell.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{user:?} {namespace}: {said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}
