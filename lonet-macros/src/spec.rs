//! What `#[lonet::test]` and `#[lonet::main]` share: reading the function, and the call into the
//! harness.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{LitStr, ReturnType};

use crate::args::Args;
use crate::function::{Errors, Function, span_of};
use crate::literal;

/// Refuses what can't be the body of a test; `what` names it, with an article.
pub(crate) fn check(function: &mut Function, what: &str, errors: &mut Errors) {
    const LEGAL: &str = "a `Scenario` (hosts in processes of their own), or a `lonet::SubNetwork` \
                         (a network for this process alone)";
    function.must_be_plain(what, errors);
    if function.is_method() {
        return;
    }
    match function.arguments().as_slice() {
        [] => {
            let several = match what {
                "a test" => {
                    "; for several cases of one test (`#[rstest]`), let a plain `fn` with the \
                     cases call `lonet_harness::run`"
                }
                _ => "",
            };
            let message = format!("{what} takes one argument: {LEGAL}{several}");
            errors.at(function.parentheses(), message);
        }
        [one] => {
            if let syn::Type::ImplTrait(ty) = &*one.ty {
                errors.on(
                    ty,
                    format!("the argument can't be `impl Trait`; it is {LEGAL}"),
                );
            }
        }
        [_, more, ..] => {
            errors.on(more, format!("{what} takes only one argument: {LEGAL}"));
        }
    }
}

/// What a function's body becomes: the function itself, and, unless something is wrong, a call of
/// `run` with what the attribute says and with the function.
pub(crate) fn body(args: &Args, function: &Function, run: &str, errors: &Errors) -> TokenStream {
    let Function { sig, body, .. } = function;
    if !errors.is_empty() {
        return quote! {
            #[allow(dead_code)]
            #sig #body
        };
    }
    let private = args.private(proc_macro2::Span::call_site());
    let name = &sig.ident;
    let arguments = function.arguments();
    let ty = &arguments
        .first()
        .expect("a function without an argument is refused by `check`")
        .ty;
    let run = {
        let (name, private) = (Ident::new(run, span_of(ty)), args.private(span_of(ty)));
        quote_spanned!(span_of(ty)=> #private::#name::<#ty, _, _>)
    };
    let spec = spec(args, function, &private);
    // Hygienic, so that it can't be what the function is called.
    let argument = Ident::new("argument", proc_macro2::Span::mixed_site());
    let played = quote!(#name(#argument).await);
    // All of it has the place of the type: what rustc has to say of it, it says once a place.
    let outcome = {
        let (span, ty) = match &sig.output {
            ReturnType::Default => (proc_macro2::Span::call_site(), quote!(())),
            ReturnType::Type(_, ty) => (span_of(ty), quote!(#ty)),
        };
        let private = args.private(span);
        quote_spanned! {span=>
            #private::outcome::<#ty>(#played, (&&&&#private::asked_of::<#ty>()).root())
        }
    };
    quote! {
        // That it awaits something is not required of a test.
        #[allow(clippy::unused_async)]
        #sig #body

        #run(#spec, |#argument: #ty| async move {
            #[allow(unused_imports)]
            use #private::{BoxedRoot as _, ErrorRoot as _, NoRoot as _, SharedRoot as _};
            #outcome
        })
    }
}

fn spec(args: &Args, function: &Function, private: &TokenStream) -> TokenStream {
    let name = function.sig.ident.unraw().to_string();
    let place = place(private, function.place());
    let timeout = match args.timeout_ms {
        Some(ms) => quote!(::core::time::Duration::from_millis(#ms)),
        None => quote!(#private::Spec::DEFAULT_TIMEOUT),
    };
    let trace = match (&args.trace, &args.trace_file) {
        (Some(text), _) => {
            let text = literal(private, text);
            some(quote!(#private::TraceSource::Text(#text)))
        }
        (None, Some(path)) => {
            let place = self::place(private, path.span());
            some(quote!(#private::TraceSource::File { path: #path, place: #place }))
        }
        (None, None) => none(),
    };
    let worker_threads = args.worker_threads.map_or_else(none, |n| some(quote!(#n)));
    let repeat = args.repeat.unwrap_or(1);
    let text = |of: &Option<LitStr>| match of {
        Some(text) => some(literal(private, text)),
        None => none(),
    };
    let search = args.search_ms.map_or_else(none, |ms| {
        some(quote!(::core::time::Duration::from_millis(#ms)))
    });
    let (sweep, schedule) = (text(&args.sweep), text(&args.schedule));
    quote! {
        #private::Spec {
            name: ::core::concat!(::core::module_path!(), "::", #name),
            place: #place,
            timeout: #timeout,
            trace: #trace,
            worker_threads: #worker_threads,
            repeat: #repeat,
            sweep: #sweep,
            search: #search,
            schedule: #schedule,
        }
    }
}

/// A `Literal`: its value, and where its lines stand.
fn literal(private: &TokenStream, text: &LitStr) -> TokenStream {
    let place = place(private, text.span());
    let lines = literal::lines(&text.token().to_string())
        .into_iter()
        .map(|(below, right)| quote!((#below, #right)));
    quote!(#private::Literal { text: #text, place: #place, lines: &[#(#lines),*] })
}

/// A `Place` that is where `span` is: `line!()` tells where its own tokens come from.
fn place(private: &TokenStream, span: proc_macro2::Span) -> TokenStream {
    let (line, column) = (
        quote_spanned!(span=> ::core::line!()),
        quote_spanned!(span=> ::core::column!()),
    );
    quote!(#private::Place { file: ::core::file!(), line: #line, column: #column })
}

/// `Some(…)` of these tokens.
pub(crate) fn some(tokens: TokenStream) -> TokenStream {
    quote!(::core::option::Option::Some(#tokens))
}

/// `None`.
pub(crate) fn none() -> TokenStream {
    quote!(::core::option::Option::None)
}
