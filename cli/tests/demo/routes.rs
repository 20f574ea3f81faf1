//! The routes as JSON: shapes, statuses, and what is refused.

use serde_json::{Value, json};

use crate::support::demo::Demo;
use crate::support::eventually;
use crate::support::redis_server::RedisServer;
use crate::support::visitor::{Answer, Visitor};

crate::on_each_store! {
    a_visitor_without_a_session_is_told_so_and_gets_no_cookie,
    a_login_starts_a_session_and_shows_it,
    a_login_without_fields_is_a_guest_for_a_minute,
    the_cookie_is_one_opaque_token_out_of_reach_of_scripts,
    every_increment_is_counted_and_returned,
    increments_at_the_same_time_are_all_counted,
    another_ttl_counts_from_now,
    a_logout_ends_the_session_and_removes_the_cookie,
    a_login_on_a_session_starts_a_fresh_one_and_the_old_one_is_gone,
    a_visitor_who_is_already_logged_out_is_told_so,
    a_logout_after_one_elsewhere_with_the_same_cookie_is_a_success_too,
    logins_at_the_same_time_are_all_answered,
    without_a_session_changes_are_refused_with_401,
    a_bad_ttl_is_refused_and_nothing_is_changed,
    a_bad_user_name_is_refused_and_nothing_is_stored,
    a_user_name_comes_back_as_it_was_given,
    a_cookie_that_is_no_ticket_of_ours_is_nobody,
    a_session_expires_by_itself_however_often_it_is_peeked_at,
    a_look_extends_the_session_and_a_peek_does_not,
    forms_that_cannot_be_read_are_refused,
    an_unknown_path_is_answered_in_json,
    no_answer_about_a_session_is_kept_by_a_cache,
}

fn nobody() -> Value {
    json!({ "authenticated": false, "session": null })
}

fn a_visitor_without_a_session_is_told_so_and_gets_no_cookie(demo: &Demo) {
    let answer = Visitor::of(demo).get("/session");
    assert_eq!(answer.ok(), nobody());
    assert!(answer.sets_no_cookie());
}

fn over() -> Value {
    json!({ "authenticated": false, "session": null, "reason": "the session expired or was ended" })
}

fn a_login_starts_a_session_and_shows_it(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let login = visitor.login("andrew", 90);
    let session = &login["session"];
    let shape = json!({
        "authenticated": true,
        "session_id": login["session_id"],
        "session": {
            "username": "andrew",
            "page_views": "1",
            "created_at": session["created_at"],
            "last_accessed_at": session["last_accessed_at"],
            "session_ttl": "90",
        },
        "configured_ttl": 90,
        "ttl": login["ttl"],
    });
    assert_eq!(login, shape);
    assert!((1..=90).contains(&login["ttl"].as_u64().unwrap()));
    let times = ["created_at", "last_accessed_at"].map(|name| session[name].as_str().unwrap());
    for time in times {
        assert!(time.len() == "2026-04-02T12:34:56.789+00:00".len() && time.ends_with("+00:00"), "{time}");
    }
    assert!(times[0] <= times[1], "{times:?}");

    let shown = visitor.peek();
    assert_eq!(without_ttl(&shown), without_ttl(&login));
}

fn a_login_without_fields_is_a_guest_for_a_minute(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    for form in [&[][..], &[("username", ""), ("ttl", "")], &[("username", "  "), ("ttl", " ")]] {
        let login = visitor.post("/login", form).ok();
        assert_eq!(login["session"]["username"], "Guest", "{form:?}");
        assert_eq!(login["configured_ttl"], 60, "{form:?}");
        assert_eq!(login["session"]["session_ttl"], "60", "{form:?}");
    }
    let login = visitor.send("POST", "/login", &[], "").ok();
    assert_eq!(login["session"]["username"], "Guest", "no body and no content type");
}

fn the_cookie_is_one_opaque_token_out_of_reach_of_scripts(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let answer = visitor.post("/login", &[("username", "andrew")]);
    let cookies = answer.all("set-cookie");
    let [cookie] = cookies.as_slice() else { panic!("one cookie, not {cookies:?}") };
    let mut parts = cookie.split("; ");
    let (id, secret) = parts.next().unwrap().strip_prefix("sid=").unwrap().split_once('.').unwrap();
    assert_eq!(id, answer.ok()["session_id"]);
    assert_eq!((id.len(), secret.len()), (22, 43));
    let attributes: Vec<&str> = parts.collect();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(attributes.contains(&attribute), "{attribute} in {cookie}");
    }
    assert!(!attributes.contains(&"Secure"), "over plain http a browser would not keep it: {cookie}");
    assert!(!answer.body.contains(secret));
    assert!(visitor.post("/increment", &[]).sets_no_cookie(), "the browser has it already");
}

