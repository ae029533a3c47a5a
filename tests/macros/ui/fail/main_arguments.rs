#[lonet::main(timeout = 1, start_paused = true)]
async fn main() {}
