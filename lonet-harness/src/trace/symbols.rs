//! Texts as numbers: host names, words and labels, so that hot loops compare integers.
//!
//! Owns the interning and what a label is. Numbers are given in order of first appearance and
//! never shown; nothing is ever iterated in hash order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use lonet::Addr;
use lonet::trace::{Record, Verb, What};

/// A text's number.
pub(crate) type Symbol = u32;

/// "No such": of symbols, ports and nodes.
pub(crate) const NONE: u32 = u32::MAX;

/// A map that is only looked up, never iterated.
pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// A small multiplicative hash. Its input comes from the test's own processes, so that it needs no
/// defence against chosen keys beyond never being wrong.
#[derive(Default)]
pub(crate) struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}

/// Texts, each with its number. All of them lie in one string, so that a million marks are not a
/// million allocations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    text: String,
    /// Where each text ends; it begins where the one before ends.
    ends: Vec<usize>,
    index: Index,
}

/// Numbers by the digest of what they stand for: eight bytes a number, where a map of the things
/// themselves would be a cache miss for each of a million.
#[derive(Clone, Debug, Default)]
struct Index {
    /// Digest and number; a power of two of them, half empty. `NONE`: no number.
    slots: Vec<(u32, u32)>,
    used: usize,
}

impl Index {
    /// The number of what has this digest and is it; or `next`, which it has from now on.
    fn number(&mut self, digest: u64, next: u32, is: impl Fn(u32) -> bool) -> u32 {
        if self.used * 2 >= self.slots.len() {
            self.grow();
        }
        let short = Index::short(digest);
        match self.slot(short, is) {
            Ok(known) => known,
            Err(free) => {
                self.slots[free] = (short, next);
                self.used += 1;
                next
            }
        }
    }

    fn find(&self, digest: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.slot(Index::short(digest), is).ok()
    }

    /// The number, or the free slot where it would be.
    fn slot(&self, short: u32, is: impl Fn(u32) -> bool) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut at = short as usize & mask;
        loop {
            match self.slots[at] {
                (_, NONE) => return Err(at),
                (known, number) if known == short && is(number) => return Ok(number),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 4).max(64);
        let slots = std::mem::replace(&mut self.slots, vec![(0, NONE); size]);
        for (short, number) in slots {
            if number != NONE
                && let Err(free) = self.slot(short, |_| false)
            {
                self.slots[free] = (short, number);
            }
        }
    }

    fn short(digest: u64) -> u32 {
        (digest ^ (digest >> 32)) as u32
    }
}

impl Symbols {
    /// The text's number, a new one if it has none yet.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        let next = self.ends.len() as Symbol;
        let (all, ends) = (&self.text, &self.ends);
        let symbol = self.index.number(digest(text), next, |known| {
            text_of(all, ends, known) == text
        });
        if symbol == next {
            self.text.push_str(text);
            self.ends.push(self.text.len());
        }
        symbol
    }

    /// The text's number, if it has one.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        let is = |known| self.text(known) == text;
        self.index.find(digest(text), is)
    }

    /// The text of a number.
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        text_of(&self.text, &self.ends, symbol)
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

fn text_of<'a>(all: &'a str, ends: &[usize], symbol: Symbol) -> &'a str {
    let index = symbol as usize;
    let Some(&end) = ends.get(index) else {
        return "";
    };
    let start = index.checked_sub(1).map_or(0, |before| ends[before]);
    &all[start..end]
}

/// What an event's line says, as numbers. Two events with equal labels have equal lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label {
    pub(crate) verb: Verb,
    pub(crate) host: Symbol,
    /// `NONE` where the subject is a host.
    pub(crate) port: u32,
    /// `NONE` where there is no other side.
    pub(crate) peer_host: Symbol,
    pub(crate) peer_port: u32,
    /// The rest of the line, single blanks between its words. Words are not quoted here.
    pub(crate) text: Symbol,
}

