//! What the attributes say of wrong input, word for word, and what they let pass without a
//! warning.
//!
//! The words are those of the rustc that the file `ui/rustc` names: others print the same errors,
//! but may frame them differently. `TRYBUILD=overwrite` rewrites the expectations.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    cases.compile_fail("ui/fail/*.rs");
}
