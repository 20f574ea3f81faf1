//! What a real browser does with an application of the library's where another site is in the game: WebSockets that its pages
//! open, and redirects that would lead to it.

mod support;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{RawQuery, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, Redirect, Response};
use axum::routing::get;
use cloakroom::store::Memory;
use cloakroom::{Config, Error, Field, Session, Sessions, local_path};

use crate::support::browser::Browser;
use crate::support::served::serve;

const NAME: Field<String> = Field::new("name");

/// Connects to where its query says, and shows what it hears.
const PAGE: Html<&str> = Html(
    r#"<!doctype html><p id="heard"></p><script>
    const socket = new WebSocket(new URLSearchParams(location.search).get("to"));
    socket.onmessage = (event) => heard.textContent = event.data;
    socket.onerror = () => heard.textContent = "refused";
    </script>"#,
);

/// How a WebSocket was asked for, and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Handshake {
    origin: String,
    has_cookie: bool,
    status: u16,
}

/// An application whose page gives its visitor a session, and whose socket says who that is.
fn with_a_socket(handshakes: Arc<Mutex<Vec<Handshake>>>) -> Router {
    let config = Config::builder().plain_http_for_development().build().expect("a configuration");
    let page = async |session: Session| session.set(NAME, "andrew").map(|()| PAGE);
    let socket = async |session: Session, upgrade: WebSocketUpgrade| -> Result<Response, Error> {
        let name = session.get(NAME)?.unwrap_or_default();
        Ok(upgrade.on_upgrade(async move |mut socket| {
            let _ = socket.send(Message::from(format!("You are {name}."))).await;
        }))
    };
    Router::new()
        .route("/", get(page))
        .route("/socket", get(socket))
        .layer(Sessions::new(Memory::new(), config).layer())
        .layer(from_fn_with_state(handshakes, note))
}

async fn note(State(handshakes): State<Arc<Mutex<Vec<Handshake>>>>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let response = next.run(request).await;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if headers.contains_key(header::UPGRADE) {
        let (origin, has_cookie) = (text(header::ORIGIN), text(header::COOKIE).contains("sid="));
        let status = response.status().as_u16();
        handshakes.lock().expect("the list").push(Handshake { origin, has_cookie, status });
    }
    response
}

#[test]
fn browser_pages_of_other_sites_cannot_open_a_web_socket_and_own_pages_can() {
    let handshakes = Arc::new(Mutex::new(Vec::new()));
    let own = serve(with_a_socket(handshakes.clone()));
    let other = serve(Router::new().route("/", get(async || PAGE)));
    let browser = Browser::open();
    let open_from = |page: String| {
        browser.go(&format!("{page}/?to=ws://127.0.0.1:{own}/socket"));
        let heard = browser.wait_for("#heard", |text| !text.is_empty());
        (heard, handshakes.lock().expect("the list").pop().expect("a handshake"))
    };

    browser.go(&format!("http://127.0.0.1:{own}/?to=ws://127.0.0.1:{own}/"));
    assert!(browser.cookie("sid").is_some(), "the first page gave a session");
    let origin = format!("http://127.0.0.1:{own}");
    let (heard, handshake) = open_from(origin.clone());
    assert_eq!(heard, "You are andrew.");
    assert_eq!(handshake, Handshake { origin, has_cookie: true, status: 101 });

    // cookies know no ports: the browser sends this one along
    let origin = format!("http://127.0.0.1:{other}");
    let (heard, handshake) = open_from(origin.clone());
    assert_eq!(heard, "refused");
    assert_eq!(handshake, Handshake { origin, has_cookie: true, status: 403 });

    let origin = format!("http://localhost:{other}");
    let (heard, handshake) = open_from(origin.clone());
    assert_eq!(heard, "refused");
    assert_eq!((handshake.origin, handshake.status), (origin, 403));
}

#[test]
fn browser_stays_on_this_site_wherever_a_link_says_it_wanted_to_go() {
    let next = |query: Option<String>| {
        let pairs: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        pairs.into_iter().find_map(|(name, value)| (name == "next").then_some(value)).unwrap_or_default()
    };
    let app = Router::new()
        .route("/unchecked", get(async move |RawQuery(query): RawQuery| Redirect::to(&next(query))))
        .route("/checked", get(async move |RawQuery(query): RawQuery| Redirect::to(local_path(&next(query)))))
        .fallback(async || "a page");
    let own = serve(app);
    // the same server by another name is another site
    let elsewhere = format!("localhost:{own}");
    let browser = Browser::open();
    let lands = |route: &str, next: &str| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        browser.go(&format!("http://127.0.0.1:{own}/{route}?{query}"));
        browser.url()
    };
    for prefix in ["//", "///", "/\\", "\\\\", "\\/", "/\t/", "/\t\\", "http://", "http:\\\\", "HTTP:/"] {
        let next = format!("{prefix}{elsewhere}/phishing");
        assert!(lands("unchecked", &next).contains(&elsewhere), "{next:?} leads to another site where nobody looks");
        assert_eq!(lands("checked", &next), format!("http://127.0.0.1:{own}/"), "{next:?}");
    }
    for odd in [
        format!("/%2F{elsewhere}"),
        format!("/%5C{elsewhere}"),
        format!("/%09/{elsewhere}"),
        format!("/@{elsewhere}"),
        format!("/?to=http://{elsewhere}"),
        format!("/#//{elsewhere}"),
        format!("/../{elsewhere}"),
        format!("/./{elsewhere}"),
    ] {
        let landed = lands("checked", &odd);
        assert!(landed.starts_with(&format!("http://127.0.0.1:{own}/")), "{odd:?} led to {landed}");
        assert_ne!(landed, format!("http://127.0.0.1:{own}/"), "{odd:?} is a path of this site");
    }
}
