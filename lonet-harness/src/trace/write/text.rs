//! The text of a trace, and updating an expectation.
//!
//! Pure. Owns what is written for an event, which names raced ports get, and where comments go; the
//! order is `order`'s business.

use std::collections::{BTreeMap, BTreeSet};

use crate::trace::check::decide::{Mode, decide};
use crate::trace::check::outcome::Outcome;
use crate::trace::expected::grammar::{Expectation, Port};
use crate::trace::expected::pattern::Fields;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::racing_ports::Races;
use crate::trace::intern::labels::Label;
use crate::trace::scope::Scope;
use crate::trace::write::columns::aligned;
use crate::trace::write::order::{Placed, order};
use lonet::trace::word as printed_word;

/// The text.
pub(crate) fn text(graph: &Graph, scope: &Scope) -> String {
    let empty = Expectation::parse("").expect("nothing is a legal expectation");
    rewritten(graph, scope, &empty)
}

/// What the old text has to be replaced by; nothing if it holds as it is.
pub(crate) fn updated(graph: &Graph, scope: &Scope, old: &Expectation) -> Option<String> {
    if let Outcome::Holds(_) = decide(graph, scope, old, Mode::All) {
        return None;
    }
    let new = rewritten(graph, scope, old);
    // If it is undecided whether it holds, this may be all there is to say.
    (!same_words(&old.source, &new)).then_some(new)
}

fn same_words(old: &str, new: &str) -> bool {
    let (old, new) = (old.trim().lines(), new.trim().lines());
    old.map(split_words).eq(new.map(split_words))
}

/// A text that holds, as near to the old one as the relation allows.
pub(crate) fn rewritten(graph: &Graph, scope: &Scope, old: &Expectation) -> String {
    let races = Races::find(graph, scope);
    let placed = order(graph, scope, &races, old);
    let mut last = String::new();
    // Old wildcards and variables first; if those don't hold together, without them; and if the
    // names for raced ports don't, which takes a report that contradicts itself, without any.
    for (keeps_open, names_races) in [(true, true), (false, true), (false, false)] {
        let writer = Writer {
            graph,
            races: &races,
            old,
            keeps_open,
            names_races,
            names: BTreeMap::new(),
            fresh: Box::new(variables()),
        };
        last = writer.write(&placed);
        let plain = races.is_empty() && old.lines.iter().all(|l| l.shape.is_concrete());
        if plain {
            break;
        }
        let parsed = Expectation::parse(&last);
        let holds = |parsed: &Expectation| {
            matches!(decide(graph, scope, parsed, Mode::All), Outcome::Holds(_))
        };
        if parsed.is_ok_and(|parsed| holds(&parsed)) {
            break;
        }
    }
    last
}

/// The words of a label's line, quoted where the grammar needs it.
pub(crate) fn words(graph: &Graph, label: Label<'_>) -> Vec<String> {
    let fields = Fields::of_label(label, &graph.hosts);
    words_with(&fields, None, None)
}

/// The words of a line of a block.
pub(crate) fn barred(mut words: Vec<String>) -> Vec<String> {
    if let Some(first) = words.first_mut() {
        first.insert_str(0, "| ");
    }
    words
}

fn words_with(fields: &Fields<'_>, port: Option<&str>, peer_port: Option<&str>) -> Vec<String> {
    let address = |host: &str, number: u16, name: Option<&str>| match name {
        Some(name) => format!("{host}:${name}"),
        None => format!("{host}:{number}"),
    };
    let mut words = Vec::with_capacity(4);
    let subject = match fields.port {
        Some(number) => address(fields.host, number, port),
        None => fields.host.to_owned(),
    };
    let (begin, acted_on) = match fields.verb.is_interference() {
        true => ("!".to_owned(), Some(subject)),
        false => (subject, None),
    };
    words.push(begin);
    words.push(fields.verb.to_string());
    if fields.verb.names_ends() {
        // As they were given: `_` stands for all others, and their ports are the user's.
        words.extend(fields.text.split(' ').map(str::to_owned));
        return words;
    }
    words.extend(acted_on);
    if let Some((host, number)) = fields.peer {
        words.push(address(host, number, peer_port));
    }
    let text = fields.text.split_whitespace();
    words.extend(text.map(|word| printed_word(word).into_owned()));
    words
}

struct Writer<'a> {
    graph: &'a Graph,
    races: &'a Races,
    old: &'a Expectation,
    keeps_open: bool,
    names_races: bool,
    /// The variable of each raced allocation.
    names: BTreeMap<u32, String>,
    /// Names of variables that were not given yet.
    fresh: Box<dyn Iterator<Item = String>>,
}

