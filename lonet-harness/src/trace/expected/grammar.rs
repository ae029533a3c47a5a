//! Expected traces and patterns: text → lines.
//!
//! Pure. Owns what is legal in an expected trace and the message for what is not; which events a
//! line matches is `pattern`'s business.

mod ends;
mod words;

use std::fmt;

use lonet::trace::{Begins, Follows, Peer, Verb};
use lonet::{check_name, parse_port};

use crate::trace::intern::symbols::{Symbol, Symbols};

/// A syntax error in an expected trace: its position, what is wrong, and what is legal there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what is legal there.
    pub message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SyntaxError {
            line,
            column,
            message,
        } = self;
        write!(f, "line {line}, column {column}: {message}")
    }
}

impl std::error::Error for SyntaxError {}

impl SyntaxError {
    /// The message for a call that waits for this pattern.
    pub(crate) fn of_pattern(&self, pattern: &str) -> String {
        format!("invalid pattern `{pattern}`: {self}")
    }
}

/// A host or a word: any, a variable, or this text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Term {
    Any,
    Variable(u32),
    Is(Symbol),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Port {
    Any,
    Variable(u32),
    Is(u16),
}

/// One word of a text: as a whole, or what follows its last `=`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    Whole(Term),
    After(Symbol, Term),
    /// The ends on one side of a fault, where something is open: `$leader`, `$a,b:$p`. A variable
    /// stands for one host.
    Ends(Box<[End]>),
    /// All that follows: the last word.
    Rest,
}

/// A host, or one end of it.
pub(crate) type End = (Term, Option<Port>);

/// What follows subject, verb and object. The ends of a fault do, all of them: none is a subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Text {
    /// Exactly this, single blanks between the words.
    Is(Symbol),
    Words(Vec<Word>),
}

/// One line of an expected trace.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Its number in the text, from 1.
    pub(crate) number: u32,
    /// Where it stands in the text, without the white space around it and the `|` of a block, in
    /// bytes.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The block that it belongs to, if any: the lines of a block have no order among themselves.
    pub(crate) block: Option<u32>,
    pub(crate) shape: Shape,
}

/// What a line asks of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) verb: Verb,
    pub(crate) host: Term,
    pub(crate) port: Option<Port>,
    pub(crate) peer: Option<(Term, Port)>,
    pub(crate) text: Text,
}

impl Shape {
    /// Whether it has no `_` and no variable, so that exactly one label matches.
    pub(crate) fn is_concrete(&self) -> bool {
        matches!(self.host, Term::Is(_))
            && matches!(self.port, None | Some(Port::Is(_)))
            && matches!(self.peer, None | Some((Term::Is(_), Port::Is(_))))
            && matches!(self.text, Text::Is(_))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// Stands for a host somewhere: then it differs from every other that does.
    pub(crate) is_host: bool,
}

/// An expected trace, parsed.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub(crate) source: String,
    pub(crate) symbols: Symbols,
    pub(crate) variables: Vec<Variable>,
    /// The variables' numbers, by name.
    pub(crate) names: Symbols,
    pub(crate) lines: Vec<Line>,
}

/// Checks the syntax of an expected trace.
///
/// # Errors
///
/// The first syntax error, with its position and what is legal there.
pub(crate) fn check_syntax(text: &str) -> Result<(), SyntaxError> {
    Expectation::parse(text).map(drop)
}

/// The symbol of the empty text: what a line has for a host that names none.
const NO_HOST: Symbol = 0;
const NOTHING_IN_BLOCK: &str =
    "`|` begins a line of a block: the line of an event follows it, as in `| α mark ready`";
/// To dial port 0 is possible, and fails: as the other side's port it is legal.
const NO_PORT_ZERO: &str =
    "no host has a port 0; legal is a number from 1 to 65535, `_` (any) or a variable, as in $p";

impl Expectation {
    /// Parses an expected trace: one event a line; blank lines and lines whose first character is
    /// `#` are ignored. Consecutive lines that begin with `| ` form a block, which a comment does
    /// not end and a blank line does.
    ///
    /// # Errors
    ///
    /// The first syntax error, with its position and what is legal there.
    pub fn parse(text: &str) -> Result<Expectation, SyntaxError> {
        let mut parsed = Expectation {
            source: text.to_owned(),
            symbols: Symbols::default(),
            variables: Vec::new(),
            names: Symbols::default(),
            lines: Vec::new(),
        };
        parsed.symbols.intern(""); // `NO_HOST`
        let mut offset = 0;
        let mut blocks = 0;
        let mut block = None;
        for (index, raw) in text.split('\n').enumerate() {
            let line = raw.trim_end();
            let mut indent = line.len() - line.trim_start().len();
            if line[indent..].is_empty() {
                block = None;
            } else if !line[indent..].starts_with('#') {
                block = match in_block(&line[indent..]) {
                    true => Some(block.unwrap_or_else(|| {
                        blocks += 1;
                        blocks - 1
                    })),
                    false => None,
                };
                if block.is_some() {
                    let rest = &line[indent + 1..];
                    indent = line.len() - rest.trim_start().len();
                    if rest.is_empty() {
                        return Err(SyntaxError {
                            line: index + 1,
                            column: line.chars().count() + 1,
                            message: NOTHING_IN_BLOCK.to_owned(),
                        });
                    }
                }
                let shape = LineParser {
                    line,
                    rest: indent,
                    into: &mut parsed,
                }
                .line()
                .map_err(|(at, message)| SyntaxError {
                    line: index + 1,
                    column: line[..at].chars().count() + 1,
                    message,
                })?;
                parsed.lines.push(Line {
                    number: index as u32 + 1,
                    start: (offset + indent) as u32,
                    end: (offset + line.len()) as u32,
                    block,
                    shape,
                });
            }
            offset += raw.len() + 1;
        }
        Ok(parsed)
    }

