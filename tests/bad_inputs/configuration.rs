//! Settings that contradict each other: each error names the setting and its limit.

use std::time::Duration;

use cloakroom::{Config, ConfigBuilder, SameSite, TokenFormat};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Each with the setting and the limit that its error must name.
fn contradictions() -> Vec<(ConfigBuilder, &'static str, &'static str)> {
    let b = Config::builder;
    let development = || b().plain_http_for_development();
    let domain = |domain: &str| b().cookie_name("id").cookie_domain(domain);
    let path = |path: &str| b().cookie_name("id").cookie_path(path);
    let bearer = |header: &str| b().bearer_tokens().bearer_token_header(header);
    let secs = Duration::from_secs;
    vec![
        (b().idle_timeout(Duration::ZERO), "idle_timeout", "from 1 to 999999999"),
        (b().idle_timeout(Duration::from_millis(1500)), "idle_timeout", "whole number of seconds"),
        (b().idle_timeout(Duration::from_nanos(1)), "idle_timeout", "whole number of seconds"),
        (b().idle_timeout(Duration::MAX), "idle_timeout", "999999999"),
        (b().idle_timeout(secs(u64::MAX)), "idle_timeout", "999999999"),
        (b().idle_timeout(secs(1_000_000_000)), "idle_timeout", "999999999"),
        (b().absolute_lifetime(Duration::ZERO), "absolute_lifetime", "from 1 to 999999999"),
        (b().absolute_lifetime(Duration::MAX), "absolute_lifetime", "999999999"),
        (b().absolute_lifetime(secs(3600) + Duration::from_millis(1)), "absolute_lifetime", "whole number of seconds"),
        (b().idle_timeout(DAY), "idle_timeout", "must not exceed absolute_lifetime"),
        (b().absolute_lifetime(secs(60)), "idle_timeout", "must not exceed absolute_lifetime"),
        (b().touch_interval(secs(1800)), "touch_interval", "shorter than idle_timeout, which is 1800s"),
        (b().touch_interval(Duration::MAX), "touch_interval", "shorter than idle_timeout"),
        (b().rotation_grace(secs(3601)), "rotation_grace", "an hour"),
        (b().rotation_grace(Duration::MAX), "rotation_grace", "an hour"),
        (b().max_fields(0), "max_fields", "from 1 to 1024"),
        (b().max_fields(1025), "max_fields", "from 1 to 1024"),
        (b().max_fields(usize::MAX), "max_fields", "from 1 to 1024"),
        (b().max_bytes(0), "max_bytes", "from 1 byte to 16 MiB"),
        (b().max_bytes(usize::MAX), "max_bytes", "from 1 byte to 16 MiB"),
        (b().store_timeout(Duration::ZERO), "store_timeout", "above zero and at most an hour"),
        (b().store_timeout(Duration::MAX), "store_timeout", "above zero and at most an hour"),
        (b().cookie_name(""), "cookie_name", "1 to 256 characters"),
        (b().cookie_name("a".repeat(257)), "cookie_name", "1 to 256 characters"),
        (b().cookie_name("a b"), "cookie_name", "no space"),
        (b().cookie_name("a;b"), "cookie_name", "no `;`"),
        (b().cookie_name("a=b"), "cookie_name", "no `=`"),
        (b().cookie_name("a\r\nSet-Cookie: x"), "cookie_name", "HTTP token"),
        (b().cookie_name("sid\0"), "cookie_name", "HTTP token"),
        (b().cookie_name("größe"), "cookie_name", "HTTP token"),
        (b().cookie_domain("example.com"), "cookie_domain", "__Host-"),
        (b().cookie_name("__HOST-x").cookie_domain("example.com"), "cookie_domain", "__Host-"),
        (b().cookie_path("/app"), "cookie_path", "__Host-"),
        (development().cookie_name("__Host-sid"), "cookie_name", "only with Secure"),
        (development().cookie_name("__Secure-sid"), "cookie_name", "only with Secure"),
        (development().cookie_name("__sEcUrE-sid"), "cookie_name", "only with Secure"),
        (development().cookie_name("__Http-sid"), "cookie_name", "only with Secure"),
        (development().cookie_name("__Host-Http-sid"), "cookie_name", "only with Secure"),
        (b().cookie_name("__Host-Http-sid").cookie_domain("example.com"), "cookie_domain", "__Host-"),
        (b().cookie_name("__Host-Http-sid").cookie_path("/app"), "cookie_path", "__Host-"),
        (development().same_site(SameSite::None), "same_site", "only with Secure"),
        (b().cookie_partitioned(), "cookie_partitioned", "SameSite::None"),
        (b().cookie_partitioned().same_site(SameSite::Strict), "cookie_partitioned", "SameSite::None"),
        (development().cookie_partitioned().same_site(SameSite::None), "same_site", "only with Secure"),
        (path(""), "cookie_path", "begin with /"),
        (path("app"), "cookie_path", "begin with /"),
        (path(&"/a".repeat(513)), "cookie_path", "at most 1024"),
        (path("/; Domain=evil.example"), "cookie_path", "`;`"),
        (path("/\r\nX: y"), "cookie_path", "none of them a space"),
        (path("/größe"), "cookie_path", "none of them a space"),
        (domain(""), "cookie_domain", "host name"),
        (domain(&"a".repeat(255)), "cookie_domain", "at most 254"),
        (domain("example.com; Secure"), "cookie_domain", "host name"),
        (domain("https://example.com"), "cookie_domain", "host name"),
        (domain("example.com:8080"), "cookie_domain", "host name"),
        (domain("*.example.com"), "cookie_domain", "host name"),
        (domain("example.com,evil.example"), "cookie_domain", "host name"),
        (b().bearer_token_header("x-session-token"), "bearer_token_header", "needs bearer_tokens"),
        (bearer(""), "bearer_token_header", "x-session-token"),
        (bearer("x session"), "bearer_token_header", "letters, digits"),
        (bearer("x-größe"), "bearer_token_header", "letters, digits"),
        (bearer("x-token\r\nSet-Cookie: a"), "bearer_token_header", "letters, digits"),
        (bearer("Set-Cookie"), "bearer_token_header", "nothing else uses"),
        (bearer("www-authenticate"), "bearer_token_header", "nothing else uses"),
        (bearer("CONTENT-LENGTH"), "bearer_token_header", "nothing else uses"),
        (b().cookie_max_age(Duration::ZERO), "cookie_max_age", "400 days"),
        (b().cookie_max_age(Duration::from_millis(999)), "cookie_max_age", "one second"),
        (b().cookie_max_age(400 * DAY + secs(1)), "cookie_max_age", "400 days"),
        (b().cookie_max_age(Duration::MAX), "cookie_max_age", "400 days"),
    ]
}

