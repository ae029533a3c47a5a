//! What follows the verb of a fault: its ends as they were given, and its number.
//!
//! Pure. Owns what is legal there, and the messages about the rest.

use lonet::check_name;
use lonet::trace::{Amount, OtherEnds, Verb};

use super::{End, LineParser, Port, Term, Text, Token, Word, Wrong, is_name};

const LEGAL: &str = "a host, an end of one, as in α:1, or several, as in α,β:1; `_` (any, or all others); or a variable, as in $leader";

impl LineParser<'_> {
    /// The ends on both sides, and the number of a fault that has one.
    pub(super) fn fault(&mut self, verb: Verb, other: OtherEnds) -> Result<Text, Wrong> {
        let from = match verb {
            Verb::Partition | Verb::Heal => "one side",
            _ => "the side where it begins",
        };
        let mut words = vec![self.ends(verb, from)?, self.ends(verb, other.which)?];
        words.extend(self.amount(verb, other.amount)?);
        if let Some(surplus) = self.token() {
            return Err((surplus.at, super::surplus_text(surplus.text, verb)));
        }
        Ok(self.literal_or(words))
    }

    /// The ends on one side.
    fn ends(&mut self, verb: Verb, side: &str) -> Result<Word, Wrong> {
        let missing = || format!("`! {verb}` needs the ends on {side}: legal is {LEGAL}");
        let token = self.token().ok_or_else(|| (self.line.len(), missing()))?;
        if token.text == "_" {
            return Ok(Word::Whole(Term::Any));
        }
        let mut ends = Vec::new();
        let mut at = token.at;
        for text in token.text.split(',') {
            ends.push(self.end(Token { at, text })?);
            at += text.len() + 1;
        }
        // Where nothing is open, the text says it all.
        let mut plain = Vec::with_capacity(ends.len());
        for end in &ends {
            plain.push(match *end {
                (Term::Is(host), None) => self.into.symbols.text(host).to_owned(),
                (Term::Is(host), Some(Port::Is(port))) => {
                    format!("{}:{port}", self.into.symbols.text(host))
                }
                _ => return Ok(Word::Ends(ends.into())),
            });
        }
        let plain = self.into.symbols.intern(&plain.join(","));
        Ok(Word::Whole(Term::Is(plain)))
    }

    /// A host, or one end of it.
    fn end(&mut self, token: Token<'_>) -> Result<End, Wrong> {
        let Token { at, text } = token;
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if host.is_empty() {
            return Err((at, format!("a host is missing; legal is {LEGAL}")));
        }
        if host != "_" && !host.starts_with('$') {
            check_name(host).map_err(|why| (at, format!("{why}; legal is {LEGAL}")))?;
        }
        let at_port = at + host.len() + 1;
        if port == Some("") {
            return Err((at_port, format!("the port is missing; legal is {LEGAL}")));
        }
        let port = port.map(|port| self.port(port, at_port)).transpose()?;
        if port == Some(Port::Is(0)) {
            return Err((at_port, super::NO_PORT_ZERO.to_owned()));
        }
        let host = self.host(Token { at, text: host })?;
        Ok((host, port))
    }

    fn amount(&mut self, verb: Verb, amount: Amount) -> Result<Option<Word>, Wrong> {
        let (what, unit) = match amount {
            Amount::Nothing => return Ok(None),
            Amount::Micros => ("a number of microseconds, as in 5000us", "us"),
            Amount::Bytes => ("a number of bytes, as in 100", ""),
        };
        let legal = format!("{what}, `_` (any) or a variable, as in $n");
        let Some(Token { at, text }) = self.token() else {
            let message = format!("`! {verb}` needs {legal}");
            return Err((self.line.len(), message));
        };
        let number = |text: &str| text.parse().is_ok_and(|n: u64| n.to_string() == text);
        let term = match text {
            "_" => Term::Any,
            _ if text.strip_prefix('$').is_some_and(is_name) => {
                Term::Variable(self.named(text, at, false)?)
            }
            _ if text.strip_suffix(unit).is_some_and(number) => {
                Term::Is(self.into.symbols.intern(text))
            }
            _ => {
                let message = format!("`{text}` is not the number of a fault; legal is {legal}");
                return Err((at, message));
            }
        };
        Ok(Some(Word::Whole(term)))
    }
}