fn every_increment_is_counted_and_returned(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let login = visitor.login("andrew", 60);
    for count in 2..=4 {
        let answer = visitor.post("/increment", &[]).ok();
        assert_eq!(answer["page_views"], count, "as a number beside the fields");
        assert_eq!(answer["session"]["page_views"], count.to_string(), "as text among them");
        assert_eq!(answer["session_id"], login["session_id"]);
    }
    let shown = visitor.peek();
    assert_eq!(shown["session"]["page_views"], "4");
    assert_eq!(shown.get("page_views"), None, "only after an increment");
}

fn increments_at_the_same_time_are_all_counted(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    visitor.login("andrew", 60);
    let token = visitor.token();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut tab = Visitor::with_token(demo, token);
                (0..5).for_each(|_| drop(tab.post("/increment", &[]).ok()));
            });
        }
    });
    assert_eq!(visitor.peek()["session"]["page_views"], "41");
}

fn another_ttl_counts_from_now(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let login = visitor.login("andrew", 60);
    for ttl in [900, 30] {
        let answer = visitor.post("/ttl", &[("ttl", &ttl.to_string())]).ok();
        assert_eq!(answer["configured_ttl"], ttl);
        assert_eq!(answer["session"]["session_ttl"], ttl.to_string());
        assert_eq!(answer["session_id"], login["session_id"], "the session is the same");
        let left = answer["ttl"].as_u64().unwrap();
        assert!(left <= ttl && left > ttl / 2, "{left} of {ttl}");
    }
}

fn a_logout_ends_the_session_and_removes_the_cookie(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    visitor.login("andrew", 60);
    let mut thief = Visitor::with_token(demo, visitor.token());
    let answer = visitor.post("/logout", &[]);
    assert_eq!(answer.ok(), nobody());
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert!(!visitor.has_cookie());

    assert_eq!(thief.get("/session").ok(), over(), "the old cookie opens nothing");
    thief.post("/increment", &[]).error(401);
}

fn a_login_on_a_session_starts_a_fresh_one_and_the_old_one_is_gone(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let first = visitor.login("andrew", 60);
    visitor.post("/increment", &[]);
    let mut old = Visitor::with_token(demo, visitor.token());
    let second = visitor.login("ben", 60);
    assert_ne!(second["session_id"], first["session_id"]);
    assert_eq!(second["session"]["username"], "ben");
    assert_eq!(second["session"]["page_views"], "1");
    assert_eq!(visitor.peek()["session_id"], second["session_id"]);
    assert_eq!(old.peek(), over());
}

fn a_visitor_who_is_already_logged_out_is_told_so(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    visitor.login("andrew", 60);
    for _ in 0..3 {
        assert_eq!(visitor.post("/logout", &[]).ok(), nobody());
    }
    assert!(Visitor::of(demo).post("/logout", &[]).sets_no_cookie());
}

fn a_logout_after_one_elsewhere_with_the_same_cookie_is_a_success_too(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    visitor.login("andrew", 60);
    let mut elsewhere = Visitor::with_token(demo, visitor.token());
    assert_eq!(elsewhere.post("/logout", &[]).ok(), nobody());

    let answer = visitor.post("/logout", &[]);
    assert_eq!(answer.ok(), nobody());
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert!(!visitor.has_cookie());
}

/// Clicking four times, as the user who is there, as another one, and as the first of all.
fn logins_at_the_same_time_are_all_answered(demo: &Demo) {
    for (round, username) in ["andrew", "ben", "nobody was here"].into_iter().cycle().take(12).enumerate() {
        let mut visitor = Visitor::of(demo);
        if round % 3 < 2 {
            visitor.login("andrew", 60);
            visitor.post("/increment", &[]).ok();
        }
        let form = [("username", username), ("ttl", "90")];
        let answers: Vec<(Answer, Visitor)> = std::thread::scope(|scope| {
            let clicks: Vec<_> = (0..4)
                .map(|_| {
                    let mut tab = visitor.to(demo);
                    scope.spawn(move || (tab.post("/login", &form), tab))
                })
                .collect();
            clicks.into_iter().map(|click| click.join().expect("it is answered")).collect()
        });
        let mut live = 0;
        for (answer, mut tab) in answers {
            assert_eq!(answer.status, 200, "{username}: {}", answer.body);
            let seen = tab.peek();
            if seen["authenticated"] == true {
                live += 1;
                let session = &seen["session"];
                assert_eq!((&session["username"], &session["page_views"]), (&username.into(), &"1".into()), "{seen}");
            }
        }
        assert!((1..=4).contains(&live), "somebody is signed in");
    }
}

