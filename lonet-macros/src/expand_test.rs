//! `#[lonet::test]`: an `async fn` becomes a plain `#[test]` that calls the harness.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Attribute;

use crate::args::{Args, OF_TEST};
use crate::function::{Errors, Function};
use crate::spec;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match Function::read(item, "test") {
        Ok(function) => function,
        Err(tokens) => return tokens,
    };
    let mut errors = Errors::new();
    let args = Args::parse(args, OF_TEST, &mut errors);
    spec::check(&mut function, "a test", &mut errors);
    if function.is_method() {
        return quote!(#errors #function);
    }
    for second in function
        .attrs
        .extract_if(.., |attribute| makes_a_test(attribute))
    {
        errors.on(
            second,
            "remove this attribute: `#[lonet::test]` already makes the function a test",
        );
    }

    let body = spec::body(&args, &function, "run_test", &errors);
    let Function {
        attrs, vis, sig, ..
    } = &function;
    let name = &sig.ident;
    quote! {
        #errors
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #name() { #body }
    }
}

/// Whether it is `#[test]`, `#[tokio::test]` or the like, which would run the function as well.
fn makes_a_test(attribute: &Attribute) -> bool {
    attribute
        .path()
        .segments
        .last()
        .is_some_and(|segment| segment.ident == "test")
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(args: &str, item: &str) -> String {
        let expanded = super::expand(args.parse().unwrap(), item.parse().unwrap());
        syn::parse2::<syn::File>(expanded.clone())
            .expect("an expansion is Rust, whatever is wrong");
        expanded.to_string()
    }

    #[test]
    fn whatever_is_wrong_it_is_a_test_with_its_body() {
        let cases = [
            ("", "async fn f(s: Scenario) { marker() }"),
            ("nonsense", "async fn f(s: Scenario) { marker() }"),
            ("", "fn f(s: Scenario) { marker() }"),
            ("", "async fn f() { marker() }"),
            ("", "async fn f(s: Scenario, t: u8) { marker() }"),
            ("", "#[test] async fn f(s: Scenario) { marker() }"),
            ("", "async fn f<T>(s: Scenario) { marker() }"),
        ];
        for (args, item) in cases {
            let expanded = check(args, item);
            assert!(expanded.contains("prelude :: v1 :: test"), "{expanded}");
            assert!(expanded.contains("fn f () { "), "{expanded}");
            assert!(expanded.contains("marker"), "{expanded}");
            assert_eq!(expanded.matches(":: test]").count(), 1, "{expanded}");
        }
    }

    #[test]
    fn other_attributes_stay_in_their_order() {
        let item = "/// Doc.\n#[ignore] #[should_panic(expected = \"x\")] #[cfg(unix)] async fn f(_: S) {}";
        let expanded = check("", item);
        let at = |what: &str| {
            expanded
                .find(what)
                .unwrap_or_else(|| panic!("{what}: {expanded}"))
        };
        assert!(at("v1 :: test") < at("Doc."));
        assert!(at("Doc.") < at("ignore"));
        assert!(at("ignore") < at("should_panic"));
        assert!(at("should_panic") < at("cfg"));
        assert!(at("cfg") < at("fn f ()"));
    }
}
