//! How much a test does: a tenth, so that it can run always, or all of it.

/// Whether the tests run at full size: the environment has `LONET_FULL`. Only then do they hold
/// times against their targets; on a machine that is busy otherwise, a time proves nothing.
pub fn is_full() -> bool {
    std::env::var_os("LONET_FULL").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Of so many, how many are done.
pub fn of(whole: usize) -> usize {
    if is_full() { whole } else { whole.div_ceil(10) }
}
