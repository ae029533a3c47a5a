//! From a URI to an address to dial, and from an address to a URI.
//!
//! Owns which URIs are legal, and the messages about illegal ones. Pure: nothing is dialed.
//!
//! The authority of a URI is ASCII, and not even `%` is legal there. So a host named `α` is
//! `xn--mxa`, as browsers and the crate `url` have it: each label that is not ASCII is encoded with
//! Punycode (RFC 3492). A label that is ASCII, but begins with `xn--`, is encoded too, so that
//! every name comes back as it was.

use std::fmt::Display;
use std::io;

use http::Uri;
use http::uri::Authority;

use crate::addr::parse_port;
use crate::punycode::{self, PREFIX};

/// More bytes than the name of a host has, on lonet networks or elsewhere.
const LONGEST: usize = 256;
/// More than a label of it has when it is encoded. Longer ones are nothing that was.
const LONGEST_ENCODED: usize = 512;

/// The URI of a path on a host: `http://xn--mxa:10/keys` for `α:10` and `/keys`. The host may have
/// any legal name.
///
/// A hyper client or a tonic endpoint with a [`Connector`](super::Connector) dials that host. If the
/// name is ASCII, you can also write the URI as a literal: `http://db-1:10/keys`.
///
/// ```
/// let uri = lonet::adapters::uri("α:10", "/keys?limit=3")?;
/// assert_eq!(uri.to_string(), "http://xn--mxa:10/keys?limit=3");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// URIs are compared without regard to the case of ASCII letters in the host, for example by the
/// connection pool of hyper-util's client. Don't use host names that differ only in case.
///
/// An empty path means `/`.
///
/// # Errors
///
/// `InvalidInput`: the address is not `host:port`, or the path does not begin with `/` or contains
/// characters that are illegal in a URI. The message says what is legal.
pub fn uri(addr: impl Display, path_and_query: &str) -> io::Result<Uri> {
    let addr = addr.to_string();
    let no_address = |why: &str| {
        invalid(format!(
            "{addr:?} {why}; to make a URI of it, an address is host:port, as in α:10"
        ))
    };
    let (host, port) = addr
        .rsplit_once(':')
        .ok_or_else(|| no_address("has no port"))?;
    if host.is_empty() {
        return Err(no_address("has no host"));
    }
    if parse_port(port).is_none() {
        return Err(no_address("has an illegal port"));
    }
    if host.len() > LONGEST {
        return Err(no_address(&format!("has a host of over {LONGEST} bytes")));
    }
    let name = in_uri(host);
    // `a@b` is legal there, and something else.
    let authority = Authority::try_from(format!("{name}:{port}"))
        .ok()
        .filter(|authority| authority.host() == name)
        .ok_or_else(|| no_address("has a host that can't stand in a URI"))?;
    let path = match path_and_query {
        "" => "/",
        path => path,
    };
    let no_path = |why: &dyn Display| {
        invalid(format!(
            "{path:?} is not the path of a URI ({why}); a path is written as in /keys?limit=3, with \
             other characters percent-encoded"
        ))
    };
    if !path.starts_with('/') {
        return Err(no_path(&"it does not begin with /"));
    }
    Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|why| no_path(&why))
}

/// The address that a URI names, as a [`Networker`](crate::Networker) takes it.
pub(super) fn address(uri: &Uri, any_scheme: bool) -> io::Result<String> {
    let wrong = |why: &str| invalid(format!("the URI {uri} {why}"));
    const LEGAL: &str = "; legal is http://host:port/path, which lonet::adapters::uri makes for \
                         any host name";
    match uri.scheme_str() {
        None => return Err(wrong(&format!("has no scheme{LEGAL}"))),
        Some("http") => {}
        Some(_) if any_scheme => {}
        Some("https") => {
            return Err(wrong(
                "asks for TLS, which this connector does not do: use http, or \
                 Connector::any_scheme on a network that encrypts (lonet::Tls) or below a \
                 connector that encrypts",
            ));
        }
        Some(_) => return Err(wrong(&format!("has a scheme other than http{LEGAL}"))),
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_user, place)| place);
    let (host, port) = match place.rsplit_once(':') {
        // Within brackets, it is an IPv6 address's.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (place, ""),
    };
    if host.is_empty() {
        return Err(wrong(&format!("has no host{LEGAL}")));
    }
    if port.is_empty() {
        return Err(wrong(&format!(
            "has no port, and lonet has no default port{LEGAL}"
        )));
    }
    if parse_port(port).is_none() {
        return Err(wrong(&format!(
            "has an illegal port (ports are 0 to 65535, in decimal digits, no leading zero){LEGAL}"
        )));
    }
    Ok(format!("{}:{port}", of_uri(host)))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The name of a host as a URI holds it.
