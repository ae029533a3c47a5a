//! The literal of an `expect![[…]]` in the text of its source file: where it stands, what it says,
//! and the text of the file when it says something else.
//!
//! Pure. A literal is known by its place in the text that was compiled. Several may be replaced, in
//! any order: each by its place in that same text, whatever the others have grown to. Files,
//! locks, and how one process learns what another has written are `rewriting`'s business.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A source file as one build of a test knows it: the text that was compiled, and what has been
/// written in it since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    compiled: String,
    /// By where the replaced argument began in the compiled text.
    written: BTreeMap<usize, Written>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    end: usize,
    literal: String,
    text: String,
}

/// What became of a literal that was to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It says the new text.
    Written,
    /// It has been replaced before, and says this.
    Before(String),
}

/// No literal with the compiled value stands at that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotThere;

impl Known {
    pub(crate) fn new(compiled: String) -> Known {
        Known {
            compiled,
            written: BTreeMap::new(),
        }
    }

    /// Whether the text is still the one that was compiled.
    pub(crate) fn is_untouched(&self) -> bool {
        self.written.is_empty()
    }

    /// The text of the file as it is now.
    pub(crate) fn now(&self) -> String {
        let mut text = String::with_capacity(self.compiled.len());
        let mut copied = 0;
        for (&start, written) in &self.written {
            text.push_str(&self.compiled[copied..start]);
            text.push_str(&written.literal);
            copied = written.end;
        }
        text.push_str(&self.compiled[copied..]);
        text
    }

    /// Has the literal at a place of the compiled text, whose value was `old`, say `new`.
    ///
    /// # Errors
    ///
    /// No such literal exists, or it can't hold that text: nothing has changed.
    pub(crate) fn rewrite(
        &mut self,
        (line, column): (u32, u32),
        old: &str,
        new: &str,
    ) -> Result<Taken, NotThere> {
        let found = find(&self.compiled, line, column).ok_or(NotThere)?;
        // No literal holds a carriage return but by an escape.
        if found.value != old || new.contains('\r') {
            return Err(NotThere);
        }
        let replaced = found.replaced();
        if let Some(written) = self.written.get(&replaced.start) {
            return Ok(Taken::Before(written.text.clone()));
        }
        let written = Written {
            end: replaced.end,
            literal: found.saying(new),
            text: new.to_owned(),
        };
        self.written.insert(replaced.start, written);
        Ok(Taken::Written)
    }

    /// Whether `expect_test` can find the literal at that place of the compiled text. It knows no
    /// comments, and no pair of brackets without a literal.
    pub(crate) fn is_plain(&self, (line, column): (u32, u32)) -> bool {
        let found = find(&self.compiled, line, column);
        found.is_some_and(|found| {
            let is_empty = found.brackets && found.literal.is_empty();
            !found.is_commented && !is_empty
        })
    }
}

/// The argument of a macro that takes one literal.
struct Found<'a> {
    /// With the inner brackets, where there are any.
    argument: Range<usize>,
    /// The literal alone; nothing, at its place, where there is none.
    literal: Range<usize>,
    /// Whether comments stand around the literal. They stay.
    is_commented: bool,
    value: String,
    brackets: bool,
    /// What the line of the macro begins with.
    indent: &'a str,
    /// How lines end.
    newline: &'static str,
}

impl Found<'_> {
    /// What is replaced.
    fn replaced(&self) -> Range<usize> {
        match self.is_commented {
            true => self.literal.clone(),
            false => self.argument.clone(),
        }
    }

    /// The argument, or the literal alone, that says another text: laid out as `expect_test` does.
    fn saying(&self, text: &str) -> String {
        let raw = text.contains(['"', '\\', '\n']);
        let quotes = text.split('"').skip(1);
        let longest = quotes.map(|after| after.len() - after.trim_start_matches('#').len());
        let hashes = "#".repeat(longest.max().map_or(1, |longest| longest + 1));
        let mut literal = match raw {
            true => format!("r{hashes}\""),
            false => "\"".to_owned(),
        };
        let lines = text.contains('\n');
        if lines {
            literal.push_str(self.newline);
        }
        let tabs = !self.indent.is_empty() && self.indent.chars().all(|c| c == '\t');
        let deeper = if tabs { "\t" } else { "    " };
        for line in text.split_inclusive('\n') {
            let (line, end) = match line.strip_suffix('\n') {
                Some(line) => (line, self.newline),
                None => (line, ""),
            };
            if lines && !line.trim().is_empty() {
                literal.push_str(self.indent);
                literal.push_str(deeper);
            }
            literal.push_str(line);
            literal.push_str(end);
        }
        if text.ends_with('\n') {
            literal.push_str(self.indent);
        }
        literal.push('"');
        if raw {
            literal.push_str(&hashes);
        }
        match !self.is_commented && (self.brackets || raw) {
            true => format!("[{literal}]"),
            false => literal,
        }
    }
}

