//! The canonical order and text of a trace, and updating an expectation (TRACES 7.3).
//!
//! Pure. The order is a function of the (likely) relation and of the old text, never of timing:
//! of the events whose causes are all told, the one whose old line stands highest, else the one
//! with the smallest label, else with the smallest digest of its past and future.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::causality::Graph;
use super::columns::aligned;
use super::edges::Why;
use super::grammar::{Expectation, Port};
use super::matching::{Mode, Outcome, Scope, decide, label_of, translate};
use super::pattern::{Bindings, Fields, unify};
use super::races::Races;
use super::symbols::{FastMap, Label, NONE, digest};
use lonet::trace::word as printed_word;

/// An event in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) node: u32,
    /// The old line that told of it.
    pub(crate) line: Option<u32>,
}

/// The events in canonical order.
pub(crate) fn order(graph: &Graph, scope: &Scope) -> Vec<u32> {
    let races = Races::find(graph, scope);
    let placed = Sorting::new(graph, scope, &races, None).run();
    placed.into_iter().map(|placed| placed.node).collect()
}

/// The canonical text.
pub(crate) fn text(graph: &Graph, scope: &Scope) -> String {
    let empty = Expectation::parse("").expect("nothing is a legal expectation");
    rewritten(graph, scope, &empty)
}

/// What the old text has to be replaced by; nothing if it holds as it is, and will in other runs.
pub(crate) fn updated(graph: &Graph, scope: &Scope, old: &Expectation) -> Option<String> {
    if let Outcome::Holds(assignment) = decide(graph, scope, old, Mode::All) {
        let races = Races::find(graph, scope);
        let names_raced = assignment.iter().zip(&old.lines).any(|(&node, line)| {
            let subject = matches!(line.shape.port, Some(Port::Is(_)));
            let peer = matches!(line.shape.peer, Some((_, Port::Is(_))));
            (subject && races.subject(graph, node).is_some())
                || (peer && races.peer(graph, node).is_some())
        });
        if !names_raced {
            return None;
        }
    }
    Some(rewritten(graph, scope, old))
}

/// A text that holds, as near to the old one as the relation allows.
pub(crate) fn rewritten(graph: &Graph, scope: &Scope, old: &Expectation) -> String {
    let races = Races::find(graph, scope);
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
            used: old.variables.iter().map(|v| v.name.clone()).collect(),
        };
        let mut sorting = Sorting::new(graph, scope, &races, Some(old));
        sorting.ports_order = !names_races;
        last = writer.write(&sorting.run());
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

/// The events in the order that is nearest to the old text, each with its old line and its words:
/// those of the old line, if it has one.
pub(crate) fn nearest(
    graph: &Graph,
    scope: &Scope,
    old: &Expectation,
) -> Vec<(Option<u32>, Vec<String>)> {
    let races = Races::find(graph, scope);
    let placed = Sorting::new(graph, scope, &races, Some(old)).run();
    let words = |placed: &Placed| match placed.line {
        Some(line) => split_words(old.text(line as usize)),
        None => {
            let label = graph.label_of[placed.node as usize];
            words(graph, graph.labels.label(label))
        }
    };
    placed.iter().map(|at| (at.line, words(at))).collect()
}

/// The words of a label's line, quoted where the grammar needs it.
pub(crate) fn words(graph: &Graph, label: &Label) -> Vec<String> {
    let fields = Fields::of_label(label, &graph.symbols);
    words_with(&fields, None, None)
}

fn words_with(fields: &Fields<'_>, port: Option<&str>, peer_port: Option<&str>) -> Vec<String> {
    let address = |host: &str, number: u16, name: Option<&str>| match name {
        Some(name) => format!("{host}:${name}"),
        None => format!("{host}:{number}"),
    };
    let mut words = Vec::with_capacity(4);
    match fields.port {
        Some(number) => words.push(address(fields.host, number, port)),
        None if fields.verb.is_interference() => words.push("!".to_owned()),
        None => words.push(fields.host.to_owned()),
    }
    words.push(fields.verb.to_string());
    if fields.verb.is_interference() {
        words.push(fields.host.to_owned());
    }
    if let Some((host, number)) = fields.peer {
        words.push(address(host, number, peer_port));
    }
    let text = fields.text.split_whitespace();
    words.extend(text.map(|word| printed_word(word).into_owned()));
    words
}

