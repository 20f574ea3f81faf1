//! What every client promises. For Express it is also the list of what users of express-session are used to.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::thread;

use serde_json::{Value, json};

use crate::application::{Application, Language};
use crate::browser::{Browser, Json};
use crate::in_each_language;
use crate::support::demo::Demo;
use crate::support::eventually;
use crate::support::service::service;

in_each_language! {
    a_cookie_comes_only_when_something_is_stored,
    a_counter_is_exact_with_parallel_requests,
    no_entry_of_a_list_is_lost_with_parallel_requests,
    two_tabs_that_change_different_fields_keep_both,
    a_field_can_be_removed,
    a_request_that_saves_after_the_sign_out_is_401_and_brings_nothing_back,
    a_visitor_whose_session_has_ended_begins_a_new_one,
    a_rotation_disturbs_no_parallel_request,
    a_sign_in_changes_the_token_and_keeps_the_fields,
    a_user_sees_and_ends_their_devices_and_nobody_elses,
    a_request_of_another_site_is_refused,
    a_cookie_that_is_rubbish_is_anonymous_and_left_alone,
    a_stream_begins_before_it_is_complete,
    a_response_that_failed_saves_nothing,
    no_cache_keeps_an_answer_with_a_cookie_even_if_the_application_says_so,
}

fn start(language: Language) -> (Demo, Application) {
    let service = service(&["--store", "memory"]);
    let application = Application::start(language, &service.url(""));
    (service, application)
}

fn a_cookie_comes_only_when_something_is_stored(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    assert_eq!(browser.get("/").body, "hello");
    assert_eq!(browser.session(), json!({ "user": null, "fields": {} }));
    assert_eq!(browser.cookie, None);
    let stored = browser.post("/set?name=a&value=1");
    assert_eq!(stored.all("set-cookie").len(), 1);
    let shown = browser.post("/show");
    assert_eq!(shown.ok_json(), json!({ "user": null, "fields": { "a": "1" } }));
    assert!(shown.sets_no_cookie());
    assert!(shown.header("vary").contains("Cookie"), "{}", shown.header("vary"));
}

/// Does it in eight tabs of one browser, with the cookie that it has now.
fn in_parallel<T: Send>(browser: &Browser, work: impl Fn(&mut Browser, usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let tab = |number| {
            scope.spawn({
                let work = &work;
                move || work(&mut browser.clone(), number)
            })
        };
        let tabs: Vec<_> = (0..8).map(tab).collect();
        tabs.into_iter().map(|tab| tab.join().expect("the tab does not fail")).collect()
    })
}

fn a_counter_is_exact_with_parallel_requests(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/set?name=a&value=1").ok_json();
    let count =
        |tab: &mut Browser, _| (0..5).map(|_| tab.post("/count").ok_json()["count"].as_u64()).collect::<Vec<_>>();
    let counts: BTreeSet<_> = in_parallel(&browser, count).concat().into_iter().collect();
    assert_eq!(counts, (1..=40).map(Some).collect());
    assert_eq!(browser.fields()["count"], 40);
}

fn no_entry_of_a_list_is_lost_with_parallel_requests(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/append?value=8").ok_json();
    in_parallel(&browser, |tab, number| tab.post(&format!("/append?value={number}")).ok_json());
    let fields = browser.fields();
    let list = fields["list"].as_array().expect("a list").iter().map(|entry| entry.as_str().expect("text"));
    assert_eq!(list.clone().count(), 9);
    assert_eq!(list.collect::<BTreeSet<_>>(), ["0", "1", "2", "3", "4", "5", "6", "7", "8"].into());
}

fn two_tabs_that_change_different_fields_keep_both(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/count").ok_json();
    in_parallel(&browser, |tab, number| {
        let name = ["a", "b"][number % 2];
        tab.post(&format!("/set?name={name}&value={name}")).ok_json()
    });
    assert_eq!(browser.fields(), json!({ "a": "a", "b": "b", "count": 1 }));
}

