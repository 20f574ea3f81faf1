//! Where a user is signed in, as programs and people without a script use it: the real program over HTTP.

mod support;

use serde_json::{Value, json};

use crate::support::demo::{Demo, cloakroom};
use crate::support::eventually;
use crate::support::redis_server::RedisServer;
use crate::support::visitor::Visitor;

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0";

on_each_store! {
    a_sign_in_is_listed_with_what_a_person_knows_the_device_by,
    devices_are_listed_the_latest_first_and_strangers_not_at_all,
    a_login_on_a_session_takes_no_second_place,
    a_fourth_sign_in_ends_the_oldest_which_can_learn_why,
    one_device_is_signed_out_by_its_id,
    an_id_of_another_user_is_no_device,
    signing_out_the_others_ends_and_counts_them,
    signing_out_everywhere_ends_and_counts_every_session,
    a_rotation_changes_the_secret_and_nothing_else,
    without_a_session_there_are_no_devices,
    a_list_extends_nothing,
    a_form_leads_back_to_the_page,
    the_page_lists_devices_and_what_happened,
}

fn signed_in<const N: usize>(demo: &Demo, username: &str) -> [Visitor; N] {
    std::array::from_fn(|_| {
        let mut visitor = Visitor::of(demo);
        visitor.login(username, 300);
        visitor
    })
}

fn id(visitor: &mut Visitor) -> String {
    visitor.peek()["session_id"].as_str().expect("a session").to_owned()
}

fn devices(visitor: &mut Visitor) -> Vec<Value> {
    visitor.get("/devices").ok()["devices"].as_array().expect("a list").clone()
}

fn delete(visitor: &mut Visitor, id: &str) -> support::visitor::Answer {
    visitor.send("DELETE", &format!("/devices/{id}"), &[], "")
}

fn lives(visitor: &mut Visitor) -> bool {
    visitor.peek()["authenticated"] == true
}

fn a_sign_in_is_listed_with_what_a_person_knows_the_device_by(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    visitor.post_form("/login", &[("username", "andrew")], &[("user-agent", FIREFOX)]).ok();
    let list = devices(&mut visitor);
    let [device] = list.as_slice() else { panic!("one device, not {list:?}") };
    let shape = json!({
        "id": id(&mut visitor),
        "created_at": device["created_at"],
        "signed_in_at": device["signed_in_at"],
        "last_seen_at": device["last_seen_at"],
        "ends_at": device["ends_at"],
        "label": "Firefox on Windows 10",
        "ip": "127.0.0.1",
        "current": true,
    });
    assert_eq!(*device, shape);
    let time = |name: &str| -> jiff::Timestamp { device[name].as_str().unwrap().parse().unwrap() };
    for name in ["created_at", "signed_in_at", "last_seen_at", "ends_at"] {
        assert!(device[name].as_str().unwrap().ends_with("+00:00"), "{name} {device}");
    }
    assert!(time("created_at") <= time("last_seen_at"));
    assert_eq!((time("ends_at") - time("last_seen_at")).get_seconds(), 60);
}

fn devices_are_listed_the_latest_first_and_strangers_not_at_all(demo: &Demo) {
    let [mut first, mut second] = signed_in(demo, "andrew");
    let [mut stranger] = signed_in(demo, "ben");
    let (one, two) = (id(&mut first), id(&mut second));
    let seen = |visitor: &mut Visitor| -> Vec<(String, bool)> {
        let list = devices(visitor);
        list.iter().map(|device| (device["id"].as_str().unwrap().to_owned(), device["current"] == true)).collect()
    };
    assert_eq!(seen(&mut first), [(two.clone(), false), (one.clone(), true)]);
    assert_eq!(seen(&mut second), [(two, true), (one, false)]);
    assert_eq!(seen(&mut stranger).len(), 1);
}

fn a_login_on_a_session_takes_no_second_place(demo: &Demo) {
    let [mut visitor, mut other] = signed_in(demo, "andrew");
    for _ in 0..4 {
        visitor.login("andrew", 300);
    }
    assert_eq!(devices(&mut visitor).len(), 2);
    assert!(lives(&mut other));
    visitor.login("ben", 300);
    assert_eq!(devices(&mut other).len(), 1);
}

