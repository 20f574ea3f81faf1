//! URLs of servers: what is accepted leads to this machine, or is encrypted; and no password is ever shown.

use redis::ConnectionAddr;
use url::{Host, Url};

use super::super::Redis;
use super::super::plain_text::is_loopback;
use super::super::plan::{connection_info, without_password};

/// Stands for a password in the corpus.
const PASSWORD: &str = "hunter2hunter2";

/// Checks a text as a URL.
pub fn urls(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let builder = Redis::builder(text);
    // the path of a socket and the name of a service are shown, whatever they look like
    let is_password = match Url::parse(text) {
        Ok(url) => url.password().is_some_and(|password| password.contains(PASSWORD)),
        Err(_) => text.contains(&format!(":{PASSWORD}@")),
    };
    let is_password = is_password && text.matches(PASSWORD).count() == 1;
    let assert_is_not_shown = |said: &str| assert!(!is_password || !said.contains(PASSWORD), "{said}");
    let url = match builder.checked() {
        Ok(plan) => {
            assert_is_not_shown(&plan.to_string());
            builder.checked_url(text).expect("it was accepted")
        }
        Err(error) => return assert_is_not_shown(&error.to_string()),
    };
    assert_is_not_shown(&without_password(&url));
    match connection_info(&url).expect("it was accepted").addr() {
        ConnectionAddr::Tcp(host, _) => assert!(is_this_machine(host), "{host} is reached in plain text"),
        ConnectionAddr::TcpTls { .. } => assert!(["rediss", "valkeys", "rediss+sentinel"].contains(&url.scheme())),
        ConnectionAddr::Unix(_) => assert!(url.scheme().ends_with("unix")),
        other => panic!("nobody asked for {other}"),
    }
}

fn is_this_machine(host: &str) -> bool {
    match Host::parse(host) {
        // also in the short and the other forms that systems take for an address: 127.1, 0x7f.1
        Ok(Host::Ipv4(address)) => is_loopback(address.into()),
        Ok(Host::Ipv6(address)) => is_loopback(address.into()),
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Err(_) => host.parse().is_ok_and(is_loopback),
    }
}
