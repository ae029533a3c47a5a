//! Texts as numbers: host names, words and the keys of connections, so that hot loops compare
//! integers.
//!
//! Owns the interning. Numbers are given in order of first appearance and never shown.

use crate::trace::intern::hash_index::{Index, digest};

/// A text's number.
pub(crate) type Symbol = u32;

/// Texts by number, one after the other in one string, so that a million marks are not a million
/// allocations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    all: String,
    /// Where each text ends; it begins where the one before ends.
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    #[inline]
    /// The text of a number; of one that is none, nothing.
    pub(crate) fn text(&self, number: u32) -> &str {
        let index = number as usize;
        let Some(&end) = self.ends.get(index) else {
            return "";
        };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..end]
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Texts, each with its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    texts: Texts,
    index: Index,
}

impl Symbols {
    /// The text's number, a new one if it has none yet.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        let next = self.texts.len() as Symbol;
        let texts = &self.texts;
        let is = |known| texts.text(known) == text;
        let symbol = self.index.number(digest(text), next, is);
        if symbol == next {
            self.texts.push(text);
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
        self.texts.text(symbol)
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}
