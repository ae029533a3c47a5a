//! The page: what is drawn where.

use lonet::trace::What;

use super::*;

/// The element that says what happened to the test.
fn message(passed: bool) -> String {
    let text = page(&Page {
        test: "t",
        message: "t <ended>",
        passed,
        events: &[],
        causes: &[],
        diverged: None,
        expected: None,
        hosts: &[],
        teardown: None,
        logs: &[],
    });
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with("<pre class=\"message"));
    line.unwrap_or_default().to_owned()
}

#[test]
fn a_test_that_passed_does_not_look_like_a_failure() {
    let failed = r#"<pre class="message">t &lt;ended&gt;</pre>"#;
    assert_eq!(message(false), failed);
    let passed = r#"<pre class="message passed">t &lt;ended&gt;</pre>"#;
    assert_eq!(message(true), passed);
    assert!(STYLE.contains(".message.passed{border-color:var(--mark)}"));
}

type Point = (usize, usize);

/// What of a page is drawn.
struct Drawn {
    /// Left, top, right, bottom.
    labels: Vec<(usize, usize, usize, usize)>,
    circles: Vec<Point>,
    /// Cause, effect, and the arrow's corners.
    arrows: Vec<(usize, usize, Vec<Point>)>,
    width: usize,
    height: usize,
}

