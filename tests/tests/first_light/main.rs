//! The program at the heart of the product: two processes, one connection, its trace asserted.
//! Leaves what may go wrong with it to `assertions.rs` and `failing.rs`.

#[rustfmt::skip]
mod program;