#[test]
fn every_contradiction_is_an_error_that_names_the_setting_and_its_limit() {
    for (builder, setting, limit) in contradictions() {
        let shown = format!("{builder:?}");
        let error = builder.build().expect_err(&shown);
        assert!(error.is_config(), "{error}");
        assert!(error.to_string().contains(&format!("configuration: {setting} ")), "{setting}: {error}");
        assert!(error.to_string().contains(limit), "{limit}: {error}");
        assert_eq!(error.status(), 500);
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    let b = Config::builder;
    let secs = Duration::from_secs;
    let allowed = [
        b(),
        b().idle_timeout(secs(1)),
        b().idle_timeout(secs(43200)),
        b().idle_timeout(secs(1)).absolute_lifetime(secs(1)),
        b().idle_timeout(secs(999_999_999)).absolute_lifetime(secs(999_999_999)),
        b().touch_interval(Duration::ZERO),
        b().touch_interval(secs(1799)),
        b().rotation_grace(Duration::ZERO),
        b().rotation_grace(secs(3600)),
        b().max_fields(1).max_bytes(1),
        b().max_fields(1024).max_bytes(16 * 1024 * 1024),
        b().store_timeout(Duration::from_millis(1)),
        b().cookie_max_age(secs(1)),
        b().cookie_max_age(400 * DAY),
        b().cookie_name("a".repeat(256)),
        b().cookie_name("!#$%&'*+-.^_`|~"),
        b().cookie_name("__Secure-id").cookie_domain("example.com").cookie_path("/app"),
        b().cookie_name("__Http-id").cookie_domain("example.com").cookie_path("/app"),
        b().cookie_name("__Host-Http-id"),
        b().cookie_name("id").cookie_domain(".example.com"),
        b().cookie_name("id").cookie_domain("a".repeat(254)).cookie_path("/a".repeat(512)),
        b().cookie_name("id").cookie_domain("xn--gre-6ka8i.example"),
        b().plain_http_for_development().same_site(SameSite::Strict),
        b().same_site(SameSite::None),
        b().same_site(SameSite::None).cookie_partitioned(),
        b().same_site(SameSite::None).cookie_partitioned().cookie_name("__Host-Http-id"),
        b().token_format(TokenFormat::Plain),
        b().bearer_tokens().token_format(TokenFormat::Plain),
        b().bearer_tokens().bearer_token_header("X-Session-Token"),
    ];
    for builder in allowed {
        let shown = format!("{builder:?}");
        builder.build().expect(&shown);
    }
}
