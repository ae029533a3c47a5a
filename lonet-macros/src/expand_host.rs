//! `#[lonet::host]`: an `async fn` becomes a function that makes a `Role`, and the binary learns
//! how to play it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, Pat, PatType, Type};

use crate::args::{Args, OF_HOST};
use crate::function::{Errors, Function, span_of};
use crate::owned_types::{self, Returned};
use crate::spec::{none, some};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match Function::read(item, "host") {
        Ok(function) => function,
        Err(tokens) => return tokens,
    };
    let mut errors = Errors::new();
    let args = Args::parse(args, OF_HOST, &mut errors);
    function.must_be_plain("a role", &mut errors);
    if function.is_method() {
        return quote!(#errors #function);
    }
    let has_host = check_host(&function, &mut errors);
    for argument in function.arguments().into_iter().skip(usize::from(has_host)) {
        owned_types::check_argument(&argument.ty, &mut errors);
    }
    let before = errors.len();
    owned_types::check_returned(&owned_types::returned(&function.sig.output), &mut errors);
    let returns_well = errors.len() == before;

    if errors.is_empty() {
        role(&args, &function)
    } else {
        stand_in(&args, &function, has_host, returns_well, &errors)
    }
}

/// Whether the first argument may be the host; complains if not.
fn check_host(function: &Function, errors: &mut Errors) -> bool {
    const LEGAL: &str =
        "the first argument of a role is the host that it plays: `host: lonet::Host`";
    match function.arguments().first() {
        None => {
            errors.at(function.parentheses(), LEGAL);
            false
        }
        Some(first) if owned_types::is_surely_no_host(&first.ty) => {
            errors.on(&first.ty, LEGAL);
            false
        }
        Some(_) => true,
    }
}

