//! What a role, a test or a `main` may return, and how that becomes one kind of result.
//!
//! Owns the conversions only. What a failure leads to is decided in `run`, how it reads in
//! `report`.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Any error, from any thread.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of a test, a role, or an operation of a scenario: any error will do.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

/// A return type that is written `Result`: what `T` is in the `Role<T>` made from it.
///
/// A macro sees tokens, not types: of `io::Result<()>` or an alias it can't tell what is inside.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named `Result`, but is not `std::result::Result`",
    label = "a return type whose last word is `Result` must be a `std::result::Result<T, E>`, or an alias of one"
)]
pub trait ResultType {
    /// What it holds when all went well.
    type Ok;
    /// What it holds otherwise.
    type Err;

    /// The `Result` that it is.
    fn into_result(self) -> Result<Self::Ok, Self::Err>;
}

impl<T, E> ResultType for std::result::Result<T, E> {
    type Ok = T;
    type Err = E;

    fn into_result(self) -> Result<T, E> {
        self
    }
}

/// What the body of a test or of a `main` may return.
#[diagnostic::on_unimplemented(
    message = "a test can't return `{Self}`",
    label = "must be nothing, or a `Result<(), E>`",
    note = "of the error `E` it is asked that it converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait Outcome {
    /// Whether the body succeeded.
    fn into_outcome(self) -> Result<()>;
}

impl Outcome for () {
    fn into_outcome(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Outcome for std::result::Result<(), E> {
    fn into_outcome(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// Whether the body of a test succeeded.
///
/// # Errors
/// The error that the body returned.
pub fn outcome<R: Outcome>(returned: R) -> Result<()> {
    returned.into_outcome()
}

/// What a role returned, as the JSON that travels to the test's process.
///
/// # Errors
/// The value can't be written as JSON.
pub fn finish<T: Serialize + DeserializeOwned>(returned: T) -> Result<String> {
    serde_json::to_string(&returned)
        .map_err(|error| format!("the role's result can't be written as JSON: {error}").into())
}

/// The same of a role that returns a `Result`.
///
/// # Errors
/// The error that the role returned, or the value can't be written as JSON.
pub fn finish_result<R>(returned: R) -> Result<String>
where
    R: ResultType<Ok: Serialize + DeserializeOwned, Err: Into<BoxError>>,
{
    returned.into_result().map_err(Into::into).and_then(finish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_gives_its_value_or_its_error() {
        assert_eq!(
            finish_result(Ok::<_, String>("α".to_owned())).unwrap(),
            "\"α\""
        );
        let failed = finish_result(Err::<(), _>("no quorum")).unwrap_err();
        assert_eq!(failed.to_string(), "no quorum");
    }

    #[test]
    fn a_result_that_json_cannot_hold_is_an_error_and_no_panic() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = finish(map).unwrap_err().to_string();
        assert!(
            error.starts_with("the role's result can't be written as JSON: "),
            "{error}"
        );
    }

    #[test]
    fn a_test_returns_nothing_or_a_result() {
        outcome(()).unwrap();
        outcome(Ok::<(), std::io::Error>(())).unwrap();
        assert_eq!(outcome(Err("late")).unwrap_err().to_string(), "late");
    }
}
