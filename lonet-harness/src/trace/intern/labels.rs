//! What an event's line says, as a number: two events with equal labels have equal lines.
//!
//! Owns what a label is and the numbering of labels. Numbers are given in order of first
//! appearance and never shown.

use std::borrow::Cow;

use lonet::trace::{Parts, Record, Subject, Text, Verb};

use crate::trace::ends;
use crate::trace::intern::hash_index::{Index, NONE, digest};
use crate::trace::intern::symbols::{Symbol, Symbols, Texts};

/// All that an event's line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label<'a> {
    pub(crate) head: Head,
    /// The rest of the line, single blanks between its words. Words are not quoted here.
    pub(crate) text: &'a str,
}

/// What stands before the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Head {
    pub(crate) verb: Verb,
    /// The empty name for a fault between hosts: its ends stand in the text.
    pub(crate) host: Symbol,
    /// `NONE` where the subject is a host.
    pub(crate) port: u32,
    /// `NONE` without another side.
    pub(crate) peer_host: Symbol,
    pub(crate) peer_port: u32,
}

impl<'a> Label<'a> {
    /// The hosts that it is about, of which one may come twice.
    pub(crate) fn hosts(self, names: &'a Symbols) -> impl Iterator<Item = &'a str> {
        let Label { head, text } = self;
        let own = [head.host, head.peer_host].map(|host| names.text(host));
        let named = head.verb.names_ends().then(|| ends::hosts(text));
        let own = own.into_iter().filter(|host| !host.is_empty());
        own.chain(named.into_iter().flatten())
    }
}

impl Head {
    pub(crate) fn subject(&self) -> (Symbol, u32) {
        (self.host, self.port)
    }

    pub(crate) fn peer(&self) -> (Symbol, u32) {
        (self.peer_host, self.peer_port)
    }
}

/// The two parts of the label of the event that a record reports, if it reports one.
pub(crate) fn of_record<'a>(
    record: &'a Record,
    hosts: &mut Symbols,
) -> Option<(Head, Cow<'a, str>)> {
    let Parts {
        verb,
        subject,
        peer,
        text,
    } = record.what.parts()?;
    let names_ends = verb.names_ends();
    let head = Head {
        verb,
        host: hosts.intern(if names_ends { "" } else { subject.host() }),
        port: match subject {
            Subject::Address(addr) => u32::from(addr.port()),
            Subject::Host(_) | Subject::Process(..) => NONE,
        },
        peer_host: peer.map_or(NONE, |peer| hosts.intern(peer.host())),
        peer_port: peer.map_or(NONE, |peer| u32::from(peer.port())),
    };
    let text = match text {
        Text::Nothing => Cow::Borrowed(""),
        Text::Words(words) if names_ends => with_ends(subject.host(), words),
        Text::Words(words) => folded(words),
        Text::Bytes(bytes) => bytes.to_string().into(),
    };
    Some((head, text))
}

/// The text with single blanks between its words.
pub(crate) fn folded(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains("  ");
    if plain {
        return text.into();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").into()
}

/// All ends of a fault, and its number: `α,β _`.
pub(crate) fn with_ends(from: &str, text: &str) -> Cow<'static, str> {
    folded(&format!("{from} {text}")).into_owned().into()
}

/// Labels, each with its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    heads: Vec<Head>,
    texts: Texts,
    index: Index,
}

impl Labels {
    /// The number of the label of a record, a new one if it has none yet; `NONE` for one that
    /// tells of no event.
    pub(crate) fn intern(&mut self, record: &Record, hosts: &mut Symbols) -> u32 {
        let Some((head, text)) = of_record(record, hosts) else {
            return NONE;
        };
        let label = Label { head, text: &text };
        let next = self.heads.len() as u32;
        let (heads, texts) = (&self.heads, &self.texts);
        let is =
            |known: u32| heads[known as usize] == label.head && texts.text(known) == label.text;
        let number = self.index.number(digest(label), next, is);
        if number == next {
            self.heads.push(label.head);
            self.texts.push(label.text);
        }
        number
    }

    /// The label's number, if it has one.
    pub(crate) fn find(&self, label: Label<'_>) -> Option<u32> {
        self.index
            .find(digest(label), |known| self.label(known) == label)
    }

    #[inline]
    pub(crate) fn head(&self, number: u32) -> &Head {
        &self.heads[number as usize]
    }

    #[inline]
    pub(crate) fn label(&self, number: u32) -> Label<'_> {
        Label {
            head: self.heads[number as usize],
            text: self.texts.text(number),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }
}
