//! Programs that change their user, and the end of their supervisor.
//!
//! Leaves what has the test's own user to `main`.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lonet_harness::{Program, Result, Scenario};
use lonet_tests::tmp::Tmp;
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::FsFlags;
use nix::unistd::getuid;

use super::{a_mark, end, gone, marked, start, supervisor_of, wait_until_ready};

/// Where the program that `runs_another_user` is to run stands.
const PROGRAM: &str = "LONET_TEST_PROGRAM";

#[lonet::test]
#[ignore = "never ends: another test runs it"]
async fn runs_another_user(scenario: Scenario) -> Result<()> {
    let user = std::env::var("LONET_TEST_USER")?;
    let program = std::env::var_os(PROGRAM).unwrap();
    let program = match user.as_str() {
        // Only a program that joins can become root: one that is carried gains no privileges.
        "0" => Program::new("sh")
            .args([
                "-c",
                r#""$0" other_users::joins_and_stays --exact --ignored > /dev/null & exec "$@""#,
            ])
            .arg(std::env::current_exe()?)
            .arg(program)
            .joins(),
        _ => Program::new(program),
    };
    let program = program
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .args(["sh", "-c", "echo up; exec sleep 1000"]);
    let alpha = scenario.spawn("α", program).await?;
    while !alpha.log().contains("up") {
        tokio::task::yield_now().await;
    }
    println!("ready");
    Ok(alpha.join().await.map(drop)?)
}

/// A program of this binary that joins: a test that no harness runs.
#[test]
#[ignore = "is a program"]
fn joins_and_stays() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let _host = lonet::from_env().await.unwrap();
        std::future::pending::<()>().await;
    });
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).map(|place| place.join(program));
    places.into_iter().find(|place| place.is_file())
}

/// What it can't run without is named, and missed by `.ci/run`.
#[test]
fn a_test_without_its_tools_is_skipped_aloud() {
    if !getuid().is_root() {
        return;
    }
    let name = "other_users::another_users_programs_end_with_the_supervisor_or_are_named";
    let run = |fails: &str| {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args([name, "--exact", "--nocapture"]);
        test.env("PATH", "/nowhere").env("SKIPS_FAIL", fails);
        test.output().unwrap()
    };
    let why = "`setpriv` of util-linux is not in PATH";
    let skipped = run("");
    let said = String::from_utf8_lossy(&skipped.stdout);
    assert!(said.contains(&format!("skipped: {why}\n")), "{skipped:?}");
    assert!(skipped.status.success());
    let failed = run("1");
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(
        said.contains(&format!("can't be skipped: {why}\n")),
        "{failed:?}"
    );
    assert!(!failed.status.success());
}

/// A change of its user takes the kernel's promise from a program.
#[test]
fn another_users_programs_end_with_the_supervisor_or_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    if !getuid().is_root() {
        println!("skipped: only root starts programs as other users");
        return;
    }
    let tmp = Tmp::new().unwrap();
    let Some(setpriv) = in_path("setpriv") else {
        return lonet_tests::skip("`setpriv` of util-linux is not in PATH");
    };
    let setuid = tmp.path().join("becomes-root");
    std::fs::copy(&setpriv, &setuid).unwrap();
    std::fs::set_permissions(&setuid, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let run = |mark: &str, user: &str, program: &Path, change: &dyn Fn(&mut Command)| {
        let mut victim = start(mark, "other_users::runs_another_user", |command| {
            command
                .env("LONET_NAMESPACE", "0")
                .env("LONET_TEST_USER", user)
                .env(PROGRAM, program)
                .stderr(Stdio::piped());
            change(command);
        });
        wait_until_ready(&mut victim);
        kill(supervisor_of(&victim).unwrap(), Signal::SIGKILL).unwrap();
        let mut page = String::new();
        let mut stderr = victim.stderr.take().unwrap();
        stderr.read_to_string(&mut page).unwrap();
        assert!(!victim.wait().unwrap().success());
        page
    };

    let mark = a_mark("from-root");
    let page = run(&mark, "65534", &setpriv, &|_| {});
    if let Err(left) = gone(&mark) {
        end(&left);
        panic!("{left:?} are left:\n{page}");
    }
    assert!(!page.contains("be ended"), "{page}");

    if nix::sys::prctl::get_no_new_privs().unwrap() {
        return lonet_tests::skip("no program may become root here: no_new_privs is set");
    }
    let mount = nix::sys::statvfs::statvfs(tmp.path()).unwrap();
    if mount.flags().contains(FsFlags::ST_NOSUID) {
        let place = tmp.path().display();
        return lonet_tests::skip(&format!(
            "{place} is mounted nosuid; point TMPDIR elsewhere"
        ));
    }
    let mark = a_mark("to-root");
    let page = run(&mark, "0", &setuid, &|command| {
        command.env("TMPDIR", tmp.path()).uid(65534).gid(65534);
        command.env("LONET_ARTIFACTS", tmp.path());
    });
    let left = marked(&mark);
    end(&left);
    let [left] = left[..] else {
        panic!("{left:?} are left:\n{page}");
    };
    // Its name is the shell's until that has executed what it is to.
    let named = "the supervisor has died; some of its processes could not be ended: s";
    assert!(page.contains(named), "{page}");
    assert!(page.contains(&format!(" (pid {left})")), "{page}");
}
