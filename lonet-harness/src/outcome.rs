//! The return types of roles, tests and `main`, and how they become one kind of result.
//!
//! Owns the conversions only. `run` decides what a failure leads to, `report` how it reads.
//!
//! A macro sees tokens, not types. So the expansion lets rustc decide whether a return type is a
//! `Result`, and how to reach the sources of its error. Both ways work on stable Rust:
//!
//! - An associated constant of a type hides one of the same name that a trait gives to every type:
//!   `<Asked<Ty>>::IS_RESULT` is true for a `Result` under any name, and false for the rest.
//! - Method lookup removes one `&` after the other. So `(&&&&asked).root()` finds the first of the
//!   four traits below that the error implements: for a box, or a report of anyhow or eyre, that is
//!   `Send`; for any other box; for an error itself; for anything that has a text.

use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::panic::Location;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::chain;
use crate::trace::Mismatch;
use crate::travels;

/// Any error that is `Send` and `Sync`.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of the body of a role or a test, with a boxed error.
///
/// The operations of the harness return their own [`Error`](crate::Error); `?` converts it and any
/// other error.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

type AnyError = dyn std::error::Error + 'static;

/// What rustc is asked about a type `T`.
pub struct Asked<T: ?Sized>(PhantomData<fn(&T)>);

/// The answer for every type that does not have its own.
pub trait IsResult {
    /// Whether it is a `Result`.
    const IS_RESULT: bool = false;
}

impl<T: ?Sized> IsResult for Asked<T> {}

impl<T, E> Asked<std::result::Result<T, E>> {
    /// It is one, whatever it is called.
    pub const IS_RESULT: bool = true;
}

/// With `true` and a `Result`: its two halves. With `false` and any type: that type, and no error.
pub struct Choose<const IS_RESULT: bool>;

/// The halves of what a role returns.
pub trait Pick<R> {
    /// What travels to the test.
    type Ok;
    /// Why the role failed.
    type Err;

    /// Which half it is.
    fn pick(returned: R) -> Result<Self::Ok, Self::Err>;
}

impl<T> Pick<T> for Choose<false> {
    type Ok = T;
    type Err = NoError;

    fn pick(returned: T) -> Result<T, NoError> {
        Ok(returned)
    }
}

impl<T, E> Pick<std::result::Result<T, E>> for Choose<true> {
    type Ok = T;
    type Err = E;

    fn pick(returned: std::result::Result<T, E>) -> Result<T, E> {
        returned
    }
}

/// The error of what can't fail. Not an empty type: rustc would warn of code that is never reached.
#[derive(Debug)]
pub struct NoError(());

impl std::error::Error for NoError {}

impl Display for NoError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no error")
    }
}

/// What the body of a test or of a `main` may return.
#[diagnostic::on_unimplemented(
    message = "a test can't return `{Self}`",
    label = "must be nothing, or a `Result<(), E>`"
)]
pub trait Outcome {
    /// Why the body failed.
    type Err: Reportable;

    /// Whether it succeeded.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), Self::Err>;
}

impl Outcome for () {
    type Err = NoError;

    fn into_result(self) -> Result<(), NoError> {
        Ok(())
    }
}

impl<E: Reportable> Outcome for std::result::Result<(), E> {
    type Err = E;

    fn into_result(self) -> Result<(), E> {
        self
    }
}

/// An error that a failure message can contain.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the error of a role or a test",
    label = "the error must implement `Debug` and `Display`",
    note = "use any `std::error::Error`, boxed or not, or `String`, `anyhow::Error` or `eyre::Report`"
)]
pub trait Reportable: Debug + Display + 'static {}

impl<E: Debug + Display + 'static> Reportable for E {}

/// What the body of a test returned; the sources of its error are reached so.
///
/// # Errors
/// The error that it returned.
pub fn outcome<R: Outcome>(returned: R, root: Option<Root<R::Err>>) -> Result<(), BodyError> {
    let returned = returned.into_result();
    returned.map_err(|error| BodyError::new(error, root))
}

/// Asks how the sources of a body's error are reached.
pub fn asked_of<R: Outcome>() -> Asked<R::Err> {
    Asked(PhantomData)
}

/// How the first of an error's causes is reached.
pub(crate) type Root<E> = fn(&E) -> &AnyError;

/// Asks how that error's sources are reached.
pub fn ask<E: Reportable>(_: &E) -> Asked<E> {
    Asked(PhantomData)
}

/// A box, or a report of anyhow or eyre, that may go to another thread.
pub trait SharedRoot<E> {
    /// Its error.
    fn root(&self) -> Option<Root<E>>;
}

impl<E: AsRef<dyn std::error::Error + Send + Sync>> SharedRoot<E> for &&&Asked<E> {
    fn root(&self) -> Option<Root<E>> {
        Some(|error| error.as_ref())
    }
}

