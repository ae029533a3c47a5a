//! Names in ASCII, as international domain names have them: each label that is not ASCII is
//! encoded with Punycode (RFC 3492), so that `α` is `xn--mxa`.
//!
//! Owns the encoding, both ways, and nothing of what a name is for. Pure.

/// What a label begins with that is encoded.
pub(crate) const PREFIX: &str = "xn--";

/// That name in ASCII and, where it is not already, in lower case, as certificates and the DNS
/// have it.
pub(crate) fn ascii(host: &str) -> String {
    let labels: Vec<String> = host.split('.').map(label).collect();
    labels.join(".")
}

fn label(label: &str) -> String {
    if label.is_ascii() {
        label.to_owned()
    } else {
        format!("{PREFIX}{}", encode(&label.to_lowercase()))
    }
}

/// A label without its prefix: RFC 3492, section 6.3, with the parameters of section 5. In 64
/// bits nothing overflows, though the time is quadratic.
pub(crate) fn encode(label: &str) -> String {
    let input: Vec<u64> = label.chars().map(|c| u64::from(u32::from(c))).collect();
    let mut output: String = label.chars().filter(char::is_ascii).collect();
    let basic = output.len() as u64;
    if basic > 0 {
        output.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (128, 0, 72, basic);
    while handled < input.len() as u64 {
        let next = input.iter().copied().filter(|c| *c >= n).min().unwrap_or(n);
        delta += (next - n) * (handled + 1);
        n = next;
        for &c in &input {
            if c < n {
                delta += 1;
            } else if c == n {
                let mut q = delta;
                let mut k = 36;
                loop {
                    let t = threshold(k, bias);
                    if q < t {
                        break;
                    }
                    output.push(digit(t + (q - t) % (36 - t)));
                    q = (q - t) / (36 - t);
                    k += 36;
                }
                output.push(digit(q));
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta += 1;
        n += 1;
    }
    output
}

/// How large a digit in position `k` must be to end a number: between 1 and 26.
fn threshold(k: u64, bias: u64) -> u64 {
    k.saturating_sub(bias).clamp(1, 26)
}

fn adapt(delta: u64, points: u64, first: bool) -> u64 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 35 * 26 / 2 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

fn digit(d: u64) -> char {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    char::from(DIGITS[d as usize])
}

/// What a label, without its prefix, stands for: RFC 3492, section 6.2. `None` if it is not the
/// Punycode of anything.
#[cfg(feature = "hyper")]
pub(crate) fn decode(label: &str) -> Option<String> {
    if !label.is_ascii() {
        return None;
    }
    let (basic, digits) = label.rsplit_once('-').unwrap_or(("", label));
    let mut output: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128_u64, 0_u64, 72);
    let mut digits = digits.bytes().peekable();
    while digits.peek().is_some() {
        let (before, mut weight, mut k) = (i, 1_u64, 36);
        loop {
            let digit = value(digits.next()?)?;
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if digit < t {
                break;
            }
            weight = weight.checked_mul(36 - t)?;
            k += 36;
        }
        let points = output.len() as u64 + 1;
        bias = adapt(i - before, points, before == 0);
        n = n.checked_add(i / points)?;
        i %= points;
        output.insert(i as usize, char::from_u32(u32::try_from(n).ok()?)?);
        i += 1;
    }
    Some(output.into_iter().collect())
}

/// The value of a digit, of either case.
#[cfg(feature = "hyper")]
fn value(digit: u8) -> Option<u64> {
    match digit {
        b'a'..=b'z' => Some(u64::from(digit - b'a')),
        b'A'..=b'Z' => Some(u64::from(digit - b'A')),
        b'0'..=b'9' => Some(u64::from(digit - b'0') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of RFC 3492, section 7.1, in lower case.
    const SAMPLES: [(&str, &str); 6] = [
        ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
        ("למההםפשוטלאמדבריםעברית", "4dbcagdahymbxekheh6e0a7fei0b"),
        (
            "почемужеонинеговорятпорусски",
            "b1abfaaepdrnnbgefbadotcwatmq2g4l",
        ),
        ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
        ("そのスピードで", "d9juau41awczczp"),
        ("bücher", "bcher-kva"),
    ];

    #[test]
    fn samples_of_the_standard() {
        for (label, encoded) in SAMPLES {
            assert_eq!(encode(label), encoded, "{label}");
        }
        assert_eq!(ascii("db.Α.test"), "db.xn--mxa.test");
    }

    #[cfg(feature = "hyper")]
    #[test]
    fn samples_of_the_standard_decoded() {
        for (label, encoded) in SAMPLES {
            assert_eq!(decode(encoded).as_deref(), Some(label), "{encoded}");
        }
        assert_eq!(decode("MXA").as_deref(), Some("α"));
        assert_eq!(decode("a-").as_deref(), Some("a"));
    }

    /// An unfinished number, no digits, numbers too large, half a pair of UTF-16, what lies behind
    /// the last character, and no ASCII.
    #[cfg(feature = "hyper")]
    #[test]
    fn what_is_no_punycode_is_nothing() {
        for bad in [
            "z",
            "a_b",
            "a-!",
            "99999999",
            "999999999a",
            "ib9b",
            "en32g",
            "α",
            "-α",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
