//! End-to-end and conformance tests of lonet; see `tests/`.
