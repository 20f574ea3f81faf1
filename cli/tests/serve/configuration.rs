//! The service with a configuration file, which an application in Rust reads as well.

use std::fs;

use serde_json::json;

use crate::support::demo::cloakroom;
use crate::support::service::{Caller, service};

#[test]
fn the_settings_and_the_store_of_a_configuration_file_are_the_services() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cloakroom.toml");
    let text = "cookie_name = \"__Host-shop\"\nmax_sessions_per_user = 1\non_limit = \"refuse-new\"\n[store]\nplace = \"memory\"\n";
    fs::write(&path, text).unwrap();
    let service = service(&["--config", path.to_str().unwrap()]);

    let mut first = Caller::of(&service);
    let signed_in = first.post("/v1/session/sign-in", json!({"user": "ada"}));
    assert_eq!(signed_in.status, 200);
    assert!(signed_in.header("set-cookie").starts_with("__Host-shop="), "{}", signed_in.header("set-cookie"));
    assert_eq!(Caller::of(&service).post("/v1/session/sign-in", json!({"user": "ada"})).status, 409);
}

#[test]
fn flags_for_the_store_are_refused_beside_a_configuration_file() {
    for flags in [["--store", "memory"], ["--prefix", "shop:"]] {
        let output = cloakroom(&[&["serve", "--config", "cloakroom.toml"][..], &flags].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("--config") && said.contains(flags[0]), "{said}");
    }
}
