//! The service keeps to its description, whatever it is asked: schemathesis asks what the description allows, and what it does not.

use std::path::PathBuf;
use std::process::Command;

use crate::support::demo::Demo;
use crate::support::operator::run;
use crate::support::service::{Caller, service};

/// A service whose sessions are in a directory, and an administrator's key for it.
struct Place {
    _directory: tempfile::TempDir,
    service: Demo,
    authorization: String,
}

impl Place {
    fn open() -> Place {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name| directory.path().join(name).to_str().expect("UTF-8").to_owned();
        let (keys, sessions) = (at("keys.toml"), at("sessions"));
        let made = run(&["key", "new", "--keys", &keys, "--name", "tests", "--rights", "admin"], &[]);
        let authorization = format!("Bearer {}", made.stdout.trim_end());
        let service = service(&["--store", &sessions, "--keys", &keys]);
        Place { _directory: directory, service, authorization }
    }

    /// Lets schemathesis ask, with these arguments more.
    #[track_caller]
    fn keeps_to_its_description(&self, arguments: &[&str]) {
        let library = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/peers/schemathesis");
        assert!(library.exists(), "{} is missing: run scripts/fetch-peers target/peers", library.display());
        let leavings = tempfile::tempdir().expect("a temporary directory");
        let asked = Command::new("python3")
            .args(["-m", "schemathesis.cli", "run", &self.service.url("/openapi.json")])
            .args(["--checks", "all"])
            // a name, an id or an expectation may be refused although its type is right
            .args(["--exclude-checks", "positive_data_acceptance"])
            .args(["--header", &format!("Authorization: {}", self.authorization)])
            .args(["--seed", "15", "--warnings", "off", "--no-color"])
            .args(arguments)
            .env("PYTHONPATH", library)
            .current_dir(leavings.path())
            .output();
        let asked = asked.unwrap_or_else(|error| panic!("python3: {error}. Install it, or run ./test, which does"));
        let said = String::from_utf8_lossy(&asked.stdout);
        assert!(asked.status.success(), "{said}{}", String::from_utf8_lossy(&asked.stderr));
        assert!(said.contains("passed"), "it has asked something: {said}");
        assert_eq!(self.service.stderr(), "", "nothing that is asked is an error of the service");
    }
}

#[test]
fn the_service_keeps_to_its_description_for_whoever_comes_without_a_session() {
    Place::open().keeps_to_its_description(&["--max-examples", "20", "--max-time", "20"]);
}

#[test]
fn the_service_keeps_to_its_description_for_a_user_who_is_signed_in() {
    let place = Place::open();
    let mut caller = Caller::of(&place.service).with("authorization", &place.authorization);
    caller.sign_in("ada");
    let cookie = format!("Cookie: {}", caller.cookie.as_deref().expect("a cookie"));
    // whatever ends the session or replaces its token is left out
    place.keeps_to_its_description(&[
        "--header",
        &cookie,
        "--exclude-method",
        "DELETE",
        "--exclude-path-regex",
        "sign|elevate|rotate|users",
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "40",
    ]);
    assert_eq!(caller.session()["user"], "ada");
}
