//! A dial on its way, as an engine is given it.
//!
//! Owns that the trace learns of the dial's connection before the other side does. How the call
//! reaches the other side is the engine's business.

use crate::addr::Addr;
use crate::happens::{By, Events};
use crate::trace::What;

/// A dial on its way.
pub(crate) struct Call<'a> {
    /// The network's full name.
    pub(crate) network: &'a str,
    /// The dialing end.
    pub(crate) src: &'a Addr,
    /// The dialed address.
    pub(crate) dst: &'a Addr,
    /// The number of the dial's record, if the network is traced.
    pub(crate) dial: Option<u64>,
    pub(crate) events: &'a Events,
}

impl Call<'_> {
    /// Reports, before the request leaves, which connection the dial has got.
    pub(crate) fn linked(&self, key: impl FnOnce() -> String) -> Option<String> {
        if !self.events.is_traced() {
            return None;
        }
        let (d, key) = (self.dial?, key());
        let link = What::Link {
            dial: d,
            key: key.clone(),
        };
        self.events.happens(By::Task, || Some(link)).tell();
        Some(key)
    }
}
