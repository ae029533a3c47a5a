//! A fault, checked: from what a test says to what the analyst gets.
//!
//! Pure. Owns what is legal in a fault, and the message for what is not.

use std::borrow::Cow;
use std::time::Duration;

use lonet::trace::{By, Ends, EventShape, Place, Rules, WordShape};
use lonet::{check_name, parse_port};

use super::{Fault, What};
use crate::collector::fault::{At, Injection, Kind, Side};
use crate::error::{Error, ErrorKind};
use crate::trace::Pattern;
use crate::trace::expected::grammar::{Expectation, Port, Term, Text, Word};

/// The longest delay: what takes longer is a mistake.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

type Checked<T> = Result<T, Error>;

fn wrong<T>(message: impl Into<String>) -> Checked<T> {
    Err(Error::new(ErrorKind::Fault, message))
}

impl Fault {
    /// What it asks for, with that number.
    pub(crate) fn plan(&self, number: u32) -> Checked<Injection> {
        let kind = self.kind()?;
        let verb = kind.verb();
        let from = side(&self.from, verb.as_str())?;
        let to = match kind.is_of_process() {
            true => Side {
                ends: Ends::Others,
                text: "_".to_owned(),
            },
            false => side(&self.to, verb.as_str())?,
        };
        if kind.is_of_process() {
            check_one_host(&from, verb.as_str())?;
        }
        if let (Ends::Others, Ends::Others) = (&from.ends, &to.ends) {
            return wrong(format!(
                "`{verb}` with `_` on both sides names no host; `_` stands for all hosts that the \
                 other side does not name, as in {verb}(\"a\", \"_\")"
            ));
        }
        let mut injection = Injection {
            number,
            kind,
            from,
            to,
            window: self.window,
            at: None,
            until: None,
            may_not_fire: self.may_not_fire,
            event: None,
            process: None,
        };
        let line = injection.line();
        if self.window == Some(0) {
            return wrong(format!("`{line}`: a window has at least 1 byte"));
        }
        if self.window.is_some() && kind.is_of_process() {
            return wrong(format!(
                "`{line}` has no window: it acts on a process; faults between hosts have one"
            ));
        }
        if self.resets && !matches!(kind, Kind::Limit(..)) {
            return wrong(format!("`{line}`: only a limit ends with `.reset()`"));
        }
        injection.at = match (&self.at, self.nth) {
            (Some(pattern), nth) => Some(set_off_by(pattern, nth, &injection, &line)?),
            (None, None) => None,
            (None, Some(_)) => {
                return wrong(format!(
                    "`{line}`: `.nth(n)` counts the events that match `.at(pattern)`, and there is no `.at`"
                ));
            }
        };
        injection.until =
            match &self.until {
                None => None,
                Some(_) if !kind.heals() => {
                    return wrong(format!(
                        "`{line}` can't end at an event: a {verb} can't heal"
                    ));
                }
                Some(pattern) => {
                    let parsed = Pattern::parse(&with_bytes(pattern));
                    Some(parsed.map_err(|error| {
                        Error::new(ErrorKind::Pattern, error.of_pattern(pattern))
                    })?)
                }
            };
        Ok(injection)
    }

    fn kind(&self) -> Checked<Kind> {
        let bytes = |bytes: usize| u64::try_from(bytes).expect("a usize has at most 64 bits");
        Ok(match self.what {
            What::Partition => Kind::Partition,
            What::Cut => Kind::Cut,
            What::Refuse => Kind::Refuse,
            What::Reset => Kind::Reset,
            What::Vanish => Kind::Vanish,
            What::Kill => Kind::Kill,
            What::Pause => Kind::Pause,
            What::Slice(0) => {
                return wrong("`slice` by 0 bytes would move nothing; legal is 1 or more");
            }
            What::Slice(n) => Kind::Slice(bytes(n)),
            What::Limit(n) => Kind::Limit(bytes(n), self.resets),
            What::Delay(delay) => {
                if delay < Duration::from_micros(1) || delay > LONGEST {
                    return wrong(format!(
                        "`delay` by {delay:?}: legal is from 1 µs to {} hours",
                        LONGEST.as_secs() / 3600
                    ));
                }
                let micros = u64::try_from(delay.as_micros());
                Kind::Delay(micros.expect("a day has fewer than 2^64 microseconds"))
            }
        })
    }
}

