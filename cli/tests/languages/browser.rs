//! What a browser does: it keeps cookies, and says where a request comes from.

use std::io::Read;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Request, Response};

use crate::support::visitor::{Answer, agent};

#[derive(Clone)]
pub(crate) struct Browser {
    agent: Agent,
    /// The whole `name=token`.
    pub(crate) cookie: Option<String>,
    url: String,
}

impl Browser {
    pub(crate) fn at(url: &str) -> Browser {
        Browser { agent: agent(), cookie: None, url: url.to_owned() }
    }

    /// Goes to another application, with the cookie that it has.
    pub(crate) fn to(&self, url: &str) -> Browser {
        Browser { url: url.to_owned(), ..self.clone() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[("sec-fetch-site", "none")])
    }

    pub(crate) fn post(&mut self, path: &str) -> Answer {
        self.send("POST", path, &[("sec-fetch-site", "same-origin")])
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let (head, mut body) = self.open(method, path, headers).into_parts();
        let body = body.read_to_string().expect("a body");
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, body };
        self.keep_cookie(&answer.all("set-cookie"));
        if !answer.sets_no_cookie() {
            assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}");
        }
        answer
    }

    /// Begins to read an answer; its body may come later.
    pub(crate) fn open_stream(&mut self, path: &str) -> impl Read + use<> {
        let answer = self.open("GET", path, &[]);
        assert_eq!(answer.status(), 200);
        let cookies = answer.headers().get_all("set-cookie").iter();
        self.keep_cookie(&cookies.map(|cookie| cookie.to_str().expect("ASCII").to_owned()).collect::<Vec<_>>());
        answer.into_body().into_reader()
    }

    /// The user and the fields.
    #[track_caller]
    pub(crate) fn session(&mut self) -> Value {
        self.post("/show").ok_json()
    }

    #[track_caller]
    pub(crate) fn fields(&mut self) -> Value {
        self.session()["fields"].clone()
    }

    fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<ureq::Body> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("theme=dark; {cookie}; lang=en"));
        }
        let answer = match method {
            "POST" => self.agent.run(request.body("").expect("a request")),
            _ => self.agent.run(request.body(()).expect("a request")),
        };
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn keep_cookie(&mut self, lines: &[String]) {
        for line in lines {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            self.cookie = (!attributes.contains("Max-Age=0")).then(|| pair.to_owned());
        }
    }
}

pub(crate) trait Json {
    /// The JSON of an answer that is a success.
    fn ok_json(&self) -> Value;
}

impl Json for Answer {
    #[track_caller]
    fn ok_json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}