    /// Refuses blocks, where they mean nothing.
    ///
    /// # Errors
    ///
    /// The first line of a block.
    pub(crate) fn without_blocks(&self, what: &str) -> Result<(), SyntaxError> {
        match self.lines.iter().find(|line| line.block.is_some()) {
            None => Ok(()),
            Some(line) => Err(SyntaxError {
                line: line.number as usize,
                column: 1,
                message: format!(
                    "{what} has no blocks; a line that begins with `| ` can stand in assert_trace and assert_contains"
                ),
            }),
        }
    }

    /// How many events the text has.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line as it was written, without the white space around it.
    pub(crate) fn text(&self, line: usize) -> &str {
        let line = &self.lines[line];
        &self.source[line.start as usize..line.end as usize]
    }

    fn variable(&mut self, name: &str, is_host: bool) -> u32 {
        let index = self.names.intern(name);
        if index as usize == self.variables.len() {
            self.variables.push(Variable {
                name: name.to_owned(),
                is_host: false,
            });
        }
        self.variables[index as usize].is_host |= is_host;
        index
    }
}

/// Whether a line, without the white space around it, begins with the mark of a block.
fn in_block(line: &str) -> bool {
    let after = line.strip_prefix('|');
    after.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// What is wrong, and the byte of the line where.
type Wrong = (usize, String);

struct LineParser<'a> {
    line: &'a str,
    /// The byte up to which the line is read.
    rest: usize,
    into: &'a mut Expectation,
}

/// A piece of a line between white space.
#[derive(Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
}

impl<'a> LineParser<'a> {
    fn line(mut self) -> Result<Shape, Wrong> {
        let subject = self.token().expect("a line that is parsed is not blank");
        let verb = self.verb(subject)?;
        let rules = verb.rules();
        let mut named = subject;
        let (host, port) = match rules.begins {
            Begins::BangAddress => {
                let what = format!(
                    "`! {verb}` needs the addresses of both ends: host:port, as in α:1 β:1, or `_` for any"
                );
                named = self.token().ok_or((self.line.len(), what))?;
                let (host, port) = self.address(named)?;
                (host, Some(port))
            }
            Begins::Bang if verb.names_ends() => (Term::Is(NO_HOST), None),
            Begins::Bang => {
                let what = format!(
                    "`! {verb}` needs the host that it acts on: its name, `_` (any) or a variable, as in $leader"
                );
                let host = self.token().ok_or((self.line.len(), what))?;
                (self.host(host)?, None)
            }
            Begins::Host => (self.host(subject)?, None),
            Begins::Address => {
                let (host, port) = self.address(subject)?;
                (host, Some(port))
            }
        };
        if port == Some(Port::Is(0)) {
            let at = named.at + named.text.len() - 1;
            return Err((at, NO_PORT_ZERO.to_owned()));
        }
        let peer = match rules.peer {
            Peer::Never => None,
            Peer::Maybe => match self.token() {
                Some(token) => Some(self.address(token)?),
                None => None,
            },
            Peer::Always => {
                let what = format!(
                    "`{verb}` needs the other side's address: host:port, as in α:10, or `_` for any"
                );
                let token = self.token().ok_or((self.line.len(), what))?;
                Some(self.address(token)?)
            }
        };
        let text = match rules.text {
            Follows::Mark => self.mark()?,
            Follows::Words(which) => self.some_text(which)?,
            Follows::Ends(other) => self.fault(verb, other)?,
            Follows::Bytes => self.bytes(verb)?,
            Follows::Nothing => {
                if let Some(surplus) = self.token() {
                    return Err((surplus.at, surplus_text(surplus.text, verb)));
                }
                Text::Is(0)
            }
        };
        Ok(Shape {
            verb,
            host,
            port,
            peer,
            text,
        })
    }

