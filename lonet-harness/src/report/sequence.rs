//! A trace as a sequence diagram in text: a column a host, time downwards, an arrow for what
//! travels: a dial, an accept, and a close or shutdown whose end of stream the peer has read. A
//! connect is what the dialer makes of the accept: it stands in its column. A fault stands across the
//! columns of the hosts between which it is.
//!
//! Pure. Owns the drawing. The order is the canonical one: what is concurrent stands in some order.

use std::ops::{Range, RangeInclusive};

use lonet::trace::{Event, Verb};

use crate::trace::Trace;
use crate::trace::cut::Cut;
use crate::trace::ends;
use crate::trace::happened::relation::Why;
use crate::trace::write::columns::width;

/// Columns stand no further apart than this; longer texts are cut.
const WIDEST: usize = 44;

impl Trace {
    /// The trace as a sequence diagram in text: a column a host, time downwards.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("ready");
    /// println!("{}", scenario.trace().diagram());
    /// # Ok(()) }
    /// ```
    pub fn diagram(&self) -> String {
        diagram(self)
    }
}

/// The diagram of the trace's events.
pub(crate) fn diagram(trace: &Trace) -> String {
    diagram_of(&trace.cut, 0..usize::MAX)
}

/// The diagram of these events, by place; and how many more there are.
pub(crate) fn diagram_of(cut: &Cut, range: Range<usize>) -> String {
    let events = cut.events();
    let end = range.end.min(events.len());
    let begin = range.start.min(end);
    let mut text = String::new();
    if begin > 0 {
        text.push_str(&format!("… after {begin} earlier events\n"));
    }
    text.push_str(&draw(cut, &events[begin..end]));
    if end < events.len() {
        text.push_str(&format!("… and {} more\n", events.len() - end));
    }
    text
}

/// The hosts, in order of first appearance.
pub(crate) fn hosts(events: &[Event]) -> Vec<&str> {
    let mut hosts: Vec<&str> = Vec::new();
    let mut add = |host| {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    };
    for event in events {
        ends::hosts_of(event).into_iter().for_each(&mut add);
    }
    if hosts.is_empty() && !events.is_empty() {
        // Faults between all hosts, and no host.
        hosts.push(ends::ALL_OTHERS);
    }
    hosts
}

/// The columns that what the scenario did stands across, where it did it to several hosts.
pub(crate) fn stretch(event: &Event, hosts: &[&str]) -> Option<RangeInclusive<usize>> {
    let concerned = ends::between(event, hosts)?;
    let at = |host: Option<&&str>| hosts.iter().position(|known| Some(known) == host);
    Some(at(concerned.first())?..=at(concerned.last())?)
}

/// What a diagram says beside an event, where its column says which host it is, and an arrow to
/// whom.
pub(crate) fn short(event: &Event, is_arrow: bool) -> String {
    let words = event.words();
    match (event.addr(), event.verb()) {
        (_, verb) if verb.is_interference() => words.join(" "),
        (Some(addr), verb) => {
            let mut text = format!(":{} {verb}", addr.port());
            if let Some(peer) = event.peer() {
                if is_arrow {
                    text.push_str(&format!(" :{}", peer.port()));
                } else {
                    text.push_str(&format!(" {peer}"));
                }
            }
            let before = 2 + usize::from(event.peer().is_some());
            for word in &words[before..] {
                text.push_str(&format!(" {word}"));
            }
            text
        }
        (None, Verb::Mark) => format!("[{}]", words[2..].join(" ")),
        (None, _) => words[1..].join(" "),
    }
}

/// Whom the event reaches, if it is drawn as an arrow.
pub(crate) fn reaches<'a>(cut: &Cut, event: &'a Event) -> Option<&'a str> {
    let travels = match event.verb() {
        Verb::Dial | Verb::Accept => true,
        Verb::Close | Verb::Shutdown => ends_a_read(cut, event),
        _ => false,
    };
    let peer = event.peer().filter(|_| travels)?.host();
    (peer != event.host()).then_some(peer)
}

/// Whether the peer has read the end of the stream that the event made.
fn ends_a_read(cut: &Cut, event: &Event) -> bool {
    let graph = &cut.graph;
    let effects = graph.node(event.id()).map(|node| graph.after(node));
    effects.is_some_and(|mut effects| {
        effects.any(|(effect, why)| why == Why::Eof && cut.members[effect as usize])
    })
}

