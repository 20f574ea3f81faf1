//! Who may ask without a key: programs on this machine, and no page of another site in a browser on this machine.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

/// Returns whether the request asks for a name that another site may own. Such a site can make its name lead to this machine (DNS
/// rebinding), and its page can then read the answers. An address, a name without a dot and the names below `localhost` belong to no
/// other site.
pub(super) fn is_asked_under_a_foreign_name(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().any(|host| {
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        host.is_none_or(|host| is_foreign(&host))
    })
}

fn is_foreign(authority: &Authority) -> bool {
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    name.contains('.') && !is_address && !name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_another_site_can_own_is_foreign() {
        let foreign = |host: &str| {
            is_asked_under_a_foreign_name(&HeaderMap::from_iter([(header::HOST, host.parse().expect("a header"))]))
        };
        for host in
            ["127.0.0.1:8090", "[::1]:80", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST.:1", "shop.localhost", "unix"]
        {
            assert!(!foreign(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "localhost.evil.example", "a b", ""]
        {
            assert!(foreign(host), "{host}");
        }
        assert!(!is_asked_under_a_foreign_name(&HeaderMap::new()), "a browser always names a host");
    }
}
