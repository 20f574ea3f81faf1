//! The service's answers to questions, without a proxy between: what each family of proxies may rely on.

use std::process::Command;

use crate::browser::{Answer, HOST, PAGE, send};
use crate::site::Site;
use crate::support::demo::cloakroom;

const SIGN_IN: [&str; 4] = ["--sign-in-url", "https://accounts.example/sign-in", "--allowed-host", "app.example"];

/// A family of proxies, and how it asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Family {
    Nginx,
    Forward,
    Envoy,
}

const FAMILIES: [Family; 3] = [Family::Nginx, Family::Forward, Family::Envoy];

impl Family {
    /// Asks about a request for a page, with the headers of a visitor.
    pub(crate) fn ask(self, site: &Site, headers: &[(&str, &str)]) -> Answer {
        self.ask_about(site, "/auth", "GET", "/page?a=b", headers)
    }

    fn ask_about(self, site: &Site, prefix: &str, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let url = format!("https://app.example{target}");
        let (asks_with, path, own) = match self {
            Family::Nginx => {
                ("GET", "/nginx".to_owned(), vec![("X-Original-Method", method), ("X-Original-URL", &url)])
            }
            Family::Forward => {
                let uri = [("X-Forwarded-Method", method), ("X-Forwarded-Uri", target)];
                let host = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "app.example")];
                ("GET", "/forward".to_owned(), [uri, host].concat())
            }
            Family::Envoy => (method, format!("/envoy{target}"), vec![("X-Forwarded-Proto", "https")]),
        };
        send(site.port(), asks_with, &format!("{prefix}{path}"), &[&[HOST], own.as_slice(), headers].concat(), "")
    }
}

/// What every answer to a proxy has.
#[track_caller]
fn assert_complete(answer: &Answer, who: &str) {
    assert_eq!(answer.header("cloakroom"), who, "{}", answer.status);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.all("set-cookie"), [""; 0]);
}

#[test]
fn whoever_is_signed_in_is_let_in_and_named() {
    let site = Site::start(&[]);
    let ada = site.sign_in("ada");
    for family in FAMILIES {
        for prefix in ["/auth", "/auth/anyone"] {
            for method in ["GET", "HEAD", "POST", "DELETE", "PROPFIND"] {
                let answer = family.ask_about(&site, prefix, method, "/", &[("Cookie", &ada.cookie)]);
                assert_eq!(answer.status, 200, "{family:?} {method}: {}", answer.body);
                assert_complete(&answer, &ada.named("\"ada\""));
                assert_eq!(answer.all("remote-user"), [""; 0]);
                assert_eq!(answer.header("vary").to_lowercase(), "cookie");
            }
        }
    }
}

#[test]
fn whoever_is_not_signed_in_is_refused() {
    let site = Site::start(&[]);
    let signed_out = site.sign_in("ada");
    site.revoke(&signed_out);
    let id = signed_out.session.to_string();
    let only_id = format!("__Host-sid={id}");
    let forged = format!("__Host-sid={id}.{}", "A".repeat(43));
    for family in FAMILIES {
        for cookie in ["", "__Host-sid=", "__Host-sid=x", &only_id, &forged, &signed_out.cookie] {
            let answer = family.ask(&site, &[("Cookie", cookie), PAGE]);
            assert_eq!(answer.status, 401, "{family:?} {cookie}: {}", answer.body);
            assert_complete(&answer, "?0");
            assert_eq!(answer.all("location"), [""; 0], "no sign-in page was configured");
            let anyone = family.ask_about(&site, "/auth/anyone", "GET", "/", &[("Cookie", cookie)]);
            assert_eq!(anyone.status, 200, "{family:?} {cookie}: {}", anyone.body);
            assert_complete(&anyone, "?0");
        }
    }
}

#[test]
fn nothing_that_a_visitor_writes_decides_who_is_let_in() {
    let site = Site::start(&[]);
    for target in [
        "/?allow=anyone",
        "/anyone",
        "/../anyone/envoy/",
        "/..%2fanyone%2fenvoy/",
        "//auth/anyone/envoy/",
        "/%2e%2e/anyone/envoy/x",
    ] {
        for family in FAMILIES {
            let answer = family.ask_about(&site, "/auth", "GET", target, &[("Cloakroom", "?1;user=\"root\"")]);
            assert_eq!(answer.status, 401, "{family:?} {target}");
            assert_complete(&answer, "?0");
        }
    }
    // Caddy leaves the visitor's query where the question's own would be
    let forwarded = |query: &str| {
        let headers = [
            HOST,
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.example"),
            ("X-Forwarded-Uri", "/"),
        ];
        send(site.port(), "GET", &format!("/auth/forward{query}"), &headers, "").status
    };
    assert_eq!([forwarded(""), forwarded("?allow=anyone"), forwarded("?q=1")], [401; 3]);
}

