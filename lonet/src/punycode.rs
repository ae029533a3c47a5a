//! Names in ASCII, as international domain names have them: each label that is not ASCII is
//! encoded with Punycode (RFC 3492), so that `α` is `xn--mxa`.
//!
//! Owns which labels are encoded, and nothing of what a name is for; the encoding itself is the
//! crate `punycode`'s. Pure.

/// What a label begins with that is encoded.
pub(crate) const PREFIX: &str = "xn--";

/// Labels of more characters are not encoded: no name has one (the DNS ends at 63 bytes, lonet at
/// 64 characters), and the sums of some thousand characters do not fit into 32 bits.
const LONGEST: usize = 1024;

/// That name in ASCII and, where it is not already, in lower case, as certificates and the DNS
/// have it.
pub(crate) fn ascii(host: &str) -> String {
    let labels: Vec<String> = host.split('.').map(label).collect();
    labels.join(".")
}

fn label(label: &str) -> String {
    let encoded = match label.is_ascii() {
        true => None,
        false => encode(&label.to_lowercase()),
    };
    encoded.map_or_else(|| label.to_owned(), |encoded| format!("{PREFIX}{encoded}"))
}

/// A label without its prefix. `None` if it is longer than any name's.
pub(crate) fn encode(label: &str) -> Option<String> {
    match label.chars().count() <= LONGEST {
        true => punycode::encode(label).ok(),
        false => None,
    }
}

/// What a label, without its prefix, stands for. `None` if it is not the Punycode of anything.
#[cfg(feature = "hyper")]
pub(crate) fn decode(label: &str) -> Option<String> {
    punycode::decode(label).ok()
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
            assert_eq!(encode(label).as_deref(), Some(encoded), "{label}");
        }
        assert_eq!(ascii("db.Α.test"), "db.xn--mxa.test");
    }

    /// The longest name of a lonet host is encoded; what no name can be is left as it is.
    #[test]
    fn labels_of_any_length() {
        let longest = "\u{1d538}".repeat(32);
        assert!(ascii(&longest).is_ascii());
        assert!(ascii(&"\u{10ffff}".repeat(LONGEST)).is_ascii());
        for long in [LONGEST + 1, 100_000] {
            let long = "\u{10ffff}".repeat(long);
            assert_eq!(ascii(&long), long);
        }
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
    fn invalid_punycode_decodes_to_none() {
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
