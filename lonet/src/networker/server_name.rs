//! What a certificate calls a host: the name by which TLS checks that a peer is who was dialed.
//!
//! Certificates hold names in ASCII only. A host named `α` is `xn--mxa` there: each label that is
//! not ASCII is put in lower case and encoded with Punycode (RFC 3492), as for international
//! domain names. Pure.

/// The host of `host:port`, as a certificate names it; an IP address as it is.
pub(super) fn server_name(addr: &str) -> String {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    ascii(host)
}

/// That name in ASCII.
pub(super) fn ascii(host: &str) -> String {
    let labels: Vec<String> = host.split('.').map(label).collect();
    labels.join(".")
}

fn label(label: &str) -> String {
    if label.is_ascii() {
        label.to_owned()
    } else {
        format!("xn--{}", punycode(&label.to_lowercase()))
    }
}

/// RFC 3492, section 6.3, with the parameters of section 5. Labels are at most 64 characters
/// long, so that nothing overflows.
fn punycode(label: &str) -> String {
    let input: Vec<u32> = label.chars().map(u32::from).collect();
    let mut output: String = label.chars().filter(char::is_ascii).collect();
    let basic = output.len() as u32;
    if basic > 0 {
        output.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (128, 0, 72, basic);
    while (handled as usize) < input.len() {
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
fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(1, 26)
}

fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 35 * 26 / 2 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

fn digit(d: u32) -> char {
    let code = if d < 26 {
        u32::from(b'a') + d
    } else {
        u32::from(b'0') + d - 26
    };
    char::from_u32(code).expect("36 digits: a to z, 0 to 9")
}

#[cfg(test)]
mod tests {
    use super::{punycode, server_name};

    #[test]
    fn an_address_names_its_host() {
        let cases = [
            ("db-1:10", "db-1"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("α:10", "xn--mxa"),
            ("Α:10", "xn--mxa"),
            ("db.α.test:1", "db.xn--mxa.test"),
        ];
        for (addr, name) in cases {
            assert_eq!(server_name(addr), name, "{addr}");
        }
    }

    /// Samples of RFC 3492, section 7.1, in lower case.
    #[test]
    fn samples_of_the_standard() {
        let cases = [
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
        for (label, encoded) in cases {
            assert_eq!(punycode(label), encoded, "{label}");
        }
    }
}