fn draw(cut: &Cut, events: &[Event]) -> String {
    let hosts = hosts(events);
    let column = |name: &str| hosts.iter().position(|host| *host == name).unwrap_or(0);
    let arrow = |event| reaches(cut, event).map(column);
    let short = |event| short(event, reaches(cut, event).is_some());
    let index = |event: &Event| column(event.host());
    let stretch = |event| stretch(event, &hosts);
    let mut apart = hosts.iter().map(|host| width(host) + 2).max().unwrap_or(0);
    for event in events {
        let needs = match arrow(event) {
            Some(to) => (width(&short(event)) + 6).div_ceil(to.abs_diff(index(event)).max(1)),
            None if event.verb().is_interference() => 0,
            None => width(&short(event)) + 2,
        };
        apart = apart.max(needs);
    }
    let mut apart = apart.min(WIDEST);
    for event in events.iter().filter(|event| event.verb().is_interference()) {
        // It stands across all columns, or some.
        let across = match stretch(event) {
            None => hosts.len(),
            Some(columns) => columns.end() - columns.start(),
        };
        let needs = (width(&short(event)) + 6).div_ceil(across.max(1));
        apart = apart.max(needs.min(WIDEST));
    }
    let canvas = Canvas {
        columns: hosts.len(),
        apart,
    };
    let mut text = String::new();
    let mut heads = canvas.blank();
    for (column, host) in hosts.iter().enumerate() {
        canvas.centred(&mut heads, column, host);
    }
    push(&mut text, &heads);
    if !hosts.is_empty() {
        push(&mut text, &canvas.lifelines());
    }
    for event in events {
        let from = index(event);
        let row = match arrow(event) {
            Some(to) => canvas.arrow(from, to, &short(event)),
            None if event.verb().is_interference() => match stretch(event) {
                Some(columns) if columns.clone().count() < hosts.len() => {
                    canvas.between(columns, &short(event))
                }
                _ => canvas.across(&short(event)),
            },
            None => {
                let mut row = canvas.lifelines();
                canvas.centred(&mut row, from, &clipped(&short(event), apart - 1));
                row
            }
        };
        push(&mut text, &row);
    }
    without_margin(&text)
}

/// The text without the blanks that all its lines begin with.
fn without_margin(text: &str) -> String {
    let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let margin = text.lines().map(blanks).min().unwrap_or(0);
    let lines = text.lines().map(|line| format!("{}\n", &line[margin..]));
    lines.collect()
}

/// One cell a terminal column; a wide character leaves the cell after it empty.
type Row = Vec<String>;

struct Canvas {
    columns: usize,
    apart: usize,
}

impl Canvas {
    fn centre(&self, column: usize) -> usize {
        self.apart / 2 + column * self.apart
    }

    fn blank(&self) -> Row {
        vec![" ".to_owned(); self.columns * self.apart + 1]
    }

    fn lifelines(&self) -> Row {
        let mut row = self.blank();
        for column in 0..self.columns {
            row[self.centre(column)] = "│".to_owned();
        }
        row
    }

    fn centred(&self, row: &mut Row, column: usize, text: &str) {
        let start = self.centre(column).saturating_sub(width(text) / 2);
        put(row, start, text);
    }

    fn arrow(&self, from: usize, to: usize, text: &str) -> Row {
        let mut row = self.lifelines();
        let (left, right) = (self.centre(from.min(to)), self.centre(from.max(to)));
        for cell in &mut row[left + 1..right] {
            *cell = if cell == "│" { "┼" } else { "─" }.to_owned();
        }
        let text = format!(" {} ", clipped(text, right - left - 5));
        put(
            &mut row,
            left + 1 + (right - left - 1 - width(&text)) / 2,
            &text,
        );
        if from < to {
            row[right - 1] = "▶".to_owned();
        } else {
            row[left + 1] = "◀".to_owned();
        }
        row
    }

    /// Across these columns.
    fn between(&self, columns: RangeInclusive<usize>, text: &str) -> Row {
        let mut row = self.lifelines();
        let (left, right) = (self.centre(*columns.start()), self.centre(*columns.end()));
        if left == right {
            self.centred(&mut row, *columns.start(), &clipped(text, self.apart - 1));
            return row;
        }
        for cell in &mut row[left + 1..right] {
            *cell = if cell == "│" { "╪" } else { "═" }.to_owned();
        }
        row[left] = "╞".to_owned();
        row[right] = "╡".to_owned();
        let text = format!(" {} ", clipped(text, right - left - 5));
        put(
            &mut row,
            left + 1 + (right - left - 1 - width(&text)) / 2,
            &text,
        );
        row
    }

    fn across(&self, text: &str) -> Row {
        let mut row = vec!["═".to_owned(); self.columns * self.apart + 1];
        let text = format!(" {} ", clipped(text, row.len().saturating_sub(6)));
        let start = row.len().saturating_sub(width(&text)) / 2;
        put(&mut row, start, &text);
        row
    }
}

fn put(row: &mut Row, start: usize, text: &str) {
    let mut at = start;
    for c in text.chars() {
        let mut buffer = [0; 4];
        let c = &*c.encode_utf8(&mut buffer);
        match width(c) {
            0 => {
                if let Some(before) = at.checked_sub(1).and_then(|at| row.get_mut(at)) {
                    before.push_str(c);
                }
            }
            wide => {
                for (offset, cell) in row.iter_mut().skip(at).take(wide).enumerate() {
                    *cell = if offset == 0 {
                        c.to_owned()
                    } else {
                        String::new()
                    };
                }
                at += wide;
            }
        }
    }
}

/// The text, cut to this width.
fn clipped(text: &str, to: usize) -> String {
    if width(text) <= to {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width(&kept) + 1 > to {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

fn push(text: &mut String, row: &Row) {
    text.push_str(row.concat().trim_end());
    text.push('\n');
}
