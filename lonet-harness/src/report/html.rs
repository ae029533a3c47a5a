//! `report.html`: one self-contained page of a test, for a browser.
//!
//! Owns the page's layout: the message, the space-time diagram (a column a host, time downwards in
//! the canonical order, an arrow for each cause on another host, around all labels), the expected trace, each host's
//! log. Pure: it is given everything, reads and writes nothing. What went wrong was decided, and
//! put in words, elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use lonet::trace::{Event, EventId, Verb};

use crate::trace::write::columns::{shortened, width as columns_of};

/// What a page shows.
pub(crate) struct Page<'a> {
    /// The test's name.
    pub(crate) test: &'a str,
    /// What happened to it, as the terminal showed it; without colours.
    pub(crate) message: &'a str,
    /// Whether it passed, so that nothing looks like a failure.
    pub(crate) passed: bool,
    /// The events, in canonical order.
    pub(crate) events: &'a [Event],
    /// For each event, those that directly caused it, as places in `events`.
    pub(crate) causes: &'a [Vec<usize>],
    /// Where the trace first differs from what was expected.
    pub(crate) diverged: Option<EventId>,
    /// The expected trace, if one was asserted.
    pub(crate) expected: Option<&'a str>,
    /// Hosts that have a column though nothing may have happened there.
    pub(crate) hosts: &'a [&'a str],
    /// The place among the events before which a line stands that says so.
    pub(crate) teardown: Option<(usize, &'a str)>,
    /// What each process printed, and which it is: its host, at least.
    pub(crate) logs: &'a [(String, String)],
}

const ROW: usize = 22;
const TOP: usize = 16;
const HEAD: usize = 34;
/// Between a column's left edge, or the arrows that arrive at its line, and the line: as much as an
/// arrow's head takes.
const INSET: usize = 18;
/// Between the line and what stands beside it.
const LABEL: usize = 11;
/// Between two arrows that arrive side by side.
const LANE: usize = 6;
/// More arrows stand on one another.
const MOST_LANES: usize = 8;
/// A character of the page's monospaced font, rounded up.
const CHARACTER: usize = 8;
/// A label is cut after so many characters; pointing at it shows the whole.
const LONGEST: usize = 52;
const DIFFERS: &str = " ◀ first difference";

/// The page's text.
pub(crate) fn page(page: &Page<'_>) -> String {
    let mut out = String::with_capacity(4096 + page.events.len() * 400);
    let title = escape(page.test);
    // Writing into a String does not fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<pre class=\"message{}\">{}</pre>\n",
        if page.passed { " passed" } else { "" },
        escape(page.message)
    );
    out.push_str("<div class=\"columns\"><section class=\"time\"><h2>What happened</h2>\n");
    let _ = writeln!(
        out,
        "<p class=\"hint\">{} events. Time runs down; what is concurrent stands in some order. \
         Point at an event to see what caused it.</p>",
        page.events.len()
    );
    diagram(&mut out, page);
    out.push_str("</section>\n<section class=\"side\">\n");
    if let Some(expected) = page.expected {
        let lines = expected.trim_matches('\n').lines().map(shortened);
        let lines: Vec<_> = lines.collect();
        let _ = writeln!(
            out,
            "<h2>Expected</h2>\n<pre>{}</pre>",
            escape(&lines.join("\n"))
        );
    }
    for (process, log) in page.logs {
        let _ = writeln!(
            out,
            "<details open><summary>Log of {}</summary><pre>{}</pre></details>",
            escape(process),
            if log.trim().is_empty() {
                "(nothing)".to_owned()
            } else {
                escape(log)
            }
        );
    }
    let _ = write!(
        out,
        "</section></div>\n<script>{SCRIPT}</script></body></html>\n"
    );
    out
}

/// An arrow from a cause to its effect on another host.
///
/// No arrow crosses a label: it runs to the side between two rows of labels, below its cause, and
/// down to its effect in a lane at the left of the effect's column, where no label reaches.
struct Arrow {
    cause: usize,
    effect: usize,
    /// Counted from the column's line.
    lane: usize,
}

/// The arrows, and how many lanes each host's column needs.
fn arrows<'a>(page: &Page<'a>) -> (Vec<Arrow>, BTreeMap<&'a str, usize>) {
    let mut arrows = Vec::new();
    // The row at which the latest arrow of each lane arrives.
    let mut lanes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (effect, causes) in page.causes.iter().enumerate() {
        let host = page.events[effect].host();
        for &cause in causes {
            if page.events[cause].host() == host {
                continue;
            }
            let lanes = lanes.entry(host).or_default();
            let free = lanes.iter().position(|&arrives| arrives <= cause);
            let lane = free.unwrap_or(lanes.len()).min(MOST_LANES - 1);
            match lanes.get_mut(lane) {
                Some(arrives) => *arrives = effect,
                None => lanes.push(effect),
            }
            arrows.push(Arrow {
                cause,
                effect,
                lane,
            });
        }
    }
    let counts = lanes.into_iter().map(|(host, lanes)| (host, lanes.len()));
    (arrows, counts.collect())
}

