//! `report.html`: one self-contained page of a test, for a browser.
//!
//! Owns the page's layout: the message, the space-time diagram (a column a host, time downwards in
//! the canonical order, an arrow for each cause on another host, around all labels; a host is shaded
//! while a fault concerns it), the expected trace, each host's log. Pure: it is given everything,
//! reads and writes nothing. What went wrong was decided, and put in words, elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use lonet::trace::{Event, EventId, Verb};

use crate::trace::ends;
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

/// The hosts, in order of first appearance; those without an event of their own last.
fn hosts<'a>(page: &Page<'a>) -> Vec<&'a str> {
    let own = page
        .events
        .iter()
        .filter(|event| !event.verb().names_ends());
    let others = page.events.iter().flat_map(ends::hosts_of);
    let all = own
        .map(Event::host)
        .chain(others)
        .chain(page.hosts.iter().copied());
    let mut hosts: Vec<&str> = Vec::new();
    for host in all {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    if hosts.is_empty() && !page.events.is_empty() {
        hosts.push(ends::ALL_OTHERS);
    }
    hosts
}

/// The columns that an event concerns. The first is its own.
fn concerned(event: &Event, hosts: &[&str]) -> Vec<usize> {
    let named = ends::between(event, hosts).unwrap_or_else(|| vec![event.host()]);
    let at = |host: &&str| hosts.iter().position(|known| known == host);
    let columns: Vec<usize> = named.iter().filter_map(at).collect();
    match columns.is_empty() {
        true => vec![0],
        false => columns,
    }
}

