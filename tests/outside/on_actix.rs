//! A stream of actix-web.

use actix_web::http::header;
use actix_web::web::{Bytes, get};
use actix_web::{App, HttpResponse, body, test};
use cloakroom::store::Memory;
use cloakroom::{Error, Field, Session, SignedIn};
use futures_util::stream::{self, StreamExt as _};

use crate::{NEVER, manager, soon};

const OPENED: Field<i64> = Field::new("opened");

async fn sign_in(session: Session) -> Result<&'static str, Error> {
    session.sign_in("andrew").await?;
    Ok("welcome")
}

async fn events(SignedIn { session, .. }: SignedIn) -> Result<HttpResponse, Error> {
    let live = session.after_response().await?.check_every(NEVER);
    let first = {
        let live = live.clone();
        stream::once(async move { live.increment(OPENED, 1).await.map(|opened| Bytes::from(format!("{opened};"))) })
    };
    let messages = Box::pin(first.chain(stream::pending()));
    Ok(HttpResponse::Ok().streaming(messages.take_until(async move { live.ended().await })))
}

#[actix_web::test]
async fn a_stream_of_actix_web_counts_after_its_head_and_ends_at_a_sign_out_elsewhere() {
    let sessions = manager(Memory::new());
    let routes = App::new().route("/sign_in", get().to(sign_in)).route("/events", get().to(events));
    let app = test::init_service(routes.wrap(sessions.layer())).await;
    let signed_in = test::call_service(&app, test::TestRequest::get().uri("/sign_in").to_request()).await;
    let cookie = signed_in.headers().get(header::SET_COOKIE).unwrap().to_str().unwrap().split(';').next().unwrap();

    let request = test::TestRequest::get().uri("/events").insert_header((header::COOKIE, cookie)).to_request();
    let response = test::call_service(&app, request).await;
    assert_eq!(response.status(), 200);
    let whole = actix_web::rt::spawn(body::to_bytes(response.into_body()));
    tokio::task::yield_now().await;
    assert!(!whole.is_finished());
    assert_eq!(sessions.revoke_user("andrew").await.unwrap(), 1);
    let whole = soon("the end of the stream", whole).await.unwrap().expect("a whole body");
    assert_eq!(whole, "1;");
}