fn a_fourth_sign_in_ends_the_oldest_which_can_learn_why(demo: &Demo) {
    let [mut first, mut second, mut third] = signed_in(demo, "andrew");
    let [mut fourth] = signed_in(demo, "andrew");
    let reason = json!({ "authenticated": false, "session": null, "reason": "signed in elsewhere" });
    assert_eq!(first.peek(), reason);
    assert_eq!(first.peek(), reason, "and again");
    let why =
        "You signed in elsewhere, and you may be signed in in 3 places only: this session, the oldest, was ended.";
    assert!(first.get("/").body.contains(why));
    assert!(first.post("/increment", &[]).error(401).starts_with("signed in elsewhere"));
    for visitor in [&mut second, &mut third, &mut fourth] {
        assert_eq!(devices(visitor).len(), 3);
        assert!(!visitor.get("/").body.contains(why));
    }
    // and it may come back, in place of the next
    first.login("andrew", 300);
    assert!(lives(&mut first) && !lives(&mut second));
}

fn one_device_is_signed_out_by_its_id(demo: &Demo) {
    let [mut here, mut there] = signed_in(demo, "andrew");
    let (here_id, there_id) = (id(&mut here), id(&mut there));
    let answer = delete(&mut here, &there_id);
    assert_eq!(answer.ok(), json!({ "revoked": 1 }));
    assert!(answer.sets_no_cookie() && !lives(&mut there));
    assert_eq!(there.peek()["reason"], "the session expired or was ended", "that was no eviction");
    delete(&mut here, &there_id).error(404);
    assert_eq!(delete(&mut here, &here_id).ok(), json!({ "revoked": 1 }));
    assert!(!here.has_cookie(), "one's own is a sign-out like any other");
}

fn an_id_of_another_user_is_no_device(demo: &Demo) {
    let [mut visitor] = signed_in(demo, "andrew");
    let [mut stranger] = signed_in(demo, "ben");
    let theirs = id(&mut stranger);
    let unknown = delete(&mut visitor, "AAAAAAAAAAAAAAAAAAAAAA").error(404);
    assert_eq!(delete(&mut visitor, &theirs).error(404), unknown, "nobody learns whether it is there");
    let text = visitor.token().to_owned();
    for id in ["x", "..", "%00", "%FF", "AAAAAAAAAAAAAAAAAAAAAB", &"A".repeat(43), &"A".repeat(5000), &text] {
        assert_eq!(delete(&mut visitor, id).status, 404, "{id}");
    }
    visitor.post(&format!("/devices/{theirs}/sign-out"), &[]).error(404);
    assert!(lives(&mut visitor) && lives(&mut stranger));
}

fn signing_out_the_others_ends_and_counts_them(demo: &Demo) {
    let [mut here, mut one, mut two] = signed_in(demo, "andrew");
    let [mut stranger] = signed_in(demo, "ben");
    let answer = here.post("/devices/sign-out-others", &[]);
    assert_eq!(answer.ok(), json!({ "revoked": 2 }));
    assert!(answer.sets_no_cookie());
    assert!(lives(&mut here) && lives(&mut stranger) && !lives(&mut one) && !lives(&mut two));
    assert_eq!(here.post("/devices/sign-out-others", &[]).ok(), json!({ "revoked": 0 }));
    assert_eq!(devices(&mut here).len(), 1);
}

fn signing_out_everywhere_ends_and_counts_every_session(demo: &Demo) {
    let [mut here, mut one, mut two] = signed_in(demo, "andrew");
    assert_eq!(here.post("/devices/sign-out-everywhere", &[]).ok(), json!({ "revoked": 3 }));
    assert!(!here.has_cookie() && !lives(&mut here) && !lives(&mut one) && !lives(&mut two));
    here.post("/devices/sign-out-everywhere", &[]).error(401);
    here.login("andrew", 300);
    assert_eq!(devices(&mut here).len(), 1, "a sign-in after it stands");
}

