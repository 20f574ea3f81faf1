//! `--plain-tokens`: sessions in common with a program that follows the Redis tutorials. That program is played here
//! by plain Redis commands.

use std::collections::BTreeMap;

use jiff::ToSpan as _;

use crate::support::demo::Demo;
use crate::support::redis_server::RedisServer;
use crate::support::visitor::Visitor;

/// As `secrets.token_urlsafe(32)` makes them.
const ID: &str = "Zk3V0pXq1mB8sT5rYw2uCgZk3V0pXq1mB8sT5rYw2uA";
const SHOWN: &str = "Zk3V0pXq…";

fn run<T: redis::FromRedisValue>(redis: &RedisServer, command: &[&str]) -> T {
    redis::cmd(command[0]).arg(&command[1..]).query(&mut redis.client()).unwrap()
}

fn fields(redis: &RedisServer, key: &str) -> BTreeMap<String, String> {
    run(redis, &["HGETALL", key])
}

/// Some seconds ago, in each way that such programs write a time.
fn some_seconds_ago() -> [String; 3] {
    let then = jiff::Timestamp::now() - 20.seconds();
    ["%Y-%m-%dT%H:%M:%S.123456+00:00", "%Y-%m-%dT%H:%M:%S.123Z", "%Y-%m-%dT%H:%M:%S.123456"]
        .map(|format| then.strftime(format).to_string())
}

/// Starts a session as the tutorials do.
fn written_by_another_program(redis: &RedisServer, time: &str) {
    let key = format!("session:{ID}");
    let layout = ["HSET", &key, "username", "ann", "page_views", "4", "created_at", time, "last_accessed_at", time];
    let _: u64 = run(redis, &[&layout[..], &["session_ttl", "90"]].concat());
    let _: bool = run(redis, &["EXPIRE", &key, "30"]);
}

#[test]
fn a_session_of_another_program_is_picked_up_counted_and_extended() {
    let redis = RedisServer::start();
    let demo = Demo::on_with(&redis, &["--plain-tokens"]);
    let key = format!("session:{ID}");
    for time in some_seconds_ago() {
        written_by_another_program(&redis, &time);
        let mut visitor = Visitor::with_token(&demo, ID);

        let seen = visitor.peek();
        assert_eq!(seen["session"]["username"], "ann", "{time}");
        assert_eq!(seen["session"]["last_accessed_at"].as_str().map(|text| &text[..19]), Some(&time[..19]));
        assert_eq!(seen["configured_ttl"], 90);
        assert!(seen["ttl"].as_u64().unwrap() <= 30, "a peek extends nothing");

        let answer = visitor.post("/increment", &[]);
        let counted = answer.ok();
        assert!(answer.sets_no_cookie(), "the browser keeps the other program's cookie");
        assert_eq!(counted["page_views"], 5, "{time}");
        assert!(counted["ttl"].as_u64().unwrap() > 30, "extended by its own lifetime: {counted}");

        let stored = fields(&redis, &key);
        assert_eq!(stored.keys().collect::<Vec<_>>(), LAYOUT, "the layout is the same");
        assert_eq!(stored["page_views"], "5");
        assert_eq!(stored["created_at"], time, "what is not ours to change stays as it was written");
        assert_ne!(stored["last_accessed_at"], time);
        assert_eq!(stored["session_ttl"], "90");
        assert!(run::<i64>(&redis, &["TTL", &key]) > 30);
    }
}

const LAYOUT: [&str; 5] = ["created_at", "last_accessed_at", "page_views", "session_ttl", "username"];

#[test]
fn another_program_reads_and_changes_what_we_write() {
    let redis = RedisServer::start();
    let demo = Demo::on_with(&redis, &["--plain-tokens"]);
    let mut visitor = Visitor::of(&demo);
    visitor.login("007", 60);
    visitor.post("/increment", &[]).ok();
    visitor.post("/ttl", &[("ttl", "200")]).ok();

    let key = format!("session:{}", visitor.token());
    assert_eq!(visitor.token().len(), 43);
    let stored = fields(&redis, &key);
    assert_eq!(stored.keys().collect::<Vec<_>>(), LAYOUT);
    assert_eq!(stored["username"], "007", "as it is, without quotes");
    assert_eq!(stored["page_views"], "2");
    assert_eq!(stored["session_ttl"], "200");
    let left: i64 = run(&redis, &["TTL", &key]);
    assert!((1..=200).contains(&left), "{left}");

    // the other program's way to count and to extend, and a field of its own under a name that we would reserve
    let _: i64 = run(&redis, &["HINCRBY", &key, "page_views", "10"]);
    let _: i64 = run(&redis, &["HSET", &key, "device", "a phone", "username", "ben"]);
    let _: bool = run(&redis, &["EXPIRE", &key, "150"]);
    let seen = visitor.peek();
    assert_eq!(seen["session"]["page_views"], "12");
    assert_eq!(seen["session"]["username"], "ben");
    assert_eq!(seen["session"]["device"], "a phone");
    assert!(seen["ttl"].as_u64().unwrap() <= 150);

    visitor.post("/logout", &[]).ok();
    assert!(!run::<bool>(&redis, &["EXISTS", &key]));
}

#[test]
fn a_logout_there_is_a_logout_here() {
    let redis = RedisServer::start();
    let demo = Demo::on_with(&redis, &["--plain-tokens"]);
    written_by_another_program(&redis, &some_seconds_ago()[0]);
    let mut visitor = Visitor::with_token(&demo, ID);
    assert_eq!(visitor.peek()["authenticated"], true);
    let _: i64 = run(&redis, &["DEL", &format!("session:{ID}")]);
    visitor.post("/increment", &[]).error(401);
    visitor.post("/logout", &[]).ok();
    assert!(!visitor.has_cookie(), "a logout here is a success all the same");
    assert!(!run::<bool>(&redis, &["EXISTS", &format!("session:{ID}")]));
}

#[test]
fn of_an_id_that_is_the_secret_only_the_beginning_is_shown() {
    let redis = RedisServer::start();
    let port = redis.port().to_string();
    let demo = Demo::start_in(&[("RUST_LOG", "trace")], &["--redis-port", &port, "--plain-tokens"]);
    written_by_another_program(&redis, &some_seconds_ago()[0]);
    let mut visitor = Visitor::with_token(&demo, ID);

    let answers = [visitor.peek(), visitor.post("/increment", &[]).ok(), visitor.post("/ttl", &[("ttl", "70")]).ok()];
    for answer in &answers {
        assert_eq!(answer["session_id"], SHOWN);
    }
    let page = visitor.get("/").body;
    assert!(page.contains(SHOWN) && page.contains(&format!("HGETALL session:{SHOWN}")));
    visitor.post("/logout", &[]).ok();
    let said = format!("{answers:?} {page} {} {}", demo.stdout(), demo.stderr());
    assert!(!said.contains(&ID[..9]), "more than eight characters are shown");
}

#[test]
fn an_id_of_the_tutorials_opens_nothing_without_the_flag() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    written_by_another_program(&redis, &some_seconds_ago()[0]);
    assert_eq!(Visitor::with_token(&demo, ID).peek()["authenticated"], false);
}
