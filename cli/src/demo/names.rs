//! The names to which the demo answers. Another site can make its own name lead to this machine (DNS rebinding). To the browser, a
//! request to that name belongs to the other site, which could then read the answer. Such a request still carries the other name, so
//! it is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::demo::answer::Problem;

/// Under which names the demo is asked for, whatever the port: one that is forwarded may be another.
pub(crate) struct Names {
    /// Where it listens.
    address: IpAddr,
    /// In lower case, without the point at the end.
    names: Vec<String>,
}

impl Names {
    /// This machine's own, the one to listen on, and those that a flag allows.
    pub(crate) fn new(address: IpAddr, host: &str, allowed: &[String]) -> Names {
        let names = ["localhost", host].into_iter().chain(allowed.iter().map(String::as_str)).map(canonical);
        Names { address: address.to_canonical(), names: names.collect() }
    }

    /// Whether a request asks for the demo by one of its names, and by no other beside it.
    fn are_asked_for(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        host.is_some_and(|host| self.contain(&host)) && uri.authority().is_none_or(|host| self.contain(host))
    }

    fn contain(&self, authority: &Authority) -> bool {
        let host = authority.host();
        if authority.as_str().contains('@') {
            return false;
        }
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => self.contain_address(address.to_canonical()),
            Err(_) => self.names.contains(&canonical(host)),
        }
    }

    /// Where the demo listens on every address of this machine, any is its own: no other site's name is an address.
    fn contain_address(&self, address: IpAddr) -> bool {
        let own = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST), self.address];
        self.address.is_unspecified() || own.contains(&address)
    }
}

/// Reads the name of a host: no port, no URL.
pub(crate) fn host_name(text: &str) -> Result<String, String> {
    match text.parse::<Authority>() {
        Ok(authority) if authority.host() == text => Ok(text.to_owned()),
        _ => Err("it must be the name of a host, such as shop.example, without a scheme or a port".to_owned()),
    }
}

fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Answers nothing to a request that asks for another name, whatever it wants.
pub(crate) async fn only_own(State(names): State<Arc<Names>>, request: Request, next: Next) -> Response {
    if names.are_asked_for(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let why = "the demo does not answer to this name: to allow it, start the demo with --allowed-host NAME";
    Problem::no_such_route(StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(address: &str, host: &str) -> bool {
        let names = Names::new(address.parse().expect("an address"), "demo.internal", &["Shop.example".to_owned()]);
        let headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a header"))]);
        names.are_asked_for(&Uri::from_static("/"), &headers)
    }

    #[test]
    fn the_demo_answers_to_its_own_names_on_any_port_and_to_no_other() {
        for host in
            ["localhost", "LOCALHOST.:80", "127.0.0.1:1", "[::1]:8080", "192.0.2.7", "shop.example", "demo.internal"]
        {
            assert!(answers("192.0.2.7", host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.8", "", ":80", "0.0.0.0"]
        {
            assert!(!answers("192.0.2.7", host), "{host}");
        }
        for host in
            ["localhost@evil.example", "evil.example@localhost:x", "localhost:80:80", "[::1", "localhost/", "a b"]
        {
            assert!(!answers("192.0.2.7", host), "{host}");
        }
    }

    #[test]
    fn on_every_address_it_answers_to_every_address_and_still_to_no_other_name() {
        assert!(["0.0.0.0:80", "192.0.2.8", "[2001:db8::1]:80"].iter().all(|host| answers("::", host)));
        assert!(answers("0.0.0.0", "192.0.2.8") && !answers("0.0.0.0", "evil.example"));
        assert!(answers("::ffff:192.0.2.7", "192.0.2.7"));
    }
}
