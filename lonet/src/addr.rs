//! Addresses and names: what is legal, how they are parsed and printed.
//!
//! Owns the rules for host names, network names and ports, and what may stand for an address in a
//! call ([`ToAddr`]). Does not know which networks exist: `virtnet` and the engines decide whether
//! an address can be reached.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::error::Cause;

/// The most characters a host or network name may have.
pub(crate) const MAX_NAME_CHARS: usize = 64;
/// The most bytes of UTF-8 a host or network name may have.
pub(crate) const MAX_NAME_BYTES: usize = 128;

/// The address of one end of a lonet connection, or of a listener: a host's name and a port.
///
/// An address prints and parses as `host:port`, for instance `α:10`, and serializes as that string.
/// Addresses are ordered by host name (by code point), then by port.
///
/// # Examples
///
/// ```
/// use lonet::Addr;
///
/// let addr: Addr = "α:10".parse()?;
/// assert_eq!(addr, Addr::new("α", 10)?);
/// assert_eq!((addr.host(), addr.port()), ("α", 10));
/// assert_eq!(addr.to_string(), "α:10");
/// // `host.listen(":10")` is legal, but `:10` alone is not an address: the host is missing.
/// assert!(":10".parse::<Addr>().is_err());
/// # Ok::<(), lonet::Cause>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Addr {
    host: Arc<str>,
    port: u16,
}

impl Addr {
    /// Makes the address of a port of a host. The host need not exist.
    ///
    /// Port 0 is legal: listening on it takes the lowest free port. No listener ever has port 0.
    ///
    /// # Errors
    ///
    /// [`Cause::InvalidAddr`] if the host name is illegal; see [`check_name`]. The text says which
    /// rule the name breaks and which names are legal.
    ///
    /// # Examples
    ///
    /// ```
    /// use lonet::Addr;
    ///
    /// assert_eq!(Addr::new("db-1", 10)?.to_string(), "db-1:10");
    /// let error = Addr::new("a b", 10).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid address: \"a b:10\" has an illegal host name (invalid name: \"a b\" holds ' '; \
    ///      legal are 1 to 64 letters, marks and digits of any script and _ - .); \
    ///      an address is host:port, as in α:10"
    /// );
    /// # Ok::<(), lonet::Cause>(())
    /// ```
    pub fn new(host: &str, port: u16) -> Result<Addr, Cause> {
        if host.is_empty() {
            return Err(invalid(&format!(":{port}"), "has no host"));
        }
        check_name(host).map_err(|why| illegal_host(&format!("{host}:{port}"), &why))?;
        Ok(Addr::known(host.into(), port))
    }

    /// An address made of a name that is known to be legal.
    pub(crate) fn known(host: Arc<str>, port: u16) -> Addr {
        debug_assert!(check_name(&host).is_ok(), "not a legal host name: {host:?}");
        Addr { host, port }
    }

    /// What a text means on that host, where `:10` is a port of its own.
    pub(crate) fn parse_on(host: &Arc<str>, text: &str) -> Result<Addr, Cause> {
        match text.strip_prefix(':') {
            Some(port) => Ok(Addr::known(host.clone(), port_of(text, port)?)),
            None => text.parse(),
        }
    }

    /// The host's name.
    ///
    /// # Examples
    ///
    /// ```
    /// let addr: lonet::Addr = "α:10".parse()?;
    /// assert_eq!(addr.host(), "α");
    /// # Ok::<(), lonet::Cause>(())
    /// ```
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port. Port 0 appears only in errors, where no port had been chosen yet.
    ///
    /// # Examples
    ///
    /// ```
    /// let addr: lonet::Addr = "α:10".parse()?;
    /// assert_eq!(addr.port(), 10);
    /// # Ok::<(), lonet::Cause>(())
    /// ```
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Addr {
    type Err = Cause;

    /// Parses `host:port`.
    ///
    /// # Errors
    ///
    /// [`Cause::InvalidAddr`] if the host is missing or its name is illegal, or if the port is not
    /// `0|[1-9][0-9]{0,4}` or is greater than 65535.
    fn from_str(text: &str) -> Result<Addr, Cause> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| invalid(text, "has no port"))?;
        if host.is_empty() {
            return Err(invalid(text, "has no host"));
        }
        check_name(host).map_err(|why| illegal_host(text, &why))?;
        Ok(Addr {
            host: host.into(),
            port: port_of(text, port)?,
        })
    }
}

/// The port that an address says.
fn port_of(text: &str, port: &str) -> Result<u16, Cause> {
    let why = "has an illegal port (ports are 0 to 65535, in decimal digits, no leading zero)";
    parse_port(port).ok_or_else(|| invalid(text, why))
}