/// The arrows, and how many lanes each column needs. `at`: by event, its column.
fn arrows(page: &Page<'_>, at: &[usize]) -> (Vec<Arrow>, BTreeMap<usize, usize>) {
    let mut arrows = Vec::new();
    // The row at which the latest arrow of each lane arrives.
    let mut lanes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (effect, causes) in page.causes.iter().enumerate() {
        for &cause in causes {
            if at[cause] == at[effect] {
                continue;
            }
            let lanes = lanes.entry(at[effect]).or_default();
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
    let counts = lanes
        .into_iter()
        .map(|(column, lanes)| (column, lanes.len()));
    (arrows, counts.collect())
}

/// Where a host's column and its line are.
struct Column {
    left: usize,
    line: usize,
    right: usize,
}

/// Where each host's column is.
fn columns(
    page: &Page<'_>,
    hosts: &[&str],
    at: &[usize],
    lanes: &BTreeMap<usize, usize>,
) -> Vec<Column> {
    let mut widths: Vec<usize> = hosts.iter().map(|host| columns_of(host) + 3).collect();
    for (event, &column) in page.events.iter().zip(at) {
        let differs = page.diverged == Some(event.id());
        let label = columns_of(&label(event)) + if differs { columns_of(DIFFERS) } else { 0 };
        widths[column] = widths[column].max(label);
    }
    let mut left = 0;
    let columns = widths.into_iter().enumerate().map(|(column, widest)| {
        let line = left + INSET + lanes.get(&column).map_or(0, |lanes| lanes * LANE);
        let right = line + LABEL + widest * CHARACTER + LABEL;
        let left = std::mem::replace(&mut left, right);
        Column { left, line, right }
    });
    columns.collect()
}

/// The space-time diagram.
fn diagram(out: &mut String, page: &Page<'_>) {
    let hosts = hosts(page);
    let events = page.events.iter();
    let concerned: Vec<Vec<usize>> = events.map(|event| concerned(event, &hosts)).collect();
    let at: Vec<usize> = concerned.iter().map(|columns| columns[0]).collect();
    let (arrows, lanes) = arrows(page, &at);
    let columns = columns(page, &hosts, &at, &lanes);
    let width = columns.last().map_or(0, |column| column.right);
    let x = |row: usize| columns[at[row]].line;
    let y = |row: usize| TOP + row * ROW;
    let height = TOP + page.events.len() * ROW;
    // The hosts' names stay in sight, whatever is scrolled.
    let _ = writeln!(
        out,
        "<div class=\"box\"><svg class=\"heads\" width=\"{width}\" height=\"{HEAD}\">"
    );
    for (host, Column { line, .. }) in hosts.iter().zip(&columns) {
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
    let bands = bands(page.events);
    for Band { fault, until } in &bands {
        for Column { left, right, .. } in concerned[*fault].iter().map(|&at| &columns[at]) {
            let _ = writeln!(
                out,
                "<rect class=\"band\" x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{}\">\
                 <title>{}</title></rect>",
                y(*fault),
                right - left,
                until.map_or(height, y) - y(*fault),
                escape(&page.events[*fault].to_string()),
            );
        }
    }
    for Column { line: x, .. } in &columns {
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
        let to = x(effect);
        let _ = writeln!(
            out,
            "<path class=\"arrow\" data-from=\"{cause}\" data-to=\"{effect}\" \
             d=\"M{} {}V{}H{}V{}H{to}\" marker-end=\"url(#tip)\"/>",
            x(cause),
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
        let mut others = String::new();
        for &column in &concerned[row][1..] {
            let x = columns[column].line;
            let _ = write!(others, "<circle cx=\"{x}\" cy=\"{}\" r=\"5\"/>", y(row));
        }
        let _ = writeln!(
            out,
            "<g class=\"event {kind}{first}\" data-causes=\"{causes}\" tabindex=\"0\">\
             <title>{line}</title><rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{ROW}\"/>\
             <circle cx=\"{x}\" cy=\"{y}\" r=\"5\"/>{others}<text x=\"{text_x}\" y=\"{text_y}\">{label}\
             <tspan>{differs}</tspan></text></g>",
            kind = kind(event.verb()),
            causes = causes.join(" "),
            line = escape(&shortened(&event.to_string())),
            left = x(row) - 8,
            top = y(row) - ROW / 2,
            width = 10 + LABEL + (columns_of(&label) + columns_of(differs)) * CHARACTER,
            x = x(row),
            y = y(row),
            text_x = x(row) + LABEL,
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
    if !bands.is_empty() {
        out.push_str(
            "<p class=\"hint\">Shaded: a fault concerns the host, from its event to its heal.</p>\n",
        );
    }
    if let Some((_, text)) = page.teardown {
        let _ = writeln!(out, "<p class=\"hint\">The red line: {}.</p>", escape(text));
    }
}

/// A fault in force.
struct Band {
    /// The place of its event.
    fault: usize,
    /// The place of its heal, if there is one.
    until: Option<usize>,
}

/// The faults that were in force for some time. A heal names the ends of its fault; of several between
/// the same ends it is taken for the latest one's.
fn bands(events: &[Event]) -> Vec<Band> {
    let ends = |event: &Event| {
        let to = event.text().split_whitespace().next().map(str::to_owned);
        (event.host().to_owned(), to)
    };
    let mut bands: Vec<Band> = Vec::new();
    for (row, event) in events.iter().enumerate() {
        if event.verb() == Verb::Heal {
            let mut open = bands.iter_mut().rev().filter(|band| band.until.is_none());
            if let Some(band) = open.find(|band| ends(&events[band.fault]) == ends(event)) {
                band.until = Some(row);
            }
        } else if event.verb().names_ends() {
            bands.push(Band {
                fault: row,
                until: None,
            });
        }
    }
    bands
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
    let verb = event.verb();
    let whole = match event.addr() {
        _ if verb.names_ends() || verb == Verb::Reset => words.join(" "),
        Some(addr) => format!(":{} {}", addr.port(), words[1..].join(" ")),
        None if verb.is_interference() => format!("! {}", words[1]),
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
.band{fill:var(--bad);fill-opacity:.07}.event rect{fill:transparent}.event circle{fill:var(--net)}.mark circle{fill:var(--mark)}
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
mod tests;
