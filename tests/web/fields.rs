//! Values go in and come out; the idle timeout is extended when it is due.

use std::time::Duration;

use cloakroom::{Config, Error, Field, Session, Sessions};
use serde::{Deserialize, Serialize};

use super::framework::{Path, Router, get};
use crate::support::{Browser, Place, on_each_store};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");
const CART: Field<Cart> = Field::new("cart");
const FLAGS: Field<Vec<bool>> = Field::new("flags");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
}

fn cart() -> Cart {
    Cart { items: vec!["coat".into(), "hat \"of\" felt".into()] }
}

#[tokio::test]
async fn values_of_every_type_are_set_without_a_word_about_types_and_come_back() {
    async fn write(session: Session) -> Result<(), Error> {
        session.set(NAME, "andrew")?;
        session.set(NAME, &String::from("andrew"))?;
        session.set(COUNT, &3)?;
        session.set(CART, &cart())?;
        session.set(FLAGS, &vec![true, false])?;
        session.set(FLAGS, [true, false].as_slice())
    }
    async fn read(session: Session) -> Result<(), Error> {
        assert_eq!(session.get(NAME)?.as_deref(), Some("andrew"));
        assert_eq!(session.get(COUNT)?, Some(3));
        assert_eq!(session.get(CART)?, Some(cart()));
        assert_eq!(session.get(FLAGS)?, Some(vec![true, false]));
        Ok(())
    }
    on_each_store(async |place| {
        let app = Router::new().route("/write", get(write)).route("/read", get(read));
        let browser = Browser::new(app.layer(place.sessions().layer()));
        browser.visit("/write").await;
        browser.visit("/read").await;
    })
    .await;
}

#[tokio::test]
async fn a_handler_sees_at_once_what_it_has_set_and_removed() {
    async fn change(session: Session) -> Result<(), Error> {
        assert!(!session.exists());
        session.set(NAME, "andrew")?;
        assert_eq!(session.get(NAME)?.as_deref(), Some("andrew"));
        session.remove(NAME)?;
        assert_eq!(session.get(NAME)?, None);
        session.set(COUNT, &3)?;
        assert!(!session.exists(), "nothing is stored before the response is ready");
        Ok(())
    }
    on_each_store(async |place| {
        let browser = Browser::new(Router::new().route("/", get(change)).layer(place.sessions().layer()));
        browser.visit("/").await;
    })
    .await;
}

#[tokio::test]
async fn a_value_of_another_type_counts_as_none_and_try_get_names_the_field() {
    async fn read(session: Session) -> Result<(), Error> {
        let wrong: Field<Cart> = Field::named("name");
        assert_eq!(session.get(wrong.clone())?, None);
        let error = session.try_get(wrong).unwrap_err();
        assert!(error.is_invalid());
        assert!(error.to_string().contains("`name`"), "{error}");
        assert_eq!(session.try_get(NAME)?.as_deref(), Some("andrew"));
        Ok(())
    }
    on_each_store(async |place| {
        let app = Router::new()
            .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
            .route("/read", get(read));
        let browser = Browser::new(app.layer(place.sessions().layer()));
        browser.visit("/write").await;
        browser.visit("/read").await;
    })
    .await;
}

