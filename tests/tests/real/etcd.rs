//! etcd: three members elect a leader, and another one when that is cut off.

use lonet_harness::fault::isolate;

use super::*;

const ETCD: Needed = ("etcd", "etcd-server");
const ETCDCTL: Needed = ("etcdctl", "etcd-client");
const MEMBERS: [&str; 3] = ["n1", "n2", "n3"];

fn member(scenario: &Scenario, name: &str) -> Program {
    let peers = MEMBERS
        .map(|name| format!("{name}=http://{name}:2380"))
        .join(",");
    let own = |port: u16| format!("http://{name}:{port}");
    Program::new("etcd")
        .args(["--name", name, "--initial-cluster", &peers])
        .args(["--listen-peer-urls", "http://0.0.0.0:2380"])
        .args(["--initial-advertise-peer-urls", &own(2380)])
        .args(["--listen-client-urls", "http://0.0.0.0:2379"])
        .args(["--advertise-client-urls", &own(2379)])
        .args(["--logger", "zap", "--log-level", "error", "--data-dir"])
        .arg(scenario.data_dir(name))
}

fn ctl(endpoints: &[&str], command: &[&str]) -> Program {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|name| format!("{name}:2379"))
        .collect();
    let endpoints = format!("--endpoints={}", endpoints.join(","));
    Program::new("etcdctl")
        .arg(endpoints)
        .args(command)
        .env("ETCDCTL_API", "3")
}

#[lonet::test(timeout = "120s")]
async fn etcd_elects_a_new_leader_under_a_partition(scenario: Scenario) -> Result<()> {
    if !are_here(&[ETCD, ETCDCTL]) {
        return Ok(());
    }
    scenario.names(&MEMBERS)?;
    let mut members = Vec::new();
    for name in MEMBERS {
        members.push(scenario.spawn(name, member(&scenario, name)).await?);
    }
    for name in MEMBERS {
        scenario.until(&format!("{name}:2379 listen")).await?;
    }
    let put = printed(&scenario, "c1", ctl(&MEMBERS, &["put", "k", "1"])).await?;
    assert_eq!(put, "OK\n");
    let status = ["endpoint", "status", "-w", "fields"];
    let mut leader = None;
    for name in MEMBERS {
        let host = format!("ask-{name}");
        let said = printed(&scenario, &host, ctl(&[name], &status)).await?;
        let field = |field: &str| {
            let start = format!("\"{field}\" : ");
            said.lines()
                .find_map(|line| line.strip_prefix(&start).map(str::to_owned))
        };
        if field("MemberID").is_some() && field("MemberID") == field("Leader") {
            leader = Some(name);
        }
    }
    let leader = leader.expect("a cluster that answers has a leader");
    let others: Vec<_> = MEMBERS.into_iter().filter(|name| *name != leader).collect();
    let cut = scenario.inject(isolate(leader)).await?;
    // What is put before they know that they have lost their leader fails, as anywhere.
    let endpoints = others
        .iter()
        .map(|name| format!("{name}:2379"))
        .collect::<Vec<_>>()
        .join(",");
    let puts = "until etcdctl --endpoints=$0 put k 2 2>&1; do :; done";
    let puts = Program::new("sh")
        .args(["-c", puts, &endpoints])
        .env("ETCDCTL_API", "3");
    let put = printed(&scenario, "c2", puts).await?;
    assert!(put.ends_with("OK\n"), "{put}");
    cut.heal().await?;
    let get = ctl(
        &[leader],
        &["get", "k", "--print-value-only", "--command-timeout=60s"],
    );
    let got = printed(&scenario, "c3", get).await?;
    assert!(got.ends_with("2\n"), "{got}");
    Ok(())
}
