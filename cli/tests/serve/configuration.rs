//! The configuration file that the service shares with applications.

use serde_json::{Value, json};

use crate::support::operator::run;
use crate::support::redis_server::RedisServer;
use crate::support::service::service;
use crate::support::visitor::agent;

/// A file with these settings, for this Redis.
fn file(settings: &str, redis: &RedisServer, service: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloakroom.toml");
    let store = format!("[store]\nplace = \"redis://127.0.0.1:{}\"\nprefix = \"shop:\"", redis.port());
    std::fs::write(&path, format!("{settings}\n{store}\n[service]\n{service}\n")).expect("a file");
    (directory, path.display().to_string())
}

#[test]
fn the_service_and_the_operators_go_by_the_file() {
    let redis = RedisServer::start();
    let settings =
        "idle_timeout = \"7m\"\ncookie_name = \"__Host-shop\"\nmax_sessions_per_user = 1\non_limit = \"refuse-new\"";
    let (_directory, path) = file(settings, &redis, "sign_in_url = \"https://accounts.example/sign-in\"");
    let service = service(&["--config", &path]);
    let sign_in =
        || agent().post(service.url("/v1/session/sign-in")).send_json(json!({ "user": "ada" })).expect("an answer");

    let mut first = sign_in();
    assert!(first.headers()["set-cookie"].to_str().expect("text").starts_with("__Host-shop="));
    assert_eq!(first.body_mut().read_json::<Value>().expect("JSON")["expires_in"], 7 * 60);
    let mut second = sign_in();
    assert_eq!(second.status(), 409);
    assert_eq!(second.body_mut().read_json::<Value>().expect("JSON")["code"], "limit");

    let refused = agent()
        .get(service.url("/auth/forward"))
        .header("accept", "text/html")
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.example")
        .header("x-forwarded-uri", "/")
        .call()
        .expect("an answer");
    assert_eq!(refused.headers()["location"], "https://accounts.example/sign-in");

    let listed = run(&["list", "--config", &path, "--user", "ada", "--json"], &[]);
    assert!(listed.code == 0 && listed.stdout.contains("\"ada\""), "{listed:?}");
    let beside = run(&["list", "--config", &path, "--prefix", "other:"], &[]);
    assert!(beside.code == 2 && beside.stderr.contains("--config"), "{beside:?}");
}

#[test]
fn a_file_that_is_wrong_is_named_before_the_service_begins() {
    let redis = RedisServer::start();
    for (settings, service, words) in [
        ("idle_timeot = \"7m\"", "", "idle_timeot"),
        ("idle_timeout = \"2d\"", "", "absolute_lifetime"),
        ("", "sign_in_url = \"/sign-in\"", "sign_in_url"),
        ("", "sign_in = \"https://a.example/\"", "sign_in"),
        ("", "allowed_hosts = [\"shop.example\"]", "sign_in_url"),
    ] {
        let (_directory, path) = file(settings, &redis, service);
        let said = run(&["serve", "--listen", "127.0.0.1:0", "--config", &path], &[]);
        assert!(said.code == 2 && said.stderr.contains(words), "{settings} {service}: {said:?}");
    }
}
