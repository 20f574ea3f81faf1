//! Headers that a visitor forges never reach the application in a way that it could take for an identity.

use crate::on_each_proxy;
use crate::proxy::{Changes, Kind, Proxy};
use crate::site::Site;

on_each_proxy! {
    no_forged_identity_reaches_the_application,
    no_forged_identity_reaches_an_application_that_lets_everybody_in,
    everybody_reaches_the_sign_in_page_and_nobody_with_a_forged_identity,
    nothing_that_a_visitor_forges_changes_the_question,
    remote_user_is_the_users_own_or_not_there,
}

/// Somebody else's name, in all the ways of writing a header.
const FORGED: [&[(&str, &str)]; 13] = [
    &[("Cloakroom", FORGED_VALUE)],
    &[("cloakroom", FORGED_VALUE)],
    &[("CLOAKROOM", FORGED_VALUE), ("Cloakroom", FORGED_VALUE)],
    &[("Cloakroom", "")],
    &[("Cloakroom", ""), ("Cloakroom", FORGED_VALUE), ("cLoAkRoOm", "")],
    &[("Cloak_room", FORGED_VALUE), ("Cloak-room", FORGED_VALUE), ("Cloak.room", FORGED_VALUE)],
    &[("Cloakroom_", FORGED_VALUE), ("_Cloakroom", FORGED_VALUE), ("Cloakroom.", FORGED_VALUE)],
    &[("Remote-User", "root"), ("Remote-User", "root")],
    &[("remote-user", ""), ("REMOTE-USER", "root")],
    &[("Remote_User", "root"), ("remote_user", "root")],
    &[("Remote.User", "root"), ("Remote.user", "")],
    &[("Connection", "Cloakroom, Remote-User")],
    &[("Connection", "Cloakroom, Remote-User, Cookie"), ("Cloakroom", FORGED_VALUE)],
];
const FORGED_VALUE: &str = "?1;user=\"root\";id=\"AAAAAAAAAAAAAAAAAAAAAA\"";

fn no_forged_identity_reaches_the_application(kind: Kind) {
    let site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    for forged in FORGED {
        assert_ne!(proxy.get(forged).status, 200, "{forged:?}");
        assert_eq!(proxy.application.take().len(), 0, "{forged:?}");
        let status = proxy.get(&[&[("Cookie", ada.cookie.as_str())], forged].concat()).status;
        for received in proxy.application.take() {
            assert_eq!(
                received.variable("HTTP_CLOAKROOM"),
                [ada.named("\"ada\"")],
                "{forged:?} {status}: {received:?}"
            );
            assert_eq!(received.variable("HTTP_REMOTE_USER"), [""; 0], "{forged:?}: {received:?}");
        }
    }
    assert_eq!(proxy.get(&[("Cookie", &ada.cookie)]).status, 200);
}

fn no_forged_identity_reaches_an_application_that_lets_everybody_in(kind: Kind) {
    let site = Site::start(&["--remote-user"]);
    let path = match kind {
        Kind::Nginx => ("/auth/nginx", "/auth/anyone/nginx"),
        Kind::Caddy26 | Kind::Caddy211 | Kind::Traefik => ("/auth/forward", "/auth/anyone/forward"),
        Kind::Envoy => ("/auth/envoy", "/auth/anyone/envoy"),
    };
    let proxy = Proxy::start_with(kind, &site, Changes { replaced: &[path], ..Changes::default() });
    for forged in FORGED {
        let status = proxy.get(forged).status;
        for received in proxy.application.take() {
            assert_eq!(received.variable("HTTP_CLOAKROOM"), ["?0"], "{forged:?} {status}: {received:?}");
            assert_eq!(received.variable("HTTP_REMOTE_USER"), [""; 0], "{forged:?}: {received:?}");
        }
    }
    assert_eq!(proxy.get(&[]).status, 200, "{}", proxy.logs());
    assert_eq!(proxy.application.take_one().all("cloakroom"), ["?0"]);
    let ada = site.sign_in("ada");
    assert_eq!(proxy.get(&[("Cookie", &ada.cookie)]).status, 200);
    assert_eq!(proxy.application.take_one().all("cloakroom"), [ada.named("\"ada\"")]);
}

