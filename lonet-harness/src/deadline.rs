//! How deadlines are scaled, and those that no test says itself.
//!
//! Owns the numbers. The clock is `watchdog`'s, and what follows is `run`'s business.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// The variable that scales every deadline: a factor.
pub(crate) const SCALE: &str = "LONET_TIMEOUT";

/// The variable that names the host whose node waits for a debugger at its start.
pub(crate) const DEBUGGED: &str = "LONET_DEBUG";

/// How long nodes that still run when the body has returned have to end by themselves.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// Whether there are no deadlines: debugging a node takes any amount of time.
pub(crate) fn suspended() -> bool {
    std::env::var_os(DEBUGGED).is_some_and(|host| !host.is_empty())
}

/// A duration, scaled as `LONET_TIMEOUT` says.
///
/// # Errors
///
/// The variable is not a positive number.
pub(crate) fn scaled(duration: Duration) -> Result<Duration, Error> {
    match std::env::var_os(SCALE) {
        None => Ok(duration),
        Some(value) => scale(duration, &value.to_string_lossy()),
    }
}

fn scale(duration: Duration, factor: &str) -> Result<Duration, Error> {
    let number: Option<f64> = factor.trim().parse().ok();
    number
        .filter(|factor| *factor > 0.0)
        .and_then(|factor| Duration::try_from_secs_f64(duration.as_secs_f64() * factor).ok())
        .ok_or_else(|| {
            let message = format!(
                "{SCALE} must be a positive number by which all deadlines are multiplied, for instance 3 \
                 or 0.5; it is {factor:?}"
            );
            Error::new(ErrorKind::Environment, message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_scales() {
        let scale = |factor| scale(Duration::from_secs(10), factor).map(|d| d.as_millis());
        assert_eq!(scale("3").unwrap(), 30_000);
        assert_eq!(scale("0.5").unwrap(), 5_000);
        for wrong in ["", "0", "-1", "x", "NaN", "inf", "1e300"] {
            assert!(scale(wrong).is_err(), "{wrong}");
        }
    }
}
