//! What an assertion takes as the expected trace: a text, or one that can be rewritten in place.
//!
//! Owns which of them `UPDATE_EXPECT=1` rewrites, and that a place is settled once: what it says
//! from then on must hold of every later run that asks the same place. What is written is the business
//! of `write`, when of `learning`, how of `files`.

use std::borrow::Cow;
use std::path::PathBuf;

use expect_test::{Expect, ExpectFile, Position};

use crate::trace::explain::diagnosis::Advice;
use crate::trace::update::files;
use crate::trace::update::literal::Taken;

/// An expected trace: `&str`, `String`, `expect![[…]]` or `expect_file![…]`. This trait is sealed.
pub trait Expected: sealed::Sealed {
    /// Where it is written.
    #[doc(hidden)]
    fn source(&self) -> Source<'_>;
}

mod sealed {
    pub trait Sealed {}
}

/// Where an expected trace is written.
#[doc(hidden)]
#[derive(Debug)]
pub enum Source<'a> {
    /// Anywhere.
    Text(&'a str),
    /// In an attribute: `trace = "…"`.
    Attribute(&'a str),
    /// `expect![[…]]`.
    Literal(Expect),
    /// `expect_file![…]` or `trace_file = "…"`.
    File(PathBuf),
}

impl Source<'_> {
    /// What is expected. Before it is written, nothing is.
    ///
    /// # Errors
    ///
    /// Why the file can't be used.
    pub(crate) fn text(&self) -> Result<Cow<'_, str>, String> {
        let text = self.text_if_any()?;
        let text = text.or_else(|| self.updates().then_some(Cow::Borrowed("")));
        text.ok_or_else(|| {
            let missing = self.missing();
            format!("{missing}; to have it written, run the test with UPDATE_EXPECT=1")
        })
    }

    /// What is expected by an assertion that never rewrites it.
    ///
    /// # Errors
    ///
    /// Why the file can't be used.
    pub(crate) fn text_as_it_is(&self) -> Result<Cow<'_, str>, String> {
        self.text_if_any()?.ok_or_else(|| self.missing())
    }

    /// Nothing of a file that is not there.
    fn text_if_any(&self) -> Result<Option<Cow<'_, str>>, String> {
        Ok(match self {
            Source::Text(text) | Source::Attribute(text) => Some(Cow::Borrowed(text)),
            Source::Literal(expect) => Some(Cow::Borrowed(expect.data)),
            Source::File(path) => files::read(path)?.map(Cow::Owned),
        })
    }

    fn missing(&self) -> String {
        format!("{} does not exist", self.place())
    }

    /// Whether it is to be rewritten if need be.
    pub(crate) fn updates(&self) -> bool {
        matches!(self, Source::Literal(_) | Source::File(_)) && files::is_asked_for()
    }

    pub(crate) fn advice(&self) -> Advice {
        match self {
            Source::Text(_) => Advice::Move,
            Source::Attribute(_) => Advice::MoveFromAttribute,
            Source::Literal(_) | Source::File(_) => Advice::Ask,
        }
    }

    /// What stands there since this process has settled it.
    pub(crate) fn settled(&self) -> Option<String> {
        files::settled().texts.get(&self.place()).cloned()
    }

    /// Settles what stands there: the old text, which holds, or a new one. What stands there
    /// if it has been settled before: that must hold, too.
    ///
    /// # Errors
    ///
    /// Why the new one can't be written.
    pub(crate) fn settle(&self, old: &str, new: Option<&str>) -> Result<Option<String>, String> {
        let place = self.place();
        let mut settled = files::settled();
        if let Some(text) = settled.texts.get(&place) {
            return Ok(Some(text.clone()));
        }
        let before = match (self, new) {
            (Source::Literal(expect), Some(new)) => {
                match files::rewrite_literal(&mut settled, expect, new)? {
                    Taken::Written => None,
                    Taken::Before(text) => Some(text),
                }
            }
            (Source::File(path), Some(new)) => {
                files::rewrite_file(path, new)?;
                None
            }
            (Source::Text(_) | Source::Attribute(_), _) | (_, None) => None,
        };
        let stands = before.as_deref().or(new).unwrap_or(old).to_owned();
        settled.texts.insert(place, stands);
        Ok(before)
    }

    /// Whether a new text could be settled there, as far as one can tell without doing so.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn could_settle(&self, new: &str) -> Result<(), String> {
        match self {
            Source::Literal(expect) => files::could_rewrite(&files::settled(), expect, new),
            Source::File(path) => files::check_is_in_package(path),
            Source::Text(_) | Source::Attribute(_) => Ok(()),
        }
    }

    /// The same, for longer than the assertion. Only what can be rewritten is kept.
    pub(crate) fn kept(&self) -> Source<'static> {
        match self {
            Source::Text(_) | Source::Attribute(_) => Source::Text(""),
            Source::Literal(expect) => Source::Literal(copied(expect)),
            Source::File(path) => Source::File(path.clone()),
        }
    }

    /// As a message names it.
    pub(crate) fn place(&self) -> String {
        match self {
            Source::Text(_) | Source::Attribute(_) => String::new(),
            Source::Literal(expect) => expect.position.to_string(),
            Source::File(path) => path.display().to_string(),
        }
    }
}

/// The same literal: it is known by its place.
fn copied(expect: &Expect) -> Expect {
    Expect {
        position: Position {
            file: expect.position.file,
            line: expect.position.line,
            column: expect.position.column,
        },
        data: expect.data,
        indent: expect.indent,
    }
}

macro_rules! expected {
    ($($of:ty => |$it:ident| $source:expr;)*) => {$(
        impl sealed::Sealed for $of {}

        impl Expected for $of {
            fn source(&self) -> Source<'_> {
                let $it = self;
                $source
            }
        }
    )*};
}

expected! {
    &str => |it| Source::Text(it);
    String => |it| Source::Text(it);
    &String => |it| Source::Text(it);
    Expect => |it| Source::Literal(copied(it));
    &Expect => |it| Source::Literal(copied(it));
    ExpectFile => |it| Source::File(files::beside(it.position, &it.path));
    &ExpectFile => |it| Source::File(files::beside(it.position, &it.path));
}
