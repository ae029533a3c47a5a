//! Signatures that a scenario's `main` can't have.

use lonet_harness::Scenario;

mod none {
    #[lonet::main]
    async fn main() {}
}

mod two {
    #[lonet::main]
    async fn main(_: super::Scenario, _times: u32) {}
}

mod some_trait {
    #[lonet::main]
    async fn main(_: impl Clone) {}
}

mod generic {
    #[lonet::main]
    async fn main<T>(_: super::Scenario) {}
}

mod no_function {
    #[lonet::main]
    struct Main;
}

#[lonet::main]
async unsafe fn main(_: Scenario) {}
