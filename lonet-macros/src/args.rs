//! The arguments of an attribute.
//!
//! Owns every message about a wrong argument. Parsing continues after a mistake, so that all of them
//! are reported at once and the right arguments still take effect.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Path, Token};

use crate::function::Errors;
use crate::renamed;

/// The arguments of an attribute; what was not given is `None`.
pub(crate) struct Args {
    /// The path of the harness.
    pub(crate) krate: Path,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) trace: Option<LitStr>,
    pub(crate) trace_file: Option<LitStr>,
    pub(crate) worker_threads: Option<usize>,
    pub(crate) repeat: Option<u32>,
    pub(crate) sweep: Option<LitStr>,
    pub(crate) search_ms: Option<u64>,
    pub(crate) schedule: Option<LitStr>,
}

/// An argument that an attribute knows: its name, and an example of it.
type Legal = (&'static str, &'static str);

const TIMEOUT: Legal = ("timeout", "timeout = \"30s\"");
const TRACE: Legal = ("trace", "trace = \"α:10 listen\"");
const TRACE_FILE: Legal = ("trace_file", "trace_file = \"ping_pong.trace\"");
const WORKER_THREADS: Legal = ("worker_threads", "worker_threads = 2");
const REPEAT: Legal = ("repeat", "repeat = 100");
const SWEEP: Legal = ("sweep", "sweep = \"kill p\"");
const SEARCH: Legal = ("search", "search = \"10s\"");
const SCHEDULE: Legal = ("schedule", "schedule = \"kill p at p:1 send c:1 #2\"");
const CRATE: Legal = ("crate", "crate = \"renamed_harness\"");

/// The arguments of `#[lonet::host]`.
pub(crate) const OF_HOST: &[Legal] = &[WORKER_THREADS, CRATE];
/// The arguments of `#[lonet::before_role]`.
pub(crate) const OF_BEFORE_ROLE: &[Legal] = &[CRATE];
/// The arguments of `#[lonet::test]` and `#[lonet::main]`.
pub(crate) const OF_TEST: &[Legal] = &[
    TIMEOUT,
    TRACE,
    TRACE_FILE,
    WORKER_THREADS,
    REPEAT,
    SWEEP,
    SEARCH,
    SCHEDULE,
    CRATE,
];

/// Arguments of which a test has one at most, and what to say of a second one.
const EXCLUSIVE: &[(&[&str], &str)] = &[
    (
        &["trace", "trace_file"],
        "a test has one expected trace: either `trace` or `trace_file`",
    ),
    (
        &["repeat", "sweep", "search", "schedule"],
        "a test has one of `repeat`, `sweep`, `search` and `schedule`: each says how often its body runs",
    ),
];

impl Args {
    /// The path of what the expansion calls in the harness. What is wrong with the types of a
    /// call, rustc tells where the call stands: at `span`, though names mean there what they mean
    /// at the attribute.
    pub(crate) fn private(&self, span: Span) -> TokenStream {
        let krate = respan(self.krate.to_token_stream(), span);
        quote_spanned!(span=> #krate::__private)
    }

    /// Reads the arguments, of which only those that are `legal` are taken.
    pub(crate) fn parse(tokens: TokenStream, legal: &[Legal], errors: &mut Errors) -> Args {
        let mut args = Args {
            krate: renamed::harness(),
            timeout_ms: None,
            trace: None,
            trace_file: None,
            worker_threads: None,
            repeat: None,
            sweep: None,
            search_ms: None,
            schedule: None,
        };
        let parsed = (|input: ParseStream<'_>| args.read(input, legal, errors)).parse2(tokens);
        if let Err(error) = parsed {
            errors.push(error);
        }
        args
    }

    fn read(
        &mut self,
        input: ParseStream<'_>,
        legal: &[Legal],
        errors: &mut Errors,
    ) -> syn::Result<()> {
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            let key = input.call(Ident::parse_any).map_err(|error| {
                syn::Error::new(
                    error.span(),
                    format!("expected an argument; {}", list(legal)),
                )
            })?;
            let name = key.unraw().to_string();
            let value = value_of(input)?;

            match legal.iter().find(|(known, _)| *known == name) {
                None => errors.push(unknown(&key, &name, legal)),
                Some(_) if seen.contains(&name) => {
                    errors.push(syn::Error::new(
                        key.span(),
                        format!("`{name}` is given twice"),
                    ));
                }
                Some((_, example)) => match value {
                    Some(value) => {
                        if let Err(error) = self.set(&name, &value, example) {
                            errors.push(error);
                        }
                    }
                    None => {
                        let message = format!("`{name}` needs a value: `{example}`");
                        errors.push(syn::Error::new(key.span(), message));
                    }
                },
            }
            for (group, message) in EXCLUSIVE {
                let other = |seen: &String| *seen != name && group.contains(&&**seen);
                if group.contains(&&*name) && seen.iter().any(other) {
                    errors.push(syn::Error::new(key.span(), message));
                }
            }
            seen.push(name);

            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &Expr, example: &str) -> syn::Result<()> {
        let wrong = |what: &str| {
            let message = format!("`{name}` must be {what}: `{example}`");
            Err(syn::Error::new_spanned(value, message))
        };
        match name {
            "timeout" | "search" => match text(value).map(|text| milliseconds(&text.value())) {
                Some(Some(ms)) if name == "search" => self.search_ms = Some(ms),
                Some(Some(ms)) => self.timeout_ms = Some(ms),
                _ => return wrong("a string of a whole number, not 0, and `ms`, `s` or `m`"),
            },
            "trace" => match text(value) {
                Some(text) => self.trace = Some(text),
                None => return wrong("a string literal"),
            },
            "trace_file" => match text(value) {
                Some(text) if !text.value().is_empty() => self.trace_file = Some(text),
                _ => return wrong("a string literal, a path relative to this source file"),
            },
            "worker_threads" => match number(value) {
                Some(threads) => self.worker_threads = Some(threads),
                None => return wrong("a whole number, 1 or more"),
            },
            "repeat" => match number(value) {
                Some(times) => self.repeat = Some(times),
                None => return wrong("a whole number, 1 or more"),
            },
            "sweep" => match text(value) {
                Some(text) => self.sweep = Some(text),
                None => return wrong("a string literal, a fault and its ends"),
            },
            "schedule" => match text(value) {
                Some(text) => self.schedule = Some(text),
                None => {
                    return wrong("a string literal, a fault at an event or an order of events");
                }
            },
            "crate" => match text(value).map(|text| text.parse_with(Path::parse_mod_style)) {
                Some(Ok(path)) => self.krate = path,
                _ => return wrong("a string that is a path"),
            },
            _ => unreachable!("only legal names get here"),
        }
        Ok(())
    }
}

/// The same tokens, standing elsewhere.
fn respan(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            token.set_span(token.span().located_at(span));
            token
        })
        .collect()
}

