//! `#[lonet::main]`: `async fn main` becomes a `main` that plays a scenario.

use proc_macro2::TokenStream;
use quote::quote;

use crate::args::{Args, OF_TEST};
use crate::function::{Errors, Function};
use crate::spec;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match Function::read(item, "main") {
        Ok(function) => function,
        Err(tokens) => return tokens,
    };
    let mut errors = Errors::new();
    let args = Args::parse(args, OF_TEST, &mut errors);
    spec::check(&mut function, "`main`", &mut errors);
    if function.is_method() {
        return quote!(#errors #function);
    }
    if function.sig.ident != "main" {
        errors.on(
            &function.sig.ident,
            "`#[lonet::main]` goes on `async fn main`; use `#[lonet::test]` for a test",
        );
    }

    let body = spec::body(&args, &function, "run_main", &errors);
    let Function {
        attrs, vis, sig, ..
    } = &function;
    let name = &sig.ident;
    if errors.is_empty() {
        quote!(#(#attrs)* #vis fn #name() -> ::std::process::ExitCode { #body })
    } else {
        quote!(#errors #(#attrs)* #vis fn #name() { #body })
    }
}
