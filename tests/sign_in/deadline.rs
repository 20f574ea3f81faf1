//! A session that ends at a point in time of its own, signed in or not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cloakroom::{Config, Error, Session, Sessions, TokenFormat};

use super::app::{app, count, pass};
use super::framework::{Path, Router, get};
use crate::support::{Browser, Place, on_each_store};

const MINUTE: Duration = Duration::from_secs(60);
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

fn ending(sessions: &Sessions) -> Router {
    let end_in = async |session: Session, Path(seconds): Path<u64>| session.set_deadline(after(&session, seconds));
    let end_at =
        async |session: Session, Path(at): Path<u64>| session.set_deadline(UNIX_EPOCH + Duration::from_secs(at));
    let sign_in = async |session: Session, Path(at): Path<u64>| {
        session.sign_in("anna").deadline(UNIX_EPOCH + Duration::from_secs(at)).await
    };
    let sign_in_for_long = async |session: Session| session.sign_in("anna").absolute_lifetime(10 * LIFETIME).await;
    let end_in_and_count = async |session: Session, Path(seconds): Path<u64>| {
        session.set_deadline(after(&session, seconds))?;
        count(&session).await
    };
    let endless = async |session: Session| session.set_deadline(None);
    let at_last = async |session: Session| session.set_deadline(SystemTime::UNIX_EPOCH + Duration::MAX / 4);
    app(sessions)
        .route("/end_in/{seconds}", get(end_in))
        .route("/end_at/{at}", get(end_at))
        .route("/sign_in_until/{at}", get(sign_in))
        .route("/sign_in_for_long", get(sign_in_for_long))
        .route("/end_in_and_count/{seconds}", get(end_in_and_count))
        .route("/begin_until/{at}", get(begin_until))
        .route("/begin_and_commit_until/{at}", get(begin_and_commit_until))
        .route("/endless", get(endless))
        .route("/at_last", get(at_last))
        .route("/deadline", get(async |session: Session| shown(&session)))
        .layer(sessions.layer())
}

/// A time this many seconds after the session was made, or was signed in.
fn after(session: &Session, seconds: u64) -> SystemTime {
    session.deadline().unwrap() - LIFETIME + Duration::from_secs(seconds)
}

async fn begin_until(session: Session, Path(at): Path<u64>) -> Result<(), Error> {
    session.set_deadline(UNIX_EPOCH + Duration::from_secs(at))?;
    session.begin()
}

async fn begin_and_commit_until(session: Session, at: Path<u64>) -> Result<(), Error> {
    begin_until(session.clone(), at).await?;
    session.commit().await
}

fn shown(session: &Session) -> String {
    session.deadline().map_or("none".to_owned(), |at| at.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string())
}

/// A browser, and the time by the clock of its store, which stands still.
fn in_memory() -> (Place, Browser, u64) {
    let place = Place::memory();
    let browser = Browser::new(ending(&place.sessions()));
    (place, browser, 1_775_133_296)
}

