//! Arguments that `#[lonet::main]` does not take.

#[lonet::main(timeout = 1, start_paused = true)]
async fn main() {}