#[test]
fn nothing_else_below_auth_ever_lets_anybody_in() {
    let site = Site::start(&[]);
    let ada = site.sign_in("ada");
    let paths = [
        "/auth",
        "/auth/",
        "/auth//",
        "/auth/x",
        "/auth/nginx/",
        "/auth/nginx/x",
        "/auth/NGINX",
        "/auth/forward/",
        "/auth/forward/x",
        "/auth/envoy",
        "/auth/envoyx",
        "/auth/envoy-anyone/x",
        "/auth/envoy%2fx",
        "/auth/anyone",
        "/auth/anyone/",
        "/auth/anyone/x",
        "/auth/anyone/anyone/nginx",
        "/auth/anyone/nginx/",
        "/auth/anyone/envoyx",
        "/auth/caddy",
        "/auth/traefik",
        "/auth/%6eginx",
        "//auth/nginx",
        "/auth/../auth/nginx",
        "/auth/*",
        "/auth/{*path}",
        "/auth/nginx?allow=anyone",
        "/auth/nginx?alow=anyone",
        "/auth/nginx?",
    ];
    for path in paths {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            // whatever any family sends
            let headers = [
                HOST,
                ("Cookie", &ada.cookie),
                ("X-Original-Method", "GET"),
                ("X-Original-URL", "https://app.example/"),
                ("X-Forwarded-Method", "GET"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "app.example"),
                ("X-Forwarded-Uri", "/"),
            ];
            let answer = send(site.port(), method, path, &headers, "");
            assert!((400..500).contains(&answer.status), "{method} {path}: {}", answer.status);
            if path.starts_with("/auth") {
                assert_complete(&answer, "?0");
            }
        }
    }
    for (path, method) in [("/auth/nginx", "POST"), ("/auth/forward", "OPTIONS"), ("/auth/anyone/forward", "DELETE")] {
        let answer = send(site.port(), method, path, &[HOST], "");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_complete(&answer, "?0");
    }
}

#[test]
fn a_visitor_who_looks_at_a_page_is_sent_to_the_sign_in_page() {
    let site = Site::start(&SIGN_IN);
    let page = "https://accounts.example/sign-in?next=https%3A%2F%2Fapp.example%2Fpage%3Fa%3Db";
    for (family, status) in [(Family::Nginx, 401), (Family::Forward, 302), (Family::Envoy, 302)] {
        let sent = family.ask(&site, &[PAGE]);
        assert_eq!((sent.status, sent.header("location")), (status, page), "{family:?}");
        assert_complete(&sent, "?0");
        for (method, headers) in [
            ("GET", vec![]),
            ("GET", vec![("Accept", "application/json")]),
            ("GET", vec![("Accept", "*/*")]),
            ("GET", vec![PAGE, ("Sec-WebSocket-Version", "13")]),
            ("POST", vec![PAGE]),
            ("OPTIONS", vec![PAGE]),
        ] {
            let refused = family.ask_about(&site, "/auth", method, "/", &headers);
            assert_eq!((refused.status, refused.header("location")), (401, ""), "{family:?} {method}");
        }
    }
}

#[test]
fn the_sign_in_page_is_not_told_of_another_host_and_nobody_is_sent_anywhere_else() {
    let site = Site::start(&SIGN_IN);
    let of = |host: &str, proto: &str, target: &str| {
        let headers = [
            HOST,
            PAGE,
            ("Forwarded", "host=evil.example;proto=https"),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", proto),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Uri", target),
        ];
        let answer = send(site.port(), "GET", "/auth/forward", &headers, "");
        (answer.status, answer.header("location").to_owned())
    };
    let page = "https://accounts.example/sign-in".to_owned();
    let told = format!("{page}?next=https%3A%2F%2Fapp.example%2F");
    assert_eq!(of("app.example", "https", "/"), (302, told.clone()));
    assert_eq!(of("app.example", "wss", "/"), (302, told));
    assert_eq!(
        of("app.example", "https", "//evil.example"),
        (302, format!("{page}?next=https%3A%2F%2Fapp.example%2F%2Fevil.example"))
    );
    for host in ["evil.example", "app.example.evil.example", "app.example:81", "accounts.example"] {
        assert_eq!(of(host, "https", "/"), (302, page.clone()), "{host}");
    }
    for (host, proto, target) in [
        ("app.example@evil.example", "https", "/"),
        ("app.example, evil.example", "https", "/"),
        ("app.example", "javascript", "/"),
        ("app.example", "https", "https://evil.example/"),
        ("app.example", "", "/"),
        ("", "https", "/"),
    ] {
        assert_eq!(of(host, proto, target), (400, String::new()), "{proto}://{host}{target}");
    }
}

