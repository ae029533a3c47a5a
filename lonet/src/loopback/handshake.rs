//! The lines that open a connection, as pure functions of bytes.
//!
//! Owns what the request and the reply look like, and which line is answered with which error.
//! Reads and writes nothing, and knows nothing of which addresses lead anywhere.
//!
//! ```text
//! > lonet "<network>" dial "<β:1>" "<α:10>"
//! < lonet "<network>" connected "<α:1>"
//! < lonet "<network>" E "<error>"
//! ```
//!
//! The mark that opens a line, `> ` or `< `, is part of it and counts towards its length. We print
//! one blank between words. As the originals do, we read any run of blanks there and before the
//! newline.

use std::borrow::Cow;

use crate::addr::Addr;
use crate::error::Cause;
use crate::quote::{is_print, quote, unquote};

/// The most bytes a line may have, its newline included.
pub(crate) const MAX_LINE: usize = 1024;

/// The first two bytes of a request.
const REQUEST: &[u8; 2] = b"> ";

/// The first two bytes of a reply.
const REPLY: &[u8; 2] = b"< ";

/// What a dialer asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// The dialing end.
    pub(crate) src: Addr,
    /// The dialed address.
    pub(crate) dst: Addr,
}

/// Why a request is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request names another network.
    NetworkMismatch,
    /// Not a dial request.
    InvalidRequest,
    /// The source is not an address that a connection could have.
    InvalidSrc,
    /// The destination is not an address.
    InvalidDst,
    /// Nothing listens there.
    ConnectionRefused,
}

impl Refusal {
    /// The text that goes over the wire.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Refusal::NetworkMismatch => "protocol error: network mismatch",
            Refusal::InvalidRequest => "protocol error: invalid dial request",
            Refusal::InvalidSrc => "protocol error: src address invalid",
            Refusal::InvalidDst => "protocol error: dst address invalid",
            Refusal::ConnectionRefused => "connection refused",
        }
    }
}

/// What an acceptor answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// The accepting end.
    Connected(Addr),
    /// Why there is none, in the peer's words.
    Error(String),
}

/// Reads a request line, with or without its newline.
///
/// # Errors
///
/// The refusal to answer with. The whole line is read before its parts are judged: the network
/// first, then the source, then the destination.
pub(crate) fn parse_request(line: &[u8], full_network: &str) -> Result<Request, Refusal> {
    let (network, src, dst) = dial_words(line).ok_or(Refusal::InvalidRequest)?;
    if *network != *full_network.as_bytes() {
        return Err(Refusal::NetworkMismatch);
    }
    Ok(Request {
        src: end_of_connection(&src).ok_or(Refusal::InvalidSrc)?,
        dst: address(&dst).ok_or(Refusal::InvalidDst)?,
    })
}

/// The line that asks for a connection, newline included. Legal names never make it longer than
/// [`MAX_LINE`], and hold nothing that `%q` prints otherwise than it is.
pub(crate) fn request(full_network: &str, src: &Addr, dst: &Addr) -> Vec<u8> {
    format!("> lonet \"{full_network}\" dial \"{src}\" \"{dst}\"\n").into_bytes()
}

/// The line that tells the dialer its peer, newline included.
pub(crate) fn reply_connected(full_network: &str, addr: &Addr) -> Vec<u8> {
    format!("< lonet \"{full_network}\" connected \"{addr}\"\n").into_bytes()
}

/// The line that tells the dialer why not, newline included. Of a text too long for a line, as
/// much as fits.
pub(crate) fn reply_error(full_network: &str, text: &str) -> Vec<u8> {
    let network = quote(full_network);
    let mut ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
    let mut end = text.len();
    loop {
        let line = format!("< lonet {network} E {}\n", quote(&text[..end]));
        if line.len() <= MAX_LINE || end == 0 {
            return line.into_bytes();
        }
        // The quoted form is never shorter than the text, so a long text shrinks at once.
        end = ends.find(|&e| e < end && e <= MAX_LINE).unwrap_or_default();
    }
}

