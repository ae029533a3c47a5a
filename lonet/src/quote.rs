//! Go's `%q`: quoting and unquoting of strings, as the wire and expected traces use it.
//!
//! Pure. Owns which characters are escaped and how; which words need quoting is said here too, so
//! that printing and parsing a trace agree. Knows nothing of lines: a caller that splits at newlines
//! does so first.

use std::borrow::Cow;
use std::fmt;

use unicode_general_category::{GeneralCategory, get_general_category};

/// Why a text is not a quoted string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuoteError {
    /// It does not begin with `"` or a backquote.
    NotQuoted,
    /// It ends before the closing quote.
    Unterminated,
    /// A backslash begins none of the legal escapes.
    BadEscape,
    /// A newline stands between double quotes.
    Newline,
}

impl fmt::Display for QuoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QuoteError::NotQuoted => "not a quoted string; it must begin with \" or `",
            QuoteError::Unterminated => "the closing quote is missing",
            QuoteError::BadEscape => {
                "not an escape; legal are \\a \\b \\f \\n \\r \\t \\v \\\\ \\\" \\xhh \\ooo \\uhhhh \\Uhhhhhhhh"
            }
            QuoteError::Newline => "a newline in a quoted string; write \\n",
        })
    }
}

impl std::error::Error for QuoteError {}

/// The text as Go's `%q` prints it, for instance `"tab\there"`.
pub(crate) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// The bytes as Go's `%q` prints a string that holds them: what is not UTF-8 becomes `\xhh`.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut quoted, c);
        }
        for &byte in chunk.invalid() {
            push_hex(&mut quoted, 'x', u32::from(byte), 2);
        }
    }
    quoted.push('"');
    quoted
}

fn push_escaped(quoted: &mut String, c: char) {
    let letter = match c {
        '"' | '\\' => c,
        _ if is_print(c) => return quoted.push(c),
        '\x07' => 'a',
        '\x08' => 'b',
        '\x0c' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\x0b' => 'v',
        _ if c.is_ascii() => return push_hex(quoted, 'x', c.into(), 2),
        ..='\u{ffff}' => return push_hex(quoted, 'u', c.into(), 4),
        _ => return push_hex(quoted, 'U', c.into(), 8),
    };
    quoted.extend(['\\', letter]);
}

fn push_hex(quoted: &mut String, letter: char, value: u32, digits: u32) {
    quoted.extend(['\\', letter]);
    for place in (0..digits).rev() {
        let digit = (value >> (4 * place)) & 0xf;
        quoted.push(char::from_digit(digit, 16).expect("a nibble is a hexadecimal digit"));
    }
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols, and of the blanks only
/// the ASCII one.
pub(crate) fn is_print(c: char) -> bool {
    use GeneralCategory as G;
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    !matches!(
        get_general_category(c),
        G::Control
            | G::Format
            | G::Surrogate
            | G::PrivateUse
            | G::Unassigned
            | G::SpaceSeparator
            | G::LineSeparator
            | G::ParagraphSeparator
    )
}

/// What a quoted string stands for, usually the very bytes between its quotes; and how many bytes it
/// takes, quotes included.
pub(crate) type Unquoted<'a> = (Cow<'a, [u8]>, usize);

/// What the quoted string that `input` begins with stands for, and how many bytes of `input` it
/// takes, quotes included: what Go's `Sscanf` accepts for `%q`.
///
/// Between double quotes, escapes are read; between backquotes everything stands for itself.
/// Bytes of `input` that are not UTF-8 stand for U+FFFD each, as in Go; an escape (`\xff`) can
/// stand for any byte.
///
/// # Errors
///
/// When `input` does not begin with a quoted string: the byte where it goes wrong, and why.
pub(crate) fn unquote(input: &[u8]) -> Result<Unquoted<'_>, (usize, QuoteError)> {
    match input.first() {
        Some(b'"') => unquote_escaped(input),
        Some(b'`') => {
            let end = 1 + input[1..]
                .iter()
                .position(|&b| b == b'`')
                .ok_or((0, QuoteError::Unterminated))?;
            Ok((replace_invalid(&input[1..end]), end + 1))
        }
        _ => Err((0, QuoteError::NotQuoted)),
    }
}

fn unquote_escaped(input: &[u8]) -> Result<Unquoted<'_>, (usize, QuoteError)> {
    let mut text = Cow::Borrowed(&[][..]);
    let mut at = 1;
    loop {
        // What stands for itself is taken in one go: up to the next byte with a meaning.
        let plain = input[at..]
            .iter()
            .position(|b| matches!(b, b'"' | b'\\' | b'\n'))
            .ok_or((0, QuoteError::Unterminated))?;
        let plain = &input[at..at + plain];
        at += plain.len();
        let plain = replace_invalid(plain);
        if text.is_empty() {
            text = plain;
        } else {
            text.to_mut().extend_from_slice(&plain);
        }
        match input[at] {
            b'"' => return Ok((text, at + 1)),
            b'\\' => {
                let escape = read_escape(&input[at + 1..], text.to_mut());
                at += escape.map_err(|why| (at, why))? + 1;
            }
            _ => return Err((at, QuoteError::Newline)),
        }
    }
}

