//! What an assertion takes as the expected trace: a text, or one that can be rewritten in place.
//!
//! Owns the only I/O of the assertions: reading an `expect_file!`, rewriting on
//! `UPDATE_EXPECT=1`. What is written is `canonical`'s business.

use expect_test::{Expect, ExpectFile};

/// An expected trace: `&str`, `String`, `expect![[…]]` or `expect_file![…]`. Sealed.
pub trait Expected: sealed::Sealed {
    /// The expected trace as it stands now.
    #[doc(hidden)]
    fn text(&self) -> String;

    /// Whether it can be rewritten where it stands.
    #[doc(hidden)]
    fn can_update(&self) -> bool;

    /// Writes another text in its place.
    #[doc(hidden)]
    fn rewrite(&self, text: &str);

    /// Whether it is to be rewritten if need be: the variable that `expect_test` looks at.
    #[doc(hidden)]
    fn updates(&self) -> bool {
        self.can_update() && std::env::var_os("UPDATE_EXPECT").is_some()
    }
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! fixed {
    ($($of:ty),*) => {$(
        impl sealed::Sealed for $of {}

        impl Expected for $of {
            fn text(&self) -> String {
                self.to_string()
            }

            fn can_update(&self) -> bool {
                false
            }

            fn rewrite(&self, _: &str) {}
        }
    )*};
}

macro_rules! rewritable {
    ($($of:ty),*) => {$(
        impl sealed::Sealed for $of {}

        impl Expected for $of {
            fn text(&self) -> String {
                self.data().to_owned()
            }

            fn can_update(&self) -> bool {
                true
            }

            // Under `UPDATE_EXPECT` this writes and returns; it panics only without.
            fn rewrite(&self, text: &str) {
                self.assert_eq(text);
            }
        }
    )*};
}

fixed!(&str, String, &String);
rewritable!(Expect, &Expect, ExpectFile, &ExpectFile);