/// The key of an event that may come next: its old line, its label's rank, its place.
type Key = (u32, u32, u32);

struct Sorting<'a> {
    graph: &'a Graph,
    scope: &'a Scope,
    old: Option<&'a Expectation>,
    /// By node of an event: its label without raced ports, by rank.
    rank: FastMap<u32, u32>,
    /// By label: the old lines that say just that, the first last.
    plain: FastMap<u32, Vec<u32>>,
    /// Old lines that leave something open, and are not used yet.
    open: BTreeSet<u32>,
    races: &'a Races,
    /// Whether raced ports order what takes them after what freed them. Not where a variable is
    /// written for their numbers: in the next run another may have been free.
    ports_order: bool,
    bindings: Bindings,
    digests: FastMap<u32, u64>,
    likely_after: FastMap<u32, Vec<u32>>,
}

impl<'a> Sorting<'a> {
    fn new(
        graph: &'a Graph,
        scope: &'a Scope,
        races: &'a Races,
        old: Option<&'a Expectation>,
    ) -> Sorting<'a> {
        let mut plain: FastMap<u32, Vec<u32>> = FastMap::default();
        let mut open = BTreeSet::new();
        if let Some(old) = old {
            let symbols = translate(graph, old);
            for (index, line) in old.lines.iter().enumerate().rev() {
                if !line.shape.is_concrete() {
                    open.insert(index as u32);
                } else if let Some(label) = label_of(graph, &symbols, &line.shape) {
                    plain.entry(label).or_default().push(index as u32);
                }
            }
        }
        let mut likely_after: FastMap<u32, Vec<u32>> = FastMap::default();
        for &(effect, cause) in &graph.likely {
            likely_after.entry(cause).or_default().push(effect);
        }
        Sorting {
            graph,
            scope,
            old,
            rank: ranks(graph, scope, races),
            plain,
            open,
            races,
            ports_order: true,
            bindings: Bindings::new(old.map_or(0, |old| old.variables.len())),
            digests: FastMap::default(),
            likely_after,
        }
    }

    fn run(mut self) -> Vec<Placed> {
        let mut waits = vec![0u32; self.graph.label_of.len()];
        let mut ready: BinaryHeap<Reverse<Key>> = BinaryHeap::new();
        let mut hidden = Vec::new();
        for &node in &self.graph.order {
            let index = node as usize;
            if !self.scope.members[index] {
                continue;
            }
            let likely = self.graph.likely_before(node);
            let causes = self.graph.before.of(node).iter();
            let causes = causes.filter(|&&(_, why)| self.orders(node, why));
            waits[index] = causes.count() as u32
                + likely
                    .filter(|&cause| self.scope.members[cause as usize])
                    .count() as u32;
            if waits[index] == 0 {
                match self.scope.shown[index] {
                    true => ready.push(Reverse(self.key(node))),
                    false => hidden.push(node),
                }
            }
        }
        let mut placed = Vec::with_capacity(self.scope.events.len());
        let mut effects = Vec::new();
        loop {
            let node = match hidden.pop() {
                Some(node) => node,
                None => match self.next(&mut ready) {
                    Some(next) => {
                        placed.push(next);
                        next.node
                    }
                    None => return placed,
                },
            };
            effects.clear();
            let after = self.graph.after.of(node).iter();
            let ordered = after.filter(|&&(effect, why)| self.orders(effect, why));
            effects.extend(ordered.map(|&(effect, _)| effect));
            effects.extend(self.likely_after.get(&node).into_iter().flatten());
            for &effect in &effects {
                let index = effect as usize;
                if !self.scope.members[index] {
                    continue;
                }
                waits[index] -= 1;
                if waits[index] == 0 {
                    match self.scope.shown[index] {
                        true => ready.push(Reverse(self.key(effect))),
                        false => hidden.push(effect),
                    }
                }
            }
        }
    }

    /// Takes the event that comes next.
    fn next(&mut self, ready: &mut BinaryHeap<Reverse<Key>>) -> Option<Placed> {
        let mut first = loop {
            let Reverse(key) = ready.pop()?;
            // Old lines are used up and variables bound meanwhile: keys only grow.
            let now = self.key(self.node(key));
            if now == key {
                break key;
            }
            ready.push(Reverse(now));
        };
        let alike = |key: &Key, first: &Key| (key.0, key.1) == (first.0, first.1);
        if ready.peek().is_some_and(|Reverse(key)| alike(key, &first)) {
            let mut ties = vec![first];
            while let Some(Reverse(key)) = ready.peek()
                && alike(key, &first)
            {
                ties.push(*key);
                ready.pop();
            }
            ties.sort_by_key(|key| (self.digest(self.node(*key)), key.2));
            first = ties.remove(0);
            ready.extend(ties.into_iter().map(Reverse));
        }
        let node = self.node(first);
        let line = (first.0 != u32::MAX).then_some(first.0);
        if let (Some(line), Some(old)) = (line, self.old) {
            if self.open.remove(&line) {
                let fields = self.fields(node);
                unify(
                    &old.lines[line as usize].shape,
                    old,
                    &fields,
                    &mut self.bindings,
                );
            } else if let Some(lines) = self.plain.get_mut(&self.graph.label_of[node as usize]) {
                lines.pop();
            }
        }
        Some(Placed { node, line })
    }

    fn node(&self, key: Key) -> u32 {
        self.graph.order[key.2 as usize]
    }

    fn fields(&self, node: u32) -> Fields<'a> {
        let label = self.graph.labels.label(self.graph.label_of[node as usize]);
        Fields::of_label(label, &self.graph.symbols)
    }

    fn key(&mut self, node: u32) -> Key {
        let label = self.graph.label_of[node as usize];
        let plain = self
            .plain
            .get(&label)
            .and_then(|lines| lines.last().copied());
        let mut line = plain.unwrap_or(u32::MAX);
        if let Some(old) = self.old {
            let fields = self.fields(node);
            for &open in &self.open {
                if open >= line {
                    break;
                }
                let bound = self.bindings.mark();
                let shape = &old.lines[open as usize].shape;
                let matches = unify(shape, old, &fields, &mut self.bindings);
                self.bindings.undo_to(bound);
                if matches {
                    line = open;
                }
            }
        }
        let rank = self.rank.get(&node).copied().unwrap_or(0);
        (line, rank, self.graph.place[node as usize])
    }

    /// What comes before and after, whatever the order of what is concurrent.
    fn digest(&mut self, node: u32) -> u64 {
        if let Some(&known) = self.digests.get(&node) {
            return known;
        }
        let ranks = |direction: u8, nodes: BTreeSet<u32>| {
            let ranks = nodes.into_iter().filter_map(|node| self.rank.get(&node));
            ranks.fold(0u64, |sum, &rank| {
                sum.wrapping_add(digest((rank, direction)))
            })
        };
        let past = self.reached(node, |node| self.graph.before.of(node), |_, node| node);
        let future = self.reached(node, |node| self.graph.after.of(node), |next, _| next);
        let sum = ranks(1, past).wrapping_add(ranks(2, future));
        self.digests.insert(node, sum);
        sum
    }

    /// The members that one leads to, in the direction of `next`. `effect` is which of two, the
    /// next one and the one before it on that way, comes later.
    fn reached<'g>(
        &self,
        from: u32,
        next: impl Fn(u32) -> &'g [(u32, Why)],
        effect: impl Fn(u32, u32) -> u32,
    ) -> BTreeSet<u32> {
        let mut seen = BTreeSet::new();
        let mut todo = vec![from];
        while let Some(node) = todo.pop() {
            for &(other, why) in next(node) {
                let counts = self.orders(effect(other, node), why);
                if counts && self.scope.members[other as usize] && seen.insert(other) {
                    todo.push(other);
                }
            }
        }
        seen
    }

    fn orders(&self, effect: u32, why: Why) -> bool {
        why != Why::Port || self.ports_order || !self.races.is_raced(effect)
    }
}