#[test]
fn logins_at_the_same_time_are_all_answered_with_plain_tokens() {
    let redis = RedisServer::start();
    logins_at_the_same_time_are_all_answered(&Demo::on_with(&redis, &["--plain-tokens"]));
}

fn without_a_session_changes_are_refused_with_401(demo: &Demo) {
    for path in ["/increment", "/ttl"] {
        let answer = Visitor::of(demo).post(path, &[("ttl", "60")]);
        assert!(answer.error(401).contains("no session"), "{path}");
        assert!(answer.sets_no_cookie(), "{path}");
    }
}

/// Each value, and what is wrong with it.
const BAD_TTLS: [(&str, &str); 12] = [
    ("0", "nothing"),
    ("-1", "negative"),
    ("1.5", "fractional"),
    ("1e3", "not plain digits"),
    ("+5", "signed"),
    ("0x10", "hexadecimal"),
    ("60s", "with a unit"),
    ("sixty", "no number"),
    ("٣", "digits of another script"),
    ("999999999", "beyond the absolute lifetime"),
    ("18446744073709551616", "beyond 64 bits"),
    ("99999999999999999999999999999999999999999", "beyond 128 bits"),
];

fn a_bad_ttl_is_refused_and_nothing_is_changed(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let before = visitor.login("andrew", 60);
    for (ttl, why) in BAD_TTLS {
        let answer = Visitor::of(demo).post("/login", &[("ttl", ttl)]);
        assert!(answer.error(400).starts_with("ttl must be a whole number of seconds from 1 to "), "{why}");
        assert!(answer.sets_no_cookie(), "{why}");

        for path in ["/ttl", "/login"] {
            let answer = visitor.post(path, &[("ttl", ttl)]);
            assert!(answer.error(400).starts_with("ttl must be"), "{path}: {why}");
            assert!(answer.sets_no_cookie(), "{path}: {why}");
        }
    }
    for form in [&[][..], &[("ttl", "")]] {
        visitor.post("/ttl", form).error(400);
    }
    assert_eq!(without_ttl(&visitor.peek()), without_ttl(&before), "nothing changed, and nothing was extended");
}

fn a_bad_user_name_is_refused_and_nothing_is_stored(demo: &Demo) {
    let long = "a".repeat(41);
    let wide = "é".repeat(41);
    for name in [&long, &wide, "a\nb", "a\0b", "\u{7f}b", "a\u{85}b"] {
        let answer = Visitor::of(demo).post("/login", &[("username", name)]);
        assert!(answer.error(400).starts_with("username must have at most 40 characters"), "{name:?}");
        assert!(answer.sets_no_cookie(), "{name:?}");
    }
}

fn a_user_name_comes_back_as_it_was_given(demo: &Demo) {
    let wide = "é".repeat(40);
    let mut visitor = Visitor::of(demo);
    for name in [
        "andrew",
        &wide,
        "123",
        "007",
        "true",
        "null",
        "\"quoted\"",
        "{\"a\":1}",
        "<script>alert(1)</script>",
        "a b&c=d%20",
        "Ольга",
        "😀",
        "session:*",
        "it's",
        "a\\b",
    ] {
        assert_eq!(visitor.login(name, 60)["session"]["username"], name);
        assert_eq!(visitor.peek()["session"]["username"], name);
    }
    assert_eq!(visitor.login("  andrew ", 60)["session"]["username"], "andrew", "without surrounding blanks");
}

fn a_cookie_that_is_no_ticket_of_ours_is_nobody(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    visitor.login("andrew", 60);
    let token = visitor.token().to_owned();
    let (id, secret) = token.split_once('.').unwrap();
    let other = Visitor::of(demo).login("ben", 60)["session_id"].as_str().unwrap().to_owned();
    let never_minted = format!("{}.{}", "A".repeat(22), "A".repeat(43));
    let wrong_secret = format!("{id}.{}", "A".repeat(43));
    let wrong_id = format!("{other}.{secret}");
    let (short, long, huge) = (&token[..token.len() - 1], format!("{token}A"), "A".repeat(8192));
    let cookies =
        ["", ".", id, secret, short, &long, &huge, &never_minted, &wrong_secret, &wrong_id, "a b", "\"quoted\"", "é"];
    for cookie in cookies {
        let mut stranger = Visitor::with_token(demo, cookie);
        assert_eq!(stranger.get("/session").ok(), over(), "{cookie:?}");
        let answer = stranger.post("/increment", &[]);
        answer.error(401);
        assert_eq!(stranger.get("/").status, 200, "{cookie:?}");
    }
    assert_eq!(visitor.peek()["session"]["page_views"], "1", "the session was not touched");
}

