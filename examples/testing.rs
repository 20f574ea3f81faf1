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
    use std::time::Duration;

    use cloakroom::Event;
    use cloakroom::testing::TestSessions;

    use super::*;

    #[tokio::test]
    async fn the_account_is_for_those_who_are_signed_in() -> Result<(), Error> {
        let test = TestSessions::new();
        let app = app(test.sessions());
        assert_eq!(test.browser().get(&app, "/account").await.status(), StatusCode::UNAUTHORIZED);
        let mut ada = test.signed_in("ada").await?;
        assert_eq!(ada.get(&app, "/account").await.status(), StatusCode::OK);
        Ok(())
    }

    #[tokio::test]
    async fn a_visitor_signs_in_and_out() {
        let test = TestSessions::new();
        let (app, mut browser) = (app(test.sessions()), test.browser());
        assert_eq!(browser.post(&app, "/sign-in", "").await.status(), StatusCode::NO_CONTENT);
        assert_eq!(browser.get(&app, "/account").await.status(), StatusCode::OK);
        assert_eq!(browser.post(&app, "/sign-out", "").await.status(), StatusCode::OK);
        assert_eq!(browser.get(&app, "/account").await.status(), StatusCode::UNAUTHORIZED);
        let events = test.take_events();
        assert!(matches!(&events[..], [Event::Created { .. }, Event::SignedIn { .. }, Event::Revoked { .. }]));
    }

    #[tokio::test]
    async fn who_does_nothing_for_half_an_hour_is_signed_out() -> Result<(), Error> {
        let test = TestSessions::new();
        let app = app(test.sessions());
        let mut ada = test.signed_in("ada").await?;
        test.advance(Duration::from_secs(29 * 60));
        assert_eq!(ada.get(&app, "/account").await.status(), StatusCode::OK);
        test.advance(Duration::from_secs(31 * 60));
        assert_eq!(ada.get(&app, "/account").await.status(), StatusCode::UNAUTHORIZED);
        Ok(())
    }

    #[tokio::test]
    async fn a_closed_account_is_signed_out_everywhere() -> Result<(), Error> {
        let test = TestSessions::new();
        let app = app(test.sessions());
        let (mut laptop, mut phone) = (test.signed_in("ada").await?, test.signed_in("ada").await?);
        assert_eq!(test.sessions().revoke_user("ada").await?, 2);
        for browser in [&mut laptop, &mut phone] {
            assert_eq!(browser.get(&app, "/account").await.status(), StatusCode::UNAUTHORIZED);
        }
        Ok(())
    }
}
