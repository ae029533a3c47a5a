//! Whether a line matches an event, given the bindings of its variables.
//!
//! Pure. Owns matching of one line; a whole expectation is `matching`'s and `search`'s business.

use std::collections::HashSet;

use lonet::trace::{Event, Verb};

use crate::trace::ends::ALL_OTHERS;
use crate::trace::expected::grammar::{
    Expectation, Port, Shape, SyntaxError, Term, Text, Variable, Word,
};
use crate::trace::intern::hash_index::{NONE, digest};
use crate::trace::intern::labels::{Label, folded, with_ends};
use crate::trace::intern::symbols::Symbols;

/// What an event's line says. A fault between hosts has no host; all its ends are text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) verb: Verb,
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
    pub(crate) peer: Option<(&'a str, u16)>,
    pub(crate) text: &'a str,
}

impl<'a> Fields<'a> {
    pub(crate) fn of_label(label: Label<'a>, hosts: &'a Symbols) -> Fields<'a> {
        let Label { head, text } = label;
        Fields {
            verb: head.verb,
            host: hosts.text(head.host),
            port: (head.port != NONE).then_some(head.port as u16),
            peer: (head.peer_host != NONE)
                .then(|| (hosts.text(head.peer_host), head.peer_port as u16)),
            text,
        }
    }
}

/// What the variables of an expectation stand for so far.
#[derive(Clone, Debug)]
pub(crate) struct Bindings {
    values: Vec<Option<Box<str>>>,
    /// What host variables stand for. Asked, never iterated: there may be as many as lines.
    hosts: HashSet<Box<str>>,
    /// The variables that were bound, in this order, so that it can be undone.
    trail: Vec<Bound>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    variable: u32,
    is_host: bool,
    /// Of all up to here.
    digest: u64,
}

impl Bindings {
    pub(crate) fn new(variables: usize) -> Bindings {
        Bindings {
            values: vec![None; variables],
            hosts: HashSet::new(),
            trail: Vec::new(),
        }
    }

    pub(crate) fn mark(&self) -> usize {
        self.trail.len()
    }

    pub(crate) fn undo_to(&mut self, mark: usize) {
        for bound in self.trail.drain(mark..) {
            let value = self.values[bound.variable as usize].take();
            if let Some(value) = value.filter(|_| bound.is_host) {
                self.hosts.remove(&value);
            }
        }
    }

    pub(crate) fn value(&self, variable: u32) -> Option<&str> {
        self.values[variable as usize].as_deref()
    }

    /// A number that is the same for the same bindings, however they came about.
    pub(crate) fn digest(&self) -> u64 {
        self.trail.last().map_or(0, |bound| bound.digest)
    }

    pub(crate) fn bind(&mut self, variable: u32, value: &str, variables: &[Variable]) -> bool {
        if let Some(known) = self.value(variable) {
            return known == value;
        }
        // Different host variables are different hosts.
        let is_host = variables[variable as usize].is_host;
        if is_host && !self.hosts.insert(value.into()) {
            return false;
        }
        self.values[variable as usize] = Some(value.into());
        let digest = self.digest() ^ digest((variable, value));
        self.trail.push(Bound {
            variable,
            is_host,
            digest,
        });
        true
    }
}