fn a_field_can_be_removed(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/set?name=a&value=1").ok_json();
    browser.post("/set?name=b&value=2").ok_json();
    browser.post("/remove?name=a").ok_json();
    assert_eq!(browser.fields(), json!({ "b": "2" }));
}

fn a_request_that_saves_after_the_sign_out_is_401_and_brings_nothing_back(language: Language) {
    let (_service, application) = start(language);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let gate = directory.path().join("gate");
    let mut browser = Browser::at(application.url());
    browser.post("/sign-in?user=ada").ok_json();
    let mut other_tab = browser.clone();
    let path = format!("/slow?gate={}", gate.display());
    let slow = thread::spawn(move || (other_tab.post(&path).status, other_tab));
    eventually("the slow request has read its session", || gate.with_extension("read").exists().then_some(()));
    let former = browser.clone();
    browser.post("/sign-out").ok_json();
    assert_eq!(browser.cookie, None);
    fs::write(&gate, "").expect("a file");
    let (status, mut other_tab) = slow.join().expect("the slow request is answered");
    assert_eq!(status, 401, "{}", application.log());
    for mut tab in [browser, former] {
        assert_eq!(tab.session(), json!({ "user": null, "fields": {} }));
    }
    assert_eq!(other_tab.session(), json!({ "user": null, "fields": {} }));
}

fn a_visitor_whose_session_has_ended_begins_a_new_one(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/sign-in?user=ada").ok_json();
    let mut other_tab = browser.clone();
    browser.post("/sign-out").ok_json();
    let former = other_tab.cookie.clone();
    // this request reads that there is no session, and stores something nevertheless
    other_tab.post("/set?name=a&value=1").ok_json();
    assert_ne!(other_tab.cookie, former);
    assert_eq!(other_tab.session(), json!({ "user": null, "fields": { "a": "1" } }));
}

fn a_rotation_disturbs_no_parallel_request(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/set?name=a&value=1").ok_json();
    let rotated = in_parallel(&browser, |tab, number| {
        if number == 4 {
            tab.post("/rotate").ok_json();
        }
        for _ in 0..3 {
            tab.post("/count").ok_json();
        }
        tab.clone()
    });
    let mut rotated = rotated.into_iter().nth(4).expect("the tab that rotated");
    assert_ne!(rotated.cookie, browser.cookie);
    assert_eq!(rotated.fields(), json!({ "a": "1", "count": 24 }));
    let mut before = rotated.clone();
    rotated.post("/elevate").ok_json();
    assert_ne!(rotated.cookie, before.cookie);
    assert_eq!(before.fields(), json!({}));
    assert_eq!(rotated.fields()["count"], 24);
}

fn a_sign_in_changes_the_token_and_keeps_the_fields(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/set?name=a&value=1").ok_json();
    let mut former = browser.clone();
    browser.post("/sign-in?user=ada").ok_json();
    assert_ne!(browser.cookie, former.cookie);
    assert_eq!(browser.session(), json!({ "user": "ada", "fields": { "a": "1" } }));
    assert_eq!(former.session(), json!({ "user": null, "fields": {} }));
}

