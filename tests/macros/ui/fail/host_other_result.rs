//! A role whose `Result` is another type of that name.

use lonet::Host;

struct Result;

#[lonet::host]
async fn other_result(_: Host) -> Result {
    Result
}

fn main() {}
