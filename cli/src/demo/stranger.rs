//! A page that plays another site and sends a form, which the demo refuses.

use std::net::SocketAddr;

use askama::Template;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::demo::answer::Problem;

#[derive(Template)]
#[template(path = "stranger.html")]
struct Stranger {
    here: String,
    demo: String,
}

/// `GET /forged`: to a browser, this machine's other name is another site, and from there this page sends a form to the
/// demo under the name that was left.
pub(crate) async fn show(headers: HeaderMap) -> Response {
    let Some((here, demo)) = names(&headers) else {
        let why = "open this page at 127.0.0.1 or at localhost: it sends its form to the other one of the two";
        return Problem::no_such_route(StatusCode::NOT_FOUND, why).into_response();
    };
    let policy = format!(
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action http://{demo}; frame-ancestors 'none'"
    );
    match (Stranger { here, demo }).render() {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Where the page that plays another site is, for a visitor who came by one of this machine's two names. None where the
/// demo may not be reachable by both.
pub(crate) fn url(headers: &HeaderMap, address: &SocketAddr) -> Option<String> {
    let (_, other) = names(headers).filter(|_| address.is_ipv4() || address.ip().is_unspecified())?;
    Some(format!("http://{other}/forged"))
}

/// The name by which the request came, and the other one, each with its port.
fn names(headers: &HeaderMap) -> Option<(String, String)> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    let port: u16 = port.parse().ok()?;
    let other = match name {
        "127.0.0.1" => "localhost",
        "localhost" => "127.0.0.1",
        _ => return None,
    };
    Some((format!("{name}:{port}"), format!("{other}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_two_names_are_played_with() {
        let other = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a Host header"));
            names(&headers).map(|(_, other)| other)
        };
        assert_eq!(other("127.0.0.1:8080").as_deref(), Some("localhost:8080"));
        assert_eq!(other("localhost:8080").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(other("localhost").as_deref(), Some("127.0.0.1:80"));
        for host in ["[::1]:8080", "example.org", "localhost:8080;", "localhost:", "127.0.0.1.example", "a localhost"] {
            assert_eq!(other(host), None, "{host}");
        }
    }
}
