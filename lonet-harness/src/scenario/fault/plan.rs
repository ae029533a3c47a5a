//! A fault, checked: from what a test says to what the analyst gets.
//!
//! Pure. Owns what is legal in a fault, and the message for what is not.

use std::time::Duration;

use lonet::trace::{By, Ends, Place};
use lonet::{check_name, parse_port};

use super::{Fault, What};
use crate::collector::fault::{At, Injection, Kind, Side};
use crate::error::{Error, ErrorKind};
use crate::trace::expected::shape::{Unfit, event_shape, with_bytes};
use crate::trace::{Pattern, Verb};

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

/// The event that sets a fault off.
fn set_off_by(text: &str, nth: Option<usize>, injection: &Injection, line: &str) -> Checked<At> {
    let refused = |why: String| {
        let message = format!("`{line}` can't be set off at `{text}`: {why}");
        Error::new(ErrorKind::Pattern, message)
    };
    let of_the_test = |verb: Verb| {
        refused(format!(
            "`{verb}` is recorded by the test; legal is an event in a process of the fault's own hosts, \
             as in `a mark ready` or `a:_ send b:_`"
        ))
    };
    let (pattern, shape) = event_shape(text).map_err(|unfit| match unfit {
        Unfit::Syntax(error) => Error::new(ErrorKind::Pattern, error.of_pattern(text)),
        Unfit::Interference(verb) => of_the_test(verb),
        Unfit::NoHost => refused(
            "its host must be one host by name: it is that host's process that acts".to_owned(),
        ),
        Unfit::Repeats(variable) => refused(format!(
            "${variable} stands twice, and the process that looks for the event compares no words; use `_`"
        )),
    })?;
    if shape.verb.rules().by == By::Test {
        return Err(of_the_test(shape.verb));
    }
    let nth = match nth {
        Some(0) => return Err(refused("`.nth(n)` counts from 1".to_owned())),
        nth => nth.unwrap_or(1) as u64,
    };
    let host = &shape.host;
    let is_own = match injection.kind.is_of_process() {
        true => injection.from.hosts().any(|own| own == host),
        false => injection.concerns(host),
    };
    if !is_own {
        let own: Vec<&str> = injection.from.hosts().chain(injection.to.hosts()).collect();
        return Err(refused(format!(
            "{host} is not a host of the fault; legal are events of {}",
            own.join(", ")
        )));
    }
    Ok(At {
        text: text.to_owned(),
        pattern,
        shape,
        nth,
    })
}
