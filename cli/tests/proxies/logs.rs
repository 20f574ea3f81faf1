//! No token is in a log, as far as the guide says so.

use crate::browser::PAGE;
use crate::on_each_real_proxy;
use crate::proxy::{Changes, Kind, Proxy};
use crate::site::Site;

on_each_real_proxy! {
    no_log_has_a_token_unless_the_proxy_is_told_to_log_cookies,
}

fn no_log_has_a_token_unless_the_proxy_is_told_to_log_cookies(kind: Kind) {
    let site = Site::start_logging_all(&["--sign-in-url", "https://accounts.example/sign-in"]);
    let quiet = Proxy::start(kind, &site);
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
    crate::support::eventually("the log of a proxy that is told to log cookies has them", || {
        let logs = talkative.logs();
        [&ada, &signed_out].iter().all(|visitor| logs.contains(&visitor.secret)).then_some(())
    });
    for (whose, logs) in [("the proxy", quiet.logs()), ("the service", site.service.stderr())] {
        assert!(!logs.is_empty(), "{whose} logs");
        for visitor in [&ada, &signed_out] {
            assert!(!logs.contains(&visitor.secret), "{whose}: {logs}");
        }
    }
    assert!(
        site.service.stderr().contains(&ada.session.to_string()),
        "the service logs which session it was asked for"
    );
}
