//! Where the lines of a string literal's value stand in the source.
//!
//! Pure: from the literal as it is written to offsets from its first character. Escapes inside a
//! line are not followed: what stands right of one on the same line is found some columns off.

/// For each line of the value where it begins: lines below the literal's first, and characters
/// right of the literal's beginning (on that first line) or of the left margin (on a further one).
pub(crate) fn lines(written: &str) -> Vec<(u32, u32)> {
    let raw = written.starts_with('r');
    let Some(quote) = written.find('"') else {
        return Vec::new();
    };
    let hashes = if raw { quote - 1 } else { 0 };
    let end = written.len().saturating_sub(1 + hashes);

    let mut below = 0;
    let mut right = u32::try_from(quote + 1).unwrap_or(u32::MAX);
    let mut starts = vec![(below, right)];
    // Whether the line that was begun last has no character yet.
    let mut fresh = true;
    let mut chars = written
        .get(quote + 1..end)
        .unwrap_or_default()
        .chars()
        .peekable();
    while let Some(c) = chars.next() {
        right += 1;
        let escaped = (c == '\\' && !raw).then(|| chars.next()).flatten();
        match (c, escaped) {
            ('\n', _) => {
                (below, right) = (below + 1, 0);
                starts.push((below, right));
                fresh = true;
            }
            (_, Some('n')) => {
                right += 1;
                starts.push((below, right));
                fresh = true;
            }
            (_, Some('\n')) => {
                // The value goes on after all the blanks that follow.
                (below, right) = (below + 1, 0);
                while let Some(blank) = chars.next_if(char::is_ascii_whitespace) {
                    (below, right) = match blank {
                        '\n' => (below + 1, 0),
                        _ => (below, right + 1),
                    };
                }
                if let Some(begun) = starts.last_mut().filter(|_| fresh) {
                    *begun = (below, right);
                }
            }
            (_, escaped) => {
                right += u32::from(escaped.is_some());
                fresh = false;
            }
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[track_caller]
    fn check(written: &str, expected: &[(u32, u32)]) {
        let value = syn::parse_str::<syn::LitStr>(written).unwrap().value();
        assert_eq!(lines(written), expected, "{written}");
        assert_eq!(value.split('\n').count(), expected.len(), "{written}");
    }

    #[test]
    fn one_line() {
        check(r#""""#, &[(0, 1)]);
        check(r#""α:10 listen""#, &[(0, 1)]);
        check(r##"r#"α"#"##, &[(0, 3)]);
    }

    #[test]
    fn lines_of_the_source() {
        check("\"\n  a\n  b\n\"", &[(0, 1), (1, 0), (2, 0), (3, 0)]);
        check("r\"\n  a\\\"", &[(0, 2), (1, 0)]);
    }

    #[test]
    fn lines_by_escape() {
        check(r#""a\nb\\n""#, &[(0, 1), (0, 4)]);
    }

    #[test]
    fn lines_that_are_continued() {
        check("\"\\\n    a\n  b\"", &[(1, 4), (2, 0)]);
        check("\"a\\n\\\n\n    b\"", &[(0, 1), (2, 4)]);
    }
}