/// Where each host's line is, in order of first appearance, and how wide all columns are.
fn columns(page: &Page<'_>, lanes: &BTreeMap<&str, usize>) -> (Vec<(String, usize)>, usize) {
    let mut widths: Vec<(&str, usize)> = Vec::new();
    for event in page.events {
        let differs = page.diverged == Some(event.id());
        let label = columns_of(&label(event)) + if differs { columns_of(DIFFERS) } else { 0 };
        match widths.iter_mut().find(|(host, _)| *host == event.host()) {
            Some((_, widest)) => *widest = label.max(*widest),
            None => widths.push((event.host(), label.max(columns_of(event.host()) + 3))),
        }
    }
    let peers = page.events.iter().filter_map(|event| event.peer());
    let silent = peers
        .map(lonet::Addr::host)
        .chain(page.hosts.iter().copied());
    for host in silent {
        if !widths.iter().any(|(known, _)| *known == host) {
            widths.push((host, columns_of(host) + 3));
        }
    }
    let mut left = 0;
    let columns = widths
        .into_iter()
        .map(|(host, widest)| {
            let line = left + INSET + lanes.get(host).map_or(0, |lanes| lanes * LANE);
            left = line + LABEL + widest * CHARACTER + LABEL;
            (host.to_owned(), line)
        })
        .collect();
    (columns, left)
}

/// The space-time diagram.
fn diagram(out: &mut String, page: &Page<'_>) {
    let (arrows, lanes) = arrows(page);
    let (columns, width) = columns(page, &lanes);
    let lines = columns.iter().map(|(host, line)| (host.as_str(), *line));
    let place: BTreeMap<&str, usize> = lines.collect();
    let x = |event: &Event| place[event.host()];
    let y = |row: usize| TOP + row * ROW;
    let height = TOP + page.events.len() * ROW;
    // The hosts' names stay in sight, whatever is scrolled.
    let _ = writeln!(
        out,
        "<div class=\"box\"><svg class=\"heads\" width=\"{width}\" height=\"{HEAD}\">"
    );
    for (host, line) in &columns {
        let _ = writeln!(
            out,
            "<text class=\"host\" x=\"{}\" y=\"23\">{}</text>",
            line - 6,
            escape(host)
        );
    }
    let _ = writeln!(
        out,
        "</svg><svg id=\"diagram\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"space-time diagram\"><defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"13\" \
         refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\"/>\
         </marker></defs>"
    );
    for x in place.values() {
        let _ = writeln!(
            out,
            "<line class=\"life\" x1=\"{x}\" y1=\"0\" x2=\"{x}\" y2=\"{height}\"/>"
        );
    }
    for Arrow {
        cause,
        effect,
        lane,
    } in arrows
    {
        let to = x(&page.events[effect]);
        let _ = writeln!(
            out,
            "<path class=\"arrow\" data-from=\"{cause}\" data-to=\"{effect}\" \
             d=\"M{} {}V{}H{}V{}H{to}\" marker-end=\"url(#tip)\"/>",
            x(&page.events[cause]),
            y(cause),
            y(cause) + ROW / 2,
            to - INSET - lane * LANE,
            y(effect),
        );
    }
    for (row, event) in page.events.iter().enumerate() {
        let causes: Vec<String> = page.causes[row].iter().map(usize::to_string).collect();
        let (first, differs) = match page.diverged == Some(event.id()) {
            true => (" diverged", DIFFERS),
            false => ("", ""),
        };
        let label = label(event);
        let _ = writeln!(
            out,
            "<g class=\"event {kind}{first}\" data-causes=\"{causes}\" tabindex=\"0\">\
             <title>{line}</title><rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{ROW}\"/>\
             <circle cx=\"{x}\" cy=\"{y}\" r=\"5\"/><text x=\"{text_x}\" y=\"{text_y}\">{label}\
             <tspan>{differs}</tspan></text></g>",
            kind = kind(event.verb()),
            causes = causes.join(" "),
            line = escape(&shortened(&event.to_string())),
            left = x(event) - 8,
            top = y(row) - ROW / 2,
            width = 10 + LABEL + (columns_of(&label) + columns_of(differs)) * CHARACTER,
            x = x(event),
            y = y(row),
            text_x = x(event) + LABEL,
            text_y = y(row) + 4,
            label = escape(&label),
        );
    }
    if let Some((row, text)) = page.teardown {
        let y = (y(row) - ROW / 2).saturating_sub(1);
        let _ = writeln!(
            out,
            "<g class=\"teardown\"><line x1=\"0\" y1=\"{y}\" x2=\"{width}\" y2=\"{y}\"/>\
             <title>{text}</title></g>",
        );
    }
    out.push_str("</svg></div>\n");
    if let Some((_, text)) = page.teardown {
        let _ = writeln!(out, "<p class=\"hint\">The red line: {}.</p>", escape(text));
    }
}

