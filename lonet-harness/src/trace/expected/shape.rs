//! An event of one host, as the process of that host looks for it: a pattern → a shape.
//!
//! Pure. Owns which patterns a process can look for, and which events it can hold. What happens at the
//! event, and the message for what is not legal, is the caller's business.

use std::borrow::Cow;

use lonet::trace::{EventShape, Verb, WordShape};

use crate::trace::expected::grammar::{Expectation, Port, SyntaxError, Term, Text, Word};
use crate::trace::expected::pattern::Pattern;

/// Why no process can look for an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The text is not a line of a trace.
    Syntax(SyntaxError),
    /// The test itself does it: `! kill α`.
    Interference(Verb),
    /// Its host is any, or a variable.
    NoHost,
    /// A variable stands twice, and a process compares no words.
    Repeats(String),
}

/// What can be held before its effect.
const HELD: [Verb; 7] = [
    Verb::Listen,
    Verb::Dial,
    Verb::Accept,
    Verb::Connect,
    Verb::Send,
    Verb::Shutdown,
    Verb::Recv,
];

/// Why events with this verb can't be held, and which can; nothing if they can.
pub(crate) fn why_not_held(verb: Verb) -> Option<String> {
    if HELD.contains(&verb) {
        return None;
    }
    let why = match verb {
        Verb::Mark => "code that marks does not wait, only what its task does on the network",
        Verb::Close => "code that drops a socket does not wait",
        Verb::Fail => "it is the end of a `dial`, which can be held",
        _ => "it is not what a task does on the network",
    };
    let held: Vec<String> = HELD.iter().map(|verb| format!("`{verb}`")).collect();
    let held = held.join(", ");
    Some(format!(
        "`{verb}` can't be held: {why}; what can be held: {held}"
    ))
}

/// The pattern, with any number of bytes where it leaves them out: how many bytes a write or a read
/// moves may differ from run to run.
pub(crate) fn with_bytes(pattern: &str) -> Cow<'_, str> {
    let mut words = pattern.split_whitespace();
    let moves = words
        .nth(1)
        .is_some_and(|verb| verb == "send" || verb == "recv");
    match moves && words.count() == 1 {
        true => Cow::Owned(format!("{pattern} _")),
        false => Cow::Borrowed(pattern),
    }
}

/// The pattern, and the shape that the process of its host looks for. Without a number of bytes, a
/// `send` or a `recv` has any.
///
/// # Errors
///
/// Why no process can look for it.
pub(crate) fn event_shape(text: &str) -> Result<(Pattern, EventShape), Unfit> {
    let pattern = Pattern::parse(&with_bytes(text)).map_err(Unfit::Syntax)?;
    let shape = shape_of(pattern.parsed())?;
    Ok((pattern, shape))
}

fn shape_of(parsed: &Expectation) -> Result<EventShape, Unfit> {
    let shape = &parsed.lines[0].shape;
    let verb = shape.verb;
    if verb.is_interference() {
        return Err(Unfit::Interference(verb));
    }
    let Term::Is(host) = shape.host else {
        return Err(Unfit::NoHost);
    };
    let host = parsed.symbols.text(host).to_owned();
    let mut variables = Vec::new();
    let mut repeats = None;
    let mut term = |term: Term| match term {
        Term::Is(symbol) => Some(parsed.symbols.text(symbol).to_owned()),
        Term::Any => None,
        Term::Variable(variable) => {
            if variables.contains(&variable) {
                repeats = Some(variable);
            }
            variables.push(variable);
            None
        }
    };
    let number = |port: Port| match port {
        Port::Is(port) => (Some(port), Term::Any),
        Port::Any => (None, Term::Any),
        Port::Variable(variable) => (None, Term::Variable(variable)),
    };
    let port_of = |port: Port, term: &mut dyn FnMut(Term) -> Option<String>| {
        let (port, variable) = number(port);
        term(variable);
        port
    };
    let port = shape.port.and_then(|port| port_of(port, &mut term));
    let peer = shape.peer.map(|(host, port)| {
        let host = term(host);
        (host, port_of(port, &mut term))
    });
    let mut words = Vec::new();
    let mut more = false;
    match &shape.text {
        Text::Is(symbol) => {
            let text = parsed.symbols.text(*symbol);
            words.extend(
                text.split_whitespace()
                    .map(|word| WordShape::Is(word.to_owned())),
            );
        }
        Text::Words(shapes) => {
            for word in shapes {
                words.push(match word {
                    Word::Rest => {
                        more = true;
                        break;
                    }
                    // Only lines of faults have these, and those are the test's.
                    Word::Ends(_) => WordShape::Any,
                    Word::Whole(whole) => term(*whole).map_or(WordShape::Any, WordShape::Is),
                    Word::After(prefix, rest) => {
                        let prefix = parsed.symbols.text(*prefix);
                        match term(*rest) {
                            Some(rest) => WordShape::Is(format!("{prefix}{rest}")),
                            None => WordShape::Begins(prefix.to_owned()),
                        }
                    }
                });
            }
        }
    }
    if let Some(variable) = repeats {
        let variable = &parsed.variables[variable as usize];
        return Err(Unfit::Repeats(variable.name.clone()));
    }
    Ok(EventShape {
        verb,
        host,
        port,
        peer,
        words,
        more,
    })
}