/// What stands behind the name of an argument: an expression after a `=`, or nothing that would be
/// a value.
fn value_of(input: ParseStream<'_>) -> syn::Result<Option<Expr>> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(None);
        }
        return input.parse().map(Some);
    }
    if !input.is_empty() && !input.peek(Token![,]) {
        // Something like `worker_threads(2)`: skipped, so that the rest is still read.
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(None)
}

fn unknown(key: &Ident, name: &str, legal: &[Legal]) -> syn::Error {
    let message = match name {
        "start_paused" => format!(
            "`start_paused` is not supported: real processes and real sockets need real time; {}",
            list(legal)
        ),
        "flavor" => format!(
            "unknown argument `flavor`: the runtime is current-thread, or multi-thread with \
             `worker_threads`; {}",
            list(legal)
        ),
        _ => format!("unknown argument `{name}`; {}", list(legal)),
    };
    syn::Error::new(key.span(), message)
}

/// `legal are `a`, `b` and `c``.
fn list(legal: &[Legal]) -> String {
    let mut text = String::from("legal are ");
    for (i, (name, _)) in legal.iter().enumerate() {
        text.push_str(match i {
            0 => "",
            _ if i + 1 == legal.len() => " and ",
            _ => ", ",
        });
        text.push('`');
        text.push_str(name);
        text.push('`');
    }
    text
}

fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        // A literal that came through a `macro_rules` macro stands in an invisible group.
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

fn text(value: &Expr) -> Option<LitStr> {
    match literal(value)? {
        Lit::Str(text) if text.suffix().is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// A whole number, not zero.
fn number<N: std::str::FromStr<Err: std::fmt::Display> + PartialEq + Default>(
    value: &Expr,
) -> Option<N> {
    match literal(value)? {
        Lit::Int(number) => number
            .base10_parse()
            .ok()
            .filter(|number| *number != N::default()),
        _ => None,
    }
}

/// `30s` → 30000.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
        .filter(|ms| *ms > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_whole_numbers_with_a_unit() {
        let cases = [
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("0s", None),
            ("s", None),
            ("30", None),
            ("", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("1h", None),
            ("99999999999999999999s", None),
            ("18446744073709551615m", None),
        ];
        for (text, ms) in cases {
            assert_eq!(milliseconds(text), ms, "{text:?}");
        }
    }

    #[test]
    fn every_mistake_is_reported() {
        let mut errors = Errors::new();
        let tokens = "timout = 3, repeat, repeat = 2, worker_threads = 0"
            .parse()
            .unwrap();
        let args = Args::parse(tokens, OF_TEST, &mut errors);
        assert_eq!(args.repeat, None);
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "unknown argument `timout`; legal are `timeout`, `trace`, `trace_file`, \
                 `worker_threads`, `repeat`, `sweep`, `search`, `schedule` and `crate`",
                "`repeat` needs a value: `repeat = 100`",
                "`repeat` is given twice",
                "`worker_threads` must be a whole number, 1 or more: `worker_threads = 2`",
            ]
        );
    }
}
