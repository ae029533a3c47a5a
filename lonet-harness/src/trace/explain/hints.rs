//! What a reader may do about an expectation that does not hold, where that is clear.
//!
//! Pure. Owns which hint applies; `report` words them.

use std::collections::{BTreeMap, BTreeSet};

use lonet::Addr;
use lonet::trace::{Verb, What};

use crate::trace::check::decide::Mode;
use crate::trace::check::outcome::Outcome;
use crate::trace::check::search;
use crate::trace::cut::Cut;
use crate::trace::expected::grammar::{Expectation, Port, Term, Text, Variable};
use crate::trace::expected::pattern::{Bindings, unify};
use crate::trace::explain::look::{Look, Problem, fields, line_of};
use crate::trace::explain::meant::meant;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::racing_ports::Races;
use crate::trace::intern::hash_index::NONE;

/// Longer expectations are not tried with other ports.
const MOST_LINES_RENAMED: usize = 5_000;
/// So many blocks are offered, of so many lines each.
const MOST_BLOCKS: u32 = 8;
const MOST_LINES_OF_BLOCK: usize = 64;
/// The most states that such a try visits.
const MOST_STATES_RENAMED: usize = 5_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A dial was refused; `listen` happened, but nothing orders it before the dial.
    DialBeforeListen { fail: String, listen: String },
    /// A dial was refused, and nothing in the trace ever listened there, but at what may be `meant`.
    NobodyListens {
        fail: String,
        addr: Addr,
        meant: Vec<Addr>,
    },
    /// It would hold with these ports renamed: (expected, happened). `raced`: they all may be others
    /// in the next run.
    PortsDiffer {
        renamed: Vec<(String, String)>,
        raced: bool,
    },
    /// The line's event exists, concurrent with the assertion. `reads`: those that were pending beside
    /// it, each as the end and its peer, so that it has no place in the order of its task.
    Concurrent {
        event: String,
        host: String,
        reads: Vec<(Addr, Addr)>,
    },
    /// The expectation would hold with blocks.
    Blocks(Vec<Forgivable>),
    /// The line's event exists, but the view leaves it out.
    OutsideView {
        event: String,
        verb: Verb,
        by_host: bool,
    },
    /// The line's event exists, but a variable stands for something else.
    Bound {
        variable: String,
        value: String,
        event: String,
    },
    /// The same but for the text that follows.
    OtherText { event: String },
    /// The host's process ended with this status.
    Died { host: String, status: String },
    /// What processes reported that makes no sense.
    Reported { problem: String },
}

impl Hint {
    /// Of an event that is concurrent with the assertion. What the test itself did, the end of no
    /// process brings in: that has no host here.
    pub(super) fn concurrent(graph: &Graph, node: u32) -> Hint {
        let fields = fields(graph, node);
        let host = match fields.verb.is_interference() {
            true => "",
            false => fields.host,
        };
        Hint::Concurrent {
            event: line_of(graph, node),
            host: host.to_owned(),
            reads: reads_beside(graph, node),
        }
    }
}

/// The orders that a block would forgive, and nothing else is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forgivable {
    /// What this run did first, and what the expectation has first.
    pub(crate) first: String,
    pub(crate) then: String,
    /// By number, the first and the last line of the block.
    pub(crate) lines: (u32, u32),
    /// How many lines it has.
    pub(crate) count: usize,
}

/// The hints that apply.
pub(crate) fn find(
    cut: &Cut,
    of: &Expectation,
    deepest: &[u32],
    problem: &Problem,
    mode: Mode,
) -> Vec<Hint> {
    let mut finder = Finder {
        look: Look::new(cut, of, deepest),
        hints: Vec::new(),
    };
    if matches!(problem, Problem::NotHappened { .. }) {
        finder.elsewhere();
    }
    finder.refused(problem);
    if mode == Mode::All {
        finder.forgivable(problem);
    }
    if mode == Mode::All && !matches!(problem, Problem::Undecided { .. }) {
        finder.other_ports();
    }
    if matches!(problem, Problem::NotHappened { .. }) {
        finder.died();
    }
    let problems = cut.graph.problems().iter().take(5);
    finder.hints.extend(problems.map(|problem| Hint::Reported {
        problem: problem.clone(),
    }));
    finder.hints
}

