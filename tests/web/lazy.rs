//! No session without a reason.

use cloakroom::{Error, Field, Session, Sessions};

use super::framework::{Router, get};
use crate::support::{Browser, Fault, on_each_store};

const NAME: Field<String> = Field::new("name");

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/static", get(async || "a picture"))
        .route("/read", get(async |session: Session| Ok::<_, Error>(session.get(NAME)?.unwrap_or_default())))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route(
            "/write_and_remove",
            get(async |session: Session| {
                session.set(NAME, "andrew")?;
                session.remove(NAME)
            }),
        )
        .route("/remove", get(async |session: Session| session.remove(NAME)))
        .route("/ttl", get(async |session: Session| session.set_idle_timeout(std::time::Duration::from_secs(60))))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .layer(sessions.layer())
}

#[tokio::test]
async fn a_visitor_who_only_reads_gets_no_cookie_and_nothing_is_stored() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for path in ["/read", "/remove", "/write_and_remove", "/ttl", "/rotate", "/sign_out"] {
            let answer = browser.visit(path).await;
            assert_eq!(answer.set_cookie(), None, "{path}");
        }
        assert!(place.store.asked().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_crawler_costs_no_command() {
    on_each_store(async |place| {
        let app = app(&place.sessions());
        let mut monitor = place.is_redis().then(|| place.server().monitor());
        for _ in 0..100 {
            let crawler = Browser::new(app.clone());
            crawler.visit("/read").await;
            crawler.visit("/static").await;
        }
        assert!(place.store.asked().is_empty());
        assert!(monitor.as_mut().is_none_or(|monitor| monitor.commands().is_empty()));
    })
    .await;
}

#[tokio::test]
async fn the_first_write_makes_one_session_and_the_next_request_reads_it() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        let answer = browser.visit("/write").await;
        assert!(answer.set_cookie().is_some());
        assert_eq!(place.store.asked(), ["create"]);

        let answer = browser.visit("/read").await;
        assert_eq!(answer.body, "andrew");
        assert_eq!(answer.set_cookie(), None, "the browser has it already");
        assert_eq!(place.store.asked(), ["load"]);
        assert_eq!(browser.stranger().visit("/read").await.body, "");
    })
    .await;
}

#[tokio::test]
async fn a_route_that_does_not_use_the_session_costs_nothing_and_says_nothing_about_it() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        place.store.asked();

        let answer = browser.visit("/static").await;
        assert!(answer.is_silent());
        assert!(place.store.asked().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_route_that_does_not_use_the_session_works_while_the_store_is_away() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        place.store.fault_everywhere(Fault::Away);

        assert_eq!(browser.visit("/static").await.body, "a picture");
        assert_eq!(browser.get("/read").await.status, 503);
    })
    .await;
}

#[tokio::test]
async fn a_session_in_redis_is_read_as_in_the_tutorials() {
    let place = crate::support::Place::redis().await;
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/write").await;

    let token = browser.token().unwrap();
    let (id, _secret) = token.split_once('.').unwrap();
    let key = format!("session:{id}");
    let mut client = place.server().client();
    let name: String = redis::cmd("HGET").arg(&key).arg("name").query(&mut client).unwrap();
    let session_ttl: String = redis::cmd("HGET").arg(&key).arg("session_ttl").query(&mut client).unwrap();
    let ttl: i64 = redis::cmd("TTL").arg(&key).query(&mut client).unwrap();
    assert_eq!((name.as_str(), session_ttl.as_str()), ("andrew", "1800"));
    assert!((1..=1800).contains(&ttl), "{ttl}");
}
