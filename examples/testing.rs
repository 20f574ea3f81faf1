//! Tests an application that uses sessions: without a server, without a network, and through time.
//!
//! The application is small; what this example shows are the tests below it. Run them with `cargo test --example testing`.

use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use cloakroom::{Config, Error, Session, Sessions, SignedIn, store::Memory};

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/sign-in", post(sign_in))
        .route("/account", get(account))
        .route("/sign-out", post(async |session: Session| session.sign_out().await))
        .layer(sessions.layer())
}

async fn sign_in(session: Session) -> Result<StatusCode, Error> {
    session.sign_in("ada").await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn account(SignedIn { user, .. }: SignedIn) -> String {
    format!("the account of {user}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().plain_http_for_development().build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(&Sessions::new(Memory::new(), config))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use axum::body::Body;
    use axum::http::{Method, Request, header};
    use cloakroom::Clock;
    use tower::ServiceExt as _;

    use super::*;

    /// A browser with one cookie, and the clock of the store that it talks to.
    struct Browser {
        app: Router,
        sessions: Sessions,
        clock: Clock,
        cookie: Option<String>,
    }

    impl Browser {
        fn new() -> Browser {
            let clock = Clock::manual(SystemTime::now());
            let sessions = Sessions::new(Memory::with_clock(clock.clone()), Config::default());
            Browser { app: app(&sessions), sessions, clock, cookie: None }
        }

        async fn send(&mut self, method: Method, path: &str) -> StatusCode {
            let mut request = Request::builder().method(method).uri(path).header(header::HOST, "shop.example");
            if let Some(cookie) = &self.cookie {
                request = request.header(header::COOKIE, cookie);
            }
            let response = self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            if let Some(set) = response.headers().get(header::SET_COOKIE) {
                // everything behind the first `;` says how long the browser keeps it
                let pair = set.to_str().unwrap().split(';').next().unwrap();
                self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
            }
            response.status()
        }
    }

    #[tokio::test]
    async fn the_account_is_for_those_who_are_signed_in() {
        let mut browser = Browser::new();
        assert_eq!(browser.send(Method::GET, "/account").await, StatusCode::UNAUTHORIZED);
        assert_eq!(browser.send(Method::POST, "/sign-in").await, StatusCode::NO_CONTENT);
        assert_eq!(browser.send(Method::GET, "/account").await, StatusCode::OK);
        assert_eq!(browser.send(Method::POST, "/sign-out").await, StatusCode::OK);
        assert_eq!(browser.send(Method::GET, "/account").await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn who_does_nothing_for_half_an_hour_is_signed_out() {
        let mut browser = Browser::new();
        browser.send(Method::POST, "/sign-in").await;
        browser.clock.advance(Duration::from_secs(29 * 60));
        assert_eq!(browser.send(Method::GET, "/account").await, StatusCode::OK);
        browser.clock.advance(Duration::from_secs(31 * 60));
        assert_eq!(browser.send(Method::GET, "/account").await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_closed_account_is_signed_out_everywhere() {
        let mut browser = Browser::new();
        browser.send(Method::POST, "/sign-in").await;
        assert_eq!(browser.sessions.revoke_user("ada").await.unwrap(), 1);
        assert_eq!(browser.send(Method::GET, "/account").await, StatusCode::UNAUTHORIZED);
    }
}
