//! `Cookie` headers: a session is opened by exactly the tokens that were issued for it, whatever else stands in the headers.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use tokio::runtime::Runtime;

use super::tokens::{is_base64url, is_token};
use crate::store::{Memory, NewSession, Store as _};
use crate::{
    Clock, Config, SessionId, Sessions, TokenFormat,
    store::{Credentials, Fields},
    web::Visit,
};

const NAME: &str = "__Host-sid";
const ISSUED: [&str; 2] = [
    "AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "BBBBBBBBBBBBBBBBBBBBBA.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA",
];
const ISSUED_PLAIN: [&str; 2] =
    ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"];
/// How many different tokens of a request are looked at.
const MOST: usize = 4;

/// Checks what a request with these headers sees: each line is one.
pub fn cookies(input: &[u8]) {
    thread_local! {
        static SITES: [Site; 2] = [Site::with(TokenFormat::Secret, ISSUED), Site::with(TokenFormat::Plain, ISSUED_PLAIN)];
    }
    let values = input.split(|b| *b == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut headers = HeaderMap::new();
    values.for_each(|value| _ = headers.append(header::COOKIE, value));
    SITES.with(|sites| sites.iter().for_each(|site| site.check(&headers)));
}

/// Where two sessions live.
struct Site {
    runtime: Runtime,
    sessions: Sessions,
    format: TokenFormat,
    issued: [&'static str; 2],
}

impl Site {
    fn with(format: TokenFormat, issued: [&'static str; 2]) -> Site {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        // the sessions must not end while the fuzzer runs
        let store = Memory::with_clock(Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_775_133_296)));
        let config = Config::builder().token_format(format).build().expect("a configuration");
        for token in issued {
            let presented = Credentials::parse(format, token.as_bytes()).expect("a token");
            let new = NewSession { presented, fields: Fields::new(), idle_timeout: None, own_deadline: None };
            runtime.block_on(store.create(&new, config.terms())).expect("a session");
        }
        Site { runtime, sessions: Sessions::new(store, config), format, issued }
    }

    fn check(&self, headers: &HeaderMap) {
        let visit = Visit::begin(&self.sessions, &Method::GET, &Uri::from_static("/"), headers).expect("it only reads");
        let session = self.runtime.block_on(visit.visit().session()).expect("the store answers");
        let expected = self.expected(headers);
        assert_eq!(session.exists(), expected.is_some());
        assert_eq!(session.id().filter(|_| session.exists()), expected);
        let changes = self.runtime.block_on(visit.finish(200)).expect("nothing is stored");
        let mut answer = HeaderMap::new();
        changes.apply(&mut answer);
        assert!(expected.is_none() || !answer.contains_key(header::SET_COOKIE));
    }

    /// Among the first tokens that differ must be one of exactly one session.
    fn expected(&self, headers: &HeaderMap) -> Option<SessionId> {
        let mut seen: Vec<&[u8]> = Vec::new();
        let cookies =
            headers.get_all(header::COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|b| *b == b';'));
        for cookie in cookies {
            let cookie = cookie.trim_ascii();
            let Some(at) = cookie.iter().position(|b| *b == b'=') else { continue };
            let (name, value) = (&cookie[..at], &cookie[at + 1..]);
            let is_token = match self.format {
                TokenFormat::Secret => is_token(value),
                TokenFormat::Plain => is_base64url(value, 43),
            };
            if name == NAME.as_bytes() && is_token && !seen.contains(&value) && seen.len() < MOST {
                seen.push(value);
            }
        }
        let mut opened = self.issued.iter().filter(|token| seen.contains(&token.as_bytes()));
        match (opened.next(), opened.next()) {
            (Some(token), None) => SessionId::parse(token.split('.').next()?).ok(),
            _ => None,
        }
    }
}
