//! What is minted before it is needed belongs to the session that it was minted for.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::get;
use cloakroom::{Config, Error, Field, Session, Sessions};
use tower::ServiceExt as _;

use super::Pair;

const NAME: Field<String> = Field::new("name");

/// What a browser's request is answered with: the body, and the token that it gets.
async fn ask(app: &Router, path: &str, token: Option<&str>) -> (String, Option<String>) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(header::COOKIE, format!("__Host-sid={token}"));
    }
    let answer = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let cookie = answer.headers().get(header::SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned());
    let token = cookie.and_then(|cookie| Some(cookie.split(['=', ';']).nth(1)?.to_owned()));
    let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
    (String::from_utf8(body.to_vec()).unwrap(), token)
}

/// The form's token is that of the secret which the commit is going to mint; then the session is ended elsewhere.
#[tokio::test]
async fn a_session_that_was_ended_lends_its_id_to_no_other() {
    let pair = Pair::start().await;
    // a second after it was made it is to be rotated
    let config = Config::builder().rotate_every(Duration::from_secs(1)).build().unwrap();
    let sessions = Sessions::new(pair.near.store.clone(), config);
    let elsewhere = Sessions::new(pair.other.store.clone(), Config::default());
    let begin = async |session: Session| {
        session.sign_in("anna").await?;
        Ok::<_, Error>(session.id().unwrap().to_string())
    };
    let ended = async move |session: Session| {
        let id = session.id().unwrap();
        assert!(!session.csrf_token().is_empty());
        elsewhere.revoke(&id).await?;
        session.refresh().await?;
        assert!(!session.exists());
        session.set(NAME, "somebody else")?;
        session.commit().await?;
        Ok::<_, Error>(session.id().unwrap().to_string())
    };
    let app = Router::new().route("/begin", get(begin)).route("/ended", get(ended)).layer(sessions.layer());
    let (id, token) = ask(&app, "/begin", None).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (other, new) = ask(&app, "/ended", token.as_deref()).await;
    assert_ne!(other, id, "ids are never used again");
    assert!(new.unwrap().starts_with(&other));
    assert_eq!(sessions.devices("anna", cloakroom::Page::default()).await.unwrap(), []);
    assert_eq!(pair.server.ask::<u64>(&["EXISTS", &format!("session:{id}")]), 0);
}