fn in_uri(host: &str) -> String {
    let labels: Vec<String> = host.split('.').map(label_in_uri).collect();
    labels.join(".")
}

fn label_in_uri(label: &str) -> String {
    if label.is_ascii() && encoded(label).is_none() {
        label.to_owned()
    } else {
        let encoded = punycode::encode(label).expect("no host here is too long to be encoded");
        format!("{PREFIX}{encoded}")
    }
}

/// The name of a host that a URI holds.
fn of_uri(host: &str) -> String {
    let labels: Vec<String> = host.split('.').map(label_of_uri).collect();
    labels.join(".")
}

/// A label that this module did not encode is left as it is: its author knows what it means.
fn label_of_uri(label: &str) -> String {
    encoded(label)
        .and_then(punycode::decode)
        .filter(|decoded| label_in_uri(decoded).eq_ignore_ascii_case(label))
        .unwrap_or_else(|| label.to_owned())
}

/// What follows the prefix of an encoded label.
fn encoded(label: &str) -> Option<&str> {
    let (prefix, rest) = label.split_at_checked(PREFIX.len())?;
    (prefix.eq_ignore_ascii_case(PREFIX) && rest.len() <= LONGEST_ENCODED).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::check_name;
    use proptest::prelude::*;

    fn back(host: &str) -> String {
        let uri = uri(format!("{host}:10"), "/").unwrap();
        address(&uri, false).unwrap()
    }

    #[test]
    fn hosts_in_uris() {
        for (host, in_uri) in [
            ("db-1", "db-1"),
            ("a_b.c", "a_b.c"),
            ("Db", "Db"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("α", "xn--mxa"),
            ("Α", "xn--pwa"),
            ("db.α..test", "db.xn--mxa..test"),
            ("bücher", "xn--bcher-kva"),
            ("東京", "xn--1lqs71d"),
            ("xn--mxa", "xn--xn--mxa-"),
            ("xn--", "xn--xn---"),
        ] {
            assert_eq!(
                uri(format!("{host}:10"), "").unwrap().to_string(),
                format!("http://{in_uri}:10/"),
            );
            assert_eq!(back(host), format!("{host}:10"));
        }
    }

    #[test]
    fn uris_that_others_made() {
        for (uri, addr) in [
            ("http://xn--mxa:10", "α:10"),
            ("http://XN--MXA:10/", "α:10"),
            ("http://user:password@db-1:10/a?b", "db-1:10"),
            // Punycode of nothing, of ASCII alone, and none at all.
            ("http://xn--:10/", "xn--:10"),
            ("http://xn--foo-:10/", "xn--foo-:10"),
            ("http://xn--0:10/", "xn--0:10"),
        ] {
            assert_eq!(address(&uri.parse().unwrap(), false).unwrap(), addr);
        }
        // As many characters as fit: whatever a URI holds is taken.
        let long = "\u{10ffff}".repeat(LONGEST_ENCODED - 10);
        let uri: Uri = format!("http://{}:10/", label_in_uri(&long))
            .parse()
            .unwrap();
        assert_eq!(address(&uri, false).unwrap(), format!("{long}:10"));
        let tls: Uri = "https://db-1:10/".parse().unwrap();
        assert_eq!(address(&tls, true).unwrap(), "db-1:10");
    }

    #[test]
    fn names_have_an_end() {
        for long in ["α".repeat(200), "xn--".repeat(100), "α.".repeat(100_000)] {
            let error = uri(format!("{long}:10"), "/").unwrap_err();
            assert!(error.to_string().contains("over 256 bytes"), "{error}");
        }
        let longest = "\u{1d538}".repeat(32);
        assert!(check_name(&longest).is_ok());
        assert_eq!(back(&longest), format!("{longest}:10"));
    }

    /// Why a name has to be encoded at all, and why not with `%`.
    #[test]
    fn a_uri_holds_no_other_names() {
        for bad in ["http://α:10/", "http://%CE%B1:10/"] {
            assert!(bad.parse::<Uri>().is_err(), "{bad}");
        }
    }

    proptest! {
        /// Every legal name comes back as it was.
        #[test]
        fn names_come_back(host in "([xX][nN]--)?[\\p{L}\\p{M}\\p{Nd}_.-]{1,40}") {
            prop_assume!(check_name(&host).is_ok());
            prop_assert_eq!(back(&host), format!("{host}:10"));
        }

        /// Nothing that a URI may hold is too much.
        #[test]
        fn any_authority_is_taken(host in "(xn--)?[a-zA-Z0-9-]{1,600}") {
            let uri: Uri = format!("http://{host}:1/").parse().unwrap();
            address(&uri, false).unwrap();
        }
    }
}
