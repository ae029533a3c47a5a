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
    for argument in function.arguments().into_iter().skip(1) {
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
    const LEGAL: &str = "the first argument of a role must be its host: `host: lonet::Host`";
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
    let private = args.private(Span::call_site());
    let name = &sig.ident;
    let all = function.arguments();
    let travelling = all.get(1..).unwrap_or_default();
    let types: Vec<&Type> = travelling.iter().map(|argument| &*argument.ty).collect();
    let names: Vec<Ident> = (1..)
        .zip(travelling)
        .map(|(i, argument)| outer_name(i, argument))
        .collect();
    let words = names.iter().map(|name| name.unraw().to_string());

    let result = result_type(args, function);
    let encoded = types
        .iter()
        .zip(&names)
        .zip(words)
        .map(|((ty, name), word)| {
            let private = args.private(span_of(ty));
            quote_spanned!(span_of(ty)=> #private::encode::<#ty>(#word, #name))
        });
    let entry = entry(args, function);
    // What is inside the inner block would hide an argument of its name. So the arguments are
    // used up before, under a name that no function has.
    quote! {
        #(#outer_attrs)*
        #vis fn #name(#(#names: #types),*) -> #private::Role<#result> {
            let lonet_role_arguments = [#(#encoded),*];
            {
                #(#inner_attrs)*
                // That it awaits something is not required of a role.
                #[allow(clippy::unused_async)]
                #sig #body

                #[#private::linkme::distributed_slice(#private::ROLES)]
                #[linkme(crate = #private::linkme)]
                static LONET_ROLE_ENTRY: #private::RoleEntry = #entry;

                #private::role(&LONET_ROLE_ENTRY, lonet_role_arguments)
            }
        }
    }
}

/// The `RoleEntry`: where the role stands, and how it is played.
fn entry(args: &Args, function: &Function) -> TokenStream {
    let private = args.private(Span::call_site());
    let name = &function.sig.ident;
    let all = function.arguments();
    let (host_argument, travelling) = all
        .split_first()
        .expect("a role without a host is refused above");

    // Hygienic, so that none of them hides the function, whatever it is called.
    let local = |name: &str| Ident::new(name, Span::mixed_site());
    let (host, json, arguments) = (local("host"), local("json"), local("arguments"));
    let locals: Vec<Ident> = (0..travelling.len())
        .map(|i| local(&format!("argument_{i}")))
        .collect();
    // Each of these calls stands, for rustc, where the type stands that it is about.
    let decoded = (1..).zip(travelling).map(|(i, argument)| {
        let (ty, word) = (&argument.ty, outer_name(i, argument).unraw().to_string());
        let private = args.private(span_of(ty));
        quote_spanned!(span_of(ty)=> #private::decode::<#ty>(#word, &mut #arguments)?)
    });
    let playing = {
        let ty = &host_argument.ty;
        let private = args.private(span_of(ty));
        quote_spanned!(span_of(ty)=> <#ty as #private::PlaysHost>::playing(#host))
    };
    let call = quote!(#name(#playing, #(#locals),*).await);
    let finished = match owned_types::returned(&function.sig.output) {
        Returned::Nothing => quote!(#private::finish::<()>(#call)),
        Returned::Type(ty) => {
            let at = args.private(span_of(ty));
            // rustc tells what is wrong with a type at the value that has it.
            let hygienic = |name| Ident::new(name, Span::mixed_site().located_at(span_of(ty)));
            let (returned, value) = (hygienic("returned"), hygienic("value"));
            let (error, root) = (hygienic("error"), hygienic("root"));
            let picked = picked(args, ty);
            let finish = quote_spanned!(span_of(ty)=> #at::finish(#value));
            let asked = quote_spanned!(span_of(ty)=> #at::ask(&#error));
            quote!({
                #[allow(unused_imports)]
                use #private::{BoxedRoot as _, ErrorRoot as _, NoRoot as _, SharedRoot as _};
                let #returned: #ty = #call;
                match <#picked>::pick(#returned) {
                    ::core::result::Result::Ok(#value) => #finish,
                    ::core::result::Result::Err(#error) => {
                        let #root = (&&&&#asked).root();
                        ::core::result::Result::Err(#private::BodyError::new(#error, #root).text())
                    }
                }
            })
        }
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
        #private::RoleEntry {
            name: ::core::concat!(::core::module_path!(), #path, #line, ":", #column),
            file: ::core::file!(),
            line: #line,
            column: #column,
            worker_threads: #worker_threads,
            play: |#host, #json| ::std::boxed::Box::pin(async move {
                let mut #arguments = #private::arguments(&#json);
                #(let #locals = #decoded;)*
                ::core::mem::drop(#arguments);
                #finished
            }),
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
    let private = args.private(Span::call_site());
    let name = &sig.ident;
    let (generics, _, where_clause) = sig.generics.split_for_impl();
    let arguments = function.arguments();
    let types = arguments
        .iter()
        .skip(usize::from(has_host))
        .map(|argument| &argument.ty);
    let result = match owned_types::returned(&sig.output) {
        _ if !returns_well => quote!(()),
        // A constant can't ask anything about a parameter.
        Returned::Type(ty) if !sig.generics.params.is_empty() => quote!(#ty),
        _ => result_type(args, function),
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
fn result_type(args: &Args, function: &Function) -> TokenStream {
    match owned_types::returned(&function.sig.output) {
        Returned::Nothing | Returned::Never => quote!(()),
        Returned::Type(ty) => {
            let picked = picked(args, ty);
            quote_spanned!(span_of(ty)=> <#picked>::Ok)
        }
    }
}

/// The halves of that return type, as rustc finds them: a macro does not see through an alias.
fn picked(args: &Args, ty: &Type) -> TokenStream {
    let private = args.private(span_of(ty));
    quote_spanned! {span_of(ty)=>
        #private::Choose<{
            #[allow(unused_imports)]
            use #private::IsResult as _;
            <#private::Asked<#ty>>::IS_RESULT
        }> as #private::Pick<#ty>
    }
}

/// What an argument is called in the function that makes the role: its name, if its pattern is
/// one.
fn outer_name(i: usize, argument: &PatType) -> Ident {
    match &*argument.pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() => pattern.ident.clone(),
        _ => format_ident!("argument_{i}"),
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

#[cfg(test)]
mod tests {
    use quote::ToTokens;
    use syn::{File, Item};

    /// The signature of the function that stands in the place of `item`, and whether the body as
    /// it was written is inside.
    #[track_caller]
    fn check(args: &str, item: &str, expected: &str, keeps_body: bool) {
        let expanded = super::expand(args.parse().unwrap(), item.parse().unwrap());
        let file: File = syn::parse2(expanded).expect("an expansion is Rust, whatever is wrong");
        let functions = file.items.iter().filter_map(|item| match item {
            Item::Fn(function) => Some(function),
            _ => None,
        });
        let all: Vec<_> = functions.collect();
        let [function] = all.as_slice() else {
            panic!("{} functions", all.len());
        };
        let signature: proc_macro2::TokenStream = expected.parse().unwrap();
        // Blanks between tokens tell nothing.
        let without_blanks = |tokens: proc_macro2::TokenStream| tokens.to_string().replace(' ', "");
        assert_eq!(
            without_blanks(function.sig.to_token_stream()),
            without_blanks(signature)
        );
        let body = function.block.to_token_stream().to_string();
        assert_eq!(body.contains("marker"), keeps_body, "{body}");
    }

    const ROLE: &str = "::lonet_harness::__private::Role";

    /// What stands for the `T` of the role's `Role<T>`.
    fn picked(ty: &str) -> String {
        let private = "::lonet_harness::__private";
        format!(
            "<{private}::Choose<{{ #[allow(unused_imports)] use {private}::IsResult as _; \
             <{private}::Asked<{ty}>>::IS_RESULT }}> as {private}::Pick<{ty}>>::Ok"
        )
    }

    #[test]
    fn what_is_wrong_with_an_attribute_costs_its_function_nothing() {
        let item = "async fn f(host: Host, to: String) -> u8 { marker() }";
        let role = format!("{ROLE}<{}>", picked("u8"));
        check("", item, &format!("fn f(to: String) -> {role}"), true);
        check(
            "nonsense",
            item,
            &format!("fn f(_: String) -> {role}"),
            true,
        );
        check("= = 3", item, &format!("fn f(_: String) -> {role}"), true);
    }

    #[test]
    fn callers_of_a_wrong_role_find_what_they_expect() {
        let cases = [
            ("fn f(host: Host) { marker() }", "fn f() -> R<()>", true),
            ("async fn f() { marker() }", "fn f() -> R<()>", true),
            (
                "async fn f(to: String) { marker() }",
                "fn f(_: String) -> R<()>",
                true,
            ),
            (
                "async fn f(h: Host, to: &str) { marker() }",
                "fn f(_: &str) -> R<()>",
                true,
            ),
            (
                "async fn f(h: Host) -> &str { marker() }",
                "fn f() -> R<()>",
                false,
            ),
            (
                "async fn f<T>(h: Host, t: T) -> T { marker() }",
                "fn f<T>(_: T) -> R<PICKED>",
                true,
            ),
            (
                "const async unsafe fn f(h: Host) { marker() }",
                "fn f() -> R<()>",
                true,
            ),
        ];
        for (item, signature, keeps_body) in cases {
            let signature = signature.replace('R', ROLE).replace("PICKED", "T");
            check("", item, &signature, keeps_body);
        }
    }

    #[test]
    fn a_half_written_body_does_not_make_the_function_disappear() {
        let item = "async fn f(host: Host) -> u8 { let x = marker. }";
        let expanded = super::expand("".parse().unwrap(), item.parse().unwrap()).to_string();
        assert!(
            expanded.contains("fn f () -> :: lonet_harness :: __private :: Role <"),
            "{expanded}"
        );
        assert!(expanded.contains("let x = marker ."), "{expanded}");
    }
}
