//! The systemd unit and the container file: what they tell the program to do.

use std::fs;
use std::path::Path;

use crate::caller::ask;
use crate::keys::{KeysFile, showing};
use crate::support::demo::{Demo, cloakroom};

fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Starts the service as these arguments say, but with its state in this directory and on a free port.
#[track_caller]
fn started(arguments: Vec<String>, keys: &KeysFile) {
    let key = keys.key("shop", "read");
    let state = keys.path().parent().expect("a directory").display().to_string();
    let moved = |argument: String| match argument.strip_suffix(":8090") {
        Some(host) => format!("{host}:0"),
        None => argument.replace("/var/lib/cloakroom", &state),
    };
    let arguments: Vec<String> = arguments.into_iter().map(moved).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let service = Demo::by(cloakroom(&arguments));
    let port = service.url("").rsplit(':').next().expect("a port").to_owned();
    let answer = crate::caller::ask_at(&format!("127.0.0.1:{port}"), "GET", "/v1/session", &[&showing(&key)], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(ask(&service, "GET", "/readyz", &[], "").status, 200);
    assert!(Path::new(&state).join("sessions").exists());
}

#[test]
fn the_systemd_unit_starts_a_service_that_answers() {
    let unit = deployed("cloakroom.service");
    let command =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/cloakroom ")).expect("a command");
    started(command.split(' ').map(str::to_owned).collect(), &KeysFile::new());
}

#[test]
fn the_container_starts_a_service_that_answers() {
    let file = deployed("Containerfile");
    let command = file.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a command");
    started(serde_json::from_str(command).expect("a list in JSON"), &KeysFile::new());
}