fn a_user_sees_and_ends_their_devices_and_nobody_elses(language: Language) {
    let (_service, application) = start(language);
    let signed_in = |user: &str| {
        let mut browser = Browser::at(application.url());
        browser.post(&format!("/sign-in?user={user}")).ok_json();
        browser
    };
    let devices =
        |browser: &mut Browser| browser.get("/devices").ok_json()["devices"].as_array().expect("a list").clone();
    let is_current = |device: &&Value| device["current"] == true;
    let (mut phone, mut laptop, mut tablet, mut stranger) =
        (signed_in("ada"), signed_in("ada"), signed_in("ada"), signed_in("eve"));
    assert_eq!(devices(&mut laptop).len(), 3);
    assert_eq!(devices(&mut laptop).iter().filter(is_current).count(), 1);
    let id = devices(&mut phone).iter().find(is_current).expect("the phone")["id"].as_str().expect("an id").to_owned();
    let sign_out = format!("/sign-out-device?id={id}");
    assert_eq!(stranger.post(&sign_out).ok_json(), json!({ "ended": 0 }));
    assert_eq!(laptop.post(&sign_out).ok_json(), json!({ "ended": 1 }));
    assert_eq!(phone.session()["user"], Value::Null);
    assert_eq!(laptop.post("/sign-out-others").ok_json(), json!({ "ended": 1 }));
    assert_eq!(tablet.session()["user"], Value::Null);
    assert_eq!(laptop.session()["user"], "ada");
    assert_eq!(laptop.post("/sign-out-everywhere").ok_json(), json!({ "ended": 1 }));
    assert_eq!(laptop.session()["user"], Value::Null);
    assert_eq!(stranger.session()["user"], "eve");
}

fn a_request_of_another_site_is_refused(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/count").ok_json();
    let mut status = |method: &str, headers: &[(&str, &str)]| browser.send(method, "/count", headers).status;
    let own = application.url();
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", own)],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", &own.replace("http://", "https://"))],
    ] {
        assert_eq!(status("POST", headers), 403, "{headers:?}");
    }
    for headers in [
        &[][..],
        &[("origin", own)],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://behind-a-proxy.example")],
        &[("sec-fetch-site", ""), ("origin", "")],
    ] {
        assert_eq!(status("POST", headers), 200, "{headers:?}");
    }
    assert_eq!(browser.fields()["count"], 6);
    let site = ("sec-fetch-site", "cross-site");
    assert_eq!(browser.send("GET", "/", &[site]).status, 200);
    let socket = [site, ("connection", "Upgrade"), ("upgrade", "h2c, WebSocket"), ("sec-websocket-version", "13")];
    assert_eq!(browser.send("GET", "/", &socket).status, 403);
}

fn a_cookie_that_is_rubbish_is_anonymous_and_left_alone(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/count").ok_json();
    let cookie = browser.cookie.clone().expect("a cookie");
    let (name, _) = cookie.split_once('=').expect("a name");
    for value in ["rubbish", "", "%00", &"x".repeat(3000)] {
        browser.cookie = Some(format!("{name}={value}"));
        let shown = browser.post("/show");
        assert_eq!(shown.ok_json(), json!({ "user": null, "fields": {} }), "{value}");
        assert!(shown.sets_no_cookie(), "{value}");
    }
}

fn a_stream_begins_before_it_is_complete(language: Language) {
    let (_service, application) = start(language);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let gate = directory.path().join("gate");
    let mut browser = Browser::at(application.url());
    let mut stream = browser.open_stream(&format!("/stream?gate={}", gate.display()));
    let mut begin = [0; 4];
    stream.read_exact(&mut begin).expect("the beginning");
    assert_eq!(&begin, b"one\n");
    // the head has come, and what it promises is stored
    assert_eq!(browser.fields(), json!({ "a": "streamed" }));
    fs::write(&gate, "").expect("a file");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "two\n");
}

fn a_response_that_failed_saves_nothing(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    browser.post("/count").ok_json();
    assert_eq!(browser.post("/fail").status, 500);
    assert_eq!(browser.fields(), json!({ "count": 1 }));
}

fn no_cache_keeps_an_answer_with_a_cookie_even_if_the_application_says_so(language: Language) {
    let (_service, application) = start(language);
    let mut browser = Browser::at(application.url());
    let first = browser.post("/cached");
    assert_eq!(first.all("set-cookie").len(), 1);
    assert_eq!(first.all("cache-control"), ["no-store"]);
    assert!(first.header("content-type").starts_with("application/json"), "{}", first.header("content-type"));
    assert_eq!(browser.post("/cached").all("cache-control"), ["public, max-age=60"]);
    assert_eq!(browser.fields(), json!({ "a": "cached" }));
}
