//! The page as the server renders it, for a person whose browser runs no script.

use crate::support::demo::Demo;
use crate::support::visitor::Visitor;

type Form<'a> = &'a [(&'a str, &'a str)];

crate::on_each_store! {
    the_page_of_nobody_offers_a_session_and_sets_no_cookie,
    the_page_of_a_session_shows_what_is_stored,
    a_form_is_answered_by_the_page,
    a_form_that_was_refused_leads_to_a_page_that_says_why,
    only_a_visitor_who_had_a_session_is_told_that_it_is_over,
    the_page_is_index_html_too,
    only_a_request_for_a_page_is_redirected_to_it,
    what_a_visitor_typed_is_text_on_the_page,
    a_page_says_nothing_that_a_link_made_up,
    the_page_loads_nothing_from_elsewhere,
}

fn the_page_of_nobody_offers_a_session_and_sets_no_cookie(demo: &Demo) {
    let answer = Visitor::of(demo).get("/");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.body.contains(r#"data-state="blank""#));
    assert!(answer.body.contains(r#"action="/login""#));
    assert!(answer.sets_no_cookie());
}

fn the_page_of_a_session_shows_what_is_stored(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let login = visitor.login("andrew", 60);
    let secret = visitor.token().split_once('.').unwrap().1.to_owned();
    let page = visitor.get("/").body;
    assert!(page.contains(r#"data-state="live""#));
    let id = login["session_id"].as_str().unwrap();
    let lines = match demo.stdout().contains("/cloakroom/sessions") {
        true => vec![format!("cloakroom show --store {} {id}", demo.default_directory().display())],
        false => vec!["redis-cli".to_owned(), format!("HGETALL session:{id}"), format!("TTL session:{id}")],
    };
    for text in ["andrew", "HttpOnly"].into_iter().chain([id]).chain(lines.iter().map(String::as_str)) {
        assert!(page.contains(text), "{text}");
    }
    for (name, value) in login["session"].as_object().unwrap() {
        // a template writes the plus of a time zone as an entity
        let value = value.as_str().unwrap().split('+').next().unwrap();
        assert!(page.contains(&format!(r#"<th scope="row">{name}</th><td>{value}"#)), "{name}");
    }
    assert!(!page.contains(&secret), "what opens the session is never shown");
    assert!(page.contains("secret_hash") && page.contains("not shown"), "nor is its hash");
}

fn a_form_is_answered_by_the_page(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let forms: [(&str, Form); 4] = [
        ("/login", &[("username", "andrew"), ("ttl", "60")]),
        ("/increment", &[]),
        ("/ttl", &[("ttl", "90")]),
        ("/logout", &[]),
    ];
    for (path, form) in forms {
        let answer = visitor.submit(path, form);
        assert_eq!((answer.status, answer.header("location").as_str()), (303, "/"), "{path}");
        assert_eq!(answer.sets_no_cookie(), !["/login", "/logout"].contains(&path), "{path}");
        let state = if path == "/logout" { r#"data-state="blank""# } else { r#"data-state="live""# };
        assert!(visitor.get("/").body.contains(state), "{path}");
    }
}

fn a_form_that_was_refused_leads_to_a_page_that_says_why(demo: &Demo) {
    let name = "a".repeat(41);
    let cases: [(&str, Form, &str, &str); 4] = [
        ("/login", &[("ttl", "0")], "/?error=ttl", "The time to live must be a whole number of seconds"),
        ("/login", &[("username", &name)], "/?error=username", "The user name must have at most 40 characters"),
        ("/increment", &[], "/?error=no-session", "There is no session. Start one first."),
        ("/ttl", &[("ttl", "60")], "/?error=no-session", "There is no session. Start one first."),
    ];
    for (path, form, location, notice) in cases {
        let mut visitor = Visitor::of(demo);
        let answer = visitor.submit(path, form);
        assert_eq!((answer.status, answer.header("location").as_str()), (303, location), "{path}");
        assert!(answer.sets_no_cookie(), "{path}");
        assert!(visitor.get(location).body.contains(notice), "{path}");
    }
}

fn only_a_visitor_who_had_a_session_is_told_that_it_is_over(demo: &Demo) {
    let over = "Your session expired, or was ended elsewhere.";
    let mut visitor = Visitor::of(demo);
    visitor.login("andrew", 60);
    let mut old = Visitor::with_token(demo, visitor.token());
    visitor.post("/logout", &[]).ok();
    for path in ["/", "/?peek=1"] {
        let page = old.get(path);
        assert!(
            page.status == 200 && page.body.contains(over) && page.body.contains(">Session ended<"),
            "{}",
            page.body
        );
    }
    for (path, form) in [("/increment", &[][..]), ("/ttl", &[("ttl", "60")])] {
        let answer = old.submit(path, form);
        assert_eq!((answer.status, answer.header("location").as_str()), (303, "/?error=ended"), "{path}");
        assert!(old.get("/?error=ended").body.contains(over), "{path}");
    }
    assert_eq!(old.get("/session").ok()["reason"], "the session expired or was ended");
    assert!(old.post("/increment", &[]).error(401).starts_with("the session expired or was ended"));
    for visitor in [&mut visitor, &mut Visitor::of(demo)] {
        let page = visitor.get("/").body;
        assert!(!page.contains(over) && page.contains(">No session<"), "nobody's cookie opens nothing");
        assert_eq!(visitor.get("/session").ok().get("reason"), None);
        assert!(visitor.post("/increment", &[]).error(401).starts_with("there is no session"));
    }
}

fn the_page_is_index_html_too(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    assert_eq!(visitor.get("/index.html").body, visitor.get("/").body);
    visitor.login("andrew", 60);
    assert!(visitor.get("/index.html").body.contains(r#"data-state="live""#));
}

fn only_a_request_for_a_page_is_redirected_to_it(demo: &Demo) {
    for (accept, status) in [
        ("text/html", 303),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 303),
        ("TEXT/HTML;q=0.9", 303),
        ("application/json", 200),
        ("text/html, application/json", 200),
        ("*/*", 200),
        ("text/plain", 200),
    ] {
        let answer = Visitor::of(demo).post_form("/login", &[("username", "andrew")], &[("accept", accept)]);
        assert_eq!(answer.status, status, "{accept}");
    }
    assert_eq!(Visitor::of(demo).send("POST", "/login", &[], "").status, 200, "no preference");
}

fn what_a_visitor_typed_is_text_on_the_page(demo: &Demo) {
    for name in ["<script>alert(1)</script>", "\"><img src=x onerror=x>", "</title><b>", "' onfocus='x", "a&lt;b"] {
        let mut visitor = Visitor::of(demo);
        visitor.login(name, 60);
        let page = visitor.get("/").body;
        assert!(page.contains(r#"data-state="live""#));
        assert!(!page.contains(name), "{name}");
    }
}

fn a_page_says_nothing_that_a_link_made_up(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let plain = visitor.get("/").body;
    for query in
        ["error=%3Cscript%3E", "error=nothing", "error=", "ticket=live", "error=TTL", "error=ended", "error=expired"]
    {
        assert_eq!(visitor.get(&format!("/?{query}")).body, plain, "{query}");
    }
    visitor.login("andrew", 60);
    assert!(!visitor.get("/?error=expired").body.contains("The session expired."), "it lives");
}

fn the_page_loads_nothing_from_elsewhere(demo: &Demo) {
    let mut visitor = Visitor::of(demo);
    let page = visitor.get("/");
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let links = page.body.split('<').filter(|tag| ["link ", "script "].iter().any(|kind| tag.starts_with(kind)));
    let files: Vec<&str> = links
        .map(|tag| tag.split(['"']).find(|text| text.starts_with("/assets/")).unwrap_or_else(|| panic!("<{tag}")))
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let answer = visitor.get(file);
        assert_eq!(answer.status, 200, "{file}");
        let kind = match file.rsplit_once('.').unwrap().1 {
            "css" => "text/css",
            "js" => "text/javascript",
            _ => "image/svg+xml",
        };
        assert!(answer.header("content-type").starts_with(kind), "{file}");
        assert!(answer.sets_no_cookie() && !answer.body.contains("http-equiv"), "{file}");
    }
}