/// The function that makes the role, with the one that plays it inside, and its registration.
fn role(args: &Args, function: &Function) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let (inner_attrs, outer_attrs): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attr| is_about_the_body(attr));
    let krate = &args.krate;
    let private = quote!(#krate::__private);
    let name = &sig.ident;
    let all = function.arguments();
    let (host, travelling) = all
        .split_first()
        .expect("a role without a host is refused above");
    let types: Vec<&Type> = travelling.iter().map(|argument| &*argument.ty).collect();
    let outer: Vec<Ident> = travelling
        .iter()
        .enumerate()
        .map(|(i, argument)| outer_name(i, argument))
        .collect();
    let words: Vec<String> = outer.iter().map(|name| name.unraw().to_string()).collect();

    let result = result_type(&private, function);
    // Each of these stands, for rustc, where the type stands that it is about.
    let encoded = types.iter().zip(&outer).zip(&words).map(
        |((ty, name), word)| quote_spanned!(span_of(ty)=> #private::encode::<#ty>(#word, #name)),
    );
    let decoded = types.iter().zip(&words).map(
        |(ty, word)| quote_spanned!(span_of(ty)=> #private::decode::<#ty>(#word, &mut arguments)?),
    );
    let playing = {
        let ty = &host.ty;
        quote_spanned!(span_of(ty)=> <#ty as #private::PlaysHost>::playing(host))
    };
    // Hygienic, so that none of them can be what the function is called.
    let locals: Vec<Ident> = (0..types.len())
        .map(|i| format_ident!("argument_{i}", span = Span::mixed_site()))
        .collect();
    let call = quote!(#name(#playing, #(#locals),*).await);
    let finished = match owned_types::returned(&sig.output) {
        Returned::Nothing => quote!(#private::finish::<()>(#call)),
        Returned::Plain(ty) => quote_spanned!(span_of(ty)=> #private::finish::<#ty>(#call)),
        Returned::Result(ty) => quote_spanned!(span_of(ty)=> #private::finish_result::<#ty>(#call)),
        Returned::Never => quote!({
            #[allow(unreachable_code, clippy::diverging_sub_expression)]
            #private::finish::<()>(#call)
        }),
    };

    let place = function.place();
    let line = quote_spanned!(place=> ::core::line!());
    let column = quote_spanned!(place=> ::core::column!());
    let path = format!("::{}@", name.unraw());
    let worker_threads = args.worker_threads.map_or_else(none, |n| some(quote!(#n)));
    quote! {
        #(#outer_attrs)*
        #vis fn #name(#(#outer: #types),*) -> #private::Role<#result> {
            #(#inner_attrs)*
            // That it awaits something is not required of a role.
            #[allow(clippy::unused_async)]
            #sig #body

            #[#private::linkme::distributed_slice(#private::ROLES)]
            #[linkme(crate = #private::linkme)]
            static LONET_ROLE_ENTRY: #private::RoleEntry = #private::RoleEntry {
                name: ::core::concat!(::core::module_path!(), #path, #line, ":", #column),
                file: ::core::file!(),
                line: #line,
                column: #column,
                worker_threads: #worker_threads,
                play: |host, json| ::std::boxed::Box::pin(async move {
                    let mut arguments = #private::arguments(&json)?;
                    #(let #locals = #decoded;)*
                    ::core::mem::drop(arguments);
                    #finished
                }),
            };
            #private::role(&LONET_ROLE_ENTRY, [#(#encoded),*])
        }
    }
}

/// What stands for the role when something is wrong with it: a function that has the signature
/// that its callers expect, so that they get no errors of their own, and the body as it was
/// written, so that an editor still understands it.
fn stand_in(
    args: &Args,
    function: &Function,
    has_host: bool,
    returns_well: bool,
    errors: &Errors,
) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let outer_attrs = attrs.iter().filter(|attr| !is_about_the_body(attr));
    let krate = &args.krate;
    let private = quote!(#krate::__private);
    let name = &sig.ident;
    let (generics, _, where_clause) = sig.generics.split_for_impl();
    let arguments = function.arguments();
    let types = arguments
        .iter()
        .skip(usize::from(has_host))
        .map(|argument| &argument.ty);
    let result = if returns_well {
        result_type(&private, function)
    } else {
        quote!(())
    };
    let inner = returns_well.then(|| quote!(#[allow(dead_code)] #sig #body));
    quote! {
        #errors
        #(#outer_attrs)*
        #vis fn #name #generics(#(_: #types),*) -> #private::Role<#result> #where_clause {
            #inner
            loop {}
        }
    }
}

/// The `T` of the role's `Role<T>`.
fn result_type(private: &TokenStream, function: &Function) -> TokenStream {
    match owned_types::returned(&function.sig.output) {
        Returned::Nothing | Returned::Never => quote!(()),
        Returned::Plain(ty) => quote!(#ty),
        Returned::Result(ty) => quote_spanned!(span_of(ty)=> <#ty as #private::ResultType>::Ok),
    }
}

/// What an argument is called in the function that makes the role: its name, if its pattern is
/// one.
fn outer_name(i: usize, argument: &PatType) -> Ident {
    match &*argument.pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() => pattern.ident.clone(),
        _ => format_ident!("argument_{}", i + 1),
    }
}

/// Whether an attribute is about the `async fn` that was written. Those that the compiler knows
/// stand on the function that makes the role, where they hold for everything inside as well; a
/// macro such as `#[tracing::instrument]` would find nothing there that awaits.
fn is_about_the_body(attribute: &Attribute) -> bool {
    const OF_THE_COMPILER: &[&str] = &[
        "allow",
        "cfg",
        "cfg_attr",
        "cold",
        "deny",
        "deprecated",
        "doc",
        "expect",
        "forbid",
        "inline",
        "must_use",
        "warn",
    ];
    let path = attribute.path();
    let tool = path.segments.first().is_some_and(|first| {
        path.segments.len() > 1
            && ["clippy", "rustfmt", "diagnostic"]
                .iter()
                .any(|tool| first.ident == tool)
    });
    !tool && !OF_THE_COMPILER.iter().any(|known| path.is_ident(known))
}
