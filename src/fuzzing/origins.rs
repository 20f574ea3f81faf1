//! Requests that may change something: which of them pass, whatever the browser and others say in the headers.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use url::Url;

use crate::csrf::{Judged, judge};
use crate::{Config, Csrf};

const TRUSTED: &str = "https://app.example";

/// Checks how a request is judged: its method and its URI in the first line, then a header in each, its name and its value
/// with `: ` between them.
pub fn origins(input: &[u8]) {
    let mut lines = input.split(|b| *b == b'\n');
    let mut request = lines.next().unwrap_or_default().splitn(2, |b| *b == b' ');
    let method = request.next().and_then(|method| Method::from_bytes(method).ok());
    let uri = request.next().and_then(|uri| Uri::try_from(uri).ok());
    let (Some(method), Some(uri)) = (method, uri) else { return };
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(at) = line.windows(2).position(|two| two == b": ") else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..at]), HeaderValue::from_bytes(&line[at + 2..])) {
            headers.append(name, value);
        }
    }
    thread_local! {
        static CONFIGS: [Config; 2] = [Csrf::On, Csrf::Strict].map(|csrf| {
            Config::builder().csrf(csrf).trust_origin(TRUSTED).build().expect("a configuration")
        });
    }
    CONFIGS.with(|configs| configs.iter().for_each(|config| check(&method, &uri, &headers, config)));
}

fn check(method: &Method, uri: &Uri, headers: &HeaderMap, config: &Config) {
    let judged = judge(method, uri, headers, config);
    let is_websocket = headers.get_all(header::UPGRADE).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("websocket")))
    });
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) && !is_websocket {
        return;
    }
    let origins = there(headers, "origin");
    let sites = there(headers, "sec-fetch-site");
    let says = |site: &str| sites == [site.as_bytes()];
    if origins.len() > 1 {
        assert!(judged.is_err(), "two origins");
    } else if origins == [TRUSTED.as_bytes()] {
        assert!(judged.is_ok(), "a trusted origin passes from everywhere");
        assert_eq!(judged == Ok(Judged::SameOrigin), says("same-origin"));
    } else if !sites.is_empty() {
        // what the browser says of the site decides
        assert_eq!(judged == Ok(Judged::SameOrigin), says("same-origin"));
        assert_eq!(judged == Ok(Judged::Unknown), says("none"));
    } else if let [origin] = origins[..] {
        assert_ne!(judged, Ok(Judged::Unknown));
        if judged.is_ok() {
            assert_is_own(origin, uri, headers);
        }
    } else {
        assert_eq!(judged.is_ok(), config.csrf != Csrf::Strict, "no browser of the last years");
    }
}

fn there<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).filter(|value| !value.is_empty()).collect()
}

/// The origin is that of the host, as the URL standard reads both. What it does not read no browser sends.
fn assert_is_own(origin: &[u8], uri: &Uri, headers: &HeaderMap) {
    let host = uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = host.or_else(|| headers.get(header::HOST).map(HeaderValue::as_bytes)).expect("there is a host");
    let origin_of = |text: String| Url::parse(&text).ok().map(|url| url.origin());
    let (sent, own) = (String::from_utf8_lossy(origin), String::from_utf8_lossy(host));
    let (sent, own) = (origin_of(sent.into_owned()), origin_of(format!("https://{own}")));
    assert!(sent.is_none() || own.is_none() || sent == own, "{sent:?} is not {own:?}");
}
