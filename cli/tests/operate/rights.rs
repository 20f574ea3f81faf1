//! What the doctor says of the user that it is: too much, too little, and what it cannot know.

use crate::support::RedisServer;
use crate::support::operator::{House, Said, run};
use crate::support::tls::Certificates;

const PASSWORD: &str = "correct-horse-battery";

/// The narrowest rules that the doctor itself recommends.
fn recommended(house: &House) -> String {
    let advice = house.run(&["doctor", "--json"]).finding("acl").1;
    let rules = advice.split_once("ACL SETUSER cloakroom ").expect("it says which rules").1.to_owned();
    rules.replace("PASSWORD", PASSWORD)
}

fn as_user(house: &House, arguments: &[&str]) -> Said {
    let arguments = [arguments, &["--redis-username", "cloakroom"]].concat();
    house.run_in(&arguments, &[("REDIS_PASSWORD", PASSWORD)])
}

#[test]
fn a_default_user_without_a_password_is_too_much() {
    let house = House::open();
    let (level, text) = house.run(&["doctor", "--json"]).finding("acl");
    assert!(level == "warn" && text.contains("needs no password"), "{text}");
    house.cli::<()>(&format!("CONFIG SET requirepass {PASSWORD}"));
    let said = house.run_in(&["doctor", "--json"], &[("REDIS_PASSWORD", PASSWORD)]);
    let (level, text) = said.finding("acl");
    assert!(level == "warn" && text.contains("every command"), "{text}");
}

#[test]
fn a_default_user_without_a_password_is_bad_where_other_machines_reach_the_port() {
    // an address that this machine has not, which Redis is told to do without
    let reachable = ["--bind", "127.0.0.1", "-192.0.2.1", "--protected-mode", "no"];
    let house = House::of(RedisServer::start_with(&reachable));
    let said = house.run(&["doctor", "--json"]);
    let (level, text) = said.finding("acl");
    assert!(level == "bad" && text.contains("anybody who can reach the port"), "{text}");
    assert_eq!(said.code, 1, "{said:?}");
}

#[test]
fn a_default_user_without_a_password_is_too_much_also_behind_certificates() {
    let certificates = Certificates::new();
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("it is written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (ca, certificate, key) = (
        file("authority.pem", &certificates.authority),
        file("client.pem", &certificates.client.0),
        file("client.key", &certificates.client.1),
    );
    let reachable = ["--bind", "127.0.0.1", "-192.0.2.1", "--protected-mode", "no"];
    let (server, port) = certificates.server_with(&reachable);
    let url = format!("rediss://127.0.0.1:{port}");
    let flags = ["--json", "--redis-url", &url, "--tls-ca", &ca, "--tls-cert", &certificate, "--tls-key", &key];
    let finding = || run(&[&["doctor"], &flags[..]].concat(), &[]).finding("acl");
    assert_eq!(finding().0, "bad", "the port without TLS is open as well");
    server.ask::<()>(&["CONFIG", "SET", "port", "0"]);
    let (level, text) = finding();
    assert!(level == "warn" && text.contains("anybody who has a certificate"), "{text}");

    let swapped = ["stats", "--redis-url", &url, "--tls-ca", &ca, "--tls-cert", &key, "--tls-key", &certificate];
    let said = run(&swapped, &[]);
    assert!(said.code == 2 && said.stderr.contains("--tls-cert or --tls-key must be PEM"), "{said:?}");
}

#[test]
fn the_rules_that_it_recommends_are_enough_and_it_is_content_with_them() {
    let house = House::open();
    house.cli::<()>(&format!("ACL SETUSER cloakroom {}", recommended(&house)));
    house.signed_in("andrew");
    let said = as_user(&house, &["doctor", "--json"]);
    assert_eq!(said.finding("acl").0, "ok", "{said:?}");
    let (level, text) = said.finding("commands");
    assert!(level == "ok" && text.contains("user cloakroom may run every command"), "{text}");
    assert_eq!(said.code, 0, "{said:?}");
    // and a check that this user may not make is said to be skipped
    for (check, command) in [("time-outs", "CONFIG GET"), ("keys", "SCAN"), ("eviction", "INFO")] {
        let (level, text) = said.finding(check);
        assert!(level == "skip" && text.contains(command), "{text}");
    }
    // the library works with them: it signs in, lists, and signs out
    let said = as_user(&house, &["list", "--user", "andrew", "--json"]);
    assert_eq!(said.json()["user"], "andrew", "{said:?}");
    assert_eq!(as_user(&house, &["revoke", "--user", "andrew"]).code, 0);
}

#[test]
fn each_command_that_is_missing_is_named() {
    let house = House::open();
    let rules = recommended(&house);
    let commands: Vec<_> = rules.split_whitespace().filter_map(|rule| rule.strip_prefix('+')).collect();
    assert!(commands.len() > 15, "{rules}");
    for missing in commands.iter().filter(|command| **command != "wait") {
        house.cli::<()>(&format!("ACL SETUSER cloakroom reset {rules} -{missing}"));
        let said = as_user(&house, &["doctor", "--json"]);
        let (level, text) = said.finding("commands");
        assert_eq!(level, "bad", "{missing}: {text}");
        assert!(text.ends_with(&format!("ACL SETUSER cloakroom +{missing}")), "{missing}: {text}");
        assert_eq!(said.code, 1, "{said:?}");
    }
    house.cli::<()>(&format!("ACL SETUSER cloakroom reset {rules} -wait"));
    let (level, text) = as_user(&house, &["doctor", "--json"]).finding("commands");
    assert!(level == "ok" && text.contains("except WAIT"), "{text}");
}

#[test]
fn keys_that_are_out_of_reach_are_noticed_and_too_many_as_well() {
    let house = House::open();
    let rules = recommended(&house);
    house.cli::<()>(&format!("ACL SETUSER cloakroom reset {}", rules.replace("~session:*", "~other:*")));
    let (level, text) = as_user(&house, &["doctor", "--json"]).finding("commands");
    assert!(level == "bad" && text.ends_with("ACL SETUSER cloakroom ~session:*"), "{text}");
    house.cli::<()>(&format!("ACL SETUSER cloakroom reset {} +acl", rules.replace("~session:*", "~*")));
    let (level, text) = as_user(&house, &["doctor", "--json"]).finding("acl");
    assert!(level == "warn" && text.contains("every key"), "{text}");
}

#[test]
fn trying_the_commands_changes_nothing() {
    let house = House::open();
    let id = house.signed_in("andrew");
    let before: Vec<String> = house.cli(&format!("HGETALL session:{}", id.expose()));
    house.run(&["doctor"]);
    assert_eq!(house.cli::<Vec<String>>(&format!("HGETALL session:{}", id.expose())), before);
    assert_eq!(house.cli::<u64>("DBSIZE"), 2, "the session and its user's index");
}