/// The ends on one side, as they were given.
fn side(given: &[String], verb: &str) -> Checked<Side> {
    let text = given.join(",");
    let ends = match given {
        [] => {
            return wrong(format!(
                "`{verb}` has a side without an end; legal are hosts, as in \"a\", ends, as in \"a:1\", \
                 and \"_\" for all others"
            ));
        }
        [one] if one == "_" => Ends::Others,
        several => Ends::These(
            several
                .iter()
                .map(|end| place(end, verb))
                .collect::<Checked<_>>()?,
        ),
    };
    Ok(Side { ends, text })
}

fn place(end: &str, verb: &str) -> Checked<Place> {
    let refused = |why: String| {
        let message = format!("`{verb}`: illegal end {end:?}: {why}");
        Err(Error::new(ErrorKind::Host, message))
    };
    if end == "_" {
        return wrong(format!(
            "`{verb}`: `_` stands for all others, and so stands alone on its side"
        ));
    }
    let (host, port) = match end.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (end, None),
    };
    if let Err(cause) = check_name(host) {
        return refused(cause.to_string());
    }
    let port = match port.map(|port| (port, parse_port(port))) {
        None => None,
        Some((_, Some(port))) if port > 0 => Some(port),
        Some((port, _)) => {
            return refused(format!(
                "{port:?} is not a port; legal is a number from 1 to 65535, or no port for all of the host"
            ));
        }
    };
    let host = host.to_owned();
    Ok(Place { host, port })
}

fn check_one_host(side: &Side, verb: &str) -> Checked<()> {
    match &side.ends {
        Ends::These(places) if matches!(places.as_slice(), [Place { port: None, .. }]) => Ok(()),
        _ => wrong(format!(
            "`{verb}` acts on the process that plays one host, and `{}` is not the name of one",
            side.text
        )),
    }
}

/// The pattern, with any number of bytes where it leaves them out: which number a write moves is
/// nothing that a fault is about.
fn with_bytes(pattern: &str) -> Cow<'_, str> {
    let mut words = pattern.split_whitespace();
    let moves = words
        .nth(1)
        .is_some_and(|verb| verb == "send" || verb == "recv");
    match moves && words.count() == 1 {
        true => Cow::Owned(format!("{pattern} _")),
        false => Cow::Borrowed(pattern),
    }
}

/// The event that sets a fault off.
fn set_off_by(text: &str, nth: Option<usize>, injection: &Injection, line: &str) -> Checked<At> {
    let refused = |why: String| {
        let message = format!("`{line}` can't be set off at `{text}`: {why}");
        Err(Error::new(ErrorKind::Pattern, message))
    };
    let invalid =
        |error: crate::trace::SyntaxError| Error::new(ErrorKind::Pattern, error.of_pattern(text));
    let whole = with_bytes(text);
    let pattern = Pattern::parse(&whole).map_err(invalid)?;
    let parsed = Expectation::parse(&whole).map_err(invalid)?;
    let nth = match nth {
        Some(0) => return refused("`.nth(n)` counts from 1".to_owned()),
        nth => nth.unwrap_or(1) as u64,
    };
    let shape = &parsed.lines[0].shape;
    let verb = shape.verb;
    let Rules { by, .. } = verb.rules();
    if verb.is_interference() || by == By::Test {
        return refused(format!(
            "`{verb}` is recorded by the test; legal is an event in a process of the fault's own hosts, \
             as in `a mark ready` or `a:_ send b:_`"
        ));
    }
    let Term::Is(host) = shape.host else {
        return refused(
            "its host must be one host by name: it is that host's process that acts".into(),
        );
    };
    let host = parsed.symbols.text(host).to_owned();
    let is_own = match injection.kind.is_of_process() {
        true => injection.from.hosts().any(|own| own == host),
        false => injection.concerns(&host),
    };
    if !is_own {
        let own: Vec<&str> = injection.from.hosts().chain(injection.to.hosts()).collect();
        return refused(format!(
            "{host} is not a host of the fault; legal are events of {}",
            own.join(", ")
        ));
    }
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
                    // Only lines of faults have these, and those set nothing off.
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
        return refused(format!(
            "${} stands twice, and the process that looks for the event compares no words; use `_`",
            parsed.variables[variable as usize].name
        ));
    }
    let shape = EventShape {
        verb,
        host,
        port,
        peer,
        words,
        more,
    };
    Ok(At {
        text: text.to_owned(),
        pattern,
        shape,
        nth,
    })
}
