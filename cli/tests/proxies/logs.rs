//! No token is in a log, as far as the guide says so.

use crate::browser::PAGE;
use crate::on_each_real_proxy;
use crate::proxy::{Changes, Kind, Proxy};
use crate::site::Site;
use crate::support::eventually;

on_each_real_proxy! {
    no_log_has_a_token_unless_the_proxy_is_told_to_log_cookies,
}

/// Envoy has no access log unless one is configured.
const ACCESS_LOG: (&str, &str) = (
    "stat_prefix: app",
    "stat_prefix: app
                access_log:
                  - name: envoy.access_loggers.stdout
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
);

fn no_log_has_a_token_unless_the_proxy_is_told_to_log_cookies(kind: Kind) {
    let site = Site::start_logging_all(&["--sign-in-url", "https://accounts.example/sign-in"]);
    let replaced: &[(&str, &str)] = if kind == Kind::Envoy { &[ACCESS_LOG] } else { &[] };
    let quiet = Proxy::start_with(kind, &site, Changes { replaced, ..Changes::default() });
    let ada = site.sign_in("ada");
    let signed_out = site.sign_in("grace");
    site.revoke(&signed_out);
    let use_it = |proxy: &Proxy| {
        for visitor in [&ada, &signed_out] {
            let cookie = ("Cookie", &*visitor.cookie);
            proxy.get(&[cookie, PAGE]);
            proxy.send("POST", "/form", &[cookie, ("Origin", "https://evil.example")], "a=b");
            proxy.open_socket(&[cookie]);
        }
    };
    use_it(&quiet);
    let talkative = Proxy::start_with(kind, &site, Changes { says_all: true, ..Changes::default() });
    use_it(&talkative);
    eventually("the log of a proxy that is told to log cookies has them", || {
        let logs = talkative.logs();
        [&ada, &signed_out].iter().all(|visitor| logs.contains(&visitor.secret)).then_some(())
    });
    eventually("the proxy logs requests, and the service answers", || {
        (quiet.logs().contains("POST /form") || quiet.logs().contains("\"uri\":\"/form\"")).then_some(())?;
        site.service.stderr().contains("answered").then_some(())
    });
    for (whose, logs) in [("the proxy", quiet.logs()), ("the service", site.service.stderr())] {
        for visitor in [&ada, &signed_out] {
            assert!(!logs.contains(&visitor.secret), "{whose}: {logs}");
        }
    }
    assert!(
        site.service.stderr().contains(&ada.session.to_string()),
        "the service logs which session it was asked for"
    );
}
