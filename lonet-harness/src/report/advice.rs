//! What a reader may do about a test that failed: the `until` that was missing before a dial, the
//! events that an `until` at its deadline nearly matched, and the limit of the system that was met.
//!
//! Pure. Owns when that is said, and its words. An expectation that does not hold has hints of its
//! own, in `trace::explain`.

use lonet::Addr;
use lonet::trace::{Event, Verb};

use super::words::{age, is_meant};
use crate::collector::query::{NodeReport, Report};
use crate::process::limits;
use crate::trace::explain::meant::meant;

/// So many events that differ by one word are shown for each `until`.
const MOST_NEAR: usize = 3;

/// The advice, a line each: about what was pending `then`, and what happened.
pub(super) fn advice(then: &Report, report: &Report, failure: &str) -> Vec<String> {
    let mut lines = missing_untils(report, failure);
    let failed = report.nodes.iter().filter(|node| node.failure.is_some());
    let logs: Vec<&str> = failed.map(|node| &*node.log).collect();
    let mut texts = logs.iter().chain([&failure]);
    if !texts.any(|text| text.contains("RLIMIT_")) {
        let of_logs = || logs.iter().copied().find_map(limits::hint_of_another);
        lines.extend(limits::hint(failure).or_else(of_logs));
    }
    let untils = then.test.asks.iter().filter_map(|ask| {
        let pattern = ask.strip_prefix("until `")?;
        Some(pattern.split_once('`')?.0)
    });
    let of_roles = then.nodes.iter().flat_map(|node| &node.waits.untils);
    for pattern in untils.chain(of_roles.map(String::as_str)) {
        lines.extend(near(pattern, &report.events));
    }
    lines
}

/// What is worth waiting for before the page is made: the process that may yet listen where the
/// failure's dial found nothing, and the pattern that says that it does.
pub(crate) fn may_listen_yet(report: &Report, failure: &str) -> Option<(u64, String)> {
    refused(report, failure).find_map(|(_, peer)| {
        let mut nodes = report.nodes.iter();
        let runs = |node: &&NodeReport| node.host == peer.host() && node.ended.is_none();
        let node = nodes.find(runs).filter(|node| !node.stopped)?;
        let listened = first_listen(report, peer).is_some();
        (!listened).then(|| (node.process, format!("{peer} listen")))
    })
}

/// The dials that the failure is about, or that a node failed of, and that nothing listened for, with
/// where they went. A body that asserts a value often fails because a node has failed.
fn refused<'a>(
    report: &'a Report,
    failure: &'a str,
) -> impl Iterator<Item = (&'a Event, &'a Addr)> {
    let of_nodes = report.nodes.iter().filter_map(|node| node.failure.as_ref());
    let of_nodes: Vec<String> = of_nodes.map(ToString::to_string).collect();
    report.events.iter().filter_map(move |event| {
        let cause = event.words().get(3..)?.join(" ");
        let early = matches!(&*cause, "connection refused" | "no such host");
        (event.verb() == Verb::Fail && early).then_some(())?;
        let (own, peer) = (event.addr()?, event.peer()?);
        // As the error says it, which the failure passes on.
        let dial = format!("{own}->{peer}");
        let of_a_node = || of_nodes.iter().any(|failure| failure.contains(&dial));
        let passed_on = failure.contains(&dial) || of_a_node();
        passed_on.then_some((event, peer))
    })
}

fn first_listen<'a>(report: &'a Report, addr: &Addr) -> Option<&'a Event> {
    let listens = |event: &&Event| event.verb() == Verb::Listen && event.addr() == Some(addr);
    report.events.iter().find(listens)
}

