//! A JSON API for a page's own scripts, with a CSRF token in a header.
//!
//! A script asks `GET /api/session` for the token, and sends it back in `X-CSRF-Token` with everything that changes something.
//! Run it with `cargo run --example json_api`.

use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use cloakroom::{Config, Error, Field, Session, Sessions, store::Memory};
use serde::{Deserialize, Serialize};

const CART: Field<Vec<Item>> = Field::new("cart");

#[derive(Serialize, Deserialize)]
struct Item {
    product: u32,
    count: u32,
}

/// What a page has to know when it is loaded.
#[derive(Serialize)]
struct State {
    csrf_token: String,
    cart: Vec<Item>,
}

pub(crate) fn app(sessions: &Sessions) -> Router {
    Router::new().route("/api/session", get(show)).route("/api/cart", post(add)).layer(sessions.layer())
}

async fn show(session: Session) -> Result<Json<State>, Error> {
    // makes a session where there is none, so that there is a token to check
    session.begin()?;
    Ok(Json(State { csrf_token: session.csrf_token(), cart: session.get(CART)?.unwrap_or_default() }))
}

/// An error is answered as a problem document (RFC 9457) where the request accepts JSON.
async fn add(session: Session, headers: HeaderMap, Json(item): Json<Item>) -> Result<StatusCode, Error> {
    session.require_csrf_header(&headers)?;
    session.push(CART, &item)?;
    Ok(StatusCode::NO_CONTENT)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().plain_http_for_development().build()?;
    let sessions = Sessions::new(Memory::new(), config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(&sessions)).await?;
    Ok(())
}
