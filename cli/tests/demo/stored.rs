//! What is in Redis is what the JSON says, and nothing else.

use std::collections::BTreeMap;

use crate::support::demo::Demo;
use crate::support::redis_server::RedisServer;
use crate::support::visitor::Visitor;

/// The keys of sessions. The index of a user's sessions has one of its own, which only goes when it expires.
fn keys(redis: &RedisServer) -> Vec<String> {
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis.client()).unwrap();
    keys.retain(|key| !key.contains(":user:"));
    keys.sort();
    keys
}

fn fields(redis: &RedisServer, key: &str) -> BTreeMap<String, String> {
    redis::cmd("HGETALL").arg(key).query(&mut redis.client()).unwrap()
}

#[test]
fn redis_holds_what_the_json_says() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 60);
    visitor.post("/increment", &[]).ok();
    visitor.post("/ttl", &[("ttl", "500")]).ok();

    let before = visitor.peek();
    let key = format!("session:{}", before["session_id"].as_str().unwrap());
    assert_eq!(keys(&redis), [key.as_str()]);
    let stored = fields(&redis, &key);
    let left: u64 = redis::cmd("PTTL").arg(&key).query(&mut redis.client()).unwrap();
    let after = visitor.peek();

    for (name, value) in before["session"].as_object().unwrap() {
        assert_eq!(stored.get(name).map(String::as_str), value.as_str(), "{name}");
    }
    let internal: Vec<&str> =
        stored.keys().map(String::as_str).filter(|name| before["session"].get(name).is_none()).collect();
    assert_eq!(
        internal,
        [
            "auth_time",
            "expires_at",
            "ip",
            "rotated_at",
            "secret_hash",
            "sign_in_secret_hash",
            "signed_in_at",
            "user_id"
        ]
    );
    let ttl = |answer: &serde_json::Value| answer["ttl"].as_u64().unwrap();
    assert!(left <= ttl(&before) * 1000 && left > (ttl(&after) - 1) * 1000, "{left} ms, {before}, {after}");

    let secret = visitor.token().split_once('.').unwrap().1;
    assert!(stored.values().all(|text| !text.contains(secret)), "only the secret's hash is stored");
}

#[test]
fn nothing_is_stored_for_a_visitor_without_a_session_or_after_a_session_has_ended() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let mut visitor = Visitor::of(&demo);
    visitor.get("/");
    visitor.get("/session");
    visitor.post("/increment", &[]).error(401);
    visitor.post("/login", &[("ttl", "0")]).error(400);
    visitor.post("/login", &[("username", "a\nb")]).error(400);
    assert_eq!(keys(&redis), [""; 0]);

    visitor.login("andrew", 60);
    visitor.login("ben", 60);
    assert_eq!(keys(&redis).len(), 1, "the fresh one alone");
    visitor.post("/logout", &[]).ok();
    assert_eq!(keys(&redis), [""; 0]);
}

#[test]
fn a_session_that_somebody_else_deletes_is_gone() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 60);
    let _: () = redis::cmd("FLUSHALL").query(&mut redis.client()).unwrap();
    visitor.post("/increment", &[]).error(401);
    assert_eq!(visitor.peek()["authenticated"], false);
    assert_eq!(keys(&redis), [""; 0], "nothing brings it back");
}

#[test]
fn prefixes_keep_demos_on_one_redis_apart() {
    let redis = RedisServer::start();
    let blue = Demo::on_with(&redis, &["--prefix", "blue:"]);
    let green = Demo::on_with(&redis, &["--prefix", "green:s:"]);
    let mut visitor = Visitor::of(&blue);
    let login = visitor.login("andrew", 60);
    let key = format!("blue:{}", login["session_id"].as_str().unwrap());
    assert_eq!(keys(&redis), [key.as_str()]);
    assert!(visitor.get("/").body.contains(&format!("HGETALL {key}")), "the page names the key");

    let mut elsewhere = Visitor::with_token(&green, visitor.token());
    assert_eq!(elsewhere.peek()["authenticated"], false, "it is no session there");
    elsewhere.login("ben", 60);
    assert_eq!(keys(&redis).iter().filter(|key| key.starts_with("green:s:")).count(), 1);
    assert_eq!(visitor.peek()["session"]["username"], "andrew");
}

#[test]
fn two_demos_on_one_redis_share_their_sessions() {
    let redis = RedisServer::start();
    let (one, other) = (Demo::on(&redis), Demo::on(&redis));
    let mut visitor = Visitor::of(&one);
    visitor.login("andrew", 60);
    let mut elsewhere = Visitor::with_token(&other, visitor.token());
    assert_eq!(elsewhere.post("/increment", &[]).ok()["page_views"], 2);
    assert_eq!(visitor.post("/increment", &[]).ok()["page_views"], 3);
    elsewhere.post("/logout", &[]).ok();
    visitor.post("/increment", &[]).error(401);
}

#[test]
fn sessions_outlive_the_program() {
    let redis = RedisServer::start();
    let mut demo = Demo::on(&redis);
    let mut visitor = Visitor::of(&demo);
    let login = visitor.login("andrew", 300);
    let token = visitor.token().to_owned();
    assert!(demo.stop().success());
    let next = Demo::on(&redis);
    let shown = Visitor::with_token(&next, &token).peek();
    assert_eq!(shown["session"], login["session"]);
}