fn a_session_expires_by_itself_however_often_it_is_peeked_at(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let mut left = visitor.login("andrew", 2)["ttl"].as_u64().unwrap();
    assert!(left <= 2);
    eventually("the session expires", || {
        let answer = visitor.peek();
        if answer == over() {
            return Some(());
        }
        let now = answer["ttl"].as_u64().unwrap();
        assert!((1..=left).contains(&now), "{now} s are left after {left} s were: never more, and never none");
        left = now;
        None
    });
    visitor.post("/increment", &[]).error(401);
    assert_eq!(visitor.get("/session").ok(), over());
    assert_eq!(visitor.login("andrew", 60)["session"]["page_views"], "1", "the next one is a fresh one");
}

fn a_look_extends_the_session_and_a_peek_does_not(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let login = visitor.login("andrew", 15);
    let last = &login["session"]["last_accessed_at"];
    // a tenth of the lifetime must have passed before a look is worth a write
    eventually("some of the time passes", || {
        let answer = visitor.peek();
        assert_eq!(&answer["session"]["last_accessed_at"], last, "a peek leaves no trace");
        answer["ttl"].as_u64().filter(|left| *left <= 13)
    });
    let looked = visitor.get("/session").ok();
    assert!(looked["ttl"].as_u64().unwrap() > 13, "{looked}");
    assert!(looked["session"]["last_accessed_at"].as_str() > last.as_str());
    assert_eq!(looked["session"]["created_at"], login["session"]["created_at"]);
}

fn forms_that_cannot_be_read_are_refused(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let json = [("content-type", "application/json")];
    let error = visitor.send("POST", "/login", &json, r#"{"username":"andrew"}"#).error(415);
    assert!(error.contains("application/x-www-form-urlencoded"), "{error}");
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let large = format!("username={}", "a".repeat(16 * 1024));
    visitor.send("POST", "/login", &form, &large).error(413);
    assert!(!visitor.has_cookie());
    visitor.send("POST", "/login", &form, "username=andrew").ok();
    // where nothing in it is needed, too: it may have been a wrong token
    for path in ["/increment", "/ttl", "/logout"] {
        visitor.send("POST", path, &json, r#"{"csrf":"wrong"}"#).error(415);
        visitor.send("POST", path, &form, &large).error(413);
    }
    assert_eq!(visitor.peek()["session"]["page_views"], "1");
}

fn an_unknown_path_is_answered_in_json(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    for path in ["/nothing", "/session/", "/assets/", "/assets/../demo.css", "/login/x"] {
        visitor.get(path).error(404);
    }
    for (method, path) in [
        ("GET", "/login"),
        ("GET", "/logout"),
        ("GET", "/increment"),
        ("GET", "/ttl"),
        ("POST", "/session"),
        ("DELETE", "/session"),
        ("POST", "/"),
    ] {
        visitor.send(method, path, &[], "").error(405);
    }
}

fn no_answer_about_a_session_is_kept_by_a_cache(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let check = |answer: Answer, what: &str| {
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        let vary = answer.header("vary").to_ascii_lowercase();
        assert!(vary.contains("cookie") && vary.contains("accept"), "{what} varies by {vary}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    };
    check(visitor.get("/session"), "the JSON of nobody");
    check(visitor.get("/"), "the page of nobody");
    check(visitor.post("/login", &[]), "a login");
    check(visitor.get("/session"), "the JSON of a session");
    check(visitor.get("/"), "the page of a session");
    check(visitor.post("/increment", &[]), "an increment");
    check(visitor.post("/logout", &[]), "a logout");
    check(visitor.post("/increment", &[]), "a refusal");
}

/// Everything but the time left, which may pass a second at any moment.
fn without_ttl(answer: &Value) -> Value {
    let mut answer = answer.clone();
    answer.as_object_mut().expect("an object").remove("ttl").expect("the time left");
    answer
}