/// Where something listened.
fn listened(graph: &Graph) -> impl Iterator<Item = &Addr> {
    let records = graph.processes.iter().flat_map(|process| &process.records);
    records.filter_map(|record| match &record.what {
        What::Listen { addr, .. } => Some(addr),
        _ => None,
    })
}

/// The ends of connections whose pending reads cost a record its place in the order of its task.
fn reads_beside(graph: &Graph, node: u32) -> Vec<(Addr, Addr)> {
    let Some((process, record)) = graph.record(node) else {
        return Vec::new();
    };
    let records = graph.processes[process as usize].records.iter();
    let ends = records.filter_map(|opened| match &opened.what {
        What::Accept {
            addr, peer, socket, ..
        }
        | What::Connect {
            addr, peer, socket, ..
        } => Some((socket, addr, peer)),
        _ => None,
    });
    let pending = ends.filter(|(socket, ..)| record.reads_pending.contains(socket));
    let named = pending.map(|(_, addr, peer)| (addr.clone(), peer.clone()));
    named.collect()
}

struct Finder<'a> {
    look: Look<'a>,
    hints: Vec<Hint>,
}

impl Finder<'_> {
    /// The line's event, where the assertion does not look.
    fn elsewhere(&mut self) {
        let graph = self.look.graph;
        let line = self.look.line;
        let scope = self.look.cut.scope();
        let mut concurrent = None;
        let mut hidden = None;
        let mut other_text = None;
        for &node in &graph.order {
            let index = node as usize;
            if graph.label_of[index] == NONE || scope.shown[index] {
                continue;
            }
            if self.look.matches(line, node) {
                if scope.members[index] {
                    hidden = hidden.or(Some(node));
                } else {
                    concurrent = concurrent.or(Some(node));
                }
            }
        }
        let shape = &self.look.of.lines[line].shape;
        for &node in &scope.events {
            if self.look.matched[node as usize] {
                continue;
            }
            let mut free = Bindings::new(self.look.of.variables.len());
            let fields = fields(graph, node);
            if unify(shape, self.look.of, &fields, &mut free) {
                self.bound(node, &free);
                break;
            }
            let mut without_text = fields;
            without_text.text = "";
            let matches = self.matches_fields(&without_text);
            if other_text.is_none() && matches {
                other_text = Some(node);
            }
        }
        if let Some(node) = concurrent {
            let shown = {
                let label = graph.labels.label(graph.label_of[node as usize]);
                self.look.cut.view.shows(label, &graph.hosts)
            };
            if shown {
                self.hints.push(Hint::concurrent(graph, node));
            }
        }
        if let Some(node) = hidden {
            let verb = fields(graph, node).verb;
            self.hints.push(Hint::OutsideView {
                event: line_of(graph, node),
                verb,
                by_host: self.look.cut.view.verbs.contains(&verb),
            });
        }
        if let Some(node) = other_text {
            let event = line_of(graph, node);
            self.hints.push(Hint::OtherText { event });
        }
    }

    /// Whether the failing line matches but for its text.
    fn matches_fields(&mut self, fields: &crate::trace::expected::pattern::Fields<'_>) -> bool {
        let mut shape = self.look.of.lines[self.look.line].shape.clone();
        if !matches!(shape.verb, Verb::Fail | Verb::Exit | Verb::Mark) {
            return false;
        }
        shape.text = Text::Is(0);
        let bound = self.look.bindings.mark();
        let matches = unify(&shape, self.look.of, fields, &mut self.look.bindings);
        self.look.bindings.undo_to(bound);
        matches
    }

    /// The variable that keeps the line from telling of this event.
    fn bound(&mut self, node: u32, free: &Bindings) {
        let graph = self.look.graph;
        let conflict = (0..self.look.of.variables.len() as u32).find_map(|variable| {
            let known = self.look.bindings.value(variable)?;
            (free.value(variable)? != known).then(|| (variable, known.to_owned()))
        });
        if let Some((variable, value)) = conflict {
            self.hints.push(Hint::Bound {
                variable: self.look.of.variables[variable as usize].name.clone(),
                value,
                event: line_of(graph, node),
            });
        }
    }

    /// A dial that was refused although it should have connected.
    fn refused(&mut self, problem: &Problem) {
        let graph = self.look.graph;
        let mut candidates = match problem {
            Problem::NotHappened { instead, .. } => {
                // What a later line matches was expected.
                let instead = instead.iter().copied();
                instead.filter(|&node| self.matches_no_line(node)).collect()
            }
            Problem::AboveCause { cause, .. } => Some(*cause)
                .filter(|&node| self.matches_no_line(node))
                .into_iter()
                .collect(),
            Problem::MoreHappened { events } => events.clone(),
            _ => return,
        };
        // A listener that is not in the trace makes the first line fail, long before the dial does:
        // then the refusal that no line matches is what matters.
        if let Problem::NotHappened { .. } = problem {
            let scope = self.look.cut.scope();
            let unexpected =
                |&node: &u32| fields(graph, node).verb == Verb::Fail && self.matches_no_line(node);
            candidates.extend(scope.events.iter().copied().filter(unexpected));
        }
        let refused = candidates.into_iter().find(|&node| {
            let fields = fields(graph, node);
            // A host that is unknown so far may come later, too.
            let early = matches!(fields.text, "connection refused" | "no such host");
            fields.verb == Verb::Fail && early
        });
        let Some(fail) = refused else { return };
        let Some((host, port)) = fields(graph, fail).peer else {
            return;
        };
        let listens = graph.order.iter().copied().find(|&node| {
            graph.label_of[node as usize] != NONE && {
                let fields = fields(graph, node);
                fields.verb == Verb::Listen && fields.host == host && fields.port == Some(port)
            }
        });
        let line = line_of(graph, fail);
        match listens {
            Some(listen) if !graph.reaches(listen, fail) => {
                self.hints.push(Hint::DialBeforeListen {
                    fail: line,
                    listen: line_of(graph, listen),
                });
            }
            Some(_) => {}
            None => {
                let Ok(addr) = format!("{host}:{port}").parse() else {
                    return;
                };
                let was_there = fields(graph, fail).text != "no such host";
                let meant: Vec<Addr> = meant(listened(graph), &addr, was_there)
                    .into_iter()
                    .cloned()
                    .collect();
                // A host that is unknown is not to be waited for.
                if was_there || !meant.is_empty() {
                    self.hints.push(Hint::NobodyListens {
                        fail: line,
                        addr,
                        meant,
                    });
                }
            }
        }
    }

    /// Whether it holds with a block wherever an effect stands above its cause.
    fn forgivable(&mut self, problem: &Problem) {
        let (graph, of) = (self.look.graph, self.look.of);
        let scope = self.look.cut.scope();
        if of.lines.len() != scope.events.len() || of.lines.len() > MOST_LINES_RENAMED {
            return;
        }
        let mut with = of.clone();
        let known = with.lines.iter().filter_map(|line| line.block).max();
        let fresh = known.map_or(0, |block| block + 1);
        let mut problem = problem.clone();
        let mut found = Vec::new();
        for block in fresh..fresh + MOST_BLOCKS {
            let Problem::AboveCause {
                line,
                event,
                cause,
                other: Some(other),
                ..
            } = &problem
            else {
                return;
            };
            let at = |number| with.lines.iter().position(|line| line.number == number);
            let (Some(mut from), Some(mut to)) = (at(line.number), at(other.number)) else {
                return;
            };
            let of = |line: usize| with.lines[line].block;
            while from > 0 && of(from).is_some() && of(from - 1) == of(from) {
                from -= 1;
            }
            while to + 1 < with.lines.len() && of(to).is_some() && of(to + 1) == of(to) {
                to += 1;
            }
            if to + 1 - from > MOST_LINES_OF_BLOCK {
                return;
            }
            let numbers = (with.lines[from].number, with.lines[to].number);
            // A block that grows replaces what it was.
            let inside =
                |known: &Forgivable| numbers.0 <= known.lines.0 && known.lines.1 <= numbers.1;
            let known = found.iter().position(inside).map(|at| found[at].clone());
            found.retain(|known| !inside(known));
            let (first, then) = match known {
                Some(known) => (known.first, known.then),
                None => (line_of(graph, *cause), line_of(graph, *event)),
            };
            found.push(Forgivable {
                first,
                then,
                lines: numbers,
                count: to + 1 - from,
            });
            for line in &mut with.lines[from..=to] {
                line.block = Some(block);
            }
            let most = with.lines.len();
            let deepest = match search::all(graph, scope, &with, most, MOST_STATES_RENAMED) {
                Outcome::Holds(_) => {
                    self.hints.push(Hint::Blocks(found));
                    return;
                }
                Outcome::Fails(deepest) if deepest.len() < most => deepest,
                Outcome::Fails(_) | Outcome::Undecided(_) => return,
            };
            problem = Look::new(self.look.cut, &with, &deepest).line_fails(Mode::All, &deepest);
        }
    }

    /// Whether no line of the expectation could match the event.
    fn matches_no_line(&self, node: u32) -> bool {
        let of = self.look.of;
        of.lines.iter().all(|line| {
            let mut free = Bindings::new(of.variables.len());
            !unify(&line.shape, of, &fields(self.look.graph, node), &mut free)
        })
    }

    /// Whether it holds with other numbers for automatic ports.
    fn other_ports(&mut self) {
        let (graph, of) = (self.look.graph, self.look.of);
        let scope = self.look.cut.scope();
        if of.lines.len() != scope.events.len() || of.lines.len() > MOST_LINES_RENAMED {
            return;
        }
        if !self.same_but_for_ports() {
            return;
        }
        // A listener that asked for that port has no other.
        let mut listeners: BTreeSet<(String, u16)> = BTreeSet::new();
        for &node in &scope.events {
            let record = graph.record(node);
            if let Some(What::Listen {
                addr: a,
                auto: false,
                ..
            }) = record.map(|(_, record)| &record.what)
            {
                listeners.insert((a.host().to_owned(), a.port()));
            }
        }
        let mut renamed = of.clone();
        let mut ports: BTreeMap<(String, u16), u32> = BTreeMap::new();
        for index in 0..renamed.lines.len() {
            let shape = renamed.lines[index].shape.clone();
            let mut open = |host: Term, port: Port| match (host, port) {
                (Term::Is(symbol), Port::Is(number)) => {
                    let key = (renamed.symbols.text(symbol).to_owned(), number);
                    if listeners.contains(&key) {
                        return port;
                    }
                    let name = format!("{}:{number}", key.0);
                    let next = renamed.variables.len() as u32;
                    let variable = *ports.entry(key).or_insert(next);
                    if variable == next {
                        renamed.variables.push(Variable {
                            name,
                            is_host: false,
                        });
                    }
                    Port::Variable(variable)
                }
                _ => port,
            };
            let port = shape.port.map(|port| open(shape.host, port));
            let peer = shape.peer.map(|(host, port)| (host, open(host, port)));
            renamed.lines[index].shape.port = port;
            renamed.lines[index].shape.peer = peer;
        }
        if ports.is_empty() {
            return;
        }
        let found = search::all(
            graph,
            scope,
            &renamed,
            renamed.lines.len(),
            MOST_STATES_RENAMED,
        );
        let Outcome::Holds(assignment) = found else {
            return;
        };
        let mut bindings = Bindings::new(renamed.variables.len());
        for (line, &node) in renamed.lines.iter().zip(&assignment) {
            unify(&line.shape, &renamed, &fields(graph, node), &mut bindings);
        }
        let mut taken = BTreeSet::new();
        let mut swaps = Vec::new();
        for ((host, port), variable) in &ports {
            let Some(value) = bindings.value(*variable) else {
                return;
            };
            // A renaming keeps different ports different.
            if !taken.insert((host, value.to_owned())) {
                return;
            }
            if value != port.to_string() {
                swaps.push((format!("{host}:{port}"), format!("{host}:{value}")));
            }
        }
        if swaps.is_empty() {
            return;
        }
        let races = Races::find(graph, scope);
        let raced = of.lines.iter().zip(&assignment).all(|(line, &node)| {
            let fields = fields(graph, node);
            let same = |port: Port, number: Option<u16>| match port {
                Port::Is(port) => Some(port) == number,
                _ => true,
            };
            let subject = line.shape.port.is_none_or(|port| same(port, fields.port));
            let peer = line.shape.peer.map(|(_, port)| port);
            let peer = peer.is_none_or(|port| same(port, fields.peer.map(|(_, number)| number)));
            (subject || races.subject(graph, node).is_some())
                && (peer || races.peer(graph, node).is_some())
        });
        let hint = Hint::PortsDiffer {
            renamed: swaps,
            raced,
        };
        self.hints.insert(0, hint);
    }

    /// Whether lines and events agree once ports are left out; a line that leaves more open may
    /// stand for anything.
    fn same_but_for_ports(&self) -> bool {
        let (graph, of) = (self.look.graph, self.look.of);
        let mut counts: BTreeMap<(Verb, &str, Option<&str>, &str), i64> = BTreeMap::new();
        for &node in &self.look.cut.scope().events {
            let fields = fields(graph, node);
            let peer = fields.peer.map(|(host, _)| host);
            *counts
                .entry((fields.verb, fields.host, peer, fields.text))
                .or_default() += 1;
        }
        for line in &of.lines {
            let shape = &line.shape;
            let text = |term: Term| match term {
                Term::Is(symbol) => Some(of.symbols.text(symbol)),
                _ => None,
            };
            let peer = shape.peer.map(|(host, _)| text(host));
            let (Some(host), false, Text::Is(words)) =
                (text(shape.host), peer == Some(None), &shape.text)
            else {
                return true;
            };
            let key = (shape.verb, host, peer.flatten(), of.symbols.text(*words));
            *counts.entry(key).or_default() -= 1;
        }
        counts.values().all(|&count| count == 0)
    }

    /// The host of the line ended before it could.
    fn died(&mut self) {
        let graph = self.look.graph;
        let of = self.look.of;
        let Term::Is(host) = of.lines[self.look.line].shape.host else {
            return;
        };
        let host = of.symbols.text(host);
        let mut latest_first = graph.order.iter().rev().filter_map(|&node| {
            let (_, record) = graph.record(node)?;
            Some(&record.what)
        });
        let died = latest_first.find_map(|what| match what {
            What::Exit {
                host: h,
                process: i,
                text: x,
            } if h == host && x != "0" => Some((*i, x)),
            _ => None,
        });
        if let Some((process, status)) = died
            && !self.ended_by_scenario(host, process, status)
        {
            self.hints.push(Hint::Died {
                host: host.to_owned(),
                status: status.clone(),
            });
        }
    }

    /// Whether a process ended so because the scenario wanted it to.
    fn ended_by_scenario(&self, host: &str, process: u64, status: &str) -> bool {
        let killed = status == "signal 9";
        let records = self.look.graph.processes.iter().flat_map(|p| &p.records);
        records.map(|record| &record.what).any(|what| match what {
            What::Kill { process: i, .. } => killed && *i == process,
            What::Terminate { process: i, .. } => {
                (killed || status == "signal 15") && *i == process
            }
            // A restart kills the one before.
            What::Restart {
                host: h,
                process: i,
            } => killed && h == host && *i > process,
            _ => false,
        })
    }
}
