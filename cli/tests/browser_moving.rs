//! A real browser while the sessions move under it.

mod support;

use crate::support::browser::Browser;
use crate::support::demo::Demo;
use crate::support::operator::run;
use crate::support::redis_server::RedisServer;

fn moved(from: &str, to: &str) {
    let said = run(&["move", "--from", from, "--to", to], &[]);
    assert_eq!(said.stdout, "moved 1 session\n", "{said:?}");
}

#[test]
fn browser_stays_signed_in_across_the_move_to_redis_and_back() {
    let (dir, redis) = (tempfile::tempdir().expect("a directory"), RedisServer::start());
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let mut demo = Demo::in_directory(path("first").as_ref());
    let page = demo.url("/");
    let port = page.trim_end_matches('/').rsplit_once(':').expect("a port").1.to_owned();
    let browser = Browser::open();
    browser.go(&page);
    browser.fill("#username", "andrew");
    browser.fill("#ttl", "3000");
    browser.click("#login");
    browser.wait_for_text("#ticket-title", "andrew");
    let token = || browser.cookie("sid").expect("a cookie")["value"].clone();
    let before = token();

    assert!(demo.stop().success());
    moved(&path("first"), &redis.url());
    let mut demo = Demo::on_with(&redis, &["--port", &port]);
    browser.reload();
    browser.wait_for_text("#ticket-title", "andrew");
    browser.wait_for_text("#places-taken", "1");
    assert_eq!(token(), before);

    assert!(demo.stop().success());
    moved(&redis.url(), &path("last"));
    let _demo = Demo::start(&["--port", &port, "--store", &path("last")]);
    browser.reload();
    browser.wait_for_text("#ticket-title", "andrew");
    browser.click("#sign-out-everywhere");
    browser.wait_for_attribute("#ticket", "data-state", "blank");
}