/// Reads what follows a backslash; says how many bytes that was.
fn read_escape(input: &[u8], text: &mut Vec<u8>) -> Result<usize, QuoteError> {
    let &letter = input.first().ok_or(QuoteError::Unterminated)?;
    let digits = match letter {
        b'a' => return push(text, b'\x07'),
        b'b' => return push(text, b'\x08'),
        b'f' => return push(text, b'\x0c'),
        b'n' => return push(text, b'\n'),
        b'r' => return push(text, b'\r'),
        b't' => return push(text, b'\t'),
        b'v' => return push(text, b'\x0b'),
        b'\\' | b'"' => return push(text, letter),
        b'0'..=b'7' => {
            let value = read_digits(input, 3, 8)?;
            text.push(u8::try_from(value).map_err(|_| QuoteError::BadEscape)?);
            return Ok(3);
        }
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        _ => return Err(QuoteError::BadEscape),
    };
    let value = read_digits(&input[1..], digits, 16)?;
    if let (b'x', Ok(byte)) = (letter, u8::try_from(value)) {
        text.push(byte);
    } else {
        // Not a surrogate, nor beyond the last code point.
        let c = char::from_u32(value).ok_or(QuoteError::BadEscape)?;
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(1 + digits)
}

fn push(text: &mut Vec<u8>, byte: u8) -> Result<usize, QuoteError> {
    text.push(byte);
    Ok(1)
}

fn read_digits(input: &[u8], count: usize, radix: u32) -> Result<u32, QuoteError> {
    let digits = input.get(..count).ok_or(QuoteError::BadEscape)?;
    digits.iter().try_fold(0, |value, &byte| {
        let digit = char::from(byte)
            .to_digit(radix)
            .ok_or(QuoteError::BadEscape)?;
        // Eight hexadecimal digits fill a u32 exactly: nothing is lost.
        Ok(value * radix + digit)
    })
}

/// The bytes with U+FFFD in the place of each one that is not UTF-8.
fn replace_invalid(bytes: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(bytes).is_ok() {
        return Cow::Borrowed(bytes);
    }
    let mut text = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            text.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    Cow::Owned(text)
}

/// What the quoted text that `text` begins with says, and how many bytes of `text` it takes, quotes
/// included.
///
/// # Errors
///
/// The byte where it goes wrong, and why.
pub fn unquote_text(text: &str) -> Result<(String, usize), (usize, String)> {
    let (said, length) = unquote(text.as_bytes()).map_err(|(at, why)| (at, why.to_string()))?;
    match String::from_utf8(said.into_owned()) {
        Ok(said) => Ok((said, length)),
        // Escapes alone can stand for single bytes.
        Err(_) => Err((
            0,
            "the bytes that \\x or \\ooo give are not UTF-8".to_owned(),
        )),
    }
}

/// A word as a trace prints it: as it is, or quoted where the grammar would read something else
/// into it: it begins with `$`, `_`, `#` or `"`, is `…`, holds a quote, or has a wildcard or a
/// variable after its `=`; or where it holds what `%q` escapes, which a source file or a terminal
/// may not show as it is.
pub fn word(text: &str) -> Cow<'_, str> {
    let special = |text: &str| text == "…" || text.starts_with(['$', '_', '#', '"']);
    let held = |c: char| matches!(c, '"' | '`' | '\'' | '\\') || !is_print(c);
    let value = text.rsplit_once('=').map_or("", |(_, value)| value);
    if special(text) || value == "_" || value.starts_with('$') || text.chars().any(held) {
        Cow::Owned(quote(text))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn quotes_as_the_vectors_say() {
        let vectors: Value =
            serde_json::from_str(include_str!("../tests/vectors/quote.json")).unwrap();
        let cases = vectors["quote"].as_array().unwrap();
        assert!(cases.len() >= 400);
        for case in cases {
            let bytes = unhex(case["bytes"].as_str().unwrap());
            let quoted = case["quoted"].as_str().unwrap();
            assert_eq!(quote_bytes(&bytes), quoted, "{case}");
            assert_eq!(
                unquote(quoted.as_bytes()),
                Ok((bytes.into(), quoted.len())),
                "{case}"
            );
        }
    }

    #[test]
    fn unquotes_as_the_vectors_say() {
        let vectors: Value =
            serde_json::from_str(include_str!("../tests/vectors/quote.json")).unwrap();
        let cases = vectors["unquote"].as_array().unwrap();
        assert!(cases.len() >= 100);
        for case in cases {
            let input = unhex(case["input"].as_str().unwrap());
            let expected = case["bytes"].as_str().map(|bytes| {
                let consumed = case["consumed"].as_u64().unwrap();
                (unhex(bytes).into(), usize::try_from(consumed).unwrap())
            });
            assert_eq!(unquote(&input).ok(), expected, "{case}");
        }
    }

    #[test]
    fn words_are_quoted_where_the_grammar_would_stumble() {
        for plain in ["leader", "term=3", "α:10", "a_b", "ü", "-", "x$", "a…"] {
            assert_eq!(word(plain), plain);
        }
        for (special, printed) in [
            ("$x", "\"$x\""),
            ("_", "\"_\""),
            ("#1", "\"#1\""),
            ("a\"b", r#""a\"b""#),
            ("it's", "\"it's\""),
            ("…", "\"…\""),
            ("a\u{1b}[0m", r#""a\x1b[0m""#),
            ("a\u{85}b", r#""a\u0085b""#),
            ("…", "\"…\""),
            ("x=_", "\"x=_\""),
            ("x=$y", "\"x=$y\""),
        ] {
            assert_eq!(word(special), printed);
        }
    }

    /// One of each general category, and what else a source file can't hold or does not show.
    #[test]
    fn words_are_quoted_where_a_source_file_would_hide_something() {
        for (category, plain) in [
            ("Lu", 'Ä'),
            ("Ll", 'ä'),
            ("Lt", 'ǅ'),
            ("Lm", 'ʰ'),
            ("Lo", 'א'),
            ("Mn", '\u{301}'),
            ("Mc", '\u{903}'),
            ("Me", '\u{20dd}'),
            ("Nd", '٣'),
            ("Nl", 'Ⅷ'),
            ("No", '½'),
            ("Pc", '‿'),
            ("Pd", '–'),
            ("Ps", '('),
            ("Pe", ')'),
            ("Pi", '«'),
            ("Pf", '»'),
            ("Po", '…'),
            ("Sm", '±'),
            ("Sc", '€'),
            ("Sk", '´'),
            ("So", '😀'),
        ]
        .map(|(category, c)| (category, format!("a{c}b")))
        {
            assert_eq!(word(&plain), plain, "{category}");
        }
        for (category, text, printed) in [
            ("Zs", "a\u{a0}b", r#""a\u00a0b""#),
            ("Zs", "a\u{3000}b", r#""a\u3000b""#),
            ("Zl", "a\u{2028}b", r#""a\u2028b""#),
            ("Zp", "a\u{2029}b", r#""a\u2029b""#),
            ("Cc", "a\u{7}b", r#""a\ab""#),
            ("Cc", "a\u{7f}b", r#""a\x7fb""#),
            (
                "Cf: a bidirectional override",
                "a\u{202e}b",
                r#""a\u202eb""#,
            ),
            ("Cf: a bidirectional isolate", "a\u{2066}b", r#""a\u2066b""#),
            ("Cf: a bidirectional mark", "a\u{200f}b", r#""a\u200fb""#),
            ("Cf: a soft hyphen", "a\u{ad}b", r#""a\u00adb""#),
            ("Cf: no space, no joiner", "a\u{200b}b", r#""a\u200bb""#),
            ("Cf: a byte order mark", "\u{feff}ab", r#""\ufeffab""#),
            ("Cf: a tag", "a\u{e0041}b", r#""a\U000e0041b""#),
            ("Co", "a\u{e000}b", r#""a\ue000b""#),
            ("Co", "a\u{10fffd}b", r#""a\U0010fffdb""#),
            ("Cn", "a\u{378}b", r#""a\u0378b""#),
            ("Cn: never a character", "a\u{ffff}b", r#""a\uffffb""#),
            ("Po: what begins an escape", r"a\b", r#""a\\b""#),
        ] {
            assert_eq!(word(text), printed, "{category}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_unquotes(bytes: Vec<u8>, rest: Vec<u8>) {
            let mut quoted = quote_bytes(&bytes).into_bytes();
            prop_assert!(!quoted.contains(&b'\n'));
            let len = quoted.len();
            quoted.extend(rest);
            prop_assert_eq!(unquote(&quoted), Ok((bytes.into(), len)));
        }

        #[test]
        fn any_text_quotes_and_unquotes(text in "\\PC*|.*") {
            let quoted = quote(&text);
            prop_assert_eq!(unquote(quoted.as_bytes()), Ok((text.into_bytes().into(), quoted.len())));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, tail in "[\\\\\"`xuU0-9a-f\n]*") {
            let _ = unquote(&bytes);
            let _ = unquote(format!("\"{tail}").as_bytes());
        }
    }
}
