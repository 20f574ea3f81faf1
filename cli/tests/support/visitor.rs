//! A visitor without a browser: plain HTTP requests, and the one cookie kept as a browser would.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use super::demo::Demo;

pub struct Visitor {
    agent: Agent,
    url: String,
    token: Option<String>,
}

/// A client that takes every status for an answer and follows nothing. Each request has a connection of its own: one
/// that was kept may have been closed by the other side just when it is used again.
pub fn agent() -> Agent {
    let config =
        Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).max_idle_connections(0);
    config.timeout_global(Some(Duration::from_secs(60))).build().into()
}

impl Visitor {
    pub fn of(demo: &Demo) -> Visitor {
        Visitor { agent: agent(), url: demo.url(""), token: None }
    }

    /// Who brings a cookie along.
    pub fn with_token(demo: &Demo, token: &str) -> Visitor {
        Visitor { token: Some(token.to_owned()), ..Visitor::of(demo) }
    }

    /// The same visitor, at another demo.
    pub fn to(&self, demo: &Demo) -> Visitor {
        Visitor { token: self.token.clone(), ..Visitor::of(demo) }
    }

    /// The cookie's value.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a cookie was set")
    }

    pub fn has_cookie(&self) -> bool {
        self.token.is_some()
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    /// As a program does: a form, and any kind of answer.
    pub fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_form(path, form, &[])
    }

    /// As a browser does without a script: a form as the page has it, with its token, and a page as the answer.
    pub fn submit(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let token = self.csrf_token();
        let hidden = token.as_deref().map(|token| ("csrf", token));
        self.submit_bare(path, &form.iter().copied().chain(hidden).collect::<Vec<_>>())
    }

    /// The same with the fields that are given and no other.
    pub fn submit_bare(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_form(path, form, &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")])
    }

    /// The token that the forms of this visitor's page carry now.
    pub fn csrf_token(&mut self) -> Option<String> {
        let page = self.get("/?peek=1").body;
        let (_, after) = page.split_once(r#"name="csrf" value=""#)?;
        Some(after.split_once('"')?.0.to_owned())
    }

    pub fn post_form(&mut self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &[&kind, headers].concat(), &body)
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("cookie", format!("sid={token}"));
        }
        let answer = match method {
            "GET" | "HEAD" | "DELETE" => self.agent.run(request.body(()).expect("a request")),
            _ => self.agent.run(request.body(body.to_owned()).expect("a request")),
        };
        let (head, mut body) = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}")).into_parts();
        let body = body.with_config().lossy_utf8(true).read_to_string().expect("a body");
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, body };
        self.keep_cookie(&answer);
        answer
    }

    /// Starts a session and returns what was answered.
    pub fn login(&mut self, username: &str, ttl: u64) -> Value {
        self.post("/login", &[("username", username), ("ttl", &ttl.to_string())]).ok()
    }

    /// What there is, without extending it.
    pub fn peek(&mut self) -> Value {
        self.get("/session?peek=1").ok()
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((&line, ""));
            let value = pair.strip_prefix("sid=").expect("the demo's only cookie");
            self.token = (!attributes.contains("Max-Age=0")).then(|| value.to_owned());
        }
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The header's value, or nothing where there is none.
    pub fn header(&self, name: &str) -> String {
        self.all(name).join(", ")
    }

    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII").to_owned()).collect()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{}", self.body);
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The JSON of an answer that is a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// The text of an answer that is a refusal with this status: `{"error": "..."}` and nothing else.
    #[track_caller]
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        let json = self.json();
        let text = json["error"].as_str().filter(|text| !text.is_empty()).expect("an error");
        assert_eq!(json, serde_json::json!({ "error": text }));
        text.to_owned()
    }

    pub fn sets_no_cookie(&self) -> bool {
        !self.headers.contains_key("set-cookie")
    }
}