/// Reads a reply line, with or without its newline.
///
/// # Errors
///
/// [`Cause::Protocol`] if it is not a reply, or a reply of another network.
pub(crate) fn parse_reply(line: &[u8], full_network: &str) -> Result<Reply, Cause> {
    let (network, word, text) =
        reply_words(line).ok_or_else(|| Cause::Protocol("invalid reply".to_owned()))?;
    if *network != *full_network.as_bytes() {
        return Err(Cause::Protocol("network mismatch".to_owned()));
    }
    match word {
        ReplyWord::Connected => end_of_connection(&text)
            .map(Reply::Connected)
            .ok_or_else(|| Cause::Protocol("peer address invalid".to_owned())),
        ReplyWord::Error => Ok(Reply::Error(String::from_utf8_lossy(&text).into_owned())),
    }
}

/// How many bytes the reply that begins so has yet, at least, if it is of that network and of a
/// port of that host. 0: unknown.
///
/// A reply that turns the dial down may be shorter, but nothing that matters follows it.
pub(crate) fn sure_of_reply(full_network: &str, host: &str, begun: &[u8]) -> usize {
    let shortest = r#"< lonet "" connected ":1""#.len() + full_network.len() + host.len() + 1;
    match begun.last() {
        _ if begun.len() < shortest => shortest - begun.len(),
        Some(b'"') => 1,
        Some(b'0'..=b'9') => 2,
        _ => 0,
    }
}

/// What a dial fails with when it was answered with this text.
///
/// The originals say `no such host` for a host that is closed: the registry knew the name, so to
/// the user it is a host that is not there any more.
pub(crate) fn cause_of_error_reply(text: &str) -> Cause {
    if text.ends_with("connection refused") || text.ends_with("no such host") {
        return Cause::ConnectionRefused;
    }
    let what = match text.strip_prefix("protocol error: ").unwrap_or(text) {
        "" => "refused without a reason",
        what => what,
    };
    // These are the peer's words: they must not move a terminal's cursor, nor turn its text round.
    if !what.chars().all(is_print) {
        Cause::Protocol(quote(what))
    } else {
        Cause::Protocol(what.to_owned())
    }
}

/// The text of a quoted word: usually the very bytes of the line.
type Text<'a> = Cow<'a, [u8]>;

fn dial_words(line: &[u8]) -> Option<(Text<'_>, Text<'_>, Text<'_>)> {
    let mut words = Words::of(line, REQUEST)?;
    words.literal(b"lonet")?;
    let network = words.quoted()?;
    words.literal(b"dial")?;
    let src = words.quoted()?;
    let dst = words.quoted()?;
    words.end().then_some((network, src, dst))
}

enum ReplyWord {
    Connected,
    Error,
}

fn reply_words(line: &[u8]) -> Option<(Text<'_>, ReplyWord, Text<'_>)> {
    let mut words = Words::of(line, REPLY)?;
    words.literal(b"lonet")?;
    let network = words.quoted()?;
    let word = if words.literal(b"connected").is_some() {
        ReplyWord::Connected
    } else {
        words.literal(b"E")?;
        ReplyWord::Error
    };
    let text = words.quoted()?;
    words.end().then_some((network, word, text))
}

