//! `#[lonet::before_role]`: a plain `fn` that every role's process calls before its role.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::args::{Args, OF_BEFORE_ROLE};
use crate::function::{Errors, Function};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let message = format!("`#[lonet::before_role]` goes on a plain `fn`: {error}");
            let error = syn::Error::new(error.span(), message).to_compile_error();
            return quote!(#error #item);
        }
    };
    let mut errors = Errors::new();
    let args = Args::parse(args, OF_BEFORE_ROLE, &mut errors);
    let sig = &function.sig;
    if let Some(token) = &sig.asyncness {
        errors.on(
            token,
            "a `before_role` function must be a plain `fn`, not an `async fn`",
        );
    }
    if !sig.generics.params.is_empty() {
        errors.on(&sig.generics, "a `before_role` function can't be generic");
    }
    if !sig.inputs.is_empty() {
        errors.on(
            &sig.inputs,
            "a `before_role` function takes no arguments; the host's name is in `LONET_HOST`",
        );
    }
    if !errors.is_empty() {
        return quote!(#errors #function);
    }
    let private = args.private(Span::call_site());
    let name = &sig.ident;
    // Where rustc complains of a function that returns something.
    let pointer = quote_spanned!(function.place()=> #name);
    quote! {
        #function
        const _: () = {
            #[#private::linkme::distributed_slice(#private::BEFORE_ROLE)]
            #[linkme(crate = #private::linkme)]
            static LONET_BEFORE_ROLE: fn() = #pointer;
        };
    }
}
