//! Quoted text in expected traces: reading it, and printing words so that they read as themselves.
//!
//! Pure. Which words the network's own printing quotes is `lonet::trace::word`'s business.

use std::iter::Peekable;
use std::str::CharIndices;

/// Reads the quoted text that `text` begins with: what it says, and how many bytes of `text` it
/// takes, quotes included. The escapes are those of Go's `%q`.
///
/// # Errors
///
/// The byte where it goes wrong, and why.
pub(crate) fn unquote(text: &str) -> Result<(String, usize), (usize, String)> {
    let mut content = String::new();
    let mut chars = text.char_indices().peekable();
    chars.next();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((content, at + 1)),
            '\\' => {
                let wrong = || {
                    let legal = r#"\a \b \f \n \r \t \v \\ \" \' \xhh \ooo \uhhhh \Uhhhhhhhh"#;
                    (at, format!("no such escape; legal are {legal}"))
                };
                let (_, escape) = chars.next().ok_or_else(wrong)?;
                content.push(match escape {
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\x0b',
                    '\\' | '"' | '\'' => escape,
                    'x' => number(&mut chars, 2, 16, 0).ok_or_else(wrong)?,
                    'U' => number(&mut chars, 8, 16, 0).ok_or_else(wrong)?,
                    'u' => match chars.peek() {
                        // As Rust prints it.
                        Some((_, '{')) => {
                            chars.next();
                            let mut value: u32 = 0;
                            loop {
                                match chars.next() {
                                    Some((_, '}')) => break,
                                    Some((_, c)) if value <= 0xff_ffff => {
                                        let digit = c.to_digit(16).ok_or_else(wrong)?;
                                        value = value * 16 + digit;
                                    }
                                    _ => return Err(wrong()),
                                }
                            }
                            char::from_u32(value).ok_or_else(wrong)?
                        }
                        _ => number(&mut chars, 4, 16, 0).ok_or_else(wrong)?,
                    },
                    '0'..='7' => {
                        let first = escape.to_digit(8).unwrap_or(0);
                        // Rust prints NUL as a lone zero.
                        match chars.peek() {
                            Some((_, '0'..='7')) => {
                                number(&mut chars, 2, 8, first).ok_or_else(wrong)?
                            }
                            _ if first == 0 => '\0',
                            _ => return Err(wrong()),
                        }
                    }
                    _ => return Err(wrong()),
                });
            }
            c => content.push(c),
        }
    }
    Err((0, "the closing quote is missing".to_owned()))
}

/// A character given by so many digits.
fn number(
    chars: &mut Peekable<CharIndices<'_>>,
    digits: u32,
    radix: u32,
    first: u32,
) -> Option<char> {
    let mut value = first;
    for _ in 0..digits {
        let (_, c) = chars.next()?;
        value = value.checked_mul(radix)? + c.to_digit(radix)?;
    }
    char::from_u32(value)
}
