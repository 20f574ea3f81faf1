//! The demo's page in a real browser: what a person sees and clicks.

mod support;

use std::path::Path;

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::demo::Demo;
use crate::support::eventually;
use crate::support::redis_server::RedisServer;

/// A session on the page, started by its form.
fn start_a_session(browser: &Browser, username: &str, ttl: u64) {
    ask_for_a_session(browser, username, ttl);
    wait_for_state(browser, "live");
    browser.wait_for_text("#ticket-title", username);
}

fn ask_for_a_session(browser: &Browser, username: &str, ttl: u64) {
    browser.fill("#username", username);
    browser.fill("#ttl", &ttl.to_string());
    browser.click("#login");
}

fn wait_for_state(browser: &Browser, state: &str) {
    browser.wait_for_attribute("#ticket", "data-state", state);
}

/// `1:05` as seconds.
fn seconds(clock: &str) -> u64 {
    clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().expect("a clock"))
}

fn time_left(browser: &Browser) -> u64 {
    seconds(&browser.wait_for("#countdown", |text| !text.is_empty()))
}

/// Notes every text that the countdown shows from now on.
fn watch_the_countdown(browser: &Browser) {
    browser.run(
        "window.seen = [];
         const note = () => {
             const now = document.getElementById('countdown')?.textContent;
             if (now !== undefined && now !== window.seen.at(-1)) window.seen.push(now);
         };
         note();
         new MutationObserver(note).observe(document.body, { childList: true, subtree: true, characterData: true });",
    );
}

fn what_the_countdown_showed(browser: &Browser) -> Vec<u64> {
    let seen = browser.run("return window.seen");
    seen.as_array().expect("a list").iter().map(|text| seconds(text.as_str().expect("a clock"))).collect()
}

#[test]
fn browser_shows_a_session_start_count_down_and_expire() {
    let demo = Demo::in_memory();
    let browser = Browser::open();
    browser.go(&demo.url("/"));
    assert_eq!(browser.attribute("#ticket", "data-state").as_deref(), Some("blank"));
    assert_eq!(browser.cookie("sid"), None);

    watch_the_countdown(&browser);
    ask_for_a_session(&browser, "andrew", 3);
    browser.wait_for_text("#notice", "The session expired.");
    wait_for_state(&browser, "blank");

    let seen = what_the_countdown_showed(&browser);
    assert!(seen.is_sorted_by(|before, after| before > after), "it only counts down: {seen:?}");
    assert!(seen.len() >= 2 && seen[0] <= 3, "{seen:?}");
    assert_eq!(seen.last(), Some(&0), "it reached zero: {seen:?}");
    assert_eq!(browser.url(), demo.url("/"), "all of it in place");

    // and the next one can start at once
    start_a_session(&browser, "ben", 300);
    assert!(time_left(&browser) > 3);
}

#[test]
fn browser_counts_views_changes_the_ttl_and_logs_out_in_place() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let browser = Browser::open();
    browser.go(&demo.url("/"));
    start_a_session(&browser, "andrew", 60);
    browser.run("window.isTheSamePage = true");
    let id = browser.wait_for("#session-id", |text| text.len() == 22);

    browser.wait_for_text("#page-views", "1");
    browser.click("#increment");
    browser.wait_for_text("#page-views", "2");
    browser.click("#increment");
    browser.wait_for_text("#page-views", "3");
    (0..5).for_each(|_| browser.click("#increment"));
    browser.wait_for_text("#page-views", "8");

    browser.fill("#ttl", "900");
    browser.click("#change-ttl");
    browser.wait_for_text("#configured", "900");
    assert!(time_left(&browser) > 60);
    browser.click("[data-preset='30']");
    assert_eq!(browser.value("#ttl").as_deref(), Some("30"));
    browser.click("#change-ttl");
    browser.wait_for_text("#configured", "30");
    assert!(time_left(&browser) <= 30);
    assert_eq!(browser.text("#session-id"), Some(id.clone()), "the same session all along");

    browser.click("#logout");
    browser.wait_for_text("#notice", "You are logged out.");
    wait_for_state(&browser, "blank");
    assert_eq!(browser.cookie("sid"), None);
    let left: bool = redis::cmd("EXISTS").arg(format!("session:{id}")).query(&mut redis.client()).unwrap();
    assert!(!left, "nothing is left of it");
    assert_eq!(browser.run("return window.isTheSamePage"), true, "no page was loaded anew");
}

