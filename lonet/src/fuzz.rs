//! What the fuzzers call: each takes any bytes, and panics where a rule is broken.
//!
//! Only built under `cfg(fuzzing)`. The rules are those of the unit tests next to the code.

use crate::loopback::handshake::{
    MAX_LINE, Reply, Request, cause_of_error_reply, parse_reply, parse_request, reply_connected,
    reply_error, request,
};
use crate::quote::{quote_bytes, unquote};

/// Any line is read or refused; what is read prints as a line that reads the same.
pub fn handshake(data: &[u8]) {
    if let Ok(Request { src, dst }) = parse_request(data, "lonetx") {
        assert!(data.len() <= MAX_LINE, "an over-long line was read");
        assert!(
            data.starts_with(b"> "),
            "a line that opens otherwise was read"
        );
        let line = request("lonetx", &src, &dst);
        assert_eq!(parse_request(&line, "lonetx"), Ok(Request { src, dst }));
    }
    let reply = parse_reply(data, "lonetx");
    if reply.is_ok() {
        assert!(
            data.starts_with(b"< "),
            "a line that opens otherwise was read"
        );
    }
    match reply {
        Ok(Reply::Connected(peer)) => {
            let line = reply_connected("lonetx", &peer);
            assert_eq!(parse_reply(&line, "lonetx"), Ok(Reply::Connected(peer)));
        }
        Ok(Reply::Error(text)) => {
            let shown = cause_of_error_reply(&text).to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            let line = reply_error("lonetx", &text);
            assert!(line.len() <= MAX_LINE, "an over-long line is sent");
            let read = parse_reply(&line, "lonetx");
            assert!(matches!(read, Ok(Reply::Error(got)) if text.starts_with(&got)));
        }
        Err(_) => {}
    }
}

/// Any bytes survive being quoted; what unquotes, unquotes again after it was quoted.
pub fn quote(data: &[u8]) {
    let quoted = quote_bytes(data);
    assert!(!quoted.contains(char::is_control), "{quoted:?}");
    assert_eq!(unquote(quoted.as_bytes()), Ok((data.into(), quoted.len())));
    for mark in [&b""[..], b"\"", b"`"] {
        let input = [mark, data].concat();
        if let Ok((text, taken)) = unquote(&input) {
            assert!(taken <= input.len(), "more was taken than there is");
            let quoted = quote_bytes(&text);
            assert_eq!(unquote(quoted.as_bytes()), Ok((text, quoted.len())));
        }
    }
}