fn illegal_host(text: &str, why: &Cause) -> Cause {
    invalid(text, &format!("has an illegal host name ({why})"))
}

fn invalid(text: &str, why: &str) -> Cause {
    Cause::InvalidAddr(format!(
        "{text:?} {why}; an address is host:port, as in α:10"
    ))
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Addr {
    type Error = Cause;

    fn try_from(text: String) -> Result<Addr, Cause> {
        text.parse()
    }
}

impl From<Addr> for String {
    fn from(addr: Addr) -> String {
        addr.to_string()
    }
}

/// What [`Host::dial`](crate::Host::dial) and [`Host::listen`](crate::Host::listen) accept as an
/// address: a string (`&str`, `String`), an [`Addr`], a pair of host name and port, or a reference
/// to one of these.
///
/// The call parses the address: `listen` also accepts `""` and `":10"`, and an illegal address is an
/// error of the call. This trait is sealed. Code that runs on any network takes `&str`, as
/// [`Networker`](crate::Networker) does.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> lonet::Result<()> {
/// let network = lonet::pipenet::network("x");
/// let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
/// let listener = alpha.listen(("α", 10)).await?;
/// let accept = async { listener.accept().await };
/// let (dialed, accepted) = tokio::try_join!(beta.dial(listener.local_addr()), accept)?;
/// assert_eq!(dialed.peer_addr(), accepted.local_addr());
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an address",
    label = "an address is a string, an `Addr` or a pair of host name and port",
    note = "legal are `&str`, `String`, `&String`, `Addr`, `&Addr` and `(&str, u16)`: \
            `\"α:10\"`, `addr`, `(\"α\", 10)`"
)]
pub trait ToAddr: sealed::Text {}

mod sealed {
    use std::borrow::Cow;

    /// Other crates can't implement this.
    pub trait Text {
        /// The text of an address, which may be illegal.
        fn text(&self) -> Cow<'_, str>;
    }
}

/// The text of what stands for an address.
pub(crate) fn text_of(addr: &impl ToAddr) -> Cow<'_, str> {
    sealed::Text::text(addr)
}

impl ToAddr for str {}

impl sealed::Text for str {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl ToAddr for String {}

impl sealed::Text for String {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl ToAddr for Addr {}

impl sealed::Text for Addr {
    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl ToAddr for (&str, u16) {}

impl sealed::Text for (&str, u16) {
    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}:{}", self.0, self.1))
    }
}

impl<T: ToAddr + ?Sized> ToAddr for &T {}

impl<T: sealed::Text + ?Sized> sealed::Text for &T {
    fn text(&self) -> Cow<'_, str> {
        T::text(self)
    }
}

