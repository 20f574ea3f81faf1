//! Devices and forged forms in a real browser: what a person sees and clicks.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::support::browser::Browser;
use crate::support::demo::Demo;
use crate::support::eventually;
use crate::support::redis_server::RedisServer;
use crate::support::visitor::Visitor;

const EVICTED: &str =
    "You signed in elsewhere, and you may be signed in in 3 places only: this session, the oldest, was ended.";

fn sign_in(browser: &Browser, demo: &Demo, username: &str) {
    browser.go(&demo.url("/"));
    browser.fill("#username", username);
    browser.fill("#ttl", "3000");
    browser.click("#login");
    browser.wait_for_text("#ticket-title", username);
}

fn wait_for_state(browser: &Browser, state: &str) {
    browser.wait_for_attribute("#ticket", "data-state", state);
}

/// As when a person comes back to the tab: it looks at once.
fn look(browser: &Browser) {
    browser.run("document.dispatchEvent(new Event('visibilitychange'))");
}

fn token(browser: &Browser) -> String {
    browser.cookie("sid").expect("a cookie")["value"].as_str().expect("a value").to_owned()
}

/// Another site: on a port of its own it serves one page to everybody, which has a form for this URL.
fn another_site(target: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let page = format!(r#"<!doctype html><form method="post" action="{target}"><button id="go">Go</button></form>"#);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            // a browser may open connections that it does not use
            let page = page.clone();
            std::thread::spawn(move || {
                if stream.read(&mut [0; 8192]).is_ok_and(|read| read > 0) {
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close";
                    let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len());
                }
            });
        }
    });
    port
}

#[test]
fn browser_of_the_first_of_four_sign_ins_says_why_its_session_ended() {
    let redis = RedisServer::start();
    let demo = Demo::on(&redis);
    let browsers: [Browser; 3] = std::array::from_fn(|_| Browser::open());
    for browser in &browsers {
        sign_in(browser, &demo, "andrew");
    }
    browsers[2].wait_for_text("#places-taken", "3");
    assert_eq!(browsers[2].text("[data-current] .here").as_deref(), Some("this device"));

    let fourth = Browser::open();
    sign_in(&fourth, &demo, "andrew");
    look(&browsers[0]);
    browsers[0].wait_for_text("#notice", EVICTED);
    wait_for_state(&browsers[0], "blank");
    browsers[0].reload();
    browsers[0].wait_for_text("#notice", EVICTED);
    look(&browsers[1]);
    browsers[1].wait_for("#timeline", |text| text.contains("The oldest session, Nº") && text.contains("in 3 places."));
    wait_for_state(&browsers[1], "live");

    fourth.run("window.isTheSamePage = true");
    fourth.click("#sign-out-others");
    fourth.wait_for_text("#notice", "2 sessions were ended.");
    fourth.wait_for_text("#places-taken", "1");
    for browser in &browsers[1..] {
        look(browser);
        browser.wait_for_text("#notice", "The session has ended.");
        wait_for_state(browser, "blank");
    }
    assert_eq!(fourth.run("return window.isTheSamePage"), true, "no page was loaded anew");
    wait_for_state(&fourth, "live");
}

#[test]
fn browser_signs_out_one_device_and_everywhere_in_place() {
    let demo = Demo::in_memory();
    let browser = Browser::open();
    sign_in(&browser, &demo, "andrew");
    let mut other = Visitor::of(&demo);
    let id = other.login("andrew", 300)["session_id"].as_str().expect("an id").to_owned();
    look(&browser);
    browser.wait_for_text("#places-taken", "2");
    browser.click(&format!("[data-device='{id}'] button"));
    browser.wait_for_text("#places-taken", "1");
    assert_eq!(other.peek()["authenticated"], false);
    browser.wait_for("#timeline", |text| text.contains("You ended Nº"));

    other.login("andrew", 300);
    browser.click("#sign-out-everywhere");
    browser.wait_for_text("#notice", "2 sessions were ended.");
    wait_for_state(&browser, "blank");
    assert_eq!(browser.cookie("sid"), None);
    assert_eq!(other.peek()["authenticated"], false);
}

