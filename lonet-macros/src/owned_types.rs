//! Which types can be sent between processes, as far as tokens show.
//!
//! Only rustc knows whether a type is a serde type; the expansion asks it. rustc would also reject
//! the types that are rejected here, but without saying what to write instead.

use syn::{GenericArgument, PathArguments, ReturnType, Type, TypePath};

use crate::function::Errors;

/// What a return type makes of a role.
pub(crate) enum Returned<'a> {
    /// Nothing is written.
    Nothing,
    /// It never returns: `!`.
    Never,
    /// This type. Whether it is a `Result` only rustc knows.
    Type(&'a Type),
}

/// What the return type of a role is.
pub(crate) fn returned(output: &ReturnType) -> Returned<'_> {
    match output {
        ReturnType::Default => Returned::Nothing,
        ReturnType::Type(_, ty) => match bare(ty) {
            Type::Never(_) => Returned::Never,
            _ => Returned::Type(ty),
        },
    }
}

/// Complains about what can't be an argument of a role.
pub(crate) fn check_argument(ty: &Type, errors: &mut Errors) {
    check(ty, "an argument", errors);
}

/// Complains about what can't be the result of a role. Of a type with arguments, only in those
/// of which it is known that they travel: an error does not, and where an alias has its error
/// only rustc knows.
pub(crate) fn check_returned(returned: &Returned<'_>, errors: &mut Errors) {
    match returned {
        Returned::Nothing | Returned::Never => {}
        Returned::Type(ty) => match bare(ty) {
            Type::Path(path) => {
                let word = last_word(path).map(ToString::to_string);
                let travelling = match word.as_deref() {
                    Some("Result") => 1,
                    Some("Option" | "Vec" | "HashMap" | "BTreeMap") => 2,
                    _ => 0,
                };
                for value in type_arguments(path).into_iter().take(travelling) {
                    check(value, "the result", errors);
                }
            }
            _ => check(ty, "the result", errors),
        },
    }
}

/// Whether this type, written where the role's host belongs, can't be one. An alias may be.
pub(crate) fn is_surely_no_host(ty: &Type) -> bool {
    const NO_HOSTS: &[&str] = &[
        "bool",
        "char",
        "f32",
        "f64",
        "i8",
        "i16",
        "i32",
        "i64",
        "i128",
        "isize",
        "u8",
        "u16",
        "u32",
        "u64",
        "u128",
        "usize",
        "Arc",
        "BTreeMap",
        "BTreeSet",
        "Box",
        "Duration",
        "HashMap",
        "HashSet",
        "Option",
        "PathBuf",
        "Result",
        "Scenario",
        "String",
        "SubNetwork",
        "Vec",
    ];
    match bare(ty) {
        Type::Path(path) => {
            last_word(path).is_some_and(|word| NO_HOSTS.iter().any(|no| word == no))
        }
        Type::Macro(_) | Type::Verbatim(_) => false,
        _ => true,
    }
}

fn check(ty: &Type, what: &str, errors: &mut Errors) {
    match bare(ty) {
        Type::Reference(reference) => errors.on(
            reference,
            format!(
                "{what} of a role can't be a reference: it is sent to another process; use an \
                 owned type, such as `String` for `&str`, or `Vec<T>` for `&[T]`"
            ),
        ),
        Type::ImplTrait(implied) => errors.on(
            implied,
            format!("{what} of a role can't be `impl Trait`: use a named owned type that serde can deserialize"),
        ),
        Type::Ptr(_) | Type::FnPtr(_) | Type::TraitObject(_) => errors.on(
            ty,
            format!(
                "{what} of a role is sent to another process: use an owned type that \
                 implements serde's `Serialize` and `Deserialize`"
            ),
        ),
        Type::Array(array) => check(&array.elem, what, errors),
        Type::Slice(slice) => check(&slice.elem, what, errors),
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|elem| check(elem, what, errors)),
        // A box is as good as what is in it, and a `dyn Trait` in it is for rustc to refuse.
        Type::Path(path) => {
            for argument in type_arguments(path) {
                check(argument, what, errors);
            }
        }
        _ => {}
    }
}

fn last_word(path: &TypePath) -> Option<&syn::Ident> {
    path.path.segments.last().map(|segment| &segment.ident)
}

/// The types between the angle brackets of the path's last word.
fn type_arguments(path: &TypePath) -> Vec<&Type> {
    let Some(PathArguments::AngleBracketed(arguments)) =
        path.path.segments.last().map(|segment| &segment.arguments)
    else {
        return Vec::new();
    };
    arguments
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
        .collect()
}

/// The type without parentheses, and without the invisible ones that macros leave.
fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Paren(paren) => bare(&paren.elem),
        Type::Group(group) => bare(&group.elem),
        ty => ty,
    }
}