/// The class by which the style knows an event.
fn kind(verb: Verb) -> &'static str {
    match verb {
        Verb::Mark => "mark",
        Verb::Fail => "fail",
        verb if verb.is_interference() => "fault",
        _ => "net",
    }
}

/// An event's line, less what its column already says, cut to a bearable length.
fn label(event: &Event) -> String {
    let words = event.words();
    let whole = match event.addr() {
        Some(addr) => format!(":{} {}", addr.port(), words[1..].join(" ")),
        None if event.verb().is_interference() => format!("! {}", words[1]),
        None => words[1..].join(" "),
    };
    match whole.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

/// A text as HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {
                let _ = write!(out, "{}", c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1d2430;--paper:#fff;--soft:#f3f5f8;--line:#c6ccd6;--net:#2b6cb0;
--mark:#2f855a;--bad:#c53030;--arrow:#8a94a6}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ef;--paper:#14181f;--soft:#1d232d;--line:#3a4352;
--net:#7ab3ee;--mark:#7fd1a3;--bad:#ff8a80;--arrow:#7b8698}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:1.5rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin:.6rem 0 .2rem}.hint{opacity:.7;margin:.2rem 0}
pre{background:var(--soft);padding:.8rem;border-radius:6px;overflow:auto;font:13px/1.45 ui-monospace,monospace;margin:.4rem 0 1rem}
.message{border-left:4px solid var(--bad);max-height:50vh}.message.passed{border-color:var(--mark)}
.columns{display:grid;grid-template-columns:minmax(0,1fr) minmax(18rem,30rem);gap:1.5rem;align-items:start}
@media(max-width:60rem){.columns{grid-template-columns:minmax(0,1fr)}}
.box,.side{max-height:92vh;overflow:auto}.side pre{max-height:45vh}
.box{border:1px solid var(--line);border-radius:6px}svg{display:block}
.heads{position:sticky;top:0;background:var(--paper);border-bottom:1px solid var(--line);z-index:1;min-width:100%}
svg text{font:13px ui-monospace,monospace;fill:var(--ink)}svg .host{font-size:15px;font-weight:600}
.event text{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.event tspan{fill:var(--bad);font-weight:600}
.life{stroke:var(--line);stroke-width:2}.arrow{fill:none;stroke:var(--arrow);stroke-width:1.2;stroke-linejoin:round}marker path{fill:var(--arrow)}
.teardown line{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:6 4}
.event rect{fill:transparent}.event circle{fill:var(--net)}.mark circle{fill:var(--mark)}
.fail circle,.fault circle{fill:var(--bad)}.fault text{fill:var(--bad);font-weight:600}
.diverged rect{fill:none;stroke:var(--bad);stroke-width:2;rx:4}
.event.on rect,.event.cause rect{fill:var(--soft)}.event.cause circle{stroke:var(--ink);stroke-width:2}
.arrow.on{stroke:var(--ink);stroke-width:2}svg.dim .event:not(.on):not(.cause){opacity:.35}
summary{cursor:pointer;font-weight:600}
";

const SCRIPT: &str = "
const svg=document.querySelector('#diagram'),events=[...document.querySelectorAll('.event')];
const arrows=[...document.querySelectorAll('.arrow')];
function show(n){const seen=new Set();const todo=[n];while(todo.length){const i=todo.pop();
for(const c of events[i].dataset.causes.split(' ').filter(Boolean).map(Number))
if(!seen.has(c)){seen.add(c);todo.push(c);}}
events.forEach((e,i)=>{e.classList.toggle('on',i===n);e.classList.toggle('cause',seen.has(i));});
arrows.forEach(a=>{const f=+a.dataset.from,t=+a.dataset.to;
a.classList.toggle('on',(t===n||seen.has(t))&&seen.has(f));});svg.classList.add('dim');}
function hide(){svg.classList.remove('dim');[...events,...arrows].forEach(e=>e.classList.remove('on','cause'));}
events.forEach((e,i)=>{e.addEventListener('mouseenter',()=>show(i));e.addEventListener('focus',()=>show(i));
e.addEventListener('mouseleave',hide);e.addEventListener('blur',hide);});
const first=document.querySelector('.diverged circle'),box=document.querySelector('.box');
if(first){box.scrollTop=first.cy.baseVal.value-box.clientHeight/2;
box.scrollLeft=first.cx.baseVal.value-box.clientWidth/3;}
";

#[cfg(test)]
mod tests {
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
        let hosts =
            |&(cause, effect): &(usize, usize)| events[cause].host() != events[effect].host();
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
            assert!(
                before.0 + 14 <= drawn.circles[*effect].0 && before.1 == drawn.circles[*effect].1
            );
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
}