#[tokio::test]
async fn a_session_ends_at_its_deadline_however_often_it_is_visited() {
    on_each_store(async |place| {
        for begin in ["/write/name/anna", "/sign_in/anna"] {
            let browser = Browser::new(ending(&place.sessions_with(Config::builder().touch_interval(Duration::ZERO))));
            browser.visit(begin).await;
            browser.visit("/end_in/2").await;
            for _ in 0..5 {
                browser.visit("/exists").await;
                pass(&place, Duration::from_millis(450)).await;
            }
            assert_eq!(browser.visit("/exists").await.body, "false", "{begin}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_visitor_gets_no_session_by_a_deadline_alone_but_a_new_session_has_it() {
    let (_, browser, now) = in_memory();
    browser.visit(&format!("/end_at/{}", now + 600)).await;
    assert_eq!(browser.visit("/exists").await.body, "false");
    let deadline = (now + 600).to_string();
    browser.visit(&format!("/begin_until/{deadline}")).await;
    assert_eq!(browser.visit("/deadline").await.body, deadline);
}

#[tokio::test]
async fn a_deadline_is_stored_once_and_not_lost_by_what_is_changed_before_the_response() {
    on_each_store(async |place| {
        let browser = Browser::new(ending(&place.sessions()));
        let at = place.clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 600;
        place.store.asked();
        browser.visit(&format!("/begin_and_commit_until/{at}")).await;
        assert_eq!(place.store.asked(), ["create"]);

        browser.visit("/sign_in/anna").await;
        browser.visit("/endless").await;
        let by_lifetime: u64 = browser.visit("/deadline").await.body.parse().unwrap();
        browser.visit("/end_in_and_count/600").await;
        let by_deadline: u64 = browser.visit("/deadline").await.body.parse().unwrap();
        assert_eq!(by_lifetime - by_deadline, LIFETIME.as_secs() - 600);
    })
    .await;
}

#[tokio::test]
async fn a_deadline_beyond_the_absolute_lifetime_counts_for_a_later_sign_in_that_grants_more() {
    on_each_store(async |place| {
        let browser = Browser::new(ending(&place.sessions()));
        browser.visit("/sign_in/anna").await;
        let by_lifetime: u64 = browser.visit("/deadline").await.body.parse().unwrap();
        browser.visit(&format!("/end_in/{}", LIFETIME.as_secs() + 600)).await;
        assert_eq!(browser.visit("/deadline").await.body, by_lifetime.to_string());
        browser.visit("/sign_in_for_long").await;
        assert_eq!(browser.visit("/deadline").await.body, (by_lifetime + 600).to_string());
    })
    .await;
}

#[tokio::test]
async fn the_absolute_lifetime_ends_a_session_before_a_deadline_that_is_later() {
    let (place, browser, now) = in_memory();
    let by_lifetime = (now + LIFETIME.as_secs()).to_string();
    browser.visit(&format!("/sign_in_until/{}", now + 2 * LIFETIME.as_secs())).await;
    assert_eq!(browser.visit("/deadline").await.body, by_lifetime);
    browser.visit("/at_last").await;
    assert_eq!(browser.visit("/deadline").await.body, by_lifetime, "also far beyond what a record can hold");
    let minutes = LIFETIME.as_secs() / 60;
    for minute in 0..minutes {
        assert_eq!(browser.visit("/exists").await.body, "true", "after {minute} minutes");
        place.clock.advance(MINUTE);
    }
    assert_eq!(browser.visit("/exists").await.body, "false");
}

#[tokio::test]
async fn a_deadline_may_be_moved_and_taken_away_but_no_sign_in_and_no_rotation_moves_it() {
    let (place, browser, now) = in_memory();
    browser.visit(&format!("/sign_in_until/{}", now + 600)).await;
    for path in ["/sign_in/anna", "/rotate", "/elevate", "/write/name/anna"] {
        place.clock.advance(MINUTE);
        browser.visit(path).await;
        assert_eq!(browser.visit("/deadline").await.body, (now + 600).to_string(), "{path}");
    }
    browser.visit(&format!("/sign_in_until/{}", now + 900)).await;
    assert_eq!(browser.visit("/deadline").await.body, (now + 900).to_string(), "the sign-in gives another one");
    browser.visit(&format!("/end_at/{}", now + 1200)).await;
    assert_eq!(browser.visit("/deadline").await.body, (now + 1200).to_string());
    browser.visit("/endless").await;
    let signed_in_at = now + 4 * 60;
    assert_eq!(browser.visit("/deadline").await.body, (signed_in_at + LIFETIME.as_secs()).to_string());
}

#[tokio::test]
async fn another_user_does_not_inherit_a_deadline() {
    let (_, browser, now) = in_memory();
    browser.visit(&format!("/sign_in_until/{}", now + 600)).await;
    browser.visit("/sign_in/betty").await;
    assert_eq!(browser.visit("/deadline").await.body, (now + LIFETIME.as_secs()).to_string());
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_refused_and_changes_nothing() {
    on_each_store(async |place| {
        let browser = Browser::new(ending(&place.sessions()));
        for path in ["/begin_until/1700000000", "/sign_in_until/1700000000"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, 400, "{path}");
            let error = answer.error.unwrap();
            assert!(error.is_invalid() && error.to_string() == "the deadline has passed, by the clock of the store");
        }
        assert_eq!(browser.visit("/whoami").await.body, "nobody");
        browser.visit("/sign_in/anna").await;
        let deadline = browser.visit("/deadline").await.body;
        assert_eq!(browser.get("/end_at/0").await.status, 400);
        assert_eq!(browser.visit("/deadline").await.body, deadline);
        assert_eq!(browser.visit("/whoami").await.body, "anna");
    })
    .await;
}

#[tokio::test]
async fn every_device_is_listed_and_found_until_a_deadline_that_was_moved_to_later() {
    on_each_store(async |place| {
        let short = place.sessions_with(Config::builder().idle_timeout(MINUTE).absolute_lifetime(MINUTE));
        let browser = Browser::new(ending(&short));
        browser.visit("/sign_in/anna").await;
        // the lifetimes were raised meanwhile
        let long = browser.at(ending(&place.sessions()));
        long.visit("/at_last").await;
        assert_eq!(long.visit("/devices").await.body.matches('[').count(), 1);
        if place.is_redis() {
            let mut client = place.server().client();
            let left: i64 = redis::cmd("TTL").arg("session:user:anna").query(&mut client).unwrap();
            assert!(left > LIFETIME.as_secs() as i64, "the index must not end before the session: {left}");
        }
        assert_eq!(long.visit("/sign_out_everywhere").await.body, "1");
    })
    .await;
}

#[tokio::test]
async fn plain_tokens_have_no_place_for_a_deadline() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().token_format(TokenFormat::Plain));
        let browser = Browser::new(ending(&sessions));
        browser.visit("/write/name/anna").await;
        let answer = browser.get("/endless").await;
        assert_eq!(answer.status, 500);
        assert!(answer.error.unwrap().is_config());
    })
    .await;
}