/// The literal that is the only argument of the macro whose name begins at a line and a column, as
/// `line!()` and `column!()` count.
fn find(source: &str, line: u32, column: u32) -> Option<Found<'_>> {
    // rustc counts from behind the byte order mark.
    let start = source.len() - source.trim_start_matches('\u{feff}').len();
    let above = source[start..].split_inclusive('\n');
    let above = above.take(line.checked_sub(1)? as usize).map(str::len);
    let line_start = start + above.sum::<usize>();
    let line = source[line_start..].split('\n').next()?;
    let (left, _) = line.char_indices().nth(column.checked_sub(1)? as usize)?;
    let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];

    let mut cursor = Cursor {
        source,
        at: line_start + left,
    };
    let name = cursor.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':'));
    if name.is_empty() {
        return None;
    }
    cursor.skip_blanks();
    cursor.expect('!')?;
    cursor.skip_blanks();
    let open = cursor.next()?;
    let close = match open {
        '[' => ']',
        '(' => ')',
        '{' => '}',
        _ => return None,
    };
    let mut is_commented = cursor.skip_comments()?;
    let from = cursor.at;
    let brackets = cursor.expect('[').is_some();
    if brackets {
        is_commented |= cursor.skip_comments()?;
    }
    let literal = cursor.at;
    let value = match cursor.peek()? {
        ']' if brackets => String::new(),
        c if c == close => String::new(),
        _ => cursor.literal()?,
    };
    let literal = literal..cursor.at;
    let mut end = cursor.at;
    if brackets {
        is_commented |= cursor.skip_comments()?;
        cursor.expect(']')?;
        end = cursor.at;
    }
    let argument = from..end;
    is_commented |= cursor.skip_comments()?;
    cursor.expect(close)?;
    Some(Found {
        argument,
        literal,
        is_commented,
        value,
        brackets,
        indent,
        newline: match source.split_once('\n') {
            Some((first, _)) if first.ends_with('\r') => "\r\n",
            _ => "\n",
        },
    })
}

struct Cursor<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += wanted.len_utf8())
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_blanks(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// Skips blanks and comments. Whether there were comments; nothing if one does not end.
    fn skip_comments(&mut self) -> Option<bool> {
        let mut any = false;
        loop {
            self.skip_blanks();
            if self.rest().starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let mut open = 0;
                loop {
                    let rest = self.rest();
                    if rest.starts_with("/*") {
                        (open, self.at) = (open + 1, self.at + 2);
                    } else if rest.starts_with("*/") {
                        (open, self.at) = (open - 1, self.at + 2);
                    } else {
                        self.next()?;
                    }
                    if open == 0 {
                        break;
                    }
                }
            } else {
                return Some(any);
            }
            any = true;
        }
    }

    /// The value of a literal string, plain or raw. The compiler reads `\r\n` as `\n`.
    fn literal(&mut self) -> Option<String> {
        if self.expect('r').is_some() {
            let hashes = self.take_while(|c| c == '#');
            self.expect('"')?;
            let end = format!("\"{hashes}");
            let length = self.rest().find(&end)?;
            let value = self.rest()[..length].replace("\r\n", "\n");
            self.at += length + end.len();
            return Some(value);
        }
        self.expect('"')?;
        let mut value = String::new();
        loop {
            match self.next()? {
                '"' => return Some(value),
                '\\' => value.extend(self.escaped()?),
                '\r' if self.peek() == Some('\n') => {}
                other => value.push(other),
            }
        }
    }

    /// What an escape stands for; nothing where a line goes on in the next.
    fn escaped(&mut self) -> Option<Option<char>> {
        let digits = |digits: &str| char::from_u32(u32::from_str_radix(digits, 16).ok()?);
        Some(Some(match self.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            c @ ('\\' | '"' | '\'') => c,
            'x' => {
                let byte = self.rest().get(..2)?;
                self.at += 2;
                digits(byte)?
            }
            'u' => {
                self.expect('{')?;
                let number = self.take_while(|c| c.is_ascii_hexdigit() || c == '_');
                self.expect('}')?;
                digits(&number.replace('_', ""))?
            }
            '\n' | '\r' => {
                self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
                return Some(None);
            }
            _ => return None,
        }))
    }
}
