//! What the application and the browser get, through each proxy, compared with what the guide promises.

use crate::browser::PAGE;
use crate::on_each_proxy;
use crate::proxy::{Kind, Proxy};
use crate::site::Site;
use crate::support::eventually;

const SIGN_IN: [&str; 4] = ["--sign-in-url", "https://app.example/sign-in", "--allowed-host", "app.example"];

on_each_proxy! {
    every_request_of_somebody_who_is_signed_in_reaches_the_application_with_their_name,
    nobody_else_reaches_the_application,
    a_session_that_has_ended_is_refused_at_the_next_request,
    an_odd_url_is_like_any_other,
    the_users_id_arrives_as_it_is,
    a_request_that_another_site_has_made_the_browser_send_is_refused,
}

fn every_request_of_somebody_who_is_signed_in_reaches_the_application_with_their_name(kind: Kind) {
    let site = Site::start(&SIGN_IN);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    let long = "x".repeat(100_000);
    for (method, target, body) in [
        ("GET", "/", ""),
        ("GET", "/page?allow=anyone&a=%2F", ""),
        ("HEAD", "/page", ""),
        ("POST", "/form", "a=b"),
        ("POST", "/long", &long),
        ("PUT", "/thing", "{}"),
        ("DELETE", "/thing", ""),
        ("PROPFIND", "/", ""),
    ] {
        let answer = proxy.send(method, target, &[("Cookie", &ada.cookie), PAGE], body);
        assert_eq!(answer.status, 200, "{method} {target}: {}", proxy.logs());
        if method != "HEAD" {
            assert!(answer.body.contains(&format!("the application has {} bytes", body.len())), "{}", answer.body);
        }
        // what the service says to the proxy is not the browser's
        assert_eq!((answer.all("cloakroom"), answer.all("set-cookie")), (vec![], vec![]));
        let received = proxy.application.take_one();
        assert_eq!((&*received.method, &*received.target, &*received.body), (method, target, body.as_bytes()));
        assert_eq!(received.all("cloakroom"), [ada.named("\"ada\"")]);
        assert_eq!(received.all("host"), ["app.example"]);
        assert_eq!(received.all("cookie"), [&*ada.cookie]);
        assert_eq!(received.all("remote-user"), [""; 0]);
    }
}

fn nobody_else_reaches_the_application(kind: Kind) {
    let site = Site::start(&SIGN_IN);
    let proxy = Proxy::start(kind, &site);
    let signed_out = site.sign_in("ada");
    site.revoke(&signed_out);
    for cookie in ["", "__Host-sid=x", &signed_out.cookie] {
        let ask = |method: &str, target: &str, accept: (&str, &str), body: &str| {
            let answer = proxy.send(method, target, &[("Cookie", cookie), accept], body);
            assert_eq!(proxy.application.take().len(), 0, "{method} {target}");
            assert_eq!(answer.all("set-cookie"), [""; 0]);
            answer
        };
        for (method, target) in
            [("GET", "/page?a=b"), ("HEAD", "/page?a=b"), ("GET", "/page?allow=anyone"), ("GET", "//x/../y")]
        {
            let answer = ask(method, target, PAGE, "");
            assert_eq!(answer.status, 302, "{method} {target}: {}", proxy.logs());
            let location = answer.header("location");
            assert!(
                location.starts_with("https://app.example/sign-in?next=https%3A%2F%2Fapp.example%2F"),
                "{location}"
            );
            assert!(!target.contains("?a=b") || location.ends_with("app.example%2Fpage%3Fa%3Db"), "{location}");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        for (method, accept, body) in
            [("GET", ("Accept", "*/*"), ""), ("POST", PAGE, "a=b"), ("HEAD", ("Accept", "image/png"), "")]
        {
            let answer = ask(method, "/", accept, body);
            assert_eq!((answer.status, answer.all("location")), (401, vec![]), "{method}");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
}

fn a_session_that_has_ended_is_refused_at_the_next_request(kind: Kind) {
    let site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    let (ada, grace) = (site.sign_in("ada"), site.sign_in("grace"));
    for visitor in [&ada, &grace, &ada, &grace] {
        assert_eq!(proxy.get(&[("Cookie", &visitor.cookie)]).status, 200, "the near cache is warm");
    }
    site.revoke(&ada);
    eventually("Redis has told the near cache of the service", || {
        (proxy.get(&[("Cookie", &ada.cookie)]).status == 401).then_some(())
    });
    proxy.application.take();
    assert_eq!(proxy.send("POST", "/", &[("Cookie", &ada.cookie)], "a=b").status, 401);
    assert_eq!(proxy.application.take().len(), 0);
    assert_eq!(proxy.get(&[("Cookie", &grace.cookie)]).status, 200);
    assert_eq!(proxy.application.take_one().all("cloakroom"), [grace.named("\"grace\"")]);
}

fn an_odd_url_is_like_any_other(kind: Kind) {
    let site = Site::start(&SIGN_IN);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    for target in
        ["/é?ü", "/a|b\"<>^`{}", "/%zz?%", "/a;b=c,d", "http://app.example/page", "/?next=https://evil.example/#x"]
    {
        let refused = proxy.send("GET", target, &[PAGE], "");
        assert!([302, 400].contains(&refused.status), "{target}: {}", refused.status);
        let location = refused.header("location");
        assert!(
            location.is_empty()
                || location.starts_with("https://app.example/sign-in?next=https%3A%2F%2Fapp.example%2F")
        );
        assert_eq!(proxy.application.take().len(), 0);
        let let_in = proxy.send("GET", target, &[("Cookie", &ada.cookie)], "");
        // some proxies and some applications refuse such a URL by themselves
        assert!([200, 400].contains(&let_in.status), "{target}: {}", let_in.status);
        proxy.application.take();
    }
    proxy.send("OPTIONS", "*", &[], "");
    assert_eq!(proxy.application.take().len(), 0);
}

fn the_users_id_arrives_as_it_is(kind: Kind) {
    let site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    for (user, written) in [
        ("{http.request.uri} {env.HOME}", r#""{http.request.uri} {env.HOME}""#),
        ("$host %REQ(COOKIE)%", r#""$host %REQ(COOKIE)%""#),
        (r#"a"b\c,d;id=1"#, r#""a\"b\\c,d;id=1""#),
        ("zoë\r\nRemote-User: root", r#"%"zo%c3%ab%0d%0aRemote-User: root""#),
    ] {
        let visitor = site.sign_in(user);
        assert_eq!(proxy.get(&[("Cookie", &visitor.cookie)]).status, 200, "{user}");
        assert_eq!(proxy.application.take_one().all("cloakroom"), [visitor.named(written)], "{user}");
    }
}

fn a_request_that_another_site_has_made_the_browser_send_is_refused(kind: Kind) {
    let site = Site::start(&[]);
    let proxy = Proxy::start(kind, &site);
    let ada = site.sign_in("ada");
    for (method, header, status) in [
        ("POST", ("Sec-Fetch-Site", "cross-site"), 403),
        ("POST", ("Origin", "https://evil.example"), 403),
        ("POST", ("Sec-Fetch-Site", "same-origin"), 200),
        ("POST", ("Origin", "https://app.example"), 200),
        ("GET", ("Sec-Fetch-Site", "cross-site"), 200),
    ] {
        let answer = proxy.send(method, "/", &[("Cookie", &ada.cookie), header], "");
        assert_eq!(answer.status, status, "{method} {header:?}");
        assert_eq!(proxy.application.take().len(), usize::from(status == 200));
    }
}
