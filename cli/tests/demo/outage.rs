//! The store fails while the demo runs: nobody is logged out, and all is well when it is back.

use crate::support::demo::Demo;
use crate::support::eventually;
use crate::support::redis_server::RedisServer;
use crate::support::visitor::{Answer, Visitor};

const NEEDS_THE_SESSION: [(&str, &str); 6] = [
    ("GET", "/session"),
    ("GET", "/session?peek=1"),
    ("POST", "/increment"),
    ("POST", "/ttl"),
    ("POST", "/login"),
    ("POST", "/logout"),
];

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

#[track_caller]
fn says_that_the_store_is_away(answer: &Answer) {
    assert!(answer.error(503).contains("session store"), "{}", answer.body);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.sets_no_cookie(), "{}", answer.header("set-cookie"));
}

fn every_route_says_so(visitor: &mut Visitor) {
    for (method, path) in NEEDS_THE_SESSION {
        says_that_the_store_is_away(&visitor.send(method, path, &FORM, "ttl=50"));
    }
    let page = visitor.get("/");
    assert_eq!((page.status, page.header("retry-after").as_str()), (503, "1"));
    assert!(page.body.contains(r#"data-state="closed""#) && page.body.contains("The session store does not answer"));
    assert!(page.body.contains("It was neither removed nor replaced."));
    assert!(page.sets_no_cookie());

    let form = visitor.submit("/increment", &[]);
    assert_eq!((form.status, form.header("location").as_str()), (303, "/?error=store"));
    assert!(form.sets_no_cookie());
}

fn works_again(visitor: &mut Visitor) -> serde_json::Value {
    eventually("the store is there again", || {
        let answer = visitor.get("/session?peek=1");
        match answer.status {
            200 => Some(answer.ok()),
            _ => {
                says_that_the_store_is_away(&answer);
                None
            }
        }
    })
}

#[test]
fn while_redis_is_stopped_everything_is_a_503_and_then_the_session_is_still_there() {
    let mut redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 3000);
    visitor.post("/increment", &[]).ok();
    let before = visitor.peek();

    redis.shutdown();
    every_route_says_so(&mut visitor);

    redis.restart();
    let after = works_again(&mut visitor);
    assert_eq!(after["session"], before["session"], "as it was");
    assert_eq!(after["session_id"], before["session_id"]);
    assert_eq!(visitor.post("/increment", &[]).ok()["page_views"], 3);
    assert!(visitor.get("/").body.contains(r#"data-state="live""#));
}

#[test]
fn without_a_cookie_only_what_stores_something_needs_the_store() {
    let mut redis = RedisServer::start();
    let demo = Demo::on(&redis);
    redis.kill();
    let mut visitor = Visitor::of(&demo);
    assert_eq!(visitor.get("/session").ok()["authenticated"], false);
    assert_eq!(visitor.get("/").status, 200);
    visitor.post("/increment", &[]).error(401);
    visitor.post("/login", &[("ttl", "0")]).error(400);
    says_that_the_store_is_away(&visitor.post("/login", &[]));
    assert!(!visitor.has_cookie());

    redis.restart();
    eventually("a session can be started again", || {
        let answer = visitor.post("/login", &[("username", "andrew")]);
        (answer.status == 200).then_some(())
    });
    assert_eq!(visitor.post("/increment", &[]).ok()["page_views"], 2);
}

#[test]
fn a_session_that_redis_lost_is_gone_and_nobody_is_told_before_that_is_known() {
    let mut redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 3000);
    redis.kill();
    says_that_the_store_is_away(&visitor.get("/session"));
    redis.restart();
    assert_eq!(works_again(&mut visitor)["authenticated"], false);
    visitor.post("/increment", &[]).error(401);
}

#[test]
fn while_redis_hangs_everything_is_a_503_and_then_the_session_is_still_there() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 3000);

    redis.pause();
    says_that_the_store_is_away(&visitor.get("/session"));
    says_that_the_store_is_away(&visitor.post("/increment", &[]));
    let page = visitor.get("/");
    assert_eq!(page.status, 503);
    assert!(page.body.contains(r#"data-state="closed""#) && page.sets_no_cookie());

    redis.resume();
    let after = works_again(&mut visitor);
    assert_eq!(after["session"]["username"], "andrew");
    let counted = visitor.post("/increment", &[]).ok()["page_views"].as_i64().unwrap();
    assert!([1, 2].contains(&counted), "the increment without an answer was made once or not at all: {counted}");
}

#[test]
fn a_change_whose_answer_is_lost_says_that_it_may_have_been_made() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 3000);
    // reads go on; the script of the change finds the server asleep
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(600_000).arg("WRITE").query(&mut redis.client()).unwrap();
    let answer = visitor.post("/increment", &[]);
    says_that_the_store_is_away(&answer);
    assert!(answer.error(503).contains("once or not at all"), "{}", answer.body);
    let _: () = redis::cmd("CLIENT").arg("UNPAUSE").query(&mut redis.client()).unwrap();
    let counted = eventually("it counts again", || {
        let answer = visitor.post("/increment", &[]);
        (answer.status == 200).then(|| answer.ok()["page_views"].as_i64().unwrap())
    });
    assert!(
        [2, 3].contains(&counted),
        "a login is the first view, this is one more, and the lost one may count: {counted}"
    );
}
