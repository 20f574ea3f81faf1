//! Flags, exit codes, completions, manual.

use crate::support::operator::{House, run};
use crate::support::redis_server::RedisServer;

const PASSWORD: &str = "correct-horse-battery";
const VERBS: [&[&str]; 7] = [
    &["doctor"],
    &["show", "AAAAAAAAAAAAAAAAAAAAAA"],
    &["list"],
    &["revoke", "--all"],
    &["stats"],
    &["watch"],
    &["export"],
];

#[test]
fn a_store_that_is_not_available_is_exit_code_4() {
    let mut redis = RedisServer::start();
    redis.kill();
    for verb in VERBS {
        let said = run(&[verb, &["--redis-url", &redis.url()]].concat(), &[]);
        assert_eq!(said.code, 4, "{said:?}");
        assert!(said.stderr.contains("cannot connect") && said.stdout.is_empty(), "{said:?}");
    }
}

#[test]
fn a_store_that_is_not_there_is_named_and_none_is_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().to_str().expect("UTF-8");
    for verb in &VERBS[1..] {
        let said = run(verb, &[("XDG_STATE_HOME", state)]);
        let wanted = format!("there is no session store in {state}/cloakroom/sessions");
        assert!(said.code == 4 && said.stderr.contains(&wanted), "{said:?}");
        let said = run(&[verb, &["--store", "memory"][..]].concat(), &[]);
        assert!(said.code == 2 && said.stderr.contains("memory of another process"), "{said:?}");
    }
    let said = run(&["doctor"], &[]);
    assert!(said.code == 2 && said.stderr.contains("--redis-url"), "{said:?}");
    assert_eq!(std::fs::read_dir(state).expect("it is there").count(), 0);
}

#[test]
fn the_redis_is_the_one_of_the_environment_or_of_several_urls() {
    let house = House::open();
    let id = house.visitor();
    let said = run(&["list", "--json"], &[("REDIS_URL", &house.redis.url())]);
    assert_eq!(said.json()["id"], id.expose());
    let two = format!("{0} {0}", house.redis.url());
    let said = run(&["list"], &[("REDIS_URL", &two)]);
    assert!(said.code == 4, "several nodes are a cluster, and this is none: {said:?}");
}

#[test]
fn the_password_is_said_nowhere_whichever_way_it_came() {
    let house = House::open();
    let id = house.visitor();
    house.cli::<()>(&format!("CONFIG SET requirepass {PASSWORD}"));
    let port = house.redis.port();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), PASSWORD).expect("it is written");
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{port}");
    let by_file = ["--redis-port", &port.to_string(), "--redis-password-file", file.path().to_str().expect("UTF-8")];
    let trace = ("RUST_LOG", "trace");
    for verb in [
        &["doctor"][..],
        &["doctor", "--json"],
        &["show", id.expose()],
        &["list"],
        &["stats"],
        &["watch", "--count", "1"],
    ] {
        let by_url = run(verb, &[trace, ("REDIS_URL", &url)]);
        let by_environment = run(&[verb, &by_file[..2]].concat(), &[trace, ("REDIS_PASSWORD", PASSWORD)]);
        let by_file = run(&[verb, &by_file].concat(), &[trace]);
        for said in [by_url, by_environment, by_file] {
            assert_eq!(said.code, 0, "{said:?}");
            assert!(!said.all().contains(PASSWORD), "{said:?}");
        }
    }
    let as_flag = run(&["stats", "--redis-url", &url], &[]);
    assert_eq!(as_flag.code, 2, "{as_flag:?}");
    assert!(as_flag.stderr.contains("--redis-password-file") && !as_flag.all().contains(PASSWORD), "{as_flag:?}");
    let wrong = run(&["stats", "--redis-port", &port.to_string()], &[("REDIS_PASSWORD", "not-it-at-all")]);
    assert!(wrong.code == 4 && !wrong.all().contains("not-it-at-all"), "{wrong:?}");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = run(&["completions", shell], &[]);
        assert_eq!(said.code, 0, "{said:?}");
        for word in ["doctor", "revoke", "move", "import", "redis-url", "dry-run"] {
            assert!(said.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "cmd"], &[]).code, 2);
}

#[test]
fn the_program_and_each_verb_have_a_page_of_the_manual() {
    let page = run(&["man"], &[]);
    assert!(page.code == 0 && page.stdout.contains(".TH cloakroom 1"), "{page:?}");
    assert!(page.stdout.contains("cloakroom\\-doctor") && page.stdout.contains("4 the store is not available"));
    let page = run(&["man", "doctor"], &[]);
    assert!(page.stdout.contains(".TH cloakroom-doctor 1") && page.stdout.contains("\\-\\-repair"), "{page:?}");
    let page = run(&["man", "dokter"], &[]);
    assert!(page.code == 2 && page.stderr.contains("doctor"), "{page:?}");
}

#[test]
fn a_reader_who_stops_reading_is_no_failure() {
    let house = House::open();
    for _ in 0..2000 {
        house.visitor();
    }
    let line = format!(
        "{} list --limit 0 --redis-port {} | head -n 1; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_cloakroom"),
        house.redis.port()
    );
    let done = std::process::Command::new("bash").args(["-c", &line]).output().expect("bash runs");
    assert!(String::from_utf8_lossy(&done.stdout).ends_with("\n0\n"), "{done:?}");
    assert!(done.stderr.is_empty(), "{done:?}");
}
