//! The words that follow subject, verb and object: a mark's text, a cause, a number of bytes.
//!
//! Pure. Owns which words are wildcards, variables or text, and the messages about the rest.

use lonet::__private::unquote_text;
use lonet::trace::Verb;

use super::{LineParser, Term, Text, Token, Word, Wrong, is_name};

/// The last word of a mark's line that is whatever follows.
const REST: &str = "…";

impl LineParser<'_> {
    /// A number of bytes, as events print it: one that could be no event's is a slip.
    pub(super) fn bytes(&mut self, verb: Verb) -> Result<Text, Wrong> {
        let rest = &self.line[self.rest..];
        let from = self.line.len() - rest.trim_start().len();
        let text = self.some_text("the number of bytes, `_` (any) or a variable, as in $n")?;
        let word = &self.line[from..];
        let (word, surplus) = word
            .split_once(char::is_whitespace)
            .map_or((word, ""), |(word, rest)| (word, rest.trim_start()));
        let legal = match &text {
            Text::Is(symbol) => {
                let text = self.into.symbols.text(*symbol);
                text.parse::<u64>()
                    .is_ok_and(|number| number.to_string() == text)
                    || !surplus.is_empty()
            }
            Text::Words(words) => !matches!(words.first(), Some(Word::After(..))),
        };
        if !legal {
            let message = format!(
                "`{word}` is not a number of bytes; legal is a number, `_` (any) or a variable, as in $n"
            );
            return Err((from, message));
        }
        if !surplus.is_empty() {
            let at = self.line.len() - surplus.len();
            return Err((at, format!("`{verb}` ends with one number of bytes")));
        }
        Ok(text)
    }

    pub(super) fn some_text(&mut self, what: &str) -> Result<Text, Wrong> {
        let text = self.text()?;
        if text == Text::Is(0) {
            return Err((self.line.len(), format!("what follows is missing: {what}")));
        }
        Ok(text)
    }

    /// What a mark says; `…` as the last word is whatever follows.
    pub(super) fn mark(&mut self) -> Result<Text, Wrong> {
        let has_rest = self.line.ends_with(REST);
        let line = self.line;
        let cut = line.strip_suffix(REST).unwrap_or_default();
        if !has_rest || !cut.ends_with(char::is_whitespace) {
            return self.text();
        }
        self.line = cut;
        let text = self.text();
        self.line = line;
        let mut words = match text? {
            Text::Words(words) => words,
            Text::Is(symbol) => {
                let text = self.into.symbols.text(symbol).to_owned();
                let words = text.split_whitespace();
                let symbols = words.map(|word| Term::Is(self.into.symbols.intern(word)));
                symbols.map(Word::Whole).collect()
            }
        };
        words.push(Word::Rest);
        Ok(Text::Words(words))
    }

    /// The rest of the line, as words.
    pub(super) fn text(&mut self) -> Result<Text, Wrong> {
        let mut words = Vec::new();
        loop {
            let rest = &self.line[self.rest..];
            let text = rest.trim_start();
            let at = self.line.len() - text.len();
            if text.is_empty() {
                break;
            }
            if text.starts_with('"') {
                let (content, length) =
                    unquote_text(text).map_err(|(offset, why)| (at + offset, why))?;
                self.rest = at + length;
                if !self.line[self.rest..].is_empty()
                    && !self.line[self.rest..].starts_with(char::is_whitespace)
                {
                    let message = "white space must follow a closing quote".to_owned();
                    return Err((self.rest, message));
                }
                for word in content.split_whitespace() {
                    words.push(Word::Whole(Term::Is(self.into.symbols.intern(word))));
                }
                continue;
            }
            let token = self.token().expect("what is left is not blank");
            words.push(self.word(token)?);
        }
        Ok(self.literal_or(words))
    }

    /// The words as one text, if none of them leaves anything open.
    pub(super) fn literal_or(&mut self, words: Vec<Word>) -> Text {
        let mut literal = Vec::with_capacity(words.len());
        for word in &words {
            match word {
                Word::Whole(Term::Is(symbol)) => literal.push(self.into.symbols.text(*symbol)),
                _ => return Text::Words(words),
            }
        }
        let literal = literal.join(" ");
        Text::Is(self.into.symbols.intern(&literal))
    }

    fn word(&mut self, token: Token<'_>) -> Result<Word, Wrong> {
        let Token { at, text } = token;
        if text.starts_with('#') {
            let message = format!(
                "a comment must stand on a line of its own; a word that begins with `#` is written quoted: \"{text}\""
            );
            return Err((at, message));
        }
        if text == REST {
            let message = format!(
                "`{REST}` is the rest of a mark's line: it can only be a mark's last word; as a word of the text it is written quoted: \"{REST}\""
            );
            return Err((at, message));
        }
        if text == "_" {
            return Ok(Word::Whole(Term::Any));
        }
        if text.starts_with('$') {
            return Ok(Word::Whole(Term::Variable(self.named(text, at, false)?)));
        }
        if let Some((before, value)) = text.rsplit_once('=') {
            let term = match value {
                "_" => Some(Term::Any),
                // A word that is not a variable there is text: only words that begin with `$` are quoted.
                _ if value.strip_prefix('$').is_some_and(is_name) => {
                    Some(Term::Variable(self.into.variable(&value[1..], false)))
                }
                _ => None,
            };
            if let Some(term) = term {
                let prefix = self.into.symbols.intern(&text[..=before.len()]);
                return Ok(Word::After(prefix, term));
            }
        }
        Ok(Word::Whole(Term::Is(self.into.symbols.intern(text))))
    }
}
