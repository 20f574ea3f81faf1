//! A browser, as far as cookies go: it keeps the cookies that it is told to keep, and sends them back.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};

/// An application, of whatever framework: a request goes in, a response comes out.
pub trait Serve: Send + Sync {
    fn serve(&self, request: Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
}

/// Talks to an application as a client over the wire does. Clones share their cookies, as tabs do.
#[derive(Clone)]
pub struct Browser {
    app: Arc<dyn Serve>,
    jar: Arc<Mutex<BTreeMap<String, String>>>,
    /// The headers that the browser sends besides its cookies.
    says: Vec<(HeaderName, String)>,
}

/// A response with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    /// The error that the layer left for layers further out.
    pub error: Option<cloakroom::Error>,
}

impl Browser {
    pub fn new(app: impl Serve + 'static) -> Browser {
        Browser { app: Arc::new(app), jar: Arc::default(), says: Vec::new() }
    }

    /// Another visitor of the same application.
    pub fn stranger(&self) -> Browser {
        Browser { app: self.app.clone(), jar: Arc::default(), says: Vec::new() }
    }

    /// A browser with the same cookies at another application: at this one after it has been changed.
    pub fn at(&self, app: impl Serve + 'static) -> Browser {
        Browser { app: Arc::new(app), jar: self.jar.clone(), says: self.says.clone() }
    }

    /// A browser with the same cookies, which sends one more header.
    pub fn saying(&self, name: HeaderName, value: &str) -> Browser {
        let mut browser = self.clone();
        browser.says.push((name, value.to_owned()));
        browser
    }

    /// Sends a request with the cookies that the browser has, and keeps those that it gets. The request is sent when the future
    /// is first polled.
    pub async fn get(&self, path: &str) -> Answer {
        let answer = self.send(path, self.cookie_header().as_deref()).await;
        self.keep(&answer);
        answer
    }

    /// Sends a request as [`get`](Browser::get) does, and fails if the answer is no success.
    pub async fn visit(&self, path: &str) -> Answer {
        let answer = self.get(path).await;
        assert!(answer.status.is_success(), "{path} answered {}: {}", answer.status, answer.body);
        answer
    }

    /// Asks with this Cookie header and nothing else, and keeps nothing.
    pub async fn send(&self, path: &str, cookie: Option<&str>) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in &self.says {
            request = request.header(name, value);
        }
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.app.serve(request).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status, headers: parts.headers, body, error: parts.extensions.get().cloned() }
    }

    /// The token that the browser carries under the default name.
    pub fn token(&self) -> Option<String> {
        self.cookie("__Host-sid")
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().unwrap().get(name).cloned()
    }

    /// Carries this cookie from now on.
    pub fn carry(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub fn cookie_header(&self) -> Option<String> {
        let jar = self.jar.lock().unwrap();
        let pairs: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn keep(&self, answer: &Answer) {
        for cookie in answer.set_cookies() {
            let (name, rest) = cookie.split_once('=').expect("a cookie has a name");
            let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
            let mut jar = self.jar.lock().unwrap();
            match attributes.split(';').any(|attribute| attribute.trim() == "Max-Age=0") {
                true => drop(jar.remove(name)),
                false => drop(jar.insert(name.to_owned(), value.to_owned())),
            }
        }
    }
}

impl Answer {
    pub fn set_cookies(&self) -> Vec<String> {
        self.all(header::SET_COOKIE)
    }

    /// The only Set-Cookie, if any.
    pub fn set_cookie(&self) -> Option<String> {
        let mut cookies = self.set_cookies();
        assert!(cookies.len() <= 1, "more than one Set-Cookie: {cookies:?}");
        cookies.pop()
    }

    /// The token that the response hands out, if any.
    pub fn token(&self) -> Option<String> {
        let cookie = self.set_cookie()?;
        cookie.split(['=', ';']).nth(1).filter(|token| !token.is_empty()).map(str::to_owned)
    }

    /// Every value of a header, in order.
    pub fn all(&self, name: header::HeaderName) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    /// Asserts that nothing about a session can be seen in the response: no cookie, and not even that one was looked for.
    pub fn is_silent(&self) -> bool {
        !self.headers.contains_key(header::SET_COOKIE) && !self.headers.contains_key(header::VARY)
    }
}