fn everybody_reaches_the_sign_in_page_and_nobody_with_a_forged_identity(kind: Kind) {
    let site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    for forged in FORGED {
        proxy.send("GET", "/sign-in", forged, "");
        for received in proxy.sign_in.take() {
            assert_eq!(received.variable("HTTP_CLOAKROOM"), [""; 0], "{forged:?}: {received:?}");
            assert_eq!(received.variable("HTTP_REMOTE_USER"), [""; 0], "{forged:?}: {received:?}");
        }
    }
    let posted = [("Cookie", "a=b"), ("Origin", "https://app.example")];
    assert_eq!(proxy.send("POST", "/sign-in?next=x", &posted, "user=ada").status, 200, "{}", proxy.logs());
    let received = proxy.sign_in.take_one();
    assert_eq!((&*received.target, &*received.body), ("/sign-in?next=x", &b"user=ada"[..]));
    assert_eq!([received.all("host"), received.all("cookie")], [["app.example"], ["a=b"]]);
    assert_eq!(proxy.application.take().len(), 0);
}

fn nothing_that_a_visitor_forges_changes_the_question(kind: Kind) {
    let site = Site::start(&["--sign-in-url", "https://accounts.example/sign-in", "--allowed-host", "app.example"]);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    let forged = [
        ("X-Original-Method", "GET"),
        ("X-Original-URL", "https://evil.example/"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Uri", "/auth/anyone/forward"),
        ("X-Forwarded-Port", "81"),
        ("Forwarded", "host=evil.example;proto=http"),
    ];
    let page = [&[crate::browser::PAGE], &forged[..]].concat();
    let answer = proxy.send("GET", "/page", &page, "");
    assert_eq!(answer.status, 302, "{}", proxy.logs());
    assert_eq!(answer.header("location"), "https://accounts.example/sign-in?next=https%3A%2F%2Fapp.example%2Fpage");
    assert_eq!(proxy.send("GET", "/anyone/envoy/", &forged, "").status, 401);
    // a POST of another site stays a POST of another site
    let posted = [&[("Cookie", ada.cookie.as_str()), ("Origin", "https://evil.example")], &forged[..]].concat();
    assert_eq!(proxy.send("POST", "/", &posted, "a=b").status, 403);
    assert_eq!(proxy.application.take().len(), 0);
}

fn remote_user_is_the_users_own_or_not_there(kind: Kind) {
    let site = Site::start(&["--remote-user"]);
    let replaced: &[(&str, &str)] = match kind {
        Kind::Nginx => &[
            ("# auth_request_set $remote_user_id", "auth_request_set $remote_user_id"),
            ("Remote-User \"\";", "Remote-User $remote_user_id;"),
        ],
        Kind::Caddy26 | Kind::Caddy211 => {
            &[("\t\t\tcopy_headers Cloakroom\n", ""), ("# with `--remote-user`: copy_headers", "copy_headers")]
        }
        Kind::Traefik => &[("authResponseHeaders: [Cloakroom]", "authResponseHeaders: [Cloakroom, Remote-User]")],
        Kind::Envoy => {
            &[("- exact: cloakroom\n", "- exact: cloakroom\n                              - exact: remote-user\n")]
        }
    };
    let proxy = Proxy::start_with(kind, &site, Changes { replaced, ..Changes::default() });
    let (ada, zoe) = (site.sign_in("{env.HOME} $host"), site.sign_in("zoë"));
    for forged in FORGED {
        proxy.get(&[&[("Cookie", ada.cookie.as_str())], forged].concat());
        for received in proxy.application.take() {
            assert_eq!(received.variable("HTTP_REMOTE_USER"), ["{env.HOME} $host"], "{forged:?}: {received:?}");
        }
    }
    assert_eq!(proxy.get(&[("Cookie", &ada.cookie)]).status, 200, "{}", proxy.logs());
    assert_eq!(proxy.application.take_one().all("remote-user"), ["{env.HOME} $host"]);
    assert!(proxy.get(&[("Cookie", &zoe.cookie)]).status >= 500);
    assert_eq!(proxy.application.take().len(), 0);
}
