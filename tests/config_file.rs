//! The configuration file, as the guide describes it.
#![cfg(feature = "config-file")]

use std::collections::BTreeSet;

use cloakroom::{Config, ConfigFile, Sessions};

const PAGE: &str = include_str!("../docs/configuration.md");

/// Settings that are code, or a shorter way to make others.
const WITHOUT_KEY: [&str; 6] = ["adopt", "on_event", "nist_aal1", "nist_aal2", "nist_aal3", "build"];

/// The first column and the second of the table of settings.
fn documented() -> Vec<(&'static str, &'static str)> {
    let (_, table) = PAGE.split_once("| key | default | |\n").expect("the table of settings");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = |row: &'static str| row.split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect::<Vec<_>>();
    rows.map(cells).map(|cells| (cells[0].trim_matches('`'), cells[1])).collect()
}

fn refusal(text: &str) -> String {
    let error = ConfigFile::parse(text).expect_err(text);
    assert!(error.is_config(), "{error}");
    error.to_string()
}

#[test]
fn every_setting_of_the_builder_has_a_key_in_the_guide() {
    let source = include_str!("../src/config.rs");
    let (_, builder) = source.split_once("impl ConfigBuilder {").expect("the builder");
    let methods = builder.lines().filter_map(|line| line.strip_prefix("    pub fn ")?.split('(').next());
    let settings: BTreeSet<_> = methods.filter(|name| !WITHOUT_KEY.contains(name)).collect();
    assert_eq!(settings, documented().into_iter().map(|(key, _)| key).collect());
}

#[test]
fn every_key_of_the_guide_is_read_and_its_default_is_the_real_one() {
    for (key, default) in documented() {
        let Some(value) = default.strip_prefix('`').and_then(|default| default.strip_suffix('`')) else {
            // the default is no value: the key is known all the same
            assert!(!refusal(&format!("{key} = {{}}")).contains("unknown"), "{key}");
            continue;
        };
        let file = ConfigFile::parse(&format!("{key} = {value}")).unwrap_or_else(|error| panic!("{key}: {error}"));
        let config = file.config().build().expect("the default is allowed");
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()), "{key} = {value}");
    }
}

#[test]
fn the_example_of_the_guide_is_a_configuration() {
    let (_, example) = PAGE.split_once("```toml\n").expect("an example");
    let file = ConfigFile::parse(example.split_once("```").expect("its end").0).expect("it is allowed");
    let config = file.config().build().expect("it is allowed");
    assert_eq!((config.terms().idle_timeout.as_secs(), config.max_sessions_per_user()), (3600, 5));
    assert_eq!(file.store().prefix.as_deref(), Some("shop:session:"));
    assert!(file.service().contains("accounts.example.org"));
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, words) in [
        ("idle_timeout = 30", &["line 1", "a duration with its unit"][..]),
        ("idle_timeout = \"half an hour\"", &["line 1", "30m"]),
        ("csrf = \"on\"\nidle_timeot = \"1h\"", &["line 2", "idle_timeot", "idle_timeout"]),
        ("same_site = \"sometimes\"", &["line 1", "lax"]),
        ("idle_timeout = \"2d\"", &["idle_timeout must not exceed absolute_lifetime"]),
        ("idle_timeout = \"1h", &["line 1"]),
        ("[store]\nplaces = \"memory\"", &["line 2", "places"]),
        ("[store]\nplace = \"memory\"\nprefix = \"a:\"", &["store.prefix", "Redis"]),
        ("[store]\nplace = \"redis://a\"\nwait_for_disk = true", &["store.wait_for_disk", "directory"]),
        ("[store]\nplace = \"rediss://a\"\ntls_key = \"key.pem\"", &["store.tls_cert", "both"]),
        (
            "token_format = \"plain\"\nno_absolute_lifetime = true\nabsolute_lifetime = \"1h\"",
            &["no_absolute_lifetime"],
        ),
        ("service = 1", &["line 1", "expected a map"]),
    ] {
        let said = refusal(text);
        assert!(words.iter().all(|word| said.contains(word)), "{text}: {said}");
    }
}

#[test]
fn no_error_repeats_a_password() {
    for text in [
        "[store]\nplace = \"redis://:hunter2@a\"",
        "[store]\nplace = \"redis://a redis://user:hunter2@b\"",
        "[store]\nplace = \"redis+unix:///run/redis.sock?pass=hunter2\"",
        "[store]\nnear_cache = \"redis://:hunter2@a\"",
        "[store]\nplace = [\"redis://:hunter2@a\"]",
        "token_format = \"redis://:hunter2@a\"",
        "idle_timeout = \"redis://:hunter2@a\"",
        "[store]\nnear_cache = \"`hunter2`, expected a boolean\"",
        "[store]\npassword_file = 0x68756e74657232 # hunter2",
        "[store]\nplace = \"redis://:hunter2@a\" ?",
        "[store]\nplace = \"redis://:hunter2@a\nprefix = 1",
    ] {
        assert!(!refusal(text).contains("hunter2"), "{}", refusal(text));
    }
}

#[tokio::test]
async fn an_application_opens_its_sessions_with_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, store) = (directory.path().join("cloakroom.toml"), directory.path().join("sessions"));
    let text = format!("idle_timeout = \"7m\"\n[store]\nplace = {store:?}\nwait_for_disk = true\n");
    std::fs::write(&path, text).expect("a file");
    let sessions = Sessions::from_file(&path).await.expect("sessions");
    assert_eq!(sessions.config().terms().idle_timeout.as_secs(), 7 * 60);
    sessions.create().await.expect("a session");
    assert!(store.is_dir());

    let missing = Sessions::from_file(directory.path().join("nowhere.toml")).await.expect_err("there is none");
    assert!(missing.is_config() && missing.to_string().contains("nowhere.toml"), "{missing}");
}
