//! Programs that can't be carried: `spawn` says why before they run.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[lonet::test]
async fn what_can_not_be_carried_is_named(scenario: Scenario) -> Result<()> {
    let dir = scenario.data_dir("α");
    let at = dir.display();
    let file = |name: &str, content: &[u8], mode: u32| -> std::io::Result<_> {
        let file = dir.join(name);
        std::fs::write(&file, content)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
        Ok(file)
    };
    let this = std::fs::read("/bin/true")?;
    let small = file("small", b"\x7fELF\x01\x01\x01", 0o755)?;
    let script = format!("#! {at}/small -x\n");
    let runs = file("runs", script.as_bytes(), 0o755)?;
    file("docker", b"#!/bin/sh\n", 0o755)?;
    let link = dir.join("box");
    symlink("docker", &link)?;
    let mut unfit = vec![
        (
            Program::new(&small),
            format!("{at}/small is a 32-bit program, which lonet can't carry: use a 64-bit one"),
        ),
        (
            Program::new("small").env("PATH", &dir),
            format!("{at}/small is a 32-bit program, which lonet can't carry: use a 64-bit one"),
        ),
        (
            Program::new(&runs),
            format!(
                "its interpreter {at}/small is a 32-bit program, which lonet can't carry: use a \
                 64-bit one"
            ),
        ),
        (
            Program::new(file("setuid", &this, 0o4755)?),
            format!(
                "{at}/setuid is set-uid, and a program that lonet carries gains no privileges: use a \
                 copy without (`cp`)"
            ),
        ),
        (
            Program::new(file("setgid", &this, 0o2755)?),
            format!(
                "{at}/setgid is set-gid, and a program that lonet carries gains no privileges: use a \
                 copy without (`cp`)"
            ),
        ),
        (
            Program::new("./box").current_dir(&dir),
            "`docker` starts programs outside of the scenario, where lonet can't carry them: spawn \
             the program itself"
                .to_owned(),
        ),
    ];
    match nix::unistd::getuid().is_root() {
        true => {
            let capable = file("capable", &this, 0o755)?;
            let set = "import os, sys; os.setxattr(sys.argv[1], 'security.capability', \
                       bytes.fromhex('0100000200200000000000000000000000000000'))";
            let mut python = Command::new("python3");
            // Not every file system has them.
            if python.args(["-c", set]).arg(&capable).status()?.success() {
                unfit.push((
                    Program::new(&capable),
                    format!(
                        "{at}/capable has file capabilities, and a program that lonet carries gains \
                         no privileges: use a copy without (`cp`)"
                    ),
                ));
            }
        }
        false => unfit.push((
            Program::new(file("hidden", &this, 0o111)?),
            format!(
                "{at}/hidden can't be read, so that lonet can't see its system calls: permission \
                 denied; make it readable (`chmod +r`)"
            ),
        )),
    }
    for (program, expected) in unfit {
        let error = scenario.spawn("α", program.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        let text = error.to_string();
        let (_, why) = text.split_once(" could not be started: ").unwrap();
        assert_eq!(why, expected);
    }
    // One that joins by itself may be any of these.
    let runs = Program::new(dir.join("setuid")).joins();
    let error = scenario.spawn("α", runs).await.unwrap_err().to_string();
    assert!(error.contains("exited with status 0"), "{error}");
    Ok(())
}

#[lonet::test]
async fn a_reserved_host_refuses_until_it_is_up(scenario: Scenario) -> Result<()> {
    scenario.names(&["n1", "n2"])?;
    scenario.names(&["n3"])?;
    let n1 = scenario.host("n1").await?;
    for name in ["n2:1", "n3:1"] {
        let refused = n1.dial(name).await.unwrap_err();
        assert!(matches!(refused.cause(), lonet::Cause::ConnectionRefused));
    }
    let unknown = n1.dial("n4:1").await.unwrap_err();
    assert!(matches!(unknown.cause(), lonet::Cause::NoSuchHost));
    let illegal = scenario.names(&["n5", "a:b"]).unwrap_err();
    assert_eq!(illegal.kind(), ErrorKind::Host);
    assert!(illegal.to_string().starts_with("illegal host name \"a:b\""));
    Ok(())
}

/// Names that a program can't tell apart, in whichever order they come.
#[lonet::test]
async fn names_that_programs_confuse_are_refused(scenario: Scenario) -> Result<()> {
    let _db = scenario.host("db").await?;
    // Roles tell them apart.
    scenario.spawn("DB", waits()).await?.kill().await?;
    let program = Program::new("true");
    let error = scenario.spawn("α", program).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Host);
    assert!(
        error.to_string().contains(
            "differ only by case, which a `Program` can't tell apart: rename one of them"
        ),
        "{error}"
    );
    Ok(())
}

#[lonet::test]
async fn no_host_beside_a_program_is_localhost(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", Program::new("true")).await?;
    for error in [
        scenario.names(&["Localhost"]).unwrap_err(),
        scenario.spawn("Localhost", waits()).await.unwrap_err(),
        scenario.host("Localhost").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Host);
        assert!(
            error.to_string().contains(
                "no host can be named Localhost in a scenario with a `Program`: to a program, it is \
                 the program's own host"
            ),
            "{error}"
        );
    }
    assert!(alpha.await?.success());
    Ok(())
}
