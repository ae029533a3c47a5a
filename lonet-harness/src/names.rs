//! The names of a scenario's hosts, as programs resolve them.
//!
//! Owns which names there are, and which of them no program can tell apart: name resolution ignores
//! case, and `localhost` is each host itself. Pure.

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind};

/// See the module.
#[derive(Default)]
pub(crate) struct Names {
    /// Of hosts that were spawned, of the test's own, and those that are reserved.
    named: BTreeSet<String>,
    /// Of hosts that come later.
    pub(crate) reserved: BTreeSet<String>,
    /// A program of the scenario resolves names.
    are_resolved: bool,
}

impl Names {
    /// All that a program can resolve.
    pub(crate) fn resolved(&self) -> Vec<String> {
        self.named.iter().cloned().collect()
    }

    /// Adds a name.
    ///
    /// # Errors
    ///
    /// A program of the scenario could not resolve it.
    pub(crate) fn add(&mut self, name: &str) -> Result<(), Error> {
        if self.are_resolved {
            self.check(name)?;
        }
        self.named.insert(name.to_owned());
        Ok(())
    }

    /// From now on, a program resolves names.
    ///
    /// # Errors
    ///
    /// It could not resolve one that there is.
    pub(crate) fn check_all(&mut self) -> Result<(), Error> {
        for name in self.resolved() {
            self.check(&name)?;
        }
        self.are_resolved = true;
        Ok(())
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        let refused = |message| Err(Error::new(ErrorKind::Host, message));
        if name.eq_ignore_ascii_case("localhost") {
            return refused(format!(
                "no host can be named {name} in a scenario with a `Program`: to a program, it is the \
                 program's own host"
            ));
        }
        let lower = name.to_lowercase();
        match self
            .named
            .iter()
            .find(|other| *other != name && other.to_lowercase() == lower)
        {
            Some(other) => refused(format!(
                "the hosts {other} and {name} differ only by case, which a `Program` can't tell apart: \
                 rename one of them"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_that_programs_confuse_are_refused_once_there_is_one() {
        let mut names = Names::default();
        for name in ["α", "Localhost", "db", "DB"] {
            names.add(name).unwrap();
        }
        assert!(names.check_all().unwrap_err().to_string().contains("DB"));

        let mut names = Names::default();
        for name in ["n1", "α"] {
            names.add(name).unwrap();
        }
        names.check_all().unwrap();
        assert_eq!(names.resolved(), ["n1", "α"]);
        names.add("α").unwrap();
        for (name, text) in [
            ("N1", "the hosts n1 and N1 differ only by case"),
            ("Α", "the hosts α and Α differ only by case"),
            ("LOCALHOST", "no host can be named LOCALHOST"),
        ] {
            let error = names.add(name).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }
}
