//! The registry among processes: who joins first, who dies when, who has a name.
//!
//! The first table of what goes wrong in `docs/reliability.md`, as far as it takes several
//! processes; what one process can show is in `lonet/src/registry/tests`. Every process here is a
//! copy of this binary with a directory for temporary files of the test's own.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use lonet::{Host, Listener, SubNetwork};
use lonet_tests::child::{self, Child, tell, told};
use lonet_tests::size;
use lonet_tests::tmp::Tmp;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;

/// A user that nobody is.
const NOBODY: u32 = 65534;

/// Plays a part, in a copy of this binary.
#[test]
fn child() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    match child::part().as_deref() {
        None => {}
        Some("member") => runtime().block_on(Member::default().play()),
        Some("unmapped") => unmapped(),
        Some("victim") => runtime().block_on(victim()),
        Some(other) => panic!("no part is called {other}"),
    }
}

/// A process of networks that does as it is told, and answers `ok` or the error.
#[derive(Default)]
struct Member {
    net: Option<SubNetwork>,
    hosts: BTreeMap<String, Host>,
}

impl Member {
    async fn play(mut self) {
        while let Some(order) = told() {
            let words: Vec<&str> = order.split(' ').collect();
            let answer = match self.obey(&words).await {
                Ok(()) => "ok".to_owned(),
                Err(error) => error.to_string(),
            };
            tell(&answer);
        }
    }

    async fn obey(&mut self, words: &[&str]) -> lonet::Result<()> {
        match *words {
            ["join", network, host] => {
                self.net = Some(lonet::join(network).await?);
                Box::pin(self.obey(&["host", host])).await?;
            }
            ["host", host] => {
                let net = self.net.as_ref().unwrap();
                let opened = net.new_host(host).await?;
                self.hosts.insert(host.to_owned(), opened);
            }
            ["accept", host] => {
                let listener = self.hosts[host].listen(":10").await?;
                tell("listening");
                drop(listener.accept().await?);
            }
            ["dial", host, to] => {
                drop(self.hosts[host].dial(to).await?);
            }
            ["close", host] => self.hosts.remove(host).unwrap().close().await?,
            ["leave"] => {
                self.hosts.clear();
                if let Some(net) = self.net.take() {
                    net.close().await?;
                }
            }
            ["random", times] => {
                for _ in 0..times.parse().unwrap() {
                    random_network().await?;
                }
            }
            ["umask", mask] => {
                umask(Mode::from_bits_truncate(mask.parse().unwrap()));
            }
            ["full-disk"] => {
                // Instead of a signal, which would kill, the write is to fail.
                let mut set = SigSet::empty();
                set.add(Signal::SIGXFSZ);
                set.thread_block().unwrap();
                setrlimit(Resource::RLIMIT_FSIZE, 4096, 4096).unwrap();
            }
            _ => panic!("no order is like {words:?}"),
        }
        Ok(())
    }
}

/// What a test does with its network, in short.
async fn random_network() -> lonet::Result<()> {
    let net = lonet::join("").await?;
    let alpha = net.new_host("α").await?;
    let listener = alpha.listen(":10").await?;
    drop(tokio::try_join!(alpha.dial("α:10"), listener.accept())?);
    Ok(())
}

/// The steps of a process's life, in each of which one is killed.
const STEPS: [&str; 8] = [
    "started",
    "joined",
    "up",
    "listening",
    "connected",
    "quiet",
    "down",
    "left",
];

/// A process that goes through the steps by itself, as `α` of the network it is told.
async fn victim() {
    let network = told().unwrap();
    tell("started");
    let net = lonet::join(&network).await.unwrap();
    tell("joined");
    let alpha = net.new_host("α").await.unwrap();
    tell("up");
    let listener: Listener = alpha.listen(":10").await.unwrap();
    tell("listening");
    let both = tokio::try_join!(alpha.dial("α:10"), listener.accept()).unwrap();
    tell("connected");
    drop((both, listener));
    tell("quiet");
    alpha.close().await.unwrap();
    tell("down");
    net.close().await.unwrap();
    tell("left");
    told();
}

fn member(tmp: &Tmp) -> Child {
    start(tmp, "member")
}

fn start(tmp: &Tmp, part: &str) -> Child {
    let mut command = child::command(part);
    command.env("TMPDIR", tmp.path());
    Child::start(command)
}