/// The number behind that name.
fn number(element: &str, name: &str) -> usize {
    let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

fn drawn(page_text: &str) -> Drawn {
    let (_, svg) = page_text.split_once("<svg id=\"diagram\"").unwrap();
    let mut drawn = Drawn {
        labels: Vec::new(),
        circles: Vec::new(),
        arrows: Vec::new(),
        width: number(svg, "width"),
        height: number(svg, "height"),
    };
    for line in svg.lines() {
        if line.starts_with("<g class=\"event") {
            let (_, text) = line.split_once("<text").unwrap();
            let (attributes, label) = text.split_once('>').unwrap();
            let label = label
                .replace("<tspan>", "")
                .replace("</tspan></text></g>", "");
            let label = label.replace("&gt;", ">").replace("&lt;", "<");
            let (x, base) = (number(attributes, "x"), number(attributes, "y"));
            // 13 pixels high: so much above and below the base line.
            let right = x + columns_of(&label) * CHARACTER;
            drawn.labels.push((x, base - 11, right, base + 4));
            let (_, circle) = line.split_once("<circle").unwrap();
            drawn
                .circles
                .push((number(circle, "cx"), number(circle, "cy")));
        } else if line.starts_with("<path class=\"arrow\"") {
            let (_, path) = line.split_once(" d=\"M").unwrap();
            let path = path.split('"').next().unwrap();
            let (x, mut rest) = path.split_once(' ').unwrap();
            let mut at = (x.parse().unwrap(), 0);
            let mut corners = Vec::new();
            let mut step = 'V';
            loop {
                let end = rest.find(['V', 'H']).unwrap_or(rest.len());
                let value = rest[..end].parse().unwrap();
                match step {
                    'V' => at.1 = value,
                    _ => at.0 = value,
                }
                corners.push(at);
                let Some(next) = rest[end..].chars().next() else {
                    break;
                };
                (step, rest) = (next, &rest[end + 1..]);
            }
            let ends = (number(line, "data-from"), number(line, "data-to"));
            drawn.arrows.push((ends.0, ends.1, corners));
        }
    }
    drawn
}

/// Events of several hosts with labels short and long, and causes of each to each: near and far,
/// to the left and to the right.
fn busy() -> (Vec<Event>, Vec<Vec<usize>>) {
    let hosts = ["α", "a-host-with-a-long-name", "東京", "d"];
    let texts = [
        "x",
        "a text of some length, which is <cut> somewhere near here, or so",
    ];
    let record = |n: usize| lonet::trace::Record {
        n: n as u64 + 1,
        t: 0,
        task: None,
        unordered: false,
        reads: Vec::new(),
        learned: Vec::new(),
        reads_beside: Vec::new(),
        learned_beside: Vec::new(),
        reads_pending: Vec::new(),
        fires: Vec::new(),
        what: lonet::trace::What::Mark {
            host: hosts[n * 7 % 4].into(),
            text: texts[n % 2].into(),
        },
    };
    let events = (0..40).map(|n| Event::of_record(0, &record(n)).unwrap());
    let causes = (0..40usize).map(|n| {
        let of = |back: usize| n.checked_sub(back);
        let mut causes: Vec<usize> = [1, 2 + n % 5, 11].into_iter().filter_map(of).collect();
        causes.sort_unstable();
        causes.dedup();
        causes
    });
    (events.collect(), causes.collect())
}

fn busy_page() -> (Drawn, usize) {
    let (events, causes) = busy();
    let hosts = |&(cause, effect): &(usize, usize)| events[cause].host() != events[effect].host();
    let all = causes.iter().enumerate();
    let all = all.flat_map(|(effect, causes)| causes.iter().map(move |&cause| (cause, effect)));
    let wanted = all.filter(hosts).count();
    let text = page(&Page {
        test: "t",
        message: "t failed",
        passed: false,
        events: &events,
        causes: &causes,
        diverged: Some(events[9].id()),
        expected: None,
        hosts: &["silent"],
        teardown: Some((30, "deadline")),
        logs: &[],
    });
    (drawn(&text), wanted)
}

#[test]
fn no_arrow_crosses_a_label() {
    let (drawn, _) = busy_page();
    for (cause, effect, corners) in &drawn.arrows {
        for pair in corners.windows(2) {
            let (x, y) = (pair[0].0.min(pair[1].0), pair[0].1.min(pair[1].1));
            let (to_x, to_y) = (pair[0].0.max(pair[1].0), pair[0].1.max(pair[1].1));
            for &(left, top, right, bottom) in &drawn.labels {
                let apart = to_x < left || x > right || to_y < top || y > bottom;
                assert!(
                    apart,
                    "{cause} → {effect}: {pair:?} in {:?}",
                    (left, top, right, bottom)
                );
            }
            assert!(to_x <= drawn.width && to_y <= drawn.height);
        }
    }
}

#[test]
fn arrows_lead_from_each_cause_to_its_effect() {
    let (drawn, wanted) = busy_page();
    assert_eq!(drawn.arrows.len(), wanted);
    assert_eq!((drawn.labels.len(), drawn.circles.len()), (40, 40));
    for (cause, effect, corners) in &drawn.arrows {
        assert_eq!(corners[0], drawn.circles[*cause]);
        assert_eq!(corners[corners.len() - 1], drawn.circles[*effect]);
        // The head has room, and comes from the left.
        let before = corners[corners.len() - 2];
        assert!(before.0 + 14 <= drawn.circles[*effect].0 && before.1 == drawn.circles[*effect].1);
    }
}

/// Else one could not tell which of two causes has which of two effects.
#[test]
fn no_two_arrows_share_a_lane() {
    let (drawn, _) = busy_page();
    let mut lanes: Vec<(usize, usize, usize)> = Vec::new();
    for (.., corners) in &drawn.arrows {
        let [.., (x, from), (_, to), _] = corners[..] else {
            panic!("{corners:?}");
        };
        for &(other, begin, end) in &lanes {
            assert!(
                other != x || end < from || to < begin,
                "{x}: {from} to {to}"
            );
        }
        lanes.push((x, from, to));
    }
}

#[test]
fn a_host_without_events_has_a_column() {
    let (events, causes) = busy();
    let text = page(&Page {
        test: "t",
        message: "",
        passed: true,
        events: &events[..1],
        causes: &causes[..1],
        diverged: None,
        expected: None,
        hosts: &["silent"],
        teardown: None,
        logs: &[],
    });
    assert!(text.contains(">silent</text>"), "{text}");
    assert_eq!(text.matches("<line class=\"life\"").count(), 2);
}

fn happened(whats: Vec<What>) -> Vec<Event> {
    let records = (1..).zip(whats).map(|(n, what)| {
        let line = serde_json::json!({"n": n, "t": n, "e": what});
        serde_json::from_value(line).unwrap()
    });
    records
        .map(|record| Event::of_record(0, &record).unwrap())
        .collect()
}

fn fault(verb: Verb, from: &str, text: &str) -> What {
    let (from, text) = (from.to_owned(), text.to_owned());
    What::Fault { verb, from, text }
}

fn mark(host: &str) -> What {
    let (host, text) = (host.to_owned(), "here".to_owned());
    What::Mark { host, text }
}

fn page_of(events: &[Event]) -> String {
    page(&Page {
        test: "t",
        message: "",
        passed: true,
        events,
        causes: &vec![Vec::new(); events.len()],
        diverged: None,
        expected: None,
        hosts: &["silent"],
        teardown: None,
        logs: &[],
    })
}

/// What each shaded rectangle is for, its column, its first row and how many.
fn shaded(page: &str) -> Vec<(String, usize, usize, usize)> {
    let lives: Vec<usize> = page
        .lines()
        .filter(|line| line.starts_with("<line class=\"life\""))
        .map(|line| number(line, "x1"))
        .collect();
    let bands = page
        .lines()
        .filter(|line| line.starts_with("<rect class=\"band\""));
    let shaded = bands.map(|line| {
        let (_, title) = line.split_once("<title>").unwrap();
        let (left, width) = (number(line, "x"), number(line, "width"));
        let columns = lives.iter().position(|x| (left..left + width).contains(x));
        let rows = (number(line, "height") as f64 / ROW as f64).round() as usize;
        let title = title.split('<').next().unwrap().to_owned();
        (
            title,
            columns.unwrap(),
            (number(line, "y") - TOP) / ROW,
            rows,
        )
    });
    shaded.collect()
}

#[test]
fn a_host_is_shaded_while_a_fault_concerns_it() {
    let events = happened(vec![
        mark("a"),
        mark("b"),
        mark("c"),
        fault(Verb::Partition, "a:1", "c"),
        mark("c"),
        fault(Verb::Delay, "a", "_ 5000us"),
        fault(Verb::Heal, "a:1", "c"),
        mark("b"),
        fault(Verb::Heal, "b", "c"),
        fault(Verb::Heal, "a", "_"),
        mark("a"),
        fault(Verb::Refuse, "b", "d"),
        mark("b"),
    ]);
    let page = page_of(&events);
    let heads = page
        .lines()
        .filter(|line| line.starts_with("<text class=\"host\""));
    let heads: Vec<&str> = heads
        .map(|line| line.split(['>', '<']).nth(2).unwrap())
        .collect();
    assert_eq!(heads, ["a", "b", "c", "d", "silent"]);
    let partition = |column| ("! partition a:1 c".to_owned(), column, 3, 3);
    let delay = |column| ("! delay a _ 5000us".to_owned(), column, 5, 4);
    let refuse = |column| ("! refuse b d".to_owned(), column, 11, 2);
    assert_eq!(
        shaded(&page),
        [
            partition(0),
            partition(2),
            delay(0),
            delay(1),
            delay(2),
            delay(3),
            delay(4),
            // To the end.
            refuse(1),
            refuse(3),
        ]
    );
    assert!(page.contains("Shaded: "));
    assert!(!page_of(&events[..3]).contains("Shaded: "));
}

#[test]
fn a_fault_stands_at_all_hosts_that_it_concerns() {
    let (a, b) = ("a:1".parse().unwrap(), "b:2".parse().unwrap());
    let events = happened(vec![
        mark("x"),
        mark("a"),
        fault(Verb::Cut, "b,x", "later"),
        What::Reset { addr: b, peer: a },
    ]);
    let page = page_of(&events);
    let lines = page
        .lines()
        .filter(|line| line.contains("class=\"event fault"));
    let circles = lines.map(|line| {
        let (_, label) = line.split_once("<text").unwrap();
        let label = label.split(['>', '<']).nth(1).unwrap().to_owned();
        (label, line.matches("<circle").count())
    });
    assert_eq!(
        circles.collect::<Vec<_>>(),
        [
            ("! cut b,x later".to_owned(), 3),
            ("! reset b:2 a:1".to_owned(), 2)
        ]
    );
    // Of all hosts, where there are none.
    let page = page_of(&happened(vec![fault(Verb::Partition, "_", "_")]));
    assert_eq!(page.matches("<circle").count(), 1);
}
