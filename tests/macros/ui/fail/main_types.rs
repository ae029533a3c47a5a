//! Types that a scenario's `main` can't take or return.

use lonet_harness::Scenario;

// Types are checked where the function is compiled at all: a test only is in a test binary, so
// that `main` stands for it here. Both make the same call.

mod borrowed_argument {
    #[lonet::main]
    async fn main(_: &super::Scenario) {}
}

mod wrong_return_type {
    #[lonet::main]
    async fn main(_: super::Scenario) -> u32 {
        3
    }
}

mod value_in_result {
    #[lonet::main]
    async fn main(_: super::Scenario) -> lonet_harness::Result<u32> {
        Ok(3)
    }
}

mod no_error {
    pub struct Odd;

    #[lonet::main]
    async fn main(_: super::Scenario) -> Result<(), Odd> {
        Err(Odd)
    }
}

#[lonet::main]
async fn main(_: String) {}