/// A process of another user; as anybody but root, one can't have that.
fn member_of_another_user(tmp: &Tmp) -> Option<Child> {
    if !geteuid().is_root() {
        println!("not shown: only root can start a process of another user");
        return None;
    }
    let mut command = child::command("member");
    command.env("TMPDIR", tmp.path()).uid(NOBODY).gid(NOBODY);
    Some(Child::start(command))
}

/// How many hosts the registry has.
fn rows(registry: &Path) -> u32 {
    let registry = rusqlite::Connection::open(registry).unwrap();
    registry
        .query_row("SELECT count(*) FROM hosts", [], |row| row.get(0))
        .unwrap()
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// `what: p50 … p99 … max …`, for `docs/reliability.md`.
fn report(what: &str, times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!(
        "{what}: {} times, p50 {:?}, p99 {:?}, max {:?}",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
    at(99)
}

#[test]
fn first_joins_of_many_processes_lose_nothing() {
    const PROCESSES: usize = 64;
    let tmp = Tmp::new().unwrap();
    let mut members: Vec<Child> = (0..PROCESSES).map(|_| member(&tmp)).collect();
    let mut times = Vec::new();
    for n in 0..size::of(100) {
        let begun = Instant::now();
        for (i, member) in members.iter_mut().enumerate() {
            member.say(&format!("join n{n} h{i}"));
        }
        for member in &mut members {
            assert_eq!(member.hear(), "ok");
        }
        times.push(begun.elapsed());
        assert_eq!(rows(&tmp.registry(&format!("n{n}"))), 64);
        for member in &mut members {
            member.say("leave");
        }
        for member in &mut members {
            assert_eq!(member.hear(), "ok");
        }
        assert_eq!(rows(&tmp.registry(&format!("n{n}"))), 0);
    }
    report("64 processes join one new network, all done", &mut times);
}

/// Numbers to choose moments by; the seed is printed with what fails.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = RandomState::new().hash_one(0);
        println!("seed {seed}");
        Random(seed | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        // xorshift64: Marsaglia, "Xorshift RNGs", 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn only_killed_processes_lose_their_names() {
    let tmp = Tmp::new().unwrap();
    let mut random = Random::new();
    let (mut keeper, mut heir) = (member(&tmp), member(&tmp));
    assert_eq!(keeper.ask("join x ω"), "ok");
    assert_eq!(heir.ask("join x β"), "ok");
    let mut times = Vec::new();
    for round in 0..size::of(1000) {
        let mut victim = start(&tmp, "victim");
        victim.say("x");
        let step = STEPS[round % STEPS.len()];
        while victim.hear() != step {}
        // Not for an order: to kill it somewhere on the way to the next step.
        let moment = Instant::now() + Duration::from_micros(random.below(500));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        let begun = Instant::now();
        victim.kill();
        // Not "soon": who comes after its end finds the name free.
        assert_eq!(heir.ask("host α"), "ok", "killed when {step}");
        times.push(begun.elapsed());
        assert!(
            heir.ask("host ω").ends_with("host already registered"),
            "killed when {step}"
        );
        assert!(keeper.ask("host α").ends_with("host already registered"));
        assert_eq!(heir.ask("close α"), "ok");
    }
    let p99 = report("from SIGKILL until another has the name", &mut times);
    if size::is_full() {
        assert!(p99 < Duration::from_millis(50), "{p99:?}");
    }
}

#[test]
fn of_processes_that_race_for_a_name_one_wins() {
    let tmp = Tmp::new().unwrap();
    let mut members: Vec<Child> = (0..8).map(|_| member(&tmp)).collect();
    for (i, member) in members.iter_mut().enumerate() {
        assert_eq!(member.ask(&format!("join x m{i}")), "ok");
    }
    for round in 0..size::of(1000) {
        // The name is new, or that of a host that was closed, or that of a dead process.
        let name = if round % 3 == 0 {
            format!("n{round}")
        } else {
            "n".to_owned()
        };
        if round % 10 == 2 {
            let mut dead = member(&tmp);
            assert_eq!(dead.ask("join x n"), "ok");
            dead.kill();
        }
        for member in &mut members {
            member.say(&format!("host {name}"));
        }
        let mut winners = Vec::new();
        for (i, member) in members.iter_mut().enumerate() {
            match &*member.hear() {
                "ok" => winners.push(i),
                lost => assert!(lost.ends_with("host already registered"), "{lost}"),
            }
        }
        assert_eq!(winners.len(), 1, "{name}: {winners:?}");
        assert_eq!(members[winners[0]].ask(&format!("close {name}")), "ok");
    }
}

#[test]
fn random_networks_leave_nothing() {
    const PROCESSES: usize = 8;
    let tmp = Tmp::new().unwrap();
    let each = size::of(1000).div_ceil(PROCESSES);
    let mut members: Vec<Child> = (0..PROCESSES).map(|_| member(&tmp)).collect();
    for member in &mut members {
        member.say(&format!("random {each}"));
    }
    // Meanwhile others are killed, and leave theirs behind.
    let mut random = Random::new();
    for _ in 0..size::of(100) {
        let mut killed = member(&tmp);
        killed.say("random 1000000");
        let moment = Instant::now() + Duration::from_micros(random.below(20_000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        killed.kill();
    }
    for member in &mut members {
        assert_eq!(member.hear(), "ok");
    }
    // Each join sweeps a few, on a thread of its own.
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut joins = 0;
    loop {
        assert_eq!(members[0].ask("random 1"), "ok");
        joins += 1;
        let left = entries(&tmp.base());
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{} are left", left.len());
    }
    println!(
        "{} random networks, {joins} joins later: none left",
        each * PROCESSES
    );
}

#[test]
fn two_users_have_networks_side_by_side() {
    let tmp = Tmp::new().unwrap();
    let Some(mut theirs) = member_of_another_user(&tmp) else {
        return;
    };
    let mut ours = member(&tmp);
    // Whoever comes first makes the base directory, with whatever umask.
    assert_eq!(ours.ask("umask 63"), "ok");
    assert_eq!(ours.ask("join x α"), "ok");
    assert_eq!(fs::metadata(tmp.base()).unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(theirs.ask("join y α"), "ok");
    // A network is its user's alone.
    let refused = theirs.ask("join x β");
    assert!(
        refused.contains("lonet/x") && refused.contains("uid 0"),
        "{refused}"
    );
    let refused = ours.ask("join y β");
    assert!(
        refused.contains("lonet/y") && refused.contains(&format!("uid {NOBODY}")),
        "{refused}"
    );
    assert_eq!(ours.ask("host β"), "ok");

    let tmp = Tmp::new().unwrap();
    let mut theirs = member_of_another_user(&tmp).unwrap();
    let mut ours = member(&tmp);
    assert_eq!(theirs.ask("umask 63"), "ok");
    assert_eq!(theirs.ask("join y α"), "ok");
    assert_eq!(ours.ask("join x α"), "ok");
    assert_eq!(fs::metadata(tmp.base()).unwrap().uid(), NOBODY);
    assert_eq!(fs::metadata(tmp.base()).unwrap().mode() & 0o7777, 0o1777);
}

#[test]
fn a_directory_for_temporary_files_may_have_any_name() {
    let tmp = Tmp::new().unwrap();
    let odd = tmp.path().join(OsStr::from_bytes(b"odd \xff?mode=ro#%41"));
    fs::create_dir(&odd).unwrap();
    fs::set_permissions(&odd, Permissions::from_mode(0o1777)).unwrap();
    let start = |uid: Option<u32>| {
        let mut command = child::command("member");
        command.env("TMPDIR", &odd);
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        Child::start(command)
    };
    let ordinary = geteuid().is_root().then_some(NOBODY);
    for (network, uid) in [("x", None), ("y", ordinary)] {
        let (mut alpha, mut beta) = (start(uid), start(uid));
        assert_eq!(alpha.ask(&format!("join {network} α")), "ok");
        assert_eq!(beta.ask(&format!("join {network} β")), "ok");
        alpha.say("accept α");
        assert_eq!(alpha.hear(), "listening");
        assert_eq!(beta.ask("dial β α:10"), "ok");
        assert_eq!(alpha.hear(), "ok");
        let path = odd.join("lonet").join(network);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let refused = start(uid).ask(&format!("join {network} γ"));
        let told = format!("odd \u{fffd}?mode=ro#%41/lonet/{network} is open to other users");
        assert!(refused.contains(&told), "{refused}");
    }
}

/// Two processes in a user namespace into which no uid is mapped: all uids read as 65534 there.
fn unmapped() {
    let tmp = Tmp::new().unwrap();
    let (mut alpha, mut beta) = (member(&tmp), member(&tmp));
    assert_eq!(alpha.ask("join x α"), "ok");
    assert_eq!(beta.ask("join x β"), "ok");
    alpha.say("accept α");
    assert_eq!(alpha.hear(), "listening");
    assert_eq!(beta.ask("dial β α:10"), "ok");
    assert_eq!(alpha.hear(), "ok");
    // Before this process is killed, which kills none of its own.
    drop((alpha, beta));
    tell(&geteuid().to_string());
    told();
}

#[test]
fn processes_whose_uid_is_not_mapped_are_on_one_network() {
    for ordinary in [false, true] {
        let tmp = Tmp::new().unwrap();
        let unshare = |program: &Path| {
            let mut command = std::process::Command::new("unshare");
            command.arg("-U").arg(program);
            if ordinary && geteuid().is_root() {
                command.uid(NOBODY - 1).gid(NOBODY - 1);
            }
            command
        };
        let works = unshare(Path::new("true")).status();
        if !works.is_ok_and(|status| status.success()) {
            println!("not shown: no user namespaces here");
            return;
        }
        // Where this binary lies may be out of reach for another user.
        let exe = tmp.path().join("exe");
        fs::copy("/proc/self/exe", &exe).unwrap();
        let part = child::command("unmapped");
        let mut command = unshare(&exe);
        command.args(part.get_args()).env("TMPDIR", tmp.path());
        for (name, value) in part.get_envs() {
            command.env(name, value.unwrap());
        }
        assert_eq!(Child::start(command).hear(), "65534");
    }
}

/// A process that may do only what a file's mode lets it do.
fn member_without_privilege(tmp: &Tmp) -> Child {
    match geteuid().is_root() {
        true => member_of_another_user(tmp).unwrap(),
        false => member(tmp),
    }
}

/// All at once, so that some meet a file that its maker has only just made.
#[test]
fn a_umask_that_restricts_the_owner_does_no_harm() {
    for umask in [0o777, 0o377, 0o277, 0o477] {
        let tmp = Tmp::new().unwrap();
        let mut members: Vec<Child> = (0..4).map(|_| member_without_privilege(&tmp)).collect();
        for member in &mut members {
            assert_eq!(member.ask(&format!("umask {umask}")), "ok");
        }
        for (i, member) in members.iter_mut().enumerate() {
            member.say(&format!("join x h{i}"));
        }
        for member in &mut members {
            assert_eq!(member.hear(), "ok", "umask {umask:o}");
        }
        // Whoever is killed gives its name away, so its lease can be looked at.
        members.remove(0).kill();
        assert_eq!(members[0].ask("host h0"), "ok");
        assert_eq!(rows(&tmp.registry("x")), 4);
    }
}

#[test]
fn an_unwritable_registry_is_an_error() {
    let tmp = Tmp::new().unwrap();
    // Root could write it all the same.
    let start = || member_without_privilege(&tmp);
    let mut first = start();
    assert_eq!(first.ask("join x α"), "ok");
    assert_eq!(first.ask("leave"), "ok");
    let registry = tmp.registry("x");
    fs::set_permissions(&registry, Permissions::from_mode(0o400)).unwrap();
    let text = start().ask("join x α");
    assert!(
        text.contains(&format!("registry {} cannot be", registry.display()))
            && text.contains("writable for you"),
        "{text}"
    );
    // Nothing else is damaged: another network, and this one once it is repaired.
    assert_eq!(start().ask("join y α"), "ok");
    fs::set_permissions(&registry, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(start().ask("join x α"), "ok");
}

#[test]
fn a_full_disk_is_an_error() {
    let tmp = Tmp::new().unwrap();
    let mut member = member(&tmp);
    assert_eq!(member.ask("full-disk"), "ok");
    let text = member.ask("join x α");
    let registry = tmp.registry("x");
    assert!(
        text.contains(&format!("registry {} cannot", registry.display()))
            && text.contains("set TMPDIR to another one"),
        "{text}"
    );
    member.kill();
    // It did no damage: with space, the same network can be joined.
    let mut other = self::member(&tmp);
    assert_eq!(other.ask("join x α"), "ok");
}
