//! The name of the harness in the compiled crate.
//!
//! Owns reading it from the compiler's command line, which contains every dependency under its name
//! in `Cargo.toml`. If it is not there, the default name is used: an editor expands macros in
//! another process, which has no such arguments.

use proc_macro2::{Ident, Span};
use syn::{Path, parse_quote};

const NAME: &str = "lonet_harness";

/// The path of the harness.
pub(crate) fn harness() -> Path {
    match renamed(std::env::args()) {
        None => parse_quote!(::lonet_harness),
        Some(name) => {
            let name = Ident::new(&name, Span::call_site());
            parse_quote!(::#name)
        }
    }
}

/// The harness's other name, if it has one and not its own.
fn renamed(args: impl Iterator<Item = String>) -> Option<String> {
    let mut other = None;
    let mut is_extern = false;
    for arg in args {
        let value = match arg.strip_prefix("--extern=") {
            Some(value) => Some(value),
            None => is_extern.then_some(&*arg),
        };
        is_extern = arg == "--extern";
        let Some((name, file)) = value.and_then(|value| value.split_once('=')) else {
            continue;
        };
        // Options stand before the name: `priv,noprelude:name=file`.
        let name = name.rsplit(':').next().unwrap_or(name);
        if name == NAME {
            return None;
        }
        let file = file.rsplit('/').next().unwrap_or(file);
        let stem = file
            .strip_prefix("lib")
            .and_then(|file| file.strip_prefix(NAME));
        // A digest follows, or the end of the name.
        if stem.is_some_and(|rest| rest.starts_with(['-', '.']))
            && syn::parse_str::<Ident>(name).is_ok()
        {
            other = Some(name.to_owned());
        }
    }
    other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &str, expected: Option<&str>) {
        let args = args.split_whitespace().map(str::to_owned);
        assert_eq!(renamed(args).as_deref(), expected);
    }

    #[test]
    fn the_harness_is_found_by_its_file() {
        let own = "--extern lonet_harness=/t/deps/liblonet_harness-0a1b.rlib";
        let other = "--extern harness=/t/deps/liblonet_harness-0a1b.rlib";
        check("rustc src/lib.rs", None);
        check(own, None);
        check(other, Some("harness"));
        check(&format!("{other} {own}"), None);
        check(
            "--extern=h=/t/liblonet_harness-0a1b.rmeta --test",
            Some("h"),
        );
        check(
            "--extern priv,noprelude:h=/t/liblonet_harness.rlib",
            Some("h"),
        );
        check("--extern h=/t/deps/liblonet_harness_more-0a1b.rlib", None);
        check(
            "--extern lonet=/t/deps/liblonet-0a1b.rlib --extern harness",
            None,
        );
        check("-L harness=/t/liblonet_harness-0a1b.rlib", None);
    }
}