/// Of the dials that the failure is about, and that came before their listener did, or went to a
/// place where nothing ever listened.
fn missing_untils(report: &Report, failure: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (fail, peer) in refused(report, failure) {
        let host = peer.host();
        let until = format!("scenario.until(\"{peer} listen\").await?");
        let wait = format!("wait for it before the dial: {until}");
        let (why, what_to_do) = match first_listen(report, peer) {
            Some(listen) if listen.time_ns() > fail.time_ns() => {
                let later = age(listen.time_ns(), fail.time_ns());
                let why = format!(
                    "{host} listened there {later} s later, and nothing orders the dial after that"
                );
                (why, wait)
            }
            // It had listened, and has closed.
            Some(_) => continue,
            None if was_there(report, host) => {
                let why = format!("nothing listened at {peer}, before or after");
                (
                    why,
                    is_meant(&meant(listened(report), peer, true)).unwrap_or(wait),
                )
            }
            None => {
                let why = format!("no host `{host}` was ever on the network");
                let spawn = || format!("spawn `{host}`, and wait for it before the dial: {until}");
                let meant = meant(listened(report), peer, false);
                (why, is_meant(&meant).unwrap_or_else(spawn))
            }
        };
        let line = format!("`{fail}`: {why}; {what_to_do}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Whether a host of this name was on the network, or was about to be.
fn was_there(report: &Report, host: &str) -> bool {
    let mut events = report.events.iter();
    let is_up = events.any(|event| event.verb() == Verb::Up && event.host() == host);
    is_up || report.nodes.iter().any(|node| node.host == host)
}

fn listened(report: &Report) -> impl Iterator<Item = &Addr> {
    let listens = report.events.iter();
    let listens = listens.filter(|event| event.verb() == Verb::Listen);
    listens.filter_map(Event::addr)
}

/// The events that the pattern would match but for one word.
fn near(pattern: &str, events: &[Event]) -> Vec<String> {
    let wanted: Vec<&str> = pattern.split_whitespace().collect();
    let mut lines: Vec<String> = Vec::new();
    for event in events {
        let words = event.words();
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        if differ_by_one(&wanted, &words) {
            let line = format!("until `{pattern}`: `{event}` happened, which differs by one word");
            if !lines.contains(&line) && lines.len() < MOST_NEAR {
                lines.push(line);
            }
        }
    }
    lines
}

/// Whether one word more, less or other is all that parts them.
fn differ_by_one(wanted: &[&str], words: &[&str]) -> bool {
    let same =
        |pair: &(&&str, &&str)| pair.0 == pair.1 || *pair.0 == "_" || pair.0.starts_with('$');
    let begin = wanted.iter().zip(words).take_while(same).count();
    let (wanted, words) = (&wanted[begin..], &words[begin..]);
    let all = |wanted: &[&str], words: &[&str]| {
        wanted.len() == words.len() && wanted.iter().zip(words).all(|pair| same(&pair))
    };
    match (wanted, words) {
        ([], [_]) | ([_], []) => true,
        ([_, wanted @ ..], [_, words @ ..]) if all(wanted, words) => true,
        ([_, rest @ ..], _) if all(rest, words) => true,
        (_, [_, rest @ ..]) => all(wanted, rest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use lonet::trace::{Record, What};

    use super::*;
    use crate::collector::failure::{Failure, How};
    use crate::collector::query::TestReport;

    fn event(n: u64, t: u64, e: What) -> Event {
        Event::of_record(
            0,
            &Record {
                n,
                t,
                task: None,
                unordered: false,
                reads_beside: Vec::new(),
                learned_beside: Vec::new(),
                fires: Vec::new(),
                reads_pending: Vec::new(),
                reads: Vec::new(),
                learned: Vec::new(),
                what: e,
            },
        )
        .unwrap()
    }

    fn addr(addr: &str) -> lonet::Addr {
        addr.parse().unwrap()
    }

    fn refused() -> Event {
        let (a, p) = (addr("b:1"), addr("a:10"));
        let why = "connection refused".into();
        event(
            2,
            1_000_000_000,
            What::Fail {
                addr: a,
                peer: p,
                dial: 1,
                text: why,
            },
        )
    }

    const FAILURE: &str =
        "b (role `client`) returned an error: dial x b:1->a:10: connection refused";

    #[test]
    fn a_refused_dial_names_a_later_listener() {
        let (a, s, auto) = (addr("a:10"), 1, false);
        let report = Report {
            events: vec![
                refused(),
                event(
                    3,
                    1_200_000_000,
                    What::Listen {
                        addr: a,
                        socket: s,
                        auto,
                    },
                ),
            ],
            ..Report::default()
        };
        assert_eq!(
            advice(&report, &report, FAILURE),
            [
                "`b:1 fail a:10 connection refused`: a listened there 0.2 s later, and nothing \
                 orders the dial after that; wait for it before the dial: \
                 scenario.until(\"a:10 listen\").await?"
            ]
        );
        // A failure of something else is not explained by it.
        assert!(advice(&report, &report, "it panicked: boom").is_empty());
    }

    #[test]
    fn a_refused_dial_that_a_node_failed_of_is_explained() {
        let failed = NodeReport {
            failure: Some(Failure {
                host: "b".into(),
                what: "role `client`".into(),
                place: None,
                how: How::Returned("dial x b:1->a:10: connection refused".into()),
            }),
            ..NodeReport::default()
        };
        let up = event(1, 0, What::Up { host: "a".into() });
        let report = Report {
            events: vec![up, refused()],
            nodes: vec![failed],
            ..Report::default()
        };
        let advice = advice(&report, &report, "it panicked: assertion failed");
        assert_eq!(advice.len(), 1);
        assert!(advice[0].contains("nothing listened at a:10"), "{advice:?}");
    }

    #[test]
    fn a_refused_dial_says_that_nothing_listened() {
        let up = event(1, 0, What::Up { host: "a".into() });
        let report = Report {
            events: vec![up, refused()],
            ..Report::default()
        };
        assert_eq!(
            advice(&report, &report, FAILURE),
            [
                "`b:1 fail a:10 connection refused`: nothing listened at a:10, before or \
                 after; wait for it before the dial: scenario.until(\"a:10 listen\").await?"
            ]
        );
    }

    /// Dials `a:10` in vain, while this is up and these listen.
    fn advice_where(up: &[&str], listening: &[&str]) -> Vec<String> {
        let up = up.iter().map(|&host| What::Up { host: host.into() });
        let listening = listening.iter().map(|&at| What::Listen {
            addr: addr(at),
            socket: 1,
            auto: false,
        });
        let fail = What::Fail {
            addr: addr("b:1"),
            peer: addr("counter:10"),
            dial: 1,
            text: "no such host".into(),
        };
        let all = up.chain(listening).chain([fail]);
        let report = Report {
            events: (1..).zip(all).map(|(n, what)| event(n, n, what)).collect(),
            ..Report::default()
        };
        let failure = "dial x b:1->counter:10: no such host";
        let advice = advice(&report, &report, failure);
        let told = "`b:1 fail counter:10 no such host`: ";
        let told = advice.iter().map(|line| line.strip_prefix(told).unwrap());
        told.map(str::to_owned).collect()
    }

    #[test]
    fn a_mistyped_address_names_the_one_that_is_meant() {
        let no_host = "no host `counter` was ever on the network";
        let spawn = "spawn `counter`, and wait for it before the dial: \
                     scenario.until(\"counter:10 listen\").await?";
        let nothing = "nothing listened at counter:10, before or after";
        for (up, listening, expected) in [
            (
                &["conter", "b"][..],
                &["conter:10", "conter:9", "b:10"][..],
                format!("{no_host}; is `conter:10` meant?"),
            ),
            (
                &["counters"],
                &["counters:9", "counters:8"],
                format!("{no_host}; is `counters:8` or `counters:9` meant?"),
            ),
            (&["server"], &["server:10"], format!("{no_host}; {spawn}")),
            (
                &["counter", "counters"],
                &["counter:11", "counters:10"],
                format!("{nothing}; is `counter:11` meant?"),
            ),
        ] {
            assert_eq!(advice_where(up, listening), [expected]);
        }
    }

    #[test]
    fn an_until_shows_what_differs_by_one_word() {
        let of = |pattern: &str, text: &str| {
            let mark = What::Mark {
                host: "a".into(),
                text: text.into(),
            };
            let report = Report {
                events: vec![event(1, 0, mark)],
                test: TestReport {
                    asks: vec![format!("until `{pattern}`")],
                    ..TestReport::default()
                },
                ..Report::default()
            };
            advice(&report, &report, "it did not end within 2.0 s")
        };
        assert_eq!(
            of("a mark leader", "leader term=1"),
            ["until `a mark leader`: `a mark leader term=1` happened, which differs by one word"]
        );
        assert_eq!(of("a mark leader term=1", "leader").len(), 1);
        assert_eq!(of("b mark _ term=1", "leader term=1").len(), 1);
        assert_eq!(of("a mark old leader", "leader").len(), 1);
        assert!(of("b mark leader", "leader term=1").is_empty());
        assert!(of("a mark leader", "follower of b").is_empty());
    }
}