/// The rank of each event's label among all, raced ports left out: by text, not by number.
fn ranks(graph: &Graph, scope: &Scope, races: &Races) -> FastMap<u32, u32> {
    let key = |node: u32| {
        let mut label = *graph.labels.label(graph.label_of[node as usize]);
        if !races.is_empty() {
            if races.subject(graph, node).is_some() {
                label.port = NONE;
            }
            if races.peer(graph, node).is_some() {
                label.peer_port = NONE;
            }
        }
        label
    };
    let mut numbers: FastMap<Label, u32> = FastMap::default();
    let mut distinct: Vec<Label> = Vec::new();
    let mut of_event = Vec::with_capacity(scope.events.len());
    for &node in &scope.events {
        let label = key(node);
        let number = *numbers.entry(label).or_insert_with(|| {
            distinct.push(label);
            distinct.len() as u32 - 1
        });
        of_event.push(number);
    }
    let mut sorted: Vec<u32> = (0..distinct.len() as u32).collect();
    sorted.sort_by_cached_key(|&number| {
        let label = distinct[number as usize];
        let symbols = &graph.symbols;
        let host = symbols.text(label.host).to_owned();
        let peer = symbols.text(label.peer_host).to_owned();
        let text = symbols.text(label.text).to_owned();
        (host, label.port, label.verb, peer, label.peer_port, text)
    });
    let mut rank = vec![0; distinct.len()];
    for (index, number) in sorted.into_iter().enumerate() {
        rank[number as usize] = index as u32;
    }
    let events = scope.events.iter().copied();
    events
        .zip(of_event)
        .map(|(node, number)| (node, rank[number as usize]))
        .collect()
}

