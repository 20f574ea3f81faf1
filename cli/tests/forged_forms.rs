//! Forms that no page of this session sent: refused, over HTTP. What a browser makes of it is in `browser_devices.rs`.

mod support;

use crate::support::demo::Demo;
use crate::support::visitor::Visitor;

const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// Every route that a signed-in visitor's forms post to.
const ROUTES: [&str; 7] = [
    "/increment",
    "/ttl",
    "/logout",
    "/rotate",
    "/devices/AAAAAAAAAAAAAAAAAAAAAA/sign-out",
    "/devices/sign-out-others",
    "/devices/sign-out-everywhere",
];

on_each_store! {
    a_form_without_the_sessions_token_is_refused_on_every_route,
    a_token_of_another_session_or_from_before_the_sign_in_is_refused,
    a_program_needs_no_token_but_a_wrong_one_is_refused,
    the_token_of_an_open_page_outlives_a_rotation,
    a_request_of_another_site_is_refused_on_every_route,
    what_is_refused_is_told_on_the_page,
}

fn signed_in(demo: &Demo) -> Visitor {
    let mut visitor = Visitor::of(demo);
    visitor.login("andrew", 300);
    visitor
}

fn page_views(visitor: &mut Visitor) -> String {
    visitor.peek()["session"]["page_views"].as_str().expect("a session").to_owned()
}

fn a_form_without_the_sessions_token_is_refused_on_every_route(demo: &Demo) {
    let mut visitor = signed_in(demo);
    let before = visitor.peek();
    for path in ROUTES {
        for form in [&[("ttl", "90")][..], &[("ttl", "90"), ("csrf", "")], &[("ttl", "90"), ("csrf", "made up")]] {
            let answer = visitor.submit_bare(path, form);
            assert_eq!(answer.status, 403, "{path} {form:?}");
            assert!(answer.header("content-type").starts_with("text/html") && answer.sets_no_cookie());
            assert!(
                answer.body.contains("403 Forbidden") && answer.body.contains("the form&#39;s CSRF token is missing")
            );
        }
    }
    let after = visitor.peek();
    assert_eq!((&after["session"], &after["session_id"]), (&before["session"], &before["session_id"]));
}

fn a_token_of_another_session_or_from_before_the_sign_in_is_refused(demo: &Demo) {
    let (mut visitor, mut stranger) = (signed_in(demo), signed_in(demo));
    let theirs = stranger.csrf_token().expect("a token");
    assert_eq!(visitor.submit_bare("/increment", &[("csrf", &theirs)]).status, 403);
    let mine = visitor.csrf_token().expect("a token");
    assert_eq!(visitor.submit_bare("/increment", &[("csrf", &mine[1..])]).status, 403, "cut off");
    assert_eq!(visitor.submit_bare("/increment", &[("csrf", &mine)]).status, 303);
    assert_eq!(page_views(&mut visitor), "2");
    visitor.login("andrew", 300);
    assert_eq!(visitor.submit_bare("/increment", &[("csrf", &mine)]).status, 403);
}

fn a_program_needs_no_token_but_a_wrong_one_is_refused(demo: &Demo) {
    let mut visitor = signed_in(demo);
    let mine = visitor.csrf_token().expect("a token");
    visitor.post("/increment", &[]).ok();
    visitor.post("/increment", &[("csrf", &mine)]).ok();
    visitor.send("POST", "/increment", &[("x-csrf-token", &mine)], "").ok();
    visitor.post("/increment", &[("csrf", "made up")]).error(403);
    visitor.send("POST", "/increment", &[("x-csrf-token", "made up")], "").error(403);
    visitor.send("DELETE", "/devices/AAAAAAAAAAAAAAAAAAAAAA", &[("x-csrf-token", "made up")], "").error(403);
    assert_eq!(page_views(&mut visitor), "4");
}

fn the_token_of_an_open_page_outlives_a_rotation(demo: &Demo) {
    let mut visitor = signed_in(demo);
    let open = visitor.csrf_token().expect("a token");
    visitor.post("/rotate", &[]).ok();
    assert_ne!(visitor.csrf_token().as_ref(), Some(&open));
    assert_eq!(visitor.submit_bare("/increment", &[("csrf", &open)]).status, 303, "its grace has just begun");
}

fn a_request_of_another_site_is_refused_on_every_route(demo: &Demo) {
    let mut visitor = signed_in(demo);
    let before = visitor.peek();
    let mine = visitor.csrf_token().expect("a token");
    let port = demo.url("").rsplit_once(':').expect("a port").1.to_owned();
    let other_name = format!("http://localhost:{port}");
    let signs = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("origin", &other_name),
    ];
    for path in ROUTES.into_iter().chain(["/login"]) {
        for sign in signs {
            let form = [("csrf", mine.as_str()), ("ttl", "90")];
            let answer = visitor.post_form(path, &form, &[sign]);
            assert!(answer.error(403).contains("another site"), "{path} {sign:?}");
            assert!(answer.sets_no_cookie());
            let answer = visitor.post_form(path, &form, &[sign, PAGE]);
            assert_eq!(answer.status, 403, "{path} {sign:?}");
            assert!(answer.body.contains("403 Forbidden") && answer.sets_no_cookie());
            assert!(answer.header("content-security-policy").contains("default-src 'self'"));
        }
    }
    assert_eq!(visitor.peek()["session"], before["session"]);
    let own = demo.url("");
    for sign in [("sec-fetch-site", "same-origin"), ("origin", own.as_str())] {
        visitor.post_form("/increment", &[], &[sign]).ok();
    }
}

fn what_is_refused_is_told_on_the_page(demo: &Demo) {
    let mut visitor = signed_in(demo);
    visitor.submit_bare("/increment", &[("csrf", "made up")]);
    visitor.post_form("/increment", &[], &[("sec-fetch-site", "cross-site")]).error(403);
    support::eventually("the page tells of both", || {
        let page = visitor.get("/").body;
        (page.contains("A form was refused: ") && page.contains("Another site’s form was refused: ")).then_some(())
    });
    let mut other = Visitor::of(demo);
    other.login("ben", 300);
    assert!(!other.get("/").body.contains("A form was refused: "), "that was no form of theirs");
}

#[test]
fn the_page_that_plays_another_site_posts_to_the_other_name_of_this_machine_only() {
    let demo = Demo::start(&["--store", "memory", "--allowed-host", "example.org"]);
    let port = demo.url("").rsplit_once(':').expect("a port").1.to_owned();
    let mut visitor = Visitor::of(&demo);
    let page = visitor.get("/forged");
    assert_eq!(page.status, 200);
    assert!(page.body.contains(&format!(r#"action="http://localhost:{port}/logout""#)));
    let policy = page.header("content-security-policy");
    assert!(policy.contains(&format!("form-action http://localhost:{port};")), "{policy}");
    assert!(policy.contains("default-src 'self'") && page.sets_no_cookie());
    for host in ["example.org", "[::1]:80"] {
        visitor.send("GET", "/forged", &[("host", host)], "").error(404);
    }
    let mut visitor = signed_in(&demo);
    assert!(visitor.get("/").body.contains(&format!(r#"href="http://localhost:{port}/forged""#)));
    assert!(!visitor.send("GET", "/", &[("host", "example.org")], "").body.contains("/forged"));
}