fn a_rotation_changes_the_secret_and_nothing_else(demo: &Demo) {
    let [mut visitor] = signed_in(demo, "andrew");
    visitor.post("/increment", &[]).ok();
    let (before, token) = (visitor.peek(), visitor.token().to_owned());
    let answer = visitor.post("/rotate", &[]);
    let rotated = answer.ok();
    assert_eq!(rotated["session_id"], before["session_id"]);
    assert_eq!(rotated["session"]["page_views"], "2");
    assert_eq!(rotated["authenticated"], true);
    assert_eq!(answer.all("set-cookie").len(), 1);
    assert_ne!(visitor.token(), token);
    // the old one is held for requests that were on their way, but rotates nothing
    let mut late = Visitor::with_token(demo, &token);
    assert!(lives(&mut late));
    late.post("/rotate", &[]).error(409);
    assert!(lives(&mut visitor));
    assert_eq!(devices(&mut visitor).len(), 1);
}

fn without_a_session_there_are_no_devices(demo: &Demo) {
    let mut nobody = Visitor::of(demo);
    nobody.get("/devices").error(401);
    delete(&mut nobody, "AAAAAAAAAAAAAAAAAAAAAA").error(401);
    for path in ["/devices/sign-out-others", "/devices/sign-out-everywhere", "/rotate", "/devices/x/sign-out"] {
        nobody.post(path, &[]).error(401);
    }
    assert!(!nobody.has_cookie());
    nobody.send("PUT", "/devices/x", &[], "").error(405);
    nobody.get("/rotate").error(405);
}

fn a_list_extends_nothing(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    visitor.login("andrew", 2);
    eventually("the session expires although its devices are listed", || {
        let answer = visitor.get("/devices");
        (answer.status == 401).then_some(())
    });
}

fn a_form_leads_back_to_the_page(demo: &Demo) {
    let [mut here, mut there, mut third] = signed_in(demo, "andrew");
    let path = format!("/devices/{}/sign-out", id(&mut there));
    for (path, location) in [
        (path.as_str(), "/"),
        (&path, "/?error=no-device"),
        ("/rotate", "/"),
        ("/devices/sign-out-others", "/"),
        ("/devices/sign-out-everywhere", "/"),
        ("/rotate", "/?error=no-session"),
    ] {
        let answer = here.submit(path, &[]);
        assert_eq!((answer.status, answer.header("location").as_str()), (303, location), "{path}");
    }
    assert!(!lives(&mut there) && !lives(&mut third) && !here.has_cookie());
}