#[test]
fn browser_shows_what_redis_holds() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let browser = Browser::open();
    browser.go(&demo.url("/"));
    start_a_session(&browser, "andrew", 500);
    browser.click("#increment");
    browser.wait_for_text("#page-views", "2");

    let key = format!("session:{}", browser.wait_for("#session-id", |text| !text.is_empty()));
    let panel = browser.wait_for("#store", |text| text.contains("page_views 2"));
    let fields: Vec<(String, String)> = redis::cmd("HGETALL").arg(&key).query(&mut redis.client()).unwrap();
    for (name, text) in fields {
        let is_hash = name.ends_with("secret_hash");
        let shown = if is_hash { "(43 characters, not shown)" } else { &text };
        assert!(panel.lines().any(|line| line == format!("{name} {shown}")), "{name} in {panel}");
        assert!(!is_hash || !panel.contains(&text), "the hash is not shown");
    }
    let port = redis.port();
    for line in [format!("redis-cli -p {port} HGETALL {key}"), format!("redis-cli -p {port} TTL {key}")] {
        assert!(panel.lines().any(|shown| shown == line), "{line} in {panel}");
    }
    let left: i64 = redis::cmd("TTL").arg(&key).query(&mut redis.client()).unwrap();
    let shown: i64 = browser.wait_for("#store-ttl", |text| !text.is_empty()).parse().unwrap();
    assert!((left - 10..=left + 1).contains(&shown), "{shown} is shown of {left}");
}

#[test]
fn browser_keeps_the_ticket_where_no_script_can_read_it() {
    let demo = Demo::in_memory();
    let browser = Browser::open();
    browser.go(&demo.url("/"));
    start_a_session(&browser, "andrew", 300);
    let cookie = browser.cookie("sid").expect("the browser keeps it");
    let attributes = ["httpOnly", "sameSite", "path", "secure", "expiry"].map(|name| cookie[name].clone());
    assert_eq!(attributes, [json!(true), json!("Lax"), json!("/"), json!(false), Value::Null]);
    assert_eq!(browser.run("return document.cookie"), "");
    browser.wait_for_text("#script-sees", "A script on this page looked for it and found nothing.");

    let secret = cookie["value"].as_str().and_then(|token| token.split_once('.')).expect("a token").1;
    let page = browser.run("return document.documentElement.outerHTML");
    assert!(!page.as_str().expect("the page").contains(secret));
}

#[test]
fn browser_tab_that_one_comes_back_to_shows_that_the_session_was_ended_elsewhere() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let browser = Browser::open();
    browser.go(&demo.url("/"));
    start_a_session(&browser, "andrew", 300);
    let _: () = redis::cmd("FLUSHALL").query(&mut redis.client()).unwrap();
    browser.run("document.dispatchEvent(new Event('visibilitychange'))");
    browser.wait_for_text("#notice", "The session has ended.");
    wait_for_state(&browser, "blank");
}

#[test]
fn browser_profiles_have_sessions_of_their_own() {
    let demo = Demo::in_memory();
    let browsers = [Browser::open(), Browser::open()];
    for (browser, name) in browsers.iter().zip(["andrew", "ben"]) {
        browser.go(&demo.url("/"));
        start_a_session(browser, name, 300);
    }
    browsers[0].click("#increment");
    browsers[0].wait_for_text("#page-views", "2");
    browsers[0].click("#logout");
    wait_for_state(&browsers[0], "blank");
    browsers[1].reload();
    browsers[1].wait_for_text("#ticket-title", "ben");
    browsers[1].wait_for_text("#page-views", "1");
}

#[test]
fn browser_without_javascript_can_do_the_same() {
    let demo = Demo::in_memory();
    let browser = Browser::without_javascript();
    browser.go(&demo.url("/"));
    assert_eq!(browser.attribute("#ticket", "data-state").as_deref(), Some("blank"));
    start_a_session(&browser, "andrew", 300);
    assert_eq!(browser.text("#script-sees").as_deref(), Some("No script on this page can read it."), "none has run");
    let id = browser.text("#session-id").expect("an id");

    browser.click("#increment");
    browser.wait_for_text("#page-views", "2");
    browser.fill("#ttl", "900");
    browser.click("#change-ttl");
    browser.wait_for_text("#configured", "900");
    assert_eq!(browser.text("#session-id"), Some(id));
    assert!(time_left(&browser) > 300);
    browser.click("#logout");
    wait_for_state(&browser, "blank");
    assert_eq!(browser.cookie("sid"), None);

    // only the page of a session that lives leads to the one that says this
    ask_for_a_session(&browser, "ben", 2);
    browser.wait_for_text("#notice", "The session expired.");
    wait_for_state(&browser, "blank");
}

