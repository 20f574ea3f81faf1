//! The demo in this process, and what it answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::handler::Handler as _;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::routing::any_service;
use cloakroom::store::Memory;
use cloakroom::{Clock, Config, Sessions, TokenFormat};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::demo::Demo;
use crate::demo::answer::Code;
use crate::demo::flags::Limits;
use crate::demo::names::Names;
use crate::demo::routes::router;
use crate::demo::timeline::Timeline;
use crate::place::Place;

pub(super) const LONGEST_TTL: u64 = 43_200;

/// A demo on which Ada is signed in.
pub(super) struct Site {
    runtime: Runtime,
    router: Router,
    /// The value of Ada's cookie.
    pub(super) token: String,
    /// What stands in the forms of Ada's page; nothing where tokens are plain.
    pub(super) csrf: String,
}

/// What the demo has answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Site {
    pub(super) fn open(plain_tokens: bool) -> Site {
        let limits = Limits { default_ttl: 60, longest_ttl: LONGEST_TTL, most_places: 3 };
        let format = if plain_tokens { TokenFormat::Plain } else { TokenFormat::Secret };
        let config = Config::builder().plain_http_for_development().token_format(format).max_sessions_per_user(3);
        // no session ends meanwhile
        let clock = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_775_133_296));
        let sessions = Sessions::new(Memory::with_clock(clock), config.build().expect("a configuration"));
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let names = Names::new(address.ip(), "127.0.0.1", &[]);
        let timeline = Arc::new(Timeline::default());
        let demo = Demo {
            place: Place::Memory,
            prefix: "session:".to_owned(),
            plain_tokens,
            limits,
            timeline,
            address,
            service: None,
        };
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let router = router(demo, names, &sessions);
        let mut site = Site { runtime, router, token: String::new(), csrf: String::new() };
        site.token = site.answer(ask("POST", "/login", "", "username=ada")).cookie().expect("a session");
        let page = site.answer(ask("GET", "/?peek=1", &site.token, ""));
        let csrf = page.body.split_once("name=\"csrf\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
        assert_eq!(csrf.is_none(), plain_tokens);
        site.csrf = csrf.map(|(csrf, _)| csrf.to_owned()).unwrap_or_default();
        site
    }

    pub(super) fn answer(&self, request: Request<String>) -> Answer {
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
        self.runtime.block_on(async {
            let (head, body) = any_service(self.router.clone()).call(request, ()).await.into_parts();
            let body = to_bytes(body, usize::MAX).await.expect("the whole answer").to_vec();
            let body = String::from_utf8(body).expect("every answer is text");
            Answer { status: head.status, headers: head.headers, body }
        })
    }

    /// What Ada sees of her session.
    pub(super) fn seen_by_ada(&self) -> Value {
        self.seen_with(&self.token)
    }

    pub(super) fn seen_with(&self, token: &str) -> Value {
        let answer = self.answer(ask("GET", "/session?peek=1", token, ""));
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

fn ask(method: &str, uri: &str, token: &str, form: &str) -> Request<String> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header(header::HOST, "localhost")
        .header(header::COOKIE, format!("sid={token}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.to_owned())
        .expect("a request")
}

impl Answer {
    /// The token that the visitor is given; nothing where the cookie is removed.
    pub(super) fn cookie(&self) -> Option<String> {
        let cookie = self.headers.get(header::SET_COOKIE)?.to_str().expect("text");
        let token = cookie.strip_prefix("sid=")?.split(';').next()?;
        (!token.is_empty()).then(|| token.to_owned())
    }

    /// Why it was refused, as JSON or in the address of the page.
    pub(super) fn refusal(&self) -> Option<Code> {
        if let Some(there) = self.headers.get(header::LOCATION) {
            return there.to_str().ok()?.strip_prefix("/?error=").and_then(Code::parse);
        }
        if self.status.is_success() {
            return None;
        }
        let why =
            serde_json::from_str::<Value>(&self.body).ok().and_then(|json| Some(json["error"].as_str()?.to_owned()));
        Some(match why {
            Some(why) if why.starts_with("username must") => Code::Username,
            Some(why) if why.starts_with("ttl must") => Code::Ttl,
            _ => Code::Failed,
        })
    }
}
