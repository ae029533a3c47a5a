//! The interface that users see, a file a crate: a change of it is a change of that file.
//!
//! It is read from rustdoc's JSON, which `.ci/api` makes; `UPDATE_EXPECT=1 .ci/api` rewrites the
//! files. What is hidden from the documentation is not part of the interface.

use std::path::Path;

use expect_test::expect_file;

#[test]
#[ignore = "needs rustdoc's JSON: .ci/api"]
fn the_public_interface() {
    let made = std::env::var_os("LONET_RUSTDOC_JSON").unwrap();
    for (library, file) in [
        ("lonet", expect_file!["../../lonet/public-api.txt"]),
        (
            "lonet_harness",
            expect_file!["../../lonet-harness/public-api.txt"],
        ),
        (
            "lonet_macros",
            expect_file!["../../lonet-macros/public-api.txt"],
        ),
    ] {
        let json = Path::new(&made).join(format!("{library}.json"));
        let interface = public_api::Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(false)
            .build()
            .unwrap();
        file.assert_eq(&interface.to_string());
    }
}
