//! Roles: functions that play a host in a process of their own.
//!
//! Owns how a role is registered and found again in the re-executed binary, and how its arguments
//! and its result are sent (as JSON). `process` starts the processes.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use linkme::distributed_slice;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::travels::{self, SEPARATOR};

/// A role with its arguments. `Scenario::spawn` runs it in a process of its own, and `Node::join`
/// returns its result, a `T`.
///
/// A call of a function with the attribute `#[lonet::host]` returns a role. The arguments and the
/// result are owned serde types; they are sent as JSON.
#[must_use = "a role does nothing until a scenario spawns it"]
pub struct Role<T> {
    entry: &'static RoleEntry,
    arguments: Result<String, String>,
    result: PhantomData<fn() -> T>,
}

/// A role as the binary knows it: where it stands in the source, and how to play it.
#[derive(Debug)]
pub struct RoleEntry {
    /// Its path and its place, `crate::module::function@12:10`.
    pub name: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the function's name, from 1.
    pub line: u32,
    /// The column of the function's name, from 1.
    pub column: u32,
    /// How many worker threads its runtime has; `None` is a current-thread runtime.
    pub worker_threads: Option<usize>,
    /// Plays it as this host, with these [`arguments`], to its result (JSON).
    pub play: fn(lonet::Host, String) -> Playing,
}

/// A role that is being played, to its result in JSON.
pub type Playing = Pin<Box<dyn Future<Output = Result<String, String>>>>;

/// Every role of this binary, in an order that is the same in each process of the binary.
#[distributed_slice]
pub static ROLES: [RoleEntry];

/// A function that each role's process calls before its role.
#[distributed_slice]
pub static BEFORE_ROLE: [fn()];

impl<T> Role<T> {
    /// What the binary knows of it.
    pub(crate) fn entry(&self) -> &'static RoleEntry {
        self.entry
    }

    /// Its arguments, each in JSON, with a [`SEPARATOR`] between them.
    ///
    /// # Errors
    /// They can't be written as JSON: the reason, with the role's name.
    pub(crate) fn arguments(&self) -> Result<&str, Error> {
        self.arguments
            .as_deref()
            .map_err(|error| Error::new(ErrorKind::Value, error))
    }
}

impl<T: DeserializeOwned + 'static> Role<T> {
    /// The result that the role's process sent.
    ///
    /// # Errors
    /// It is not the JSON of a `T`: what a type writes it must also be able to read.
    pub(crate) fn decode(result: &str) -> Result<T, String> {
        travels::read(result)
            .map_err(|error| format!("the role's result can't be read back from JSON: {error}"))
    }
}

impl<T> Clone for Role<T> {
    fn clone(&self) -> Role<T> {
        Role {
            entry: self.entry,
            arguments: self.arguments.clone(),
            result: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Role<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Ok(arguments) | Err(arguments)) = &self.arguments;
        f.debug_struct("Role")
            .field("name", &self.entry.name)
            .field("arguments", &arguments.replace(SEPARATOR, ", "))
            .finish()
    }
}

impl RoleEntry {
    /// Which of this binary's roles it is.
    ///
    /// Two roles that one macro made may share name and place, so the name alone does not tell.
    pub(crate) fn index(&'static self) -> usize {
        ROLES
            .iter()
            .position(|entry| std::ptr::eq(entry, self))
            .expect("only the expansion of `#[lonet::host]` makes an entry, and registers it")
    }

    /// The role that is `index` in the binary's process that named it.
    ///
    /// # Errors
    /// That process is not of this binary.
    pub(crate) fn find(index: usize, name: &str) -> Result<&'static RoleEntry, String> {
        ROLES
            .get(index)
            .filter(|entry| entry.name == name)
            .ok_or_else(|| {
                format!("this binary has no role {name}: it is not the one that asked for it")
            })
    }

    /// The function's own name, without its path and place.
    pub(crate) fn short_name(&self) -> &'static str {
        let path = self
            .name
            .rsplit_once('@')
            .map_or(self.name, |(path, _)| path);
        path.rsplit_once("::").map_or(path, |(_, name)| name)
    }
}

/// What the first argument of a role is made of.
#[diagnostic::on_unimplemented(
    message = "the first argument of a role must be its host, not `{Self}`",
    label = "must be `lonet::Host`"
)]
pub trait PlaysHost: sealed::Sealed {
    /// The argument for a role that plays this host.
    fn playing(host: lonet::Host) -> Self;
}

impl PlaysHost for lonet::Host {
    fn playing(host: lonet::Host) -> lonet::Host {
        host
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for lonet::Host {}
}

/// A role of that entry, with its arguments, each in JSON.
pub fn role<T, const N: usize>(
    entry: &'static RoleEntry,
    arguments: [Result<String, String>; N],
) -> Role<T> {
    let joined = arguments
        .into_iter()
        .collect::<Result<Vec<String>, String>>();
    let mut separator = [0; SEPARATOR.len_utf8()];
    let arguments = joined
        .map(|arguments| arguments.join(SEPARATOR.encode_utf8(&mut separator)))
        .map_err(|error| format!("role {}: {error}", entry.short_name()));
    Role {
        entry,
        arguments,
        result: PhantomData,
    }
}

/// One argument of a role, of that name, as JSON.
///
/// # Errors
/// It can't be written as JSON: a text that says so.
pub fn encode<A: Serialize + 'static>(name: &str, argument: A) -> Result<String, String> {
    travels::write(&argument)
        .map_err(|error| format!("argument `{name}` can't be written as JSON: {error}"))
}

/// The arguments of a role, apart but still in JSON.
pub type Arguments<'a> = std::vec::IntoIter<&'a str>;

/// What [`role`] has joined, apart.
pub fn arguments(joined: &str) -> Arguments<'_> {
    let arguments: Vec<&str> = joined.split(SEPARATOR).collect();
    arguments.into_iter()
}

/// The next argument of a role, which has that name.
///
/// # Errors
/// It can't be read back: what a type writes it must also be able to read.
pub fn decode<A: DeserializeOwned + 'static>(
    name: &str,
    arguments: &mut Arguments<'_>,
) -> Result<A, String> {
    let json = arguments
        .next()
        .ok_or_else(|| format!("argument `{name}` is missing"))?;
    travels::read(json)
        .map_err(|error| format!("argument `{name}` can't be read back from JSON: {error}"))
}
