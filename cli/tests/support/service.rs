//! The real program as a session service on a free port; killed when it is dropped.

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use super::demo::{Demo, cloakroom};
use super::redis_server::RedisServer;
use super::visitor::{Answer, agent};

/// Starts `cloakroom serve` with these flags.
pub fn service(flags: &[&str]) -> Demo {
    Demo::by(cloakroom(&[&["serve", "--listen", "127.0.0.1:0"], flags].concat()))
}

/// Starts `cloakroom serve` on this Redis, with more flags.
pub fn service_on(redis: &RedisServer, flags: &[&str]) -> Demo {
    let port = redis.port().to_string();
    service(&[&["--redis-port", &port], flags].concat())
}

/// An application that answers one browser: it hands on the browser's cookie, and keeps what the browser would be given.
pub struct Caller {
    agent: Agent,
    url: String,
    /// The whole `name=token`.
    pub cookie: Option<String>,
    /// Other headers of every question.
    pub headers: Vec<(&'static str, String)>,
}

impl Caller {
    pub fn of(service: &Demo) -> Caller {
        Caller { agent: agent(), url: service.url(""), cookie: None, headers: Vec::new() }
    }

    /// Answers the browser at another service, too.
    pub fn at(&self, service: &Demo) -> Caller {
        Caller { cookie: self.cookie.clone(), headers: self.headers.clone(), ..Caller::of(service) }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Caller {
        self.headers.push((name, value.into()));
        self
    }

    /// Asks, with a body if it is not empty, and keeps the cookie.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("theme=dark; {cookie}; lang=en"));
        }
        let answer = match body {
            "" => self.agent.run(request.body(()).expect("a request")),
            _ => self
                .agent
                .run(request.header("content-type", "application/json").body(body.to_owned()).expect("a request")),
        };
        let (head, mut body) = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}")).into_parts();
        let body = body.read_to_string().expect("a body");
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, body };
        assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}");
        self.keep_cookie(&answer);
        answer
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    pub fn delete(&mut self, path: &str) -> Answer {
        self.ask("DELETE", path, "")
    }

    pub fn post(&mut self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, &body.to_string())
    }

    /// Changes the session.
    pub fn patch(&mut self, body: Value) -> Answer {
        self.ask("PATCH", "/v1/session", &body.to_string())
    }

    /// The session as it is.
    #[track_caller]
    pub fn session(&mut self) -> Value {
        self.get("/v1/session").ok()
    }

    #[track_caller]
    pub fn sign_in(&mut self, user: &str) -> Value {
        self.post("/v1/session/sign-in", serde_json::json!({ "user": user })).ok()
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((&line, ""));
            self.cookie = (!attributes.contains("Max-Age=0")).then(|| pair.to_owned());
        }
    }
}

/// The status and the code of an answer that is a problem.
#[track_caller]
pub fn problem(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{} {}", answer.status, answer.body);
    let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
    let code = problem["code"].as_str().expect("a code").to_owned();
    assert_eq!(problem["status"], answer.status, "{problem}");
    assert_eq!(problem["type"], format!("/problems/{code}"), "{problem}");
    (answer.status, code)
}