/// Any other box.
pub trait BoxedRoot<E> {
    /// Its error.
    fn root(&self) -> Option<Root<E>>;
}

impl<E: AsRef<dyn std::error::Error>> BoxedRoot<E> for &&Asked<E> {
    fn root(&self) -> Option<Root<E>> {
        Some(|error| error.as_ref())
    }
}

/// An error.
pub trait ErrorRoot<E> {
    /// Itself.
    fn root(&self) -> Option<Root<E>>;
}

impl<E: std::error::Error + 'static> ErrorRoot<E> for &Asked<E> {
    fn root(&self) -> Option<Root<E>> {
        Some(|error| error)
    }
}

/// A text, or anything else.
pub trait NoRoot<E> {
    /// It has no sources.
    fn root(&self) -> Option<Root<E>>;
}

impl<E> NoRoot<E> for Asked<E> {
    fn root(&self) -> Option<Root<E>> {
        None
    }
}

/// An error that a body returned, and how it prints.
pub struct BodyError(Box<dyn Told>);

trait Told {
    fn text(&self) -> String;
    fn root(&self) -> Option<&AnyError>;
}

struct Held<E> {
    error: E,
    root: Option<Root<E>>,
}

impl<E: Reportable> Told for Held<E> {
    fn text(&self) -> String {
        match self.root() {
            Some(root) => chain(root),
            // Reports of anyhow and eyre tell all of their sources so.
            None => format!("{:#}", self.error),
        }
    }

    fn root(&self) -> Option<&AnyError> {
        self.root.map(|root| root(&self.error))
    }
}

impl BodyError {
    /// An error whose sources are reached so.
    pub fn new<E: Reportable>(error: E, root: Option<Root<E>>) -> BodyError {
        BodyError(Box::new(Held { error, root }))
    }

    /// An error in a box.
    pub(crate) fn of_boxed(error: impl Into<BoxError>) -> BodyError {
        BodyError::new(error.into(), Some(|error| &**error))
    }

    /// The error with all its sources.
    pub fn text(&self) -> String {
        self.0.text()
    }

    /// The expectation that did not hold, if that is why.
    pub(crate) fn mismatch(&self) -> Option<&Mismatch> {
        self.causes().find_map(|cause| cause.downcast_ref())
    }

    /// The call of the test that failed, if the harness returned the error.
    pub(crate) fn place(&self) -> Option<&'static Location<'static>> {
        self.causes().find_map(|cause| {
            let error: &crate::Error = cause.downcast_ref()?;
            error.place()
        })
    }

    fn causes(&self) -> impl Iterator<Item = &AnyError> {
        std::iter::successors(self.0.root(), |error| error.source())
    }
}

impl From<crate::Error> for BodyError {
    fn from(error: crate::Error) -> BodyError {
        BodyError::new(error, Some(|error| error))
    }
}

/// What a role returned, as the JSON that travels to the test's process.
///
/// # Errors
/// The value can't be written as JSON.
pub fn finish<T: Serialize + DeserializeOwned + 'static>(returned: T) -> Result<String, String> {
    travels::write(&returned)
        .map_err(|error| format!("the role's result can't be written as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! text {
        ($error:expr) => {{
            let error = $error;
            let root = (&&&&ask(&error)).root();
            BodyError::new(error, root).text()
        }};
    }

    #[derive(Debug)]
    struct Outer(std::io::Error);

    impl Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("reading the config")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&AnyError> {
            Some(&self.0)
        }
    }

    fn outer() -> Outer {
        Outer(std::io::Error::other("disk on fire"))
    }

    #[test]
    fn every_error_contains_its_sources() {
        let whole = "reading the config: disk on fire";
        assert_eq!(text!(outer()), whole);
        assert_eq!(text!(BoxError::from(outer())), whole);
        assert_eq!(text!(Box::<dyn std::error::Error>::from(outer())), whole);
        assert_eq!(text!("only a text".to_owned()), "only a text");
        assert_eq!(BodyError::of_boxed(BoxError::from(outer())).text(), whole);
        assert_eq!(BodyError::of_boxed("late").text(), "late");
    }

    #[test]
    fn a_result_is_one_under_any_name() {
        type Fallible<T> = std::result::Result<T, String>;
        const { assert!(<Asked<Fallible<()>>>::IS_RESULT) };
        const { assert!(<Asked<std::io::Result<u8>>>::IS_RESULT) };
        const { assert!(!<Asked<Option<u8>>>::IS_RESULT) };
        const { assert!(!<Asked<Box<Fallible<()>>>>::IS_RESULT) };
    }

    #[test]
    fn a_result_json_cannot_hold_is_an_error() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = finish(map).unwrap_err();
        assert!(
            error.starts_with("the role's result can't be written as JSON: "),
            "{error}"
        );
    }
}