fn the_page_lists_devices_and_what_happened(demo: &Demo) {
    let [mut here, mut there] = signed_in(demo, "andrew");
    let page = here.get("/").body;
    for id in [id(&mut here), id(&mut there)] {
        assert!(page.contains(&format!(r#"data-device="{id}""#)) && page.contains(&format!("/devices/{id}/sign-out")));
    }
    assert_eq!(page.matches("data-current").count(), 1);
    here.post("/rotate", &[]).ok();
    delete(&mut here, &id(&mut there)).ok();
    let told = [
        "You ended Nº",
        "This session got a new secret.",
        "You signed in as Nº",
        "You signed in here, and the session got a new secret.",
        "This session began.",
    ];
    // the hook runs on a thread of its own
    let page = eventually("the page tells of the last event", || {
        Some(here.get("/").body).filter(|page| page.contains(told[0]))
    });
    let places: Vec<usize> = told.iter().map(|words| page.find(words).expect(words)).collect();
    assert!(places.is_sorted(), "the latest first: {places:?}");
    assert!(!signed_in::<1>(demo, "ben")[0].get("/").body.contains("You ended"), "that is nobody else's business");
}

#[test]
fn plain_tokens_know_no_devices_and_say_so() {
    let redis = RedisServer::start();
    let demo = Demo::on_with(&redis, &["--plain-tokens"]);
    let mut visitors: [Visitor; 4] = signed_in(&demo, "andrew");
    assert!(visitors.iter_mut().all(lives), "nobody is signed in, so nobody is one too many");
    let visitor = &mut visitors[0];
    for (method, path) in [
        ("GET", "/devices"),
        ("DELETE", "/devices/AAAAAAAAAAAAAAAAAAAAAA"),
        ("POST", "/devices/sign-out-others"),
        ("POST", "/devices/sign-out-everywhere"),
        ("POST", "/devices/AAAAAAAAAAAAAAAAAAAAAA/sign-out"),
        ("POST", "/rotate"),
    ] {
        let error = visitor.send(method, path, &[], "").error(404);
        assert!(error.contains("--plain-tokens"), "{path}: {error}");
    }
    let page = visitor.get("/").body;
    assert!(page.contains("With <code>--plain-tokens</code> nobody signs in"));
    assert!(!page.contains(r#"action="/rotate""#) && !page.contains(r#"name="csrf""#));
    assert_eq!(visitor.submit("/increment", &[]).status, 303, "there is no token to ask for");
}

#[test]
fn the_limits_are_flags() {
    let demo = Demo::start(&["--max-sessions-per-user", "1", "--idle-timeout", "40", "--absolute-lifetime", "50"]);
    let [mut first, mut second] = signed_in_by_default(&demo);
    assert_eq!(second.peek()["configured_ttl"], 40);
    assert_eq!(first.peek()["reason"], "signed in elsewhere");
    assert!(first.get("/").body.contains("in 1 place only:"));
    second.post("/ttl", &[("ttl", "51")]).error(400);
    assert_eq!(second.post("/ttl", &[("ttl", "50")]).ok()["configured_ttl"], 50);
    assert!(second.get("/").body.contains(r#"max="50""#));
}

fn signed_in_by_default(demo: &Demo) -> [Visitor; 2] {
    std::array::from_fn(|_| {
        let mut visitor = Visitor::of(demo);
        visitor.post("/login", &[]).ok();
        visitor
    })
}

#[test]
fn the_secret_is_changed_as_often_as_the_flag_says() {
    let demo = Demo::start(&["--rotate-every", "1"]);
    let [mut visitor] = signed_in(&demo, "andrew");
    let (before, token) = (id(&mut visitor), visitor.token().to_owned());
    eventually("the session has a new secret", || {
        visitor.get("/session").ok();
        (visitor.token() != token).then_some(())
    });
    assert_eq!(id(&mut visitor), before);
}

#[test]
fn flags_that_contradict_each_other_are_exit_code_2_and_say_which() {
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--idle-timeout", "90", "--absolute-lifetime", "60"], &["--idle-timeout", "--absolute-lifetime, 60", "90"]),
        (&["--rotate-every", "61", "--absolute-lifetime", "60"], &["--rotate-every", "--absolute-lifetime, 60", "61"]),
        (&["--rotate-every", "60", "--plain-tokens"], &["--rotate-every", "--plain-tokens"]),
        (&["--max-sessions-per-user", "3", "--plain-tokens"], &["--max-sessions-per-user", "--plain-tokens"]),
        (&["--max-sessions-per-user", "0"], &["--max-sessions-per-user", "1..=1000"]),
        (&["--max-sessions-per-user", "1001"], &["--max-sessions-per-user", "1..=1000"]),
        (&["--idle-timeout", "0"], &["--idle-timeout", "1..=999999999"]),
        (&["--absolute-lifetime", "1000000000"], &["--absolute-lifetime", "1..=999999999"]),
        (&["--rotate-every", "1.5"], &["--rotate-every", "1.5"]),
    ];
    for (flags, why) in cases {
        let done = cloakroom(&[&["demo", "--port", "0"], flags].concat()).output().expect("the program runs");
        let said = String::from_utf8(done.stderr).expect("UTF-8");
        assert_eq!(done.status.code(), Some(2), "{flags:?}: {said}");
        assert!(why.iter().all(|why| said.contains(why)), "{flags:?}: {said}");
    }
}