#[tokio::test]
async fn a_pending_set_counts_before_an_increment() {
    async fn count(session: Session) -> Result<String, Error> {
        session.set(COUNT, &5)?;
        Ok(session.increment(COUNT, 2).await?.to_string())
    }
    async fn count_from_nothing(session: Session) -> Result<String, Error> {
        session.remove(COUNT)?;
        Ok(session.increment(COUNT, 2).await?.to_string())
    }
    async fn read(session: Session) -> Result<String, Error> {
        Ok(session.get(COUNT)?.unwrap_or_default().to_string())
    }
    on_each_store(async |place| {
        let app = Router::new()
            .route("/set", get(count))
            .route("/remove", get(count_from_nothing))
            .route("/read", get(read))
            .layer(place.sessions().layer());
        for kind in ["a visitor without a session", "one with a session"] {
            let browser = Browser::new(app.clone());
            if kind == "one with a session" {
                browser.visit("/remove").await;
            }
            assert_eq!(browser.visit("/set").await.body, "7", "{kind}");
            assert_eq!(browser.visit("/read").await.body, "7", "{kind}");
            assert_eq!(browser.visit("/remove").await.body, "2", "{kind}");
            assert_eq!(browser.visit("/read").await.body, "2", "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn parallel_increments_in_one_request_add_up_and_make_one_session() {
    async fn count(session: Session) -> Result<String, Error> {
        let one = async || session.increment(COUNT, 1).await;
        let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
        let mut seen = [a?, b?, c?, d?];
        seen.sort_unstable();
        assert_eq!(seen[0] + 3, seen[3]);
        Ok(seen[3].to_string())
    }
    on_each_store(async |place| {
        let browser = Browser::new(Router::new().route("/", get(count)).layer(place.sessions().layer()));
        assert_eq!(browser.visit("/").await.body, "4");
        assert_eq!(place.store.asked(), ["create", "apply", "apply", "apply"]);
        assert_eq!(browser.visit("/").await.body, "8");
    })
    .await;
}

fn timed(sessions: &Sessions) -> Router {
    let ttl = async |session: Session, Path(secs): Path<u64>| session.set_idle_timeout(Duration::from_secs(secs));
    Router::new()
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/read", get(async |session: Session| session.exists().to_string()))
        .route(
            "/peek",
            get(async |session: Session| {
                session.peek();
                session.exists().to_string()
            }),
        )
        .route("/ttl/{secs}", get(ttl))
        .layer(sessions.layer())
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn steady_reading_keeps_a_session_and_writes_once_per_interval() {
    let place = Place::memory();
    let browser = Browser::new(timed(&place.sessions()));
    browser.visit("/write").await;
    place.store.asked();
    let mut touches = 0;
    for _ in 0..60 {
        place.clock.advance(MINUTE);
        assert_eq!(browser.visit("/read").await.body, "true");
        touches += place.store.asked().iter().filter(|verb| **verb == "apply").count();
    }
    assert_eq!(touches, 20, "once every three minutes, a tenth of the half hour");
}

#[tokio::test]
async fn a_session_ends_after_its_idle_timeout_and_looking_does_not_extend_it() {
    let place = Place::memory();
    let browser = Browser::new(timed(&place.sessions()));
    browser.visit("/write").await;
    place.clock.advance(29 * MINUTE);
    assert_eq!(browser.visit("/peek").await.body, "true");
    place.clock.advance(MINUTE);
    assert_eq!(browser.visit("/peek").await.body, "false");
    assert_eq!(browser.visit("/read").await.body, "false");
}

#[tokio::test]
async fn a_response_that_fails_extends_the_session_as_well_where_that_is_due() {
    let place = Place::memory();
    let sessions = place.sessions();
    let fails = async |session: Session| {
        session.set(NAME, "lost")?;
        Ok::<_, Error>(axum::http::StatusCode::INTERNAL_SERVER_ERROR)
    };
    let browser = Browser::new(timed(&sessions).route("/fails", get(fails)).layer(sessions.layer()));
    browser.visit("/write").await;
    place.store.asked();
    browser.get("/fails").await;
    assert_eq!(place.store.asked(), ["load"], "it is not due");
    place.clock.advance(5 * MINUTE);
    browser.get("/fails").await;
    place.clock.advance(29 * MINUTE);
    assert_eq!(browser.visit("/peek").await.body, "true");
}

#[tokio::test]
async fn a_session_says_how_much_time_it_has_left() {
    let place = Place::memory();
    let sessions = place.sessions();
    let left = async |session: Session| {
        session.peek();
        format!("{:?}", session.remaining())
    };
    let app = timed(&sessions).route("/left", get(left)).layer(sessions.layer());
    let browser = Browser::new(app);
    assert_eq!(browser.visit("/left").await.body, "None", "there is no session");
    browser.visit("/write").await;
    assert_eq!(browser.visit("/left").await.body, "Some(1800s)");
    place.clock.advance(29 * MINUTE);
    assert_eq!(browser.visit("/left").await.body, "Some(60s)");
    for _ in 0..24 {
        browser.visit("/read").await;
        place.clock.advance(28 * MINUTE);
    }
    assert_eq!(browser.visit("/left").await.body, "Some(120s)");
    browser.visit("/read").await;
    assert_eq!(browser.visit("/left").await.body, "Some(1140s)", "twelve hours are over sooner than half an hour");
}

#[tokio::test]
async fn a_session_ends_at_its_absolute_deadline_however_busy_it_is() {
    let place = Place::memory();
    let browser = Browser::new(timed(&place.sessions()));
    browser.visit("/write").await;
    for _ in 0..12 * 6 - 1 {
        place.clock.advance(10 * MINUTE);
        assert_eq!(browser.visit("/read").await.body, "true");
    }
    place.clock.advance(10 * MINUTE);
    assert_eq!(browser.visit("/read").await.body, "false");
}

#[tokio::test]
async fn a_touch_interval_of_zero_touches_on_every_read() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().touch_interval(Duration::ZERO));
        let browser = Browser::new(timed(&sessions));
        browser.visit("/write").await;
        place.store.asked();
        for _ in 0..3 {
            browser.visit("/read").await;
            assert_eq!(place.store.asked(), ["load", "apply"]);
        }
        browser.visit("/peek").await;
        assert_eq!(place.store.asked(), ["load"]);

        let browser = Browser::new(timed(&place.sessions()));
        browser.visit("/write").await;
        place.store.asked();
        for _ in 0..3 {
            browser.visit("/read").await;
            assert_eq!(place.store.asked(), ["load"], "the default writes nothing for a steady reader");
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_may_have_its_own_idle_timeout_from_a_second_to_the_absolute_lifetime() {
    let place = Place::memory();
    let browser = Browser::new(timed(&place.sessions()));
    browser.visit("/write").await;
    assert_eq!(browser.get("/ttl/0").await.status, 400);
    assert_eq!(browser.get("/ttl/43201").await.status, 400);
    assert_eq!(browser.get(&format!("/ttl/{}", u64::MAX)).await.status, 400);
    browser.visit("/ttl/43200").await;
    place.clock.advance(11 * 60 * MINUTE);
    assert_eq!(browser.visit("/peek").await.body, "true");
    browser.visit("/ttl/1").await;
    place.clock.advance(Duration::from_secs(1));
    assert_eq!(browser.visit("/peek").await.body, "false");
}

#[tokio::test]
async fn an_idle_timeout_that_a_new_session_begins_with_is_not_stored_a_second_time() {
    let begin = async |session: Session| {
        session.set_idle_timeout(MINUTE)?;
        session.increment(COUNT, 1).await?;
        Ok::<_, Error>(())
    };
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browser = Browser::new(Router::new().route("/", get(begin)).layer(sessions.layer()));
        browser.visit("/").await;
        assert_eq!(place.store.asked(), ["create"]);
        let shown = async |session: Session| format!("{:?}", session.idle_timeout());
        let browser = browser.at(Router::new().route("/", get(shown)).layer(sessions.layer()));
        assert_eq!(browser.visit("/").await.body, "Some(60s)");
    })
    .await;
}

#[tokio::test]
async fn a_session_in_use_lives_on_although_its_own_idle_timeout_is_below_the_touch_interval() {
    let place = Place::memory();
    let browser = Browser::new(timed(&place.sessions_with(Config::builder().touch_interval(5 * MINUTE))));
    browser.visit("/write").await;
    browser.visit("/ttl/60").await;
    for _ in 0..10 {
        place.clock.advance(Duration::from_secs(20));
        assert_eq!(browser.visit("/read").await.body, "true");
    }
}
