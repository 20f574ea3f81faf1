//! Chooses the store when it starts: in memory, in a directory, or in Redis.
//!
//! ```sh
//! SESSIONS=memory cargo run --example choose_store
//! SESSIONS=./sessions cargo run --example choose_store --features embedded
//! SESSIONS=redis://127.0.0.1:6379 cargo run --example choose_store --features redis
//! ```

use axum::{Router, routing::get};
use cloakroom::{Config, Error, Field, Session, Sessions};

const VIEWS: Field<i64> = Field::new("page_views");

/// `place` is what an operator wrote into the settings. Nothing here depends on which store it is.
pub(crate) async fn app(place: &str) -> Result<Router, Error> {
    let config = Config::builder().plain_http_for_development().build()?;
    let sessions = Sessions::open(place, config).await?;
    Ok(Router::new().route("/", get(hello)).layer(sessions.layer()))
}

async fn hello(session: Session) -> Result<String, Error> {
    let views = session.increment(VIEWS, 1).await?;
    Ok(format!("You have been here {views} times.\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = std::env::var("SESSIONS").unwrap_or_else(|_| "memory".to_owned());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(&place).await?).await?;
    Ok(())
}
