//! The function under an attribute, and the mistakes that all three attributes report.
//!
//! The body is passed on as tokens: rustc reports its errors best, and a half-written body in an
//! editor must not make the function disappear.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Safety, Signature, Visibility};

/// What is wrong, in the order it was found.
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    pub(crate) fn new() -> Errors {
        Errors(Vec::new())
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    /// Complains on exactly these tokens.
    pub(crate) fn on(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Complains on what that span covers.
    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.push(syn::Error::new(span, message));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &syn::Error> {
        self.0.iter()
    }
}

impl ToTokens for Errors {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(self.0.iter().map(syn::Error::to_compile_error));
    }
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// With its braces.
    pub(crate) body: TokenTree,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Function> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let body = input.parse()?;
        match &body {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {}
            other => {
                return Err(syn::Error::new(
                    other.span(),
                    "expected the function's body",
                ));
            }
        }
        Ok(Function {
            attrs,
            vis,
            sig,
            body,
        })
    }
}

impl Function {
    /// The function that `item` is.
    ///
    /// # Errors
    /// The tokens to put in its place: the item as it is, and what is wrong.
    pub(crate) fn read(item: TokenStream, attribute: &str) -> Result<Function, TokenStream> {
        syn::parse2(item.clone()).map_err(|error| {
            let message = format!("`#[lonet::{attribute}]` goes on an `async fn`: {error}");
            let error = syn::Error::new(error.span(), message).to_compile_error();
            quote!(#error #item)
        })
    }

    /// Refuses, and removes, whatever makes it more or less than a plain `async fn`. `what` names
    /// it, with an article.
    pub(crate) fn must_be_plain(&mut self, what: &str, errors: &mut Errors) {
        let sig = &mut self.sig;
        if let Some(token) = sig.constness.take() {
            errors.on(
                token,
                format!("{what} can't be `const`: it is an `async fn`"),
            );
        }
        match std::mem::take(&mut sig.safety) {
            Safety::Default => {}
            Safety::Safe(token) => errors.on(
                token,
                format!("{what} can't be `safe`: it is an `async fn`"),
            ),
            Safety::Unsafe(token) => {
                errors.on(
                    token,
                    format!("{what} can't be `unsafe`: the harness calls it from safe code"),
                );
            }
        }
        if let Some(abi) = sig.abi.take() {
            errors.on(
                abi,
                format!("{what} can't be `extern`: it is an `async fn`"),
            );
        }
        if sig.asyncness.is_none() {
            errors.on(sig.fn_token, format!("{what} is an `async fn`"));
            sig.asyncness = Some(syn::Token![async](sig.fn_token.span));
        }
        if !sig.generics.params.is_empty() {
            errors.on(
                &sig.generics,
                format!(
                    "{what} can't be generic: the harness does not know which types to run it with"
                ),
            );
        } else if let Some(clause) = &sig.generics.where_clause {
            errors.on(
                clause,
                format!("{what} can't have a `where` clause: it can't be generic"),
            );
        }
        if let Some(variadic) = &sig.variadic {
            errors.on(
                variadic,
                format!("{what} can't take a variable number of arguments"),
            );
        }
        if let Some(FnArg::Receiver(receiver)) = sig.inputs.first() {
            errors.on(
                receiver,
                format!("{what} can't take `self`: it is a function of a module, not a method"),
            );
        }
    }

    /// Whether it takes `self`, so that it can stand nowhere but in an `impl` block.
    pub(crate) fn is_method(&self) -> bool {
        matches!(self.sig.inputs.first(), Some(FnArg::Receiver(_)))
    }

    /// The arguments' patterns and types, without `self`.
    pub(crate) fn arguments(&self) -> Vec<&syn::PatType> {
        self.sig
            .inputs
            .iter()
            .filter_map(|argument| match argument {
                FnArg::Receiver(_) => None,
                FnArg::Typed(typed) => Some(typed),
            })
            .collect()
    }

    /// Where to complain that an argument is missing.
    pub(crate) fn parentheses(&self) -> Span {
        self.sig.paren_token.span.join()
    }

    /// Where its name stands.
    pub(crate) fn place(&self) -> Span {
        self.sig.ident.span()
    }
}

/// The item as it was written, from its parts.
impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Function {
            attrs,
            vis,
            sig,
            body,
        } = self;
        tokens.extend(quote!(#(#attrs)* #vis #sig #body));
    }
}

/// The span of a type's first token: what carries the place of a generated call about it.
pub(crate) fn span_of(tokens: &impl Spanned) -> Span {
    tokens.span()
}
