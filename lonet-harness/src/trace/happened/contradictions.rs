//! Contradictions in what processes reported, in words, with the process that caused each.
//!
//! Pure. Owns the list alone. What is found wrong where, is the business of `within_process`,
//! `between_processes` and `graph`; whether a test fails of it, the collector's.

/// What makes no sense.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    texts: Vec<String>,
    blamed: Vec<Blame>,
}

/// One of these processes has broken the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blame {
    /// By index.
    pub(crate) processes: Vec<usize>,
    pub(crate) text: String,
}

impl Problems {
    /// Something that a correct reporter can come to tell of: what belongs to it was never
    /// reported, because a process was not traced.
    pub(crate) fn note(&mut self, text: String) {
        self.texts.push(text);
    }

    /// Something that no correct reporter tells.
    pub(crate) fn blame(&mut self, processes: Vec<usize>, text: String) {
        self.texts.push(text.clone());
        self.blamed.push(Blame { processes, text });
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(crate) fn blamed(&self) -> &[Blame] {
        &self.blamed
    }
}