#[test]
fn browser_without_javascript_sees_a_stopped_store_and_asks_again_by_itself() {
    let mut redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let browser = Browser::without_javascript();
    browser.go(&demo.url("/"));
    start_a_session(&browser, "andrew", 3000);
    redis.shutdown();
    browser.reload();
    wait_for_state(&browser, "closed");
    browser.wait_for_text("#ticket-title", "The session store does not answer");
    redis.restart();
    wait_for_state(&browser, "live");
    browser.wait_for_text("#ticket-title", "andrew");
}

#[test]
fn browser_page_stays_open_while_the_store_is_stopped_and_goes_on_when_it_is_back() {
    let mut redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let browser = Browser::open();
    browser.go(&demo.url("/"));
    start_a_session(&browser, "andrew", 3000);
    browser.click("#increment");
    browser.wait_for_text("#page-views", "2");
    let cookie = browser.cookie("sid");

    redis.shutdown();
    let is_down = "The session store does not answer. Nobody was logged out. This page tries again by itself.";
    browser.wait_for_text("#notice", is_down);
    browser.click("#increment");
    eventually("the click is answered", || browser.attribute("[aria-busy]", "aria-busy").is_none().then_some(()));
    browser.wait_for_text("#notice", is_down);
    assert_eq!(browser.text("#page-views").as_deref(), Some("2"));
    assert_eq!(browser.attribute("#ticket", "data-state").as_deref(), Some("live"), "what was known stays in sight");
    assert_eq!(browser.cookie("sid"), cookie);

    redis.restart();
    browser.wait_for_text("#notice", "It answers again.");
    browser.click("#increment");
    browser.wait_for_text("#page-views", "3");
    assert_eq!(browser.cookie("sid"), cookie);
}

#[test]
fn browser_page_opened_while_the_store_hangs_becomes_the_session_when_it_is_back() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let browser = Browser::open();
    browser.go(&demo.url("/"));
    start_a_session(&browser, "andrew", 3000);
    let cookie = browser.cookie("sid");

    redis.pause();
    browser.reload();
    wait_for_state(&browser, "closed");
    browser.wait_for_text("#ticket-title", "The session store does not answer");
    assert_eq!(browser.cookie("sid"), cookie);

    redis.resume();
    wait_for_state(&browser, "live");
    browser.wait_for_text("#ticket-title", "andrew");
    assert_eq!(browser.cookie("sid"), cookie);
}

#[test]
fn browser_shows_all_of_the_page_on_a_narrow_phone() {
    let demo = Demo::in_memory();
    let browser = Browser::open();
    browser.resize(320, 640, 2.0);
    browser.go(&demo.url("/"));
    let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.run(overflow), 0, "the blank ticket");
    start_a_session(&browser, "Wolfeschlegelsteinhausenbergerdorff-Müll", 43_200);
    assert_eq!(browser.run(overflow), 0, "a live one");
}

#[test]
#[ignore = "scripts/screenshot asks for it: it takes the README's picture"]
fn browser_takes_the_picture_for_the_readme() {
    let demo = Demo::start(&["--port", "8080"]);
    let elsewhere = Browser::open();
    elsewhere.go(&demo.url("/"));
    start_a_session(&elsewhere, "andrew", 300);
    let browser = Browser::open();
    // as much as fits beside a README's text: the ticket and what is around it
    let (width, height) = (1120, 1170);
    browser.resize(width, 900, 1.15);
    browser.go(&demo.url("/"));
    start_a_session(&browser, "andrew", 60);
    for views in 2..=3 {
        browser.click("#increment");
        browser.wait_for_text("#page-views", &views.to_string());
    }
    browser.run("document.activeElement.blur(); document.documentElement.style.overflow = 'hidden'");
    browser.resize(width, height, 1.15);
    browser.wait_for_text("#countdown", "0:47");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/demo.png");
    std::fs::write(&file, browser.picture()).expect("the picture is written");
}