/// What is left of a line, read word by word.
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    /// What follows the mark of such a line, from the mark's own blank on.
    fn of(line: &'a [u8], mark: &[u8; 2]) -> Option<Words<'a>> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let fits = text.len() < MAX_LINE && !text.contains(&b'\n');
        (fits && text.starts_with(mark)).then(|| Words { rest: &text[1..] })
    }

    /// Takes this very word. That it ends here is seen when the next one needs a blank before it.
    fn literal(&mut self, word: &[u8]) -> Option<()> {
        let rest = self.after_blanks()?.strip_prefix(word)?;
        self.rest = rest;
        Some(())
    }

    /// Takes a quoted word.
    fn quoted(&mut self) -> Option<Text<'a>> {
        let rest = self.after_blanks()?;
        let (text, taken) = unquote(rest).ok()?;
        self.rest = &rest[taken..];
        Some(text)
    }

    fn end(&self) -> bool {
        self.rest.iter().all(|&b| is_blank(b))
    }

    /// A blank must come before every word.
    fn after_blanks(&self) -> Option<&'a [u8]> {
        let blanks = self.rest.iter().take_while(|&&b| is_blank(b)).count();
        (blanks > 0).then_some(&self.rest[blanks..])
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn address(text: &[u8]) -> Option<Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// An address that a connection's end can have: port 0 is never given out.
fn end_of_connection(text: &[u8]) -> Option<Addr> {
    address(text).filter(|addr| addr.port() != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/vectors/handshake.json")).unwrap()
    }

    fn line_of(case: &Value) -> Vec<u8> {
        match case["line"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => {
                let hex = case["line_hex"].as_str().unwrap();
                (0..hex.len() / 2)
                    .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
                    .collect()
            }
        }
    }

    fn addr(case: &Value, key: &str) -> Addr {
        case[key].as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn requests_are_read_as_the_vectors_say() {
        for case in vectors()["requests"].as_array().unwrap() {
            let got = parse_request(&line_of(case), case["network"].as_str().unwrap());
            match case["refused"].as_str() {
                Some(text) => assert_eq!(got.map_err(Refusal::text), Err(text), "{case}"),
                None => {
                    let got = got.unwrap_or_else(|why| panic!("{why:?}: {case}"));
                    assert_eq!(
                        (got.src, got.dst),
                        (addr(case, "src"), addr(case, "dst")),
                        "{case}"
                    );
                }
            }
        }
    }

    #[test]
    fn replies_are_read_as_the_vectors_say() {
        for case in vectors()["replies"].as_array().unwrap() {
            let got = parse_reply(&line_of(case), case["network"].as_str().unwrap());
            if let Some(text) = case["fails"].as_str() {
                let got = got.map_err(|cause| cause.to_string());
                assert_eq!(got, Err(text.to_owned()), "{case}");
            } else if let Some(text) = case["error"].as_str() {
                assert_eq!(got, Ok(Reply::Error(text.to_owned())), "{case}");
                let cause = cause_of_error_reply(text).to_string();
                assert_eq!(cause, case["cause"].as_str().unwrap(), "{case}");
            } else {
                assert_eq!(got, Ok(Reply::Connected(addr(case, "peer"))), "{case}");
            }
        }
    }

    #[test]
    fn lines_are_printed_as_the_vectors_say() {
        for case in vectors()["printed"].as_array().unwrap() {
            let network = case["network"].as_str().unwrap().to_owned();
            let got = match case["kind"].as_str().unwrap() {
                "dial" => request(&network, &addr(case, "src"), &addr(case, "dst")),
                "connected" => reply_connected(&network, &addr(case, "peer")),
                _ => reply_error(&network, case["error"].as_str().unwrap()),
            };
            assert_eq!(got, line_of(case), "{case}");
        }
    }

    /// The three lines, as the originals send them.
    #[test]
    fn the_first_two_bytes_are_part_of_a_line() {
        let (src, dst) = ("β:1".parse().unwrap(), "α:10".parse().unwrap());
        let asked = b"> lonet \"lonetx\" dial \"\xce\xb2:1\" \"\xce\xb1:10\"\n";
        assert_eq!(request("lonetx", &src, &dst), asked);
        assert_eq!(parse_request(asked, "lonetx"), Ok(Request { src, dst }));
        let peer: Addr = "α:1".parse().unwrap();
        let connected = b"< lonet \"lonetx\" connected \"\xce\xb1:1\"\n";
        assert_eq!(reply_connected("lonetx", &peer), connected);
        assert_eq!(parse_reply(connected, "lonetx"), Ok(Reply::Connected(peer)));
        let refused = b"< lonet \"lonetx\" E \"connection refused\"\n";
        assert_eq!(reply_error("lonetx", "connection refused"), refused);
        let why = Reply::Error("connection refused".to_owned());
        assert_eq!(parse_reply(refused, "lonetx"), Ok(why));

        let invalid = Cause::Protocol("invalid reply".to_owned());
        for line in [&asked[..], connected, refused] {
            let bare = &line[2..];
            assert_eq!(parse_request(bare, "lonetx"), Err(Refusal::InvalidRequest));
            assert_eq!(parse_reply(bare, "lonetx"), Err(invalid.clone()));
        }
        for line in [&connected[..], refused] {
            assert_eq!(parse_request(line, "lonetx"), Err(Refusal::InvalidRequest));
        }
        assert_eq!(parse_reply(asked, "lonetx"), Err(invalid));
    }

    #[test]
    fn an_error_never_outgrows_its_line() {
        for text in ["x".repeat(5000), "\u{1}".repeat(5000), "東".repeat(5000)] {
            let line = reply_error("lonetx", &text);
            assert!((MAX_LINE - 4..=MAX_LINE).contains(&line.len()));
            let Ok(Reply::Error(got)) = parse_reply(&line, "lonetx") else {
                panic!("not a reply: {line:?}");
            };
            assert!(text.starts_with(&got));
        }
    }

    #[test]
    fn a_peer_cannot_write_to_the_terminal() {
        let cause = cause_of_error_reply("protocol error: \u{1b}[2J");
        assert_eq!(cause.to_string(), r#"protocol error: "\x1b[2J""#);
        let cause = cause_of_error_reply("protocol error: \u{202e}x");
        assert_eq!(cause.to_string(), r#"protocol error: "\u202ex""#);
    }

    fn addrs() -> impl Strategy<Value = Addr> {
        ("[\\p{L}\\p{Nd}_-]{1,30}", 1..=u16::MAX).prop_filter_map("a legal name", |(host, port)| {
            format!("{host}:{port}").parse().ok()
        })
    }

    proptest! {
        #[test]
        fn requests_survive_the_wire(network in "lonet[\\p{L}\\p{Nd}._-]{1,64}", src in addrs(), dst in addrs()) {
            let line = request(&network, &src, &dst);
            prop_assert!(line.len() <= MAX_LINE && line.ends_with(b"\n"));
            prop_assert_eq!(parse_request(&line, "lonet"), Err(Refusal::NetworkMismatch));
            prop_assert_eq!(parse_request(&line, &network), Ok(Request { src, dst }));
        }

        #[test]
        fn replies_survive_the_wire(network in "lonet[\\p{L}\\p{Nd}._-]{1,64}", peer in addrs(), text: String) {
            let line = reply_connected(&network, &peer);
            prop_assert_eq!(parse_reply(&line, &network), Ok(Reply::Connected(peer)));
            let line = reply_error(&network, &text);
            prop_assert!(line.len() <= MAX_LINE);
            prop_assert_eq!(parse_reply(&line, &network), Ok(Reply::Error(text)));
        }

        #[test]
        fn no_more_is_sure_of_a_reply_than_it_has(
            network in "lonet[\\p{L}\\p{Nd}._-]{1,64}", peer in addrs(), digits in 0..5u32,
            raw: bool, blanks in "[ \t\r]{0,3}",
        ) {
            let port = peer.port() % 10u16.pow(digits) + 1;
            let peer = Addr::known(peer.host().into(), port);
            let line = String::from_utf8(reply_connected(&network, &peer)).unwrap();
            // The mark's blank is one of them: others may follow it.
            let line = line.replace(' ', &format!(" {blanks}")).replace('\n', &format!("{blanks}\n"));
            let line = if raw { line.replace('"', "`") } else { line };
            prop_assert_eq!(parse_reply(line.as_bytes(), &network), Ok(Reply::Connected(peer.clone())));
            for begun in 0..line.len() {
                let sure = sure_of_reply(&network, peer.host(), &line.as_bytes()[..begun]);
                prop_assert!(begun + sure <= line.len(), "{sure} after {begun} of {line:?}");
            }
        }

        #[test]
        fn arbitrary_lines_never_panic(bytes: Vec<u8>, tail in "[\"`\\\\ dialEconnected\n]*") {
            let _ = parse_request(&bytes, "lonetx");
            let _ = parse_reply(&bytes, "lonetx");
            let _ = parse_request(format!("> lonet \"lonetx\" dial {tail}").as_bytes(), "lonetx");
            let _ = parse_reply(format!("< lonet \"lonetx\" {tail}").as_bytes(), "lonetx");
            let _ = cause_of_error_reply(&tail);
        }
    }
}