#[test]
fn browser_has_a_new_secret_and_the_same_ticket_after_a_rotation() {
    let demo = Demo::in_memory();
    let browser = Browser::open();
    sign_in(&browser, &demo, "andrew");
    let (id, before) = (browser.text("#session-id"), token(&browser));
    browser.click("#rotate");
    browser.wait_for_text("#notice", "The session has a new secret. Its id is unchanged.");
    browser.wait_for("#timeline", |text| text.contains("This session got a new secret."));
    assert_ne!(token(&browser), before);
    assert_eq!(browser.text("#session-id"), id);
    // the forms that were there before carry the token of the new secret
    let tokens = browser.run(
        "return new Set([...document.querySelectorAll('[name=csrf]:not([data-forged])')].map((one) => one.value)).size",
    );
    assert_eq!(tokens, 1);
    browser.click("#increment");
    browser.wait_for_text("#page-views", "2");
}

#[test]
fn browser_shows_in_words_that_a_forged_form_was_refused() {
    let demo = Demo::in_memory();
    let browser = Browser::open();
    sign_in(&browser, &demo, "andrew");
    browser.click("#send-forged");
    browser.wait_for("#verdict", |text| {
        text.starts_with("403: the request was refused") && text.ends_with("Nothing was counted.")
    });
    browser.wait_for("#timeline", |text| text.contains("A form was refused: the form's CSRF token is missing"));
    assert_eq!(browser.text("#page-views").as_deref(), Some("1"));
    browser.click("#increment");
    browser.wait_for_text("#page-views", "2");
}

#[test]
fn browser_form_of_another_site_is_refused() {
    let demo = Demo::in_memory();
    let browser = Browser::open();
    sign_in(&browser, &demo, "andrew");
    let cookie = token(&browser);
    let port = another_site(&demo.url("/devices/sign-out-everywhere"));
    // another port of the same host, with which the browser sends the cookie, and another host
    for host in ["127.0.0.1", "localhost"] {
        browser.go(&format!("http://{host}:{port}/"));
        browser.click("#go");
        browser.wait_for_text("#ticket-title", "This form was refused");
        browser.wait_for("#ticket", |text| text.contains("403 Forbidden"));
        browser.wait_for("#why", |text| text.contains("Sec-Fetch-Site says that another site sent it"));
        assert_eq!(browser.url(), demo.url("/devices/sign-out-everywhere"));

        browser.go(&format!("http://{host}:{port}/"));
        let target = demo.url("/logout");
        browser
            .run(&format!("return fetch('{target}', {{ method: 'POST', mode: 'no-cors', credentials: 'include' }})"));
        browser.go(&demo.url("/"));
        browser.wait_for_text("#ticket-title", "andrew");
        assert_eq!(token(&browser), cookie);
    }
    browser.wait_for("#timeline", |text| text.contains("Another site’s form was refused"));
}

#[test]
fn browser_is_led_to_another_site_whose_form_is_refused() {
    let demo = Demo::in_memory();
    let browser = Browser::open();
    sign_in(&browser, &demo, "andrew");
    browser.click("#other-site");
    browser.wait_for_text("#title", "You have won a fur coat!");
    assert!(browser.url().starts_with("http://localhost:"));
    browser.click("#claim");
    browser.wait_for_text("#ticket-title", "This form was refused");
    browser.click("#ticket .button");
    browser.wait_for_text("#ticket-title", "andrew");
}

#[test]
fn browser_without_javascript_can_sign_out_devices_too() {
    let demo = Demo::in_memory();
    let browser = Browser::without_javascript();
    let mut others: [Visitor; 2] = std::array::from_fn(|_| Visitor::of(&demo));
    let ids = others.each_mut().map(|other| other.login("andrew", 3000)["session_id"].as_str().unwrap().to_owned());
    sign_in(&browser, &demo, "andrew");
    browser.wait_for_text("#places-taken", "3");
    assert!(browser.text("[data-current] time").expect("a time").ends_with("UTC"), "no script has run");

    browser.click(&format!("[data-device='{}'] button", ids[0]));
    browser.wait_for_text("#places-taken", "2");
    let before = token(&browser);
    browser.click("#rotate");
    eventually("the secret is another", || (token(&browser) != before).then_some(()));
    browser.click("#send-forged");
    browser.wait_for_text("#ticket-title", "This form was refused");
    browser.click("#ticket .button");
    browser.wait_for_text("#page-views", "1");
    browser.click("#sign-out-others");
    browser.wait_for_text("#places-taken", "1");
    assert!(others.iter_mut().all(|other| other.peek()["authenticated"] == false));

    (0..3).for_each(|_| drop(Visitor::of(&demo).login("andrew", 3000)));
    browser.reload();
    browser.wait_for_text("#notice", EVICTED);
    wait_for_state(&browser, "blank");
}
