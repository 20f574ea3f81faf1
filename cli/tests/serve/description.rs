//! The description of the API.

use serde_json::Value;

use crate::support::demo::cloakroom;
use crate::support::service::service;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

#[test]
fn the_committed_description_is_the_one_that_the_program_prints_and_serves() {
    let printed = cloakroom(&["serve", "--print-openapi"]).output().expect("the program runs");
    assert!(printed.status.success());
    let printed = String::from_utf8(printed.stdout).expect("UTF-8");
    let committed = std::fs::read_to_string(COMMITTED).expect("the committed description");
    assert!(
        printed == committed,
        "write it anew: cargo run -p cloakroom-cli -- serve --print-openapi > docs/openapi.json"
    );

    let service = service(&["--store", "memory"]);
    let mut served = ureq::get(service.url("/openapi.json")).call().expect("an answer");
    let served: Value = served.body_mut().read_json().expect("JSON");
    assert_eq!(served, serde_json::from_str::<Value>(&committed).expect("JSON"));
}