/// Whether the shape matches what an event says, given the bindings, which it extends. When it
/// doesn't, the bindings may have grown all the same: undo them.
pub(crate) fn unify(
    shape: &Shape,
    of: &Expectation,
    fields: &Fields<'_>,
    bindings: &mut Bindings,
) -> bool {
    #[cfg(test)]
    crate::trace::intern::steps::step();
    let term = |term: Term, value: &str, bindings: &mut Bindings| match term {
        Term::Any => true,
        Term::Is(symbol) => of.symbols.text(symbol) == value,
        Term::Variable(variable) => bindings.bind(variable, value, &of.variables),
    };
    let port = |port: Port, value: u16, bindings: &mut Bindings| match port {
        Port::Any => true,
        Port::Is(number) => number == value,
        Port::Variable(variable) => bindings.bind(variable, &value.to_string(), &of.variables),
    };
    // What binds nothing is looked at first: most events are refused by it.
    let same_text = match &shape.text {
        Text::Is(symbol) => of.symbols.text(*symbol) == fields.text,
        Text::Words(_) => true,
    };
    if shape.verb != fields.verb || !same_text || !term(shape.host, fields.host, bindings) {
        return false;
    }
    let ports_match = match (shape.port, fields.port) {
        (Some(pattern), Some(value)) => port(pattern, value, bindings),
        (None, None) => true,
        _ => false,
    };
    let peers_match = match (shape.peer, fields.peer) {
        (Some((host, number)), Some((peer_host, peer_port))) => {
            term(host, peer_host, bindings) && port(number, peer_port, bindings)
        }
        (None, None) => true,
        _ => false,
    };
    if !ports_match || !peers_match {
        return false;
    }
    match &shape.text {
        Text::Is(_) => true,
        Text::Words(words) => {
            let mut values = fields.text.split_whitespace();
            for word in words {
                let matches = match (word, values.next()) {
                    (Word::Rest, _) => return true,
                    (_, None) => false,
                    (Word::Whole(pattern), Some(value)) => term(*pattern, value, bindings),
                    (Word::Ends(ends), Some(value)) => {
                        let given = value.split(',');
                        value != ALL_OTHERS
                            && given.clone().count() == ends.len()
                            && ends.iter().zip(given).all(|(&(host, number), given)| {
                                let (name, at) = match given.split_once(':') {
                                    Some((name, at)) => (name, at.parse().ok()),
                                    None => (given, None),
                                };
                                let same_port = match (number, at) {
                                    (Some(number), Some(at)) => port(number, at, bindings),
                                    (None, None) => !given.contains(':'),
                                    _ => false,
                                };
                                same_port && term(host, name, bindings)
                            })
                    }
                    (Word::After(prefix, pattern), Some(value)) => {
                        match value.strip_prefix(of.symbols.text(*prefix)) {
                            Some(value) if !value.is_empty() => term(*pattern, value, bindings),
                            _ => false,
                        }
                    }
                };
                if !matches {
                    return false;
                }
            }
            values.next().is_none()
        }
    }
}

/// One line of an expected trace, for `until`. `_` and a variable match anything; a variable that
/// occurs twice must match the same text both times.
#[derive(Clone, Debug)]
pub struct Pattern(Expectation);

impl Pattern {
    /// Parses one line.
    ///
    /// # Errors
    ///
    /// The position of the error, what is wrong, and what is legal there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// use lonet_harness::Pattern;
    ///
    /// assert!(Pattern::parse("α:10 listen").is_ok());
    /// let error = Pattern::parse("α:10 hums").unwrap_err();
    /// assert_eq!((error.line, error.column), (1, 6));
    /// # Ok(()) }
    /// ```
    pub fn parse(text: &str) -> Result<Pattern, SyntaxError> {
        let parsed = Expectation::parse(text)?;
        parsed.without_blocks("a pattern")?;
        match parsed.lines.as_slice() {
            [_] => Ok(Pattern(parsed)),
            [] => Err(SyntaxError {
                line: 1,
                column: 1,
                message:
                    "the pattern is empty; a pattern is one line of a trace, as in `α:10 listen`"
                        .to_owned(),
            }),
            [_, second, ..] => Err(SyntaxError {
                line: second.number as usize,
                column: 1,
                message: "a pattern is only one line of a trace; this is a second".to_owned(),
            }),
        }
    }

    /// Whether the line matches the event.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("term=3");
    /// let event = scenario.until("α mark _").await?;
    /// assert!(lonet_harness::Pattern::parse("_ mark term=$t")?.matches(&event));
    /// # Ok(()) }
    /// ```
    pub fn matches(&self, event: &Event) -> bool {
        let Pattern(of) = self;
        let verb = event.verb();
        let (host, text) = match verb.names_ends() {
            true => ("", with_ends(event.host(), event.text())),
            false => (event.host(), folded(event.text())),
        };
        let fields = Fields {
            verb,
            host,
            port: event.addr().map(lonet::Addr::port),
            peer: event.peer().map(|peer| (peer.host(), peer.port())),
            text: &text,
        };
        let mut bindings = Bindings::new(of.variables.len());
        unify(&of.lines[0].shape, of, &fields, &mut bindings)
    }

    /// What it was parsed into; it has one line.
    pub(crate) fn parsed(&self) -> &Expectation {
        &self.0
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        self.0.text(0)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