impl Writer<'_> {
    fn write(mut self, placed: &[Placed]) -> String {
        let mut comments = Comments::of(self.old, placed);
        let mut lines = Vec::with_capacity(placed.len());
        lines.extend(comments.head().into_iter().map(Err));
        for event in placed {
            if let Some(line) = event.line {
                lines.extend(comments.above(line).into_iter().map(Err));
            }
            lines.push(Ok(self.line(event)));
        }
        lines.extend(comments.rest().into_iter().map(Err));
        let blank =
            |line: &Result<Vec<String>, String>| matches!(line, Err(text) if text.is_empty());
        lines.dedup_by(|a, b| blank(a) && blank(b));
        while lines.last().is_some_and(blank) {
            lines.pop();
        }
        let leading = lines.iter().take_while(|line| blank(line)).count();
        aligned(&lines[leading..])
    }

    fn line(&mut self, event: &Placed) -> Vec<String> {
        let label = self
            .graph
            .labels
            .label(self.graph.label_of[event.node as usize]);
        let fields = Fields::of_label(label, &self.graph.hosts);
        let subject = self.races.subject(self.graph, event.node);
        let peer = self.races.peer(self.graph, event.node);
        let old = event.line.map(|line| &self.old.lines[line as usize]);
        if let (Some(line), Some(old)) = (event.line, old)
            && self.keeps_open
            && !old.shape.is_concrete()
        {
            let port = old.shape.port;
            let peer_port = old.shape.peer.map(|(_, port)| port);
            let keeps =
                |raced: Option<u32>, port| raced.is_none() || !matches!(port, Some(Port::Is(_)));
            if keeps(subject, port) && keeps(peer, peer_port) {
                for (raced, port) in [(subject, port), (peer, peer_port)] {
                    if let (Some(raced), Some(Port::Variable(variable))) = (raced, port) {
                        let name = &self.old.variables[variable as usize].name;
                        self.names.entry(raced).or_insert_with(|| name.clone());
                    }
                }
                return split_words(self.old.text(line as usize));
            }
        }
        let mut name = |raced: Option<u32>| self.names_races.then(|| self.name(raced?)).flatten();
        let (subject, peer) = (name(subject), name(peer));
        words_with(&fields, subject.as_deref(), peer.as_deref())
    }

    /// The variable of a raced allocation: the next that is not in the old text.
    fn name(&mut self, raced: u32) -> Option<String> {
        if let Some(name) = self.names.get(&raced) {
            return Some(name.clone());
        }
        let old = &self.old.names;
        let name = self.fresh.find(|name| old.find(name).is_none())?;
        self.names.insert(raced, name.clone());
        Some(name)
    }
}

/// `a`, `b`, … `z`, `a1`, …
fn variables() -> impl Iterator<Item = String> {
    (0u32..).map(|index| {
        let letter = char::from(b'a' + (index % 26) as u8);
        match index / 26 {
            0 => letter.to_string(),
            round => format!("{letter}{round}"),
        }
    })
}

/// The words of a line as it was written, quoted ones in one piece.
pub(crate) fn split_words(line: &str) -> Vec<String> {
    let words = placed_words(line).into_iter();
    words.map(|(_, word)| word.to_owned()).collect()
}

/// The same, each with the byte where it begins.
pub(crate) fn placed_words(line: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let end = line.trim_end().len();
    let mut rest = line[..end].trim_start();
    while !rest.is_empty() {
        let quoted = rest.starts_with('"');
        let length = match lonet::__private::unquote_text(rest) {
            Ok((_, length)) if quoted => length,
            _ => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        words.push((end - rest.len(), &rest[..length]));
        rest = rest[length..].trim_start();
    }
    words
}

/// Comments and blank lines of the old text, each with the line that it stands above.
struct Comments {
    /// Those above the first line, which belong to the text.
    head: Vec<String>,
    above: BTreeMap<u32, Vec<String>>,
    rest: Vec<String>,
}

impl Comments {
    /// Those above a line that is gone stand above the next that is left.
    fn of(old: &Expectation, placed: &[Placed]) -> Comments {
        let kept: BTreeSet<u32> = placed.iter().filter_map(|placed| placed.line).collect();
        let mut lines = old.lines.iter().enumerate().peekable();
        let mut comments = Comments {
            head: Vec::new(),
            above: BTreeMap::new(),
            rest: Vec::new(),
        };
        let mut pending: Vec<String> = Vec::new();
        // A blank line parts what is above from what is below: above the first text there is
        // nothing, but a literal begins with one.
        let is_blank = |(_, text): &(u32, &str)| text.trim().is_empty();
        let texts = (1u32..).zip(old.source.split('\n'));
        for (number, text) in texts.skip_while(is_blank) {
            match lines.peek() {
                Some((index, line)) if line.number == number => {
                    let index = *index as u32;
                    if index == 0 {
                        comments.head = std::mem::take(&mut pending);
                    }
                    if kept.contains(&index) {
                        comments.above.insert(index, std::mem::take(&mut pending));
                    }
                    lines.next();
                }
                _ => pending.push(text.trim().to_owned()),
            }
        }
        comments.rest = pending;
        comments
    }

    fn head(&mut self) -> Vec<String> {
        std::mem::take(&mut self.head)
    }

    fn above(&mut self, line: u32) -> Vec<String> {
        self.above.remove(&line).unwrap_or_default()
    }

    fn rest(&mut self) -> Vec<String> {
        std::mem::take(&mut self.rest)
    }
}
