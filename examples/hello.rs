//! Counts a visitor's page views. Run it with `cargo run --example hello` and open <http://127.0.0.1:3000/>.

use axum::{Router, routing::get};
use cloakroom::{Config, Error, Field, Session, Sessions, store::Memory};

const VIEWS: Field<i64> = Field::new("page_views");

pub(crate) fn app(sessions: &Sessions) -> Router {
    Router::new().route("/", get(hello)).layer(sessions.layer())
}

async fn hello(session: Session) -> Result<String, Error> {
    let views = session.increment(VIEWS, 1).await?;
    Ok(format!("You have been here {views} times.\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // On this machine there is no TLS. On a server leave this out: the cookie is then sent over TLS only.
    let config = Config::builder().plain_http_for_development().build()?;
    let sessions = Sessions::new(Memory::new(), config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(&sessions)).await?;
    Ok(())
}