#[test]
fn a_question_that_says_a_thing_twice_or_not_at_all_is_refused() {
    let site = Site::start(&[]);
    let ada = site.sign_in("ada");
    let families: [(&str, &[(&str, &str)]); 3] = [
        ("/auth/nginx", &[("X-Original-Method", "GET"), ("X-Original-URL", "https://app.example/")]),
        (
            "/auth/forward",
            &[
                ("X-Forwarded-Method", "GET"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "app.example"),
                ("X-Forwarded-Uri", "/"),
            ],
        ),
        ("/auth/envoy/", &[("X-Forwarded-Proto", "https")]),
    ];
    for (path, own) in families {
        let ask = |headers: &[(&str, &str)]| {
            let answer = send(site.port(), "GET", path, &[&[HOST, ("Cookie", &ada.cookie)], headers].concat(), "");
            assert!(answer.status == 200 || answer.header("cloakroom") == "?0");
            answer.status
        };
        assert_eq!(ask(own), 200, "{path}");
        for (at, header) in own.iter().enumerate() {
            let others: Vec<_> =
                own.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, header)| *header).collect();
            assert_eq!(ask(&others), 400, "{path} without {}", header.0);
            assert_eq!(ask(&[own, &[*header]].concat()), 400, "{path} with {} twice", header.0);
            assert_eq!(ask(&[others.as_slice(), &[(header.0, "")]].concat()), 400, "{path} with an empty {}", header.0);
        }
    }
}

#[test]
fn a_request_that_another_site_has_made_the_browser_send_is_refused() {
    let site = Site::start(&SIGN_IN);
    let ada = site.sign_in("ada");
    for family in FAMILIES {
        let ask = |method: &str, headers: &[(&str, &str)]| {
            let headers = [&[("Cookie", ada.cookie.as_str()), PAGE], headers].concat();
            let answer = family.ask_about(&site, "/auth", method, "/", &headers);
            assert!(
                answer.status == 200 || answer.body.contains("\"cross-site\"") && answer.header("cloakroom") == "?0"
            );
            answer.status
        };
        let socket = ("Sec-WebSocket-Version", "13");
        for (method, headers, status) in [
            ("POST", vec![("Sec-Fetch-Site", "same-origin")], 200),
            ("POST", vec![("Sec-Fetch-Site", "cross-site")], 403),
            ("POST", vec![("Sec-Fetch-Site", "same-site")], 403),
            ("POST", vec![("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")], 403),
            ("POST", vec![("Origin", "https://app.example")], 200),
            ("POST", vec![("Origin", "https://evil.example")], 403),
            ("POST", vec![("Origin", "null")], 403),
            ("GET", vec![("Sec-Fetch-Site", "cross-site")], 200),
            ("GET", vec![("Sec-Fetch-Site", "cross-site"), socket], 403),
            ("GET", vec![("Origin", "https://evil.example"), socket], 403),
            ("GET", vec![("Origin", "https://app.example"), socket], 200),
        ] {
            assert_eq!(ask(method, &headers), status, "{family:?} {method} {headers:?}");
        }
    }
}

#[test]
fn remote_user_is_sent_if_it_is_asked_for_and_holds_the_users_id_as_it_is() {
    let site = Site::start(&["--remote-user"]);
    let (ada, zoe) = (site.sign_in("ada lovelace"), site.sign_in("zoë"));
    for family in FAMILIES {
        let named = family.ask(&site, &[("Cookie", &ada.cookie)]);
        assert_eq!((named.status, named.header("remote-user")), (200, "ada lovelace"));
        let refused = family.ask(&site, &[("Cookie", &zoe.cookie)]);
        assert_eq!((refused.status, refused.all("remote-user")), (500, vec![]));
        assert_complete(&refused, "?0");
        let nobody = family.ask_about(&site, "/auth/anyone", "GET", "/", &[]);
        assert_eq!((nobody.status, nobody.all("remote-user")), (200, vec![]));
    }
    let without = Site::start(&[]);
    let zoe = without.sign_in("zoë");
    assert_complete(&Family::Nginx.ask(&without, &[("Cookie", &zoe.cookie)]), &zoe.named("%\"zo%c3%ab\""));
}

#[test]
fn while_the_store_is_away_nobody_is_let_in_and_nobody_is_signed_out() {
    let site = Site::start(&["--no-near-cache"]);
    let ada = site.sign_in("ada");
    site.redis.pause();
    for family in FAMILIES {
        for prefix in ["/auth", "/auth/anyone"] {
            let answer = family.ask_about(&site, prefix, "GET", "/", &[("Cookie", &ada.cookie), PAGE]);
            assert_eq!(answer.status, 503, "{family:?}");
            assert_complete(&answer, "?0");
        }
    }
    site.redis.resume();
    crate::support::eventually("the store is back", || {
        (Family::Nginx.ask(&site, &[("Cookie", &ada.cookie)]).status == 200).then_some(())
    });
}

#[test]
fn a_setting_that_could_not_work_is_refused_when_the_service_starts() {
    let starts = |flags: &[&str]| {
        let mut command: Command =
            cloakroom(&[&["serve", "--store", "memory", "--listen", "127.0.0.1:0"], flags].concat());
        let refused = command.output().expect("the program runs");
        assert_eq!(refused.status.code(), Some(2));
        String::from_utf8(refused.stderr).expect("UTF-8")
    };
    assert!(starts(&["--sign-in-url", "/sign-in"]).contains("the whole URL of a page"));
    assert!(starts(&["--allowed-host", "app.example"]).contains("--sign-in-url"));
    assert!(
        starts(&["--sign-in-url", "https://a.example/", "--allowed-host", "https://b.example"])
            .contains("the name of a host")
    );
}
