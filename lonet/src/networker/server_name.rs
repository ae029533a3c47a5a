//! The name of a host in a certificate, by which TLS checks that the peer is the dialed host.
//!
//! Certificates contain only ASCII names, so a host named `α` is `xn--mxa` there: `punycode` encodes
//! it. Pure.

use crate::punycode::ascii;

/// The host of `host:port`, as a certificate names it; an IP address as it is.
pub(super) fn server_name(addr: &str) -> String {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    ascii(host)
}

#[cfg(test)]
mod tests {
    use super::server_name;

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
}
