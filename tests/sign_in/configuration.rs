//! The settings of this part: presets, and what contradicts itself.

use std::time::Duration;

use cloakroom::{Config, ConfigBuilder, TokenFormat};

use super::app::{app, signed_in};
use crate::support::{Browser, Place};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn the_nist_presets_end_sessions_when_the_standard_says() {
    let b = Config::builder;
    let presets = [
        (b().nist_aal1(), 30 * DAY, 30 * DAY),
        (b().nist_aal2(), HOUR, DAY),
        (b().nist_aal3(), 15 * MINUTE, 12 * HOUR),
    ];
    for (preset, idle, absolute) in presets {
        let terms = *preset.clone().build().unwrap().terms();
        assert_eq!((terms.idle_timeout, terms.absolute_lifetime), (idle, absolute));

        let place = Place::memory();
        let browser = Browser::new(app(&place.sessions_with(preset)));
        signed_in(browser.clone(), "anna").await;
        place.clock.advance(idle);
        assert_eq!(browser.visit("/whoami").await.body, "nobody", "without use");
        signed_in(browser.clone(), "anna").await;
        let mut age = Duration::ZERO;
        while age + idle / 2 < absolute {
            place.clock.advance(idle / 2);
            age += idle / 2;
            assert_eq!(browser.visit("/whoami").await.body, "anna", "after {age:?}");
        }
        place.clock.advance(absolute - age);
        assert_eq!(browser.visit("/whoami").await.body, "nobody", "however busy");
    }
}

#[test]
fn a_contradiction_is_found_when_the_settings_are_built_and_names_setting_and_limit() {
    let b = Config::builder;
    let sessions = |n| b().max_sessions_per_user(n);
    let page = |path: &str| b().sign_in_page(path);
    let origin = |origin: &str| b().trust_origin(origin);
    let cases: Vec<(ConfigBuilder, &str, &str)> = vec![
        (sessions(0), "max_sessions_per_user", "from 1 to 1000, not 0"),
        (sessions(1001), "max_sessions_per_user", "from 1 to 1000, not 1001"),
        (sessions(usize::MAX), "max_sessions_per_user", "from 1 to 1000"),
        (b().rotate_every(Duration::ZERO), "rotate_every", "from 1 to 999999999"),
        (b().rotate_every(Duration::from_millis(1500)), "rotate_every", "whole number of seconds"),
        (b().rotate_every(Duration::MAX), "rotate_every", "999999999"),
        (b().rotate_every(MINUTE).token_format(TokenFormat::Plain), "rotate_every", "plain tokens cannot rotate"),
        (page(""), "sign_in_page", "begins with one /"),
        (page("sign_in"), "sign_in_page", "begins with one /"),
        (page("//evil.example"), "sign_in_page", "begins with one /"),
        (page("https://evil.example"), "sign_in_page", "begins with one /"),
        (page("/a\r\nX: y"), "sign_in_page", "begins with one /"),
        (page("/größe"), "sign_in_page", "begins with one /"),
        (page("/\\evil.example"), "sign_in_page", "no backslash"),
        (page("/\tevil.example"), "sign_in_page", "all of them ASCII"),
        (page("/a//b"), "sign_in_page", "no //"),
        (b().sign_in_next("next"), "sign_in_next", "needs a sign_in_page"),
        (page("/in").sign_in_next(""), "sign_in_next", "1 to 64"),
        (page("/in").sign_in_next("a&b"), "sign_in_next", "1 to 64"),
        (page("/in").sign_in_next("n".repeat(65)), "sign_in_next", "1 to 64"),
        (page("/in?a=1&next=2").sign_in_next("next"), "sign_in_next", "must not be `next`"),
        (page("/in?next#form").sign_in_next("next"), "sign_in_next", "already has a parameter"),
        (origin(""), "trust_origin", "such as https://app.example.org"),
        (origin("null"), "trust_origin", "such as https://app.example.org"),
        (origin("*"), "trust_origin", "such as https://app.example.org"),
        (origin("example.com"), "trust_origin", "such as https://app.example.org"),
        (origin("https://"), "trust_origin", "such as https://app.example.org"),
        (origin("https://example.com/"), "trust_origin", "without a path"),
        (origin("https://example.com/path"), "trust_origin", "without a path"),
        (origin("https://example.com?query=value"), "trust_origin", "without a path"),
        (origin("https://example.com#fragment"), "trust_origin", "without a path"),
        (origin("https://ex ample.com"), "trust_origin", "such as https://app.example.org"),
        (origin("https://Example.com"), "trust_origin", "lower case"),
        (origin("HTTPS://example.com"), "trust_origin", "lower case"),
        (origin("https://good.example").trust_origin("bad"), "trust_origin", "`bad`"),
        // what a browser leaves out would never match
        (origin("https://example.com:443"), "trust_origin", "without a default port"),
        (origin("http://example.com:80"), "trust_origin", "without a default port"),
        (origin("https://user@example.com"), "trust_origin", "a user"),
        (origin("https://*.example"), "trust_origin", "a `*`"),
        (origin("https://*"), "trust_origin", "`https://*`"),
        (origin("https://app.*.example"), "trust_origin", "name each origin"),
        (origin("https://app.example:*"), "trust_origin", "such as https://app.example.org"),
        (origin("https://app.example:"), "trust_origin", "such as https://app.example.org"),
        (origin("https://app.example:08443"), "trust_origin", "such as https://app.example.org"),
        (origin("https://app.example:99999"), "trust_origin", "such as https://app.example.org"),
        (origin("https://.example"), "trust_origin", "such as https://app.example.org"),
        (origin("https://app..example"), "trust_origin", "such as https://app.example.org"),
        (origin("https://app,example"), "trust_origin", "such as https://app.example.org"),
        (origin("https://app%2eexample"), "trust_origin", "such as https://app.example.org"),
        (origin("https://[0:0::1]"), "trust_origin", "such as https://app.example.org"),
        (b().nist_aal1().absolute_lifetime(DAY), "idle_timeout", "must not exceed absolute_lifetime"),
        (b().nist_aal3().touch_interval(HOUR), "touch_interval", "shorter than idle_timeout, which is 900s"),
    ];
    for (builder, setting, limit) in cases {
        let error =
            builder.clone().build().err().unwrap_or_else(|| panic!("{setting}: {limit} was accepted: {builder:?}"));
        let text = error.to_string();
        assert!(error.is_config() && text.starts_with(&format!("configuration: {setting} ")), "{text}");
        assert!(text.contains(limit), "{text} does not name {limit}");
        assert_eq!(error.status(), 500);
    }
}

#[test]
fn settings_within_the_limits_are_accepted() {
    let b = Config::builder;
    for builder in [
        b().max_sessions_per_user(1),
        b().max_sessions_per_user(1000),
        b().rotate_every(Duration::from_secs(1)),
        b().sign_in_page("/"),
        b().sign_in_page("/sign_in?next=%2F#form"),
        b().sign_in_page("/sign_in?nextpage=1#next").sign_in_next("next"),
        b().trust_origin("https://example.com"),
        b().trust_origin("https://example.com:8080"),
        b().trust_origin("http://example.com"),
        b().trust_origin("http://[::1]:3000"),
        b().trust_origin("https://[2001:db8::1]"),
        b().trust_origin("https://[::ffff:102:304]"),
        b().trust_origin("https://127.0.0.1:65535"),
        b().trust_origin("https://my_host.example."),
        b().trust_origin("https://xn--bcher-kva.example"),
        b().trust_origin("https://example.com:80"),
        b().trust_origin("chrome-extension://abcdefgh"),
    ] {
        builder.build().unwrap();
    }
}