    fn token(&mut self) -> Option<Token<'a>> {
        let rest = &self.line[self.rest..];
        let text = rest.trim_start();
        let at = self.line.len() - text.len();
        if text.is_empty() {
            self.rest = self.line.len();
            return None;
        }
        let length = text.find(char::is_whitespace).unwrap_or(text.len());
        self.rest = at + length;
        Some(Token {
            at,
            text: &text[..length],
        })
    }

    /// The verb, if it is legal after this subject.
    fn verb(&mut self, subject: Token<'_>) -> Result<Verb, Wrong> {
        let (legal, after): (&[Begins], _) = match subject.text {
            "!" => (&[Begins::Bang, Begins::BangAddress], "after `!`".to_owned()),
            "_" => (&[Begins::Address, Begins::Host], "after `_`".to_owned()),
            text if text.contains(':') => {
                self.address(subject)?;
                (&[Begins::Address], format!("after the address `{text}`"))
            }
            text => {
                self.host(subject)?;
                (&[Begins::Host], format!("after the host `{text}`"))
            }
        };
        let Some(token) = self.token() else {
            let message = format!("the verb is missing; {}", legal_list(&after, legal));
            return Err((self.line.len(), message));
        };
        match token.text.parse::<Verb>() {
            Ok(verb) if legal.contains(&verb.rules().begins) => Ok(verb),
            Ok(_) => Err((token.at, not_legal(token.text, &after, legal))),
            Err(_) => Err((
                token.at,
                format!(
                    "`{}` is not a verb; {}",
                    token.text,
                    legal_list(&after, legal)
                ),
            )),
        }
    }

    fn address(&mut self, token: Token<'_>) -> Result<(Term, Port), Wrong> {
        const LEGAL: &str = "legal is host:port, as in α:10, where host or port may be `_` (any) or a variable, as in α:$p; or `_` for any address";
        if token.text == "_" {
            return Ok((Term::Any, Port::Any));
        }
        let Some((host, port)) = token.text.rsplit_once(':') else {
            return Err((
                token.at,
                format!("`{}` is not an address; {LEGAL}", token.text),
            ));
        };
        let at_port = token.at + host.len() + 1;
        if host.is_empty() {
            return Err((token.at, format!("the host is missing; {LEGAL}")));
        }
        let host = self.host(Token {
            at: token.at,
            text: host,
        })?;
        if port.is_empty() {
            return Err((at_port, format!("the port is missing; {LEGAL}")));
        }
        Ok((host, self.port(port, at_port)?))
    }

    fn port(&mut self, port: &str, at: usize) -> Result<Port, Wrong> {
        Ok(match port {
            "_" => Port::Any,
            _ if port.starts_with('$') => Port::Variable(self.named(port, at, false)?),
            _ => Port::Is(parse_port(port).ok_or_else(|| {
                let message = format!(
                    "`{port}` is not a port; legal is a number to 65535, `_` (any) or a variable, as in $p"
                );
                (at, message)
            })?),
        })
    }

    fn host(&mut self, token: Token<'_>) -> Result<Term, Wrong> {
        match token.text {
            "_" => Ok(Term::Any),
            text if text.starts_with('$') => Ok(Term::Variable(self.named(text, token.at, true)?)),
            text => match self.into.symbols.find(text) {
                // A text seen before was checked then, if it stood for a host then.
                Some(symbol) if check_name(text).is_ok() => Ok(Term::Is(symbol)),
                _ => {
                    check_name(text).map_err(|why| {
                        let message = format!(
                            "{why}; legal is also `_` (any host) or a variable, as in $leader"
                        );
                        (token.at, message)
                    })?;
                    Ok(Term::Is(self.into.symbols.intern(text)))
                }
            },
        }
    }

    /// A variable: `$` and its name.
    fn named(&mut self, text: &str, at: usize, is_host: bool) -> Result<u32, Wrong> {
        let name = &text[1..];
        if !is_name(name) {
            let message = format!(
                "`{text}` is not a variable; legal is `$` and letters, digits or `_`, as in $leader; a text that begins with `$` is written quoted"
            );
            return Err((at, message));
        }
        Ok(self.into.variable(name, is_host))
    }
}

/// Whether a variable may have this name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The verbs of lines that begin in these ways.
fn legal_list(after: &str, legal: &[Begins]) -> String {
    let verbs = Verb::ALL.iter().map(|verb| verb.rules());
    let verbs = verbs.filter(|rules| legal.contains(&rules.begins));
    let words: Vec<_> = verbs.map(|rules| rules.word).collect();
    format!("legal {after}: {}", words.join(", "))
}

fn not_legal(verb: &str, after: &str, legal: &[Begins]) -> String {
    format!("`{verb}` can't stand here; {}", legal_list(after, legal))
}

fn surplus_text(text: &str, verb: Verb) -> String {
    if text.starts_with('#') {
        return "a comment must stand on a line of its own".to_owned();
    }
    format!("unexpected `{text}`: nothing may follow `{verb}` here")
}
