//! The demo, and whatever somebody sends to it: each form is taken or refused for what stands in it, what is refused changes
//! nothing, and no token is shown.

mod read;
mod site;

use std::cell::Cell;

use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use url::{Host, Url};

use self::read::Form;
use self::site::{Answer, LONGEST_TTL, Site};
use crate::demo::answer::Code;

/// Checks a request: its method and its path in the first line, then a header in each, an empty line, and the form. Where it
/// says `{csrf}` or `{cookie}` it has those of Ada, who is signed in.
pub fn forms(input: &[u8]) {
    thread_local! {
        static SITES: [Cell<Option<Site>>; 2] = const { [Cell::new(None), Cell::new(None)] };
    }
    let Ok(input) = std::str::from_utf8(input) else { return };
    SITES.with(|sites| {
        for (place, plain_tokens) in sites.iter().zip([false, true]) {
            let site = place.take().unwrap_or_else(|| Site::open(plain_tokens));
            let input = input.replace("{csrf}", &site.csrf).replace("{cookie}", &site.token);
            // one in which something was changed is not used again
            if request(&input).is_none_or(|request| check(&site, request)) {
                place.set(Some(site));
            }
        }
    });
}

fn request(text: &str) -> Option<Request<String>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.split('\n');
    let (method, uri) = lines.next()?.split_once(' ')?;
    let mut request = Request::new(body.to_owned());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(uri).ok()?;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        request.headers_mut().append(name, value);
    }
    Some(request)
}

/// Checks what is answered, and returns whether all is as it was.
fn check(site: &Site, request: Request<String>) -> bool {
    let (before, asked) = (site.seen_by_ada(), request.clone());
    let answer = site.answer(request);
    let after = site.seen_by_ada();
    assert_is_well_formed(&answer);
    assert_shows_no_token(site, &answer);
    let host = asked.headers().get(header::HOST);
    assert!(answer.status == StatusCode::MISDIRECTED_REQUEST || host.is_some_and(is_this_machine), "{host:?}");
    let refusal = answer.refusal();
    if refusal.is_some() || is_of_another_site(&asked) || !is_form(&asked) {
        assert_eq!(after, before, "what is refused changes nothing");
    }
    let form = Form::read(asked.body());
    match (asked.method(), asked.uri().path()) {
        (&Method::POST, "/login") => match refusal {
            None => {
                let seen = site.seen_with(&answer.cookie().expect("a new secret"));
                assert_eq!(seen["session"]["username"], *form.username().expect("it is a name"));
                assert_eq!(seen["configured_ttl"], form.ttl_or_default().expect("it is a time to live"));
            }
            Some(Code::Username) => assert_eq!(form.username(), None),
            Some(Code::Ttl) => assert_eq!(form.ttl_or_default(), None),
            Some(_) => {}
        },
        (&Method::POST, "/ttl") => match refusal {
            None => assert_eq!(after["configured_ttl"], form.ttl().expect("it is a time to live")),
            Some(Code::Ttl) => assert_eq!(form.ttl(), None),
            Some(_) => {}
        },
        (&Method::GET | &Method::HEAD, _) => assert_eq!(after, before, "looking changes nothing"),
        _ => {}
    }
    refusal.is_some() || asked.method() == Method::GET
}

fn assert_is_well_formed(answer: &Answer) {
    assert!(!answer.status.is_server_error(), "{answer:?}");
    let header = |name: HeaderName| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let policy = header(header::CONTENT_SECURITY_POLICY).expect("every answer says what it may load");
    assert!(policy.starts_with("default-src 'self'; object-src 'none'; base-uri 'none'; form-action "), "{policy}");
    assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
    if let Some(cookie) = header(header::SET_COOKIE) {
        assert!(cookie.starts_with("sid=") && cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        assert_eq!(header(header::CACHE_CONTROL), Some("no-store"));
    }
    if let Some(there) = header(header::LOCATION) {
        let code = there.strip_prefix("/?error=");
        assert!(there == "/" || code.is_some_and(|code| Code::parse(code).is_some()), "{there}");
    }
}

fn assert_shows_no_token(site: &Site, answer: &Answer) {
    let secret = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    for secret in answer.cookie().iter().chain([&site.token]).map(|token| secret(token)).filter(|text| !text.is_empty())
    {
        assert!(!answer.body.contains(&secret), "{answer:?}");
    }
}

/// As the URL standard reads it, which is how browsers do. What it does not read no browser sends.
fn is_this_machine(host: &HeaderValue) -> bool {
    let host = host.to_str().expect("the demo has read it");
    let Ok(url) = Url::parse(&format!("http://{host}/")) else { return true };
    match url.host() {
        Some(Host::Domain(name)) => ["localhost", "localhost."].contains(&name),
        Some(Host::Ipv4(address)) => address.octets() == [127, 0, 0, 1],
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Nothing at all is a form, too.
fn is_form(request: &Request<String>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default();
    request.body().is_empty() || kind.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// Whether the browser says so, and no origin beside it that might be trusted.
fn is_of_another_site(request: &Request<String>) -> bool {
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    request.method() != Method::GET && site == Some(b"cross-site") && !request.headers().contains_key(header::ORIGIN)
}
