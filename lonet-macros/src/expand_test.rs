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
            "a second attribute that makes a test; `#[lonet::test]` alone does",
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