/// Parses a port in decimal: `0|[1-9][0-9]{0,4}`, at most 65535. Returns `None` for anything else.
///
/// # Examples
///
/// ```
/// assert_eq!(lonet::parse_port("10"), Some(10));
/// assert_eq!(lonet::parse_port("010"), None);
/// assert_eq!(lonet::parse_port("65536"), None);
/// ```
pub fn parse_port(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

/// Checks the name of a host or of a network.
///
/// A legal name has 1 to 64 characters and at most 128 bytes: letters, marks and decimal digits of
/// any script (Unicode categories L, M, Nd) and `_ - .`. It does not begin with a dot, and it is not
/// `_` alone, which matches any host in expected traces.
///
/// # Errors
///
/// [`Cause::InvalidName`]: the text says which rule the name breaks.
///
/// # Examples
///
/// ```
/// assert!(lonet::check_name("db-1").is_ok());
/// let error = lonet::check_name("a b").unwrap_err();
/// assert!(error.to_string().contains("holds ' '"), "{error}");
/// ```
pub fn check_name(name: &str) -> Result<(), Cause> {
    let broken = if name.is_empty() {
        "is empty".to_owned()
    } else if name.chars().count() > MAX_NAME_CHARS {
        format!(
            "has {} characters, more than {MAX_NAME_CHARS}",
            name.chars().count()
        )
    } else if name.len() > MAX_NAME_BYTES {
        format!("has {} bytes, more than {MAX_NAME_BYTES}", name.len())
    } else if name.starts_with('.') {
        "begins with a dot".to_owned()
    } else if name == "_" {
        "is the wildcard of expected traces".to_owned()
    } else if let Some(c) = name.chars().find(|&c| !is_name_char(c)) {
        format!("holds {c:?}")
    } else {
        return Ok(());
    };
    Err(Cause::InvalidName(format!(
        "{name:?} {broken}; legal are 1 to {MAX_NAME_CHARS} letters, marks and digits of any script and _ - ."
    )))
}

/// Whether a name may hold this character.
fn is_name_char(c: char) -> bool {
    use GeneralCategory as G;
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    }
    matches!(
        get_general_category(c),
        G::UppercaseLetter
            | G::LowercaseLetter
            | G::TitlecaseLetter
            | G::ModifierLetter
            | G::OtherLetter
            | G::NonspacingMark
            | G::SpacingMark
            | G::EnclosingMark
            | G::DecimalNumber
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse_and_print() {
        for ok in ["α:10", "db-1:0", "a_b.c:65535", "東京:1", "٣:7", "_x:1"] {
            let addr: Addr = ok.parse().unwrap();
            assert_eq!(addr.to_string(), ok);
            assert_eq!(serde_json::to_string(&addr).unwrap(), format!("{ok:?}"));
        }
    }

    #[test]
    fn illegal_addresses_say_why() {
        for (bad, why) in [
            (":10", "has no host"),
            ("α", "has no port"),
            ("α:", "illegal port"),
            ("α:010", "illegal port"),
            ("α:65536", "illegal port"),
            ("α:+1", "illegal port"),
            ("a:b:1", "illegal host name"),
            (".a:1", "begins with a dot"),
            ("_:1", "wildcard"),
            ("a b:1", "holds ' '"),
        ] {
            let message = bad.parse::<Addr>().unwrap_err().to_string();
            assert!(message.contains(why), "{bad}: {message}");
        }
    }

    #[test]
    fn an_address_is_made_as_it_is_parsed() {
        for (host, port) in [("α", 0), ("α", 65535), ("db-1", 10), ("東京", 1)] {
            let parsed: Addr = format!("{host}:{port}").parse().unwrap();
            assert_eq!(Addr::new(host, port).unwrap(), parsed);
        }
        for host in ["", "a:b", "_", ".a", "a b", "[::1]", "½"] {
            let parsed = format!("{host}:1").parse::<Addr>();
            assert_eq!(Addr::new(host, 1), parsed, "{host}");
            assert!(parsed.is_err(), "{host}");
        }
        assert!(Addr::new(&"x".repeat(65), 1).is_err());
    }

    #[test]
    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "references are what is tested"
    )]
    fn every_address_type_gives_the_same_text() {
        fn text(addr: impl ToAddr) -> String {
            text_of(&addr).into_owned()
        }
        let addr = Addr::new("α", 10).unwrap();
        let (string, pair, str) = (String::from("α:10"), ("α", 10), "α:10");
        let texts = [
            text(str),
            text(&str),
            text(string.clone()),
            text(&string),
            text(addr.clone()),
            text(&addr),
            text(pair),
            text(&pair),
        ];
        assert!(texts.iter().all(|text| text == "α:10"), "{texts:?}");
        assert_eq!(
            (text(""), text(":10"), text(("", 7))),
            ("".into(), ":10".into(), ":7".into())
        );
        // An address with two ports is illegal.
        assert!(text(("α:1", 2)).parse::<Addr>().is_err());
    }

    #[test]
    fn names_hold_letters_marks_and_decimal_digits() {
        for c in '\0'..='\x7f' {
            let legal = c.is_ascii_alphanumeric() || "_-.".contains(c);
            assert_eq!(check_name(&format!("x{c}")).is_ok(), legal, "{c:?}");
        }
        // One of each category, in its order: Lu, Ll, Lt, Lm, Lo, Mn, Mc, Me, Nd.
        for c in "Ωωǅʰ東\u{301}\u{93e}\u{20dd}٣".chars() {
            assert!(check_name(&format!("x{c}")).is_ok(), "{c:?}");
        }
        // Nl, No, Pc, Pd, Po, Sm, Sc, So, Zs, Cf, Co.
        for c in "Ⅷ²‿—¿±€©\u{a0}\u{200d}\u{e000}".chars() {
            assert!(check_name(&format!("x{c}")).is_err(), "{c:?}");
        }
    }

    #[test]
    fn names_have_limits() {
        assert!(check_name(&"x".repeat(64)).is_ok());
        assert!(check_name(&"x".repeat(65)).is_err());
        assert!(check_name(&"α".repeat(64)).is_ok());
        assert!(check_name(&"東".repeat(42)).is_ok());
        assert!(check_name(&"東".repeat(43)).is_err());
        for bad in [
            "",
            "..",
            ".",
            "_",
            "a/b",
            "a\0",
            "a:b",
            "a\"b",
            "a b",
            "½",
            "a\u{2028}",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