impl Label {
    /// The label of the event that a record tells of, if it tells of one.
    pub(crate) fn of_record(record: &Record, symbols: &mut Symbols) -> Option<Label> {
        let mut between = |verb, a: &Addr, p: Option<&Addr>, text: &str| {
            Some(Label {
                verb,
                host: symbols.intern(a.host()),
                port: u32::from(a.port()),
                peer_host: p.map_or(NONE, |p| symbols.intern(p.host())),
                peer_port: p.map_or(NONE, |p| u32::from(p.port())),
                text: symbols.intern(text),
            })
        };
        match &record.e {
            What::Listen { a, .. } => between(Verb::Listen, a, None, ""),
            What::Dial { a, p } => between(Verb::Dial, a, Some(p), ""),
            What::Accept { a, p, .. } => between(Verb::Accept, a, Some(p), ""),
            What::Connect { a, p, .. } => between(Verb::Connect, a, Some(p), ""),
            What::Fail { a, p, x, .. } => between(Verb::Fail, a, Some(p), &folded(x)),
            What::Close { a, p, .. } => between(Verb::Close, a, p.as_ref(), ""),
            What::Shutdown { a, p, .. } => between(Verb::Shutdown, a, Some(p), ""),
            What::Send { a, p, b, .. } => between(Verb::Send, a, Some(p), &b.to_string()),
            What::Recv { a, p, b, .. } => between(Verb::Recv, a, Some(p), &b.to_string()),
            What::Mark { h, x } => Some(Label::of_host(Verb::Mark, h, x, symbols)),
            What::Up { h } => Some(Label::of_host(Verb::Up, h, "", symbols)),
            What::Down { h } => Some(Label::of_host(Verb::Down, h, "", symbols)),
            What::Spawn { h, .. } => Some(Label::of_host(Verb::Spawn, h, "", symbols)),
            What::Exit { h, x, .. } => Some(Label::of_host(Verb::Exit, h, x, symbols)),
            What::Kill { h, .. } => Some(Label::of_host(Verb::Kill, h, "", symbols)),
            What::Pause { h, .. } => Some(Label::of_host(Verb::Pause, h, "", symbols)),
            What::Resume { h, .. } => Some(Label::of_host(Verb::Resume, h, "", symbols)),
            What::Terminate { h, .. } => Some(Label::of_host(Verb::Terminate, h, "", symbols)),
            What::Restart { h, .. } => Some(Label::of_host(Verb::Restart, h, "", symbols)),
            // Links, notes, opaque sockets and looks at the trace are no events.
            _ => None,
        }
    }

    fn of_host(verb: Verb, host: &str, text: &str, symbols: &mut Symbols) -> Label {
        Label {
            verb,
            host: symbols.intern(host),
            port: NONE,
            peer_host: NONE,
            peer_port: NONE,
            text: symbols.intern(&folded(text)),
        }
    }
}

/// The text with single blanks between its words.
pub(crate) fn folded(text: &str) -> std::borrow::Cow<'_, str> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains("  ");
    if plain {
        return text.into();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").into()
}

/// Labels, each with its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    labels: Vec<Label>,
    index: Index,
}

impl Labels {
    pub(crate) fn intern(&mut self, label: Label) -> u32 {
        let next = self.labels.len() as u32;
        let labels = &self.labels;
        let is = |known: u32| labels[known as usize] == label;
        let number = self.index.number(digest(label), next, is);
        if number == next {
            self.labels.push(label);
        }
        number
    }

    pub(crate) fn find(&self, label: &Label) -> Option<u32> {
        let is = |known: u32| self.labels[known as usize] == *label;
        self.index.find(digest(label), is)
    }

    pub(crate) fn label(&self, number: u32) -> &Label {
        &self.labels[number as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }
}

/// Hashes anything with the fast hasher: for digests that only break ties.
pub(crate) fn digest(value: impl Hash) -> u64 {
    let mut hasher = FastHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}