struct Writer<'a> {
    graph: &'a Graph,
    races: &'a Races,
    old: &'a Expectation,
    keeps_open: bool,
    names_races: bool,
    /// The variable of each raced allocation.
    names: BTreeMap<u32, String>,
    used: BTreeSet<String>,
}

impl Writer<'_> {
    fn write(mut self, placed: &[Placed]) -> String {
        let mut comments = Comments::of(self.old, placed);
        let mut lines = Vec::with_capacity(placed.len());
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
        let fields = Fields::of_label(label, &self.graph.symbols);
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

    /// The variable of a raced allocation: `a`, `b`, … `z`, `a1`, …
    fn name(&mut self, raced: u32) -> Option<String> {
        if let Some(name) = self.names.get(&raced) {
            return Some(name.clone());
        }
        let mut names = (0u32..).map(|index| {
            let letter = char::from(b'a' + (index % 26) as u8);
            match index / 26 {
                0 => letter.to_string(),
                round => format!("{letter}{round}"),
            }
        });
        let name = names.find(|name| !self.used.contains(name))?;
        self.used.insert(name.clone());
        self.names.insert(raced, name.clone());
        Some(name)
    }
}

/// The words of a line as it was written, quoted ones in one piece.
pub(super) fn split_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let quoted = rest.starts_with('"');
        let length = match lonet::__private::unquote_text(rest) {
            Ok((_, length)) if quoted => length,
            _ => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        words.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    words
}

/// Comments and blank lines of the old text, each with the line that it stands above.
struct Comments {
    above: BTreeMap<u32, Vec<String>>,
    rest: Vec<String>,
}

impl Comments {
    /// Those above a line that is gone stand above the next that is left.
    fn of(old: &Expectation, placed: &[Placed]) -> Comments {
        let kept: BTreeSet<u32> = placed.iter().filter_map(|placed| placed.line).collect();
        let mut lines = old.lines.iter().enumerate().peekable();
        let mut comments = Comments {
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

    fn above(&mut self, line: u32) -> Vec<String> {
        self.above.remove(&line).unwrap_or_default()
    }

    fn rest(&mut self) -> Vec<String> {
        std::mem::take(&mut self.rest)
    }
}
