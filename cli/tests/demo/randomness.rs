//! The operating system gives no random bytes: no secret is made of anything else.

use std::fs::File;
use std::process::Command;

use crate::support::demo::Demo;
use crate::support::visitor::Visitor;

#[test]
fn without_random_bytes_nobody_gets_a_session_and_whoever_has_one_keeps_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (library, ends) = (path("randomness.so"), path("ends"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/demo/randomness.c");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o", &library, source]).output();
    let compiled = compiled.expect("this test needs a C compiler, cc: run ./test, which installs it");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let demo = Demo::start_in(&[("LD_PRELOAD", &library), ("RANDOMNESS_ENDS", &ends)], &["--store", "memory"]);
    let mut ada = Visitor::of(&demo);
    ada.login("ada", 600);
    let token = ada.token().to_owned();

    File::create(&ends).expect("a file");
    let mut ben = Visitor::of(&demo);
    let as_ben = ben.post("/login", &[("username", "ben")]);
    let as_ada = ada.post("/login", &[("username", "ada")]);
    for answer in [as_ben, as_ada, ada.post("/rotate", &[])] {
        assert!(answer.error(503).contains("random"), "{}", answer.body);
        assert!(answer.sets_no_cookie(), "{}", answer.header("set-cookie"));
    }
    assert_eq!(ben.peek()["authenticated"], false);
    assert_eq!(ada.peek()["session"]["username"], "ada");
    assert_eq!(ada.token(), token);
    assert_eq!(ada.get("/devices").json()["devices"].as_array().map(Vec::len), Some(1));
}
